"""Bounds on numbers, as one machine instruction each; `jnp.maximum` takes three, for the sake of NaNs."""

import jax
import jax.numpy as jnp

from electronics.part import Number


def at_least(values: jax.Array, bound: Number) -> jax.Array:
    """values, any shape, and the bound where they are below it; NaN stays NaN, and what is bound has no gradient."""
    return jnp.where(values < bound, bound, values)


def at_most(values: jax.Array, bound: Number) -> jax.Array:
    """values, any shape, and the bound where they are above it; NaN stays NaN, and what is bound has no gradient."""
    return jnp.where(values > bound, bound, values)


def within(values: jax.Array, least: Number, most: Number) -> jax.Array:
    """values, any shape, kept between two bounds."""
    return at_most(at_least(values, least), most)
