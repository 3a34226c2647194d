"""Encoders in plain JAX: hidden states and embeddings of whole texts."""
