"""Matrix products without loss: in float32, or of small integers, which bfloat16 represents exactly."""

import jax
import jax.numpy as jnp

from electronics.numerics.bfloat16 import bfloat16_product
from electronics.part import Number

# Largest n such that bfloat16, with eight significant bits, represents all integers up to n.
LARGEST_EXACT = 256


def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns] -> [vectors, columns], in float32 on any hardware.

    Some hardware multiplies in a shorter format by default.
    """
    return jnp.matmul(x, w, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp
def integer_product(x: jax.Array, w: jax.Array, largest: Number) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns] of integers stored as float32, at most `largest` in magnitude.

    On GPUs and TPUs, integers that bfloat16 represents are multiplied in bfloat16 with float32 sums, at ten times the
    rate of float32. Products are exact, and so are sums below 2**24. Larger integers, and all on CPUs, few of which
    have bfloat16 units, are multiplied in float32.
    """
    return jax.lax.platform_dependent(x, w, largest, cpu=lambda x, w, _: product(x, w), default=_shortest)


@integer_product.defjvp
def _integer_product_jvp(primals, tangents):
    x, w, largest = primals
    return integer_product(x, w, largest), product(tangents[0], w) + product(x, tangents[1])


def _shortest(x, w, largest):
    return jax.lax.cond(jnp.asarray(largest) <= LARGEST_EXACT, bfloat16_product, product, x, w)
