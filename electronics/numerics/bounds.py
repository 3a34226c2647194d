"""Bounds on numbers, as one machine instruction each; `jnp.maximum` takes three, for the sake of NaNs. And inverses
whose gradient stays finite as long as they do."""

import jax
import jax.numpy as jnp

from electronics.part import Number


def at_least(values: Number, bound: Number) -> jax.Array:
    """values, any shape, and the bound where they are below it; NaN stays NaN, and what is bound has no gradient."""
    return jnp.where(values < bound, bound, values)


def at_most(values: Number, bound: Number) -> jax.Array:
    """values, any shape, and the bound where they are above it; NaN stays NaN, and what is bound has no gradient."""
    return jnp.where(values > bound, bound, values)


def within(values: Number, least: Number, most: Number) -> jax.Array:
    """values, any shape, kept between two bounds."""
    return at_most(at_least(values, least), most)


@jax.custom_jvp
def inverse(scale: jax.Array) -> jax.Array:
    """1 / scale, any shape; its gradient multiplies by it twice, where 1 / scale^2 would overflow below 1e-19."""
    return 1 / scale


@inverse.defjvp
def _inverse_jvp(primals, tangents):
    found = inverse(*primals)
    return found, -((tangents[0] * found) * found)
