"""Matrix products in bfloat16 (eight significant bits) with sums in float32, also in their gradients."""

import math

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from electronics.numerics._jax import bilinear
from electronics.numerics.xla import PRODUCT, fusion_barrier

# Relative variance of rounding to eight significant bits: step^2 / 12 (Bennett 1948), averaged over mantissas that are
# uniform from 1 to 2 on a logarithmic scale.
BFLOAT16_VARIANCE = 2.0**-14 / 12 * 3 / (8 * math.log(2))


def bfloat16_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns], both rounded to bfloat16, with sums in float32 -> [vectors, columns].

    `w` is float32 or the result of `bfloat16_words`. Integers up to 256 are exact. The rounding gives each product of
    two other numbers a relative variance of 2 x `BFLOAT16_VARIANCE`, in the gradient as well.
    """
    if w.dtype == jnp.uint16:
        y = _dot(x, jax.lax.bitcast_convert_type(w, jnp.bfloat16), contracted=(1, 0))
    else:
        y = _product(x, w, contracted=(1, 0))
    return checkpoint_name(y, PRODUCT)


@jax.custom_jvp
def bfloat16_words(values: jax.Array) -> jax.Array:
    """float32 rounded to bfloat16, any shape, as uint16 words in half the memory.

    XLA's CPU compiler keeps a float32 copy of a bfloat16 array that a loop slices, but not of words.

    Raises:
        ValueError: when differentiated, because words have no gradient.
    """
    return jax.lax.bitcast_convert_type(values.astype(jnp.bfloat16), jnp.uint16)


@bfloat16_words.defjvp
def _no_gradient(*_):
    raise ValueError('with arithmetic = "bfloat16" no gradient passes a load: use core.matmul, or "float32"')


def _dot(a: jax.Array, b: jax.Array, *, contracted: tuple[int, int]) -> jax.Array:
    """Sum of products over axis contracted[0] of one matrix and contracted[1] of another, both rounded."""
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    first, second = contracted
    if first == 0:
        # XLA's CPU product takes twice as long when it transposes its first operand itself.
        a, first = fusion_barrier(jnp.transpose, a), 1
    return jax.lax.dot_general(a, b, (((first,), (second,)), ((), ())), preferred_element_type=jnp.float32)


def _to_first(cotangent, a, b, *, contracted):
    """Cotangent of the first operand of sum_k a_ik b_kj, sum_k a_ik b_jk or sum_k a_ki b_kj."""
    if contracted == (0, 0):
        return _product(b, cotangent, contracted=(1, 1))
    return _product(cotangent, b, contracted=(1, 1) if contracted == (1, 0) else (1, 0))


def _to_second(cotangent, a, b, *, contracted):
    if contracted == (1, 1):
        return _product(cotangent, a, contracted=(0, 0))
    return _product(a, cotangent, contracted=(0, 0) if contracted == (1, 0) else (1, 0))


# A separate primitive, because JAX's transpose of a bfloat16 product multiplies float32 by bfloat16, at the rate of
# float32.
_product = bilinear("bfloat16_product", _dot, _to_first, _to_second)
