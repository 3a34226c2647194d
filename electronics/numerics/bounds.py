"""Selections and bounds of one machine instruction each, and finite inverses."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from electronics.part import Number


def choose(condition: ArrayLike, yes: Number, no: Number) -> jax.Array:
    """`jnp.where` as one operation: each of its calls, some 75 a product, would be a nested function of the program.

    Operations of `jax.lax`, because those of `jax.numpy` take three times as long to trace.
    """
    dtype = jnp.result_type(yes, no)
    shape = np.broadcast_shapes(np.shape(yes), np.shape(no))
    if np.ndim(condition):
        shape = np.broadcast_shapes(shape, np.shape(condition))
        condition = _broadcast(condition, shape)
    one, other = (_broadcast(jax.lax.convert_element_type(each, dtype), shape) for each in (yes, no))
    return jax.lax.select(condition, one, other)


def _broadcast(values: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """The values in this shape, its last axes being theirs."""
    if np.shape(values) == shape:
        return jnp.asarray(values)
    return jax.lax.broadcast_in_dim(values, shape, tuple(range(len(shape) - np.ndim(values), len(shape))))


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
