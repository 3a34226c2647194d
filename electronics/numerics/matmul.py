"""Matrix products without loss: in full float32, or of short codes, which bfloat16 holds exactly."""

import jax
import jax.numpy as jnp

from electronics.numerics.bfloat16 import bfloat16_product
from electronics.part import Number

# bfloat16 has eight significant bits, so it holds every whole number up to here.
SHORT = 256


def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns], float32 -> [vectors, columns], also where the hardware would multiply in a
    shorter format by default."""
    return jnp.matmul(x, w, precision=jax.lax.Precision.HIGHEST)


@jax.custom_jvp
def integer_product(x: jax.Array, w: jax.Array, largest: Number) -> jax.Array:
    """The product of whole numbers, as float32, no greater than `largest` in magnitude.

    Codes that bfloat16 holds are multiplied in it, with sums in float32, on GPUs and TPUs, at ten times the rate of
    float32. Each product is exact, and so is the sum while it is below 2**24. Codes of more bits, and all codes on a
    CPU, of which few have units for it, go through `product`.
    """
    return jax.lax.platform_dependent(x, w, largest, cpu=lambda x, w, _: product(x, w), default=_shortest)


@integer_product.defjvp
def _code_product_jvp(primals, tangents):
    x, w, largest = primals
    return integer_product(x, w, largest), product(tangents[0], w) + product(x, tangents[1])


def _shortest(x, w, largest):
    return jax.lax.cond(jnp.asarray(largest) <= SHORT, bfloat16_product, product, x, w)
