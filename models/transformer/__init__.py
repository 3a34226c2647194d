"""The decoder of language models in plain JAX: its shape, its parameters, its forward pass."""
