"""Rounding whose gradient passes straight through (Bengio et al. 2013, arXiv 1308.3432)."""

import jax
import jax.numpy as jnp


def straight_through(exact: jax.Array, rounded: jax.Array, share: jax.Array) -> jax.Array:
    """`exact` moved by `share` of the way to `rounded`; the gradient is that of `exact`."""
    return exact + share * jax.lax.stop_gradient(rounded - exact)


def to_levels(x: jax.Array, full_scale: jax.Array, highest: jax.Array) -> jax.Array:
    """Nearest of the levels full_scale times -1, ..., -1/highest, 0, 1/highest, ..., 1."""
    step = full_scale * (1 / highest)
    return jnp.round(x * (1 / step)) * step
