"""Selections and bounds of one machine instruction each, and finite inverses."""

from typing import cast

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from electronics.part import Number


def choose(condition: ArrayLike, yes: Number, no: Number) -> jax.Array:
    """`jnp.where` as one operation: each of its calls, some 75 a product, would be a nested function of the program."""
    dtype = jnp.result_type(yes, no)
    one, other = jnp.asarray(yes, dtype), jnp.asarray(no, dtype)
    if jnp.ndim(condition) == 0:
        return jax.lax.select(jnp.asarray(condition), *jnp.broadcast_arrays(one, other))
    return jax.lax.select(*jnp.broadcast_arrays(condition, one, other))


def at_least(values: Number, bound: Number) -> jax.Array:
    """values, any shape, not below the bound; NaN stays NaN, and bounded values have no gradient.

    `jnp.maximum` would take three instructions to propagate NaNs.
    """
    return choose(values < bound, bound, values)


def at_most(values: Number, bound: Number) -> jax.Array:
    """values, any shape, not above the bound; NaN stays NaN, and bounded values have no gradient."""
    return choose(values > bound, bound, values)


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
