"""Numerics that are not specific to a part: random numbers, roundings, matrix products, and control over XLA."""
