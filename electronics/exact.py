"""Matrix products in full float32, and in bfloat16, which holds short codes exactly and rounds all else."""

import math

import jax
import jax.numpy as jnp

from electronics.part import Number

# bfloat16 has eight significant bits, so it holds every whole number up to here.
SHORT = 256
# Relative variance of rounding to eight significant bits: a step's square / 12 (Bennett 1948), the mean over mantissas
# from 1 to 2 that are spread evenly on a logarithmic scale.
SHORT_VARIANCE = 2.0**-14 / 12 * 3 / (8 * math.log(2))


def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns], float32 -> [vectors, columns], also where the hardware would multiply in a
    shorter format by default."""
    return jnp.matmul(x, w, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp
def code_product(x: jax.Array, w: jax.Array, largest: Number) -> jax.Array:
    """The product of whole numbers, as float32, no greater than `largest` in magnitude.

    Codes that bfloat16 holds are multiplied in it, with sums in float32, where the hardware has units for that: GPUs
    and TPUs, at ten times the rate of float32. Each product is exact, and so is the sum while it is below 2**24. Codes
    of more bits, and all codes on a CPU, whose float32 product is the faster, go through `product`.
    """
    return jax.lax.platform_dependent(x, w, largest, cpu=lambda x, w, _: product(x, w), default=_shortest)


@code_product.defjvp
def _code_product_jvp(primals, tangents):
    x, w, largest = primals
    return code_product(x, w, largest), product(tangents[0], w) + product(x, tangents[1])


def _shortest(x, w, largest):
    return jax.lax.cond(jnp.asarray(largest) <= SHORT, short_product, product, x, w)


def short_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns], or w as `shortened`, both rounded to bfloat16 -> float32 sums.

    Codes up to 256 are exact. Of other numbers a product has a relative variance of 2 x `SHORT_VARIANCE`.
    """
    w = jax.lax.bitcast_convert_type(w, jnp.bfloat16) if w.dtype == jnp.uint16 else w.astype(jnp.bfloat16)
    return jnp.matmul(x.astype(jnp.bfloat16), w, preferred_element_type=jnp.float32)


@jax.custom_jvp
def shortened(values: jax.Array) -> jax.Array:
    """float32 rounded to bfloat16, any shape, as the words that hold it, uint16, in half the memory.

    As bfloat16 XLA's CPU compiler would keep what a loop looks at as float32 beside. Raises ValueError where a gradient
    is asked for, which words do not have.
    """
    return jax.lax.bitcast_convert_type(values.astype(jnp.bfloat16), jnp.uint16)


@shortened.defjvp
def _no_gradient(*_):
    raise ValueError('with arithmetic = "bfloat16" no gradient passes a load: use core.matmul, or "float32"')
