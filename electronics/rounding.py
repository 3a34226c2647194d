"""Rounding whose gradient passes straight through (Bengio et al. 2013, arXiv 1308.3432)."""

import jax
import jax.numpy as jnp


def straight_through(exact: jax.Array, rounded: jax.Array, share: jax.Array) -> jax.Array:
    """`exact` moved by `share` of the way to `rounded`; the gradient is that of `exact`."""
    return exact + share * jax.lax.stop_gradient(rounded - exact)


def to_levels(x: jax.Array, highest: jax.Array) -> jax.Array:
    """Nearest of the levels -1, ..., -1/highest, 0, 1/highest, ..., 1, for x in [-1, 1]."""
    return jnp.round(x * highest) / highest
