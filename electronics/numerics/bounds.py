"""Bounds in one machine instruction each, where `jnp.maximum` takes three to propagate NaNs, and finite inverses."""

from typing import cast

import jax
import jax.numpy as jnp

from electronics.part import Number


def at_least(values: Number, bound: Number) -> jax.Array:
    """values, any shape, not below the bound; NaN stays NaN, and bounded values have no gradient."""
    return jnp.where(values < bound, bound, values)


def at_most(values: Number, bound: Number) -> jax.Array:
    """values, any shape, not above the bound; NaN stays NaN, and bounded values have no gradient."""
    return jnp.where(values > bound, bound, values)


def within(values: Number, least: Number, most: Number) -> jax.Array:
    """values, any shape, between two bounds."""
    return at_most(at_least(values, least), most)


@jax.custom_jvp
def inverse(scale: Number) -> jax.Array:
    """1 / scale, any shape. Its gradient multiplies by 1 / scale twice, since 1 / scale^2 overflows below 1e-19."""
    return cast(jax.Array, 1 / scale)


@inverse.defjvp
def _inverse_jvp(primals, tangents):
    found = inverse(*primals)
    return found, -((tangents[0] * found) * found)
