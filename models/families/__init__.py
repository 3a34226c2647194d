"""Families of models: how each names its parameters and states its shape."""
