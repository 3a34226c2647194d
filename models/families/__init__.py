"""Families of models, one to a file, their registry, and the shapes of well-known models."""
