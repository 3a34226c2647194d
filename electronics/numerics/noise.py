"""Fast Gaussian noise: a counter-based hash with two keys, and the Box-Muller transform without tables.

A sample is a function of its stream and its place alone, so any device can compute any part of an array, and a compiler
can fuse a sample into its use. It takes 0.65 ns, where `jax.random.normal` takes 8.4 ns (docs/performance.md) and would
cost more than the products that it disturbs.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from electronics.numerics.bounds import choose
from electronics.numerics.xla import fusion_barrier
from electronics.part import Number

LARGEST = 2**32
# Polynomials. _LOG approximates -2 ln(m) + 2 (m - 1) ln 2 for a mantissa m to 2.2e-5, exact at the ends, plus 2e-6 so
# that rounding never gives a negative radicand. _SINE approximates sin(pi x / 2) for |x| <= 1 to 6.8e-5, with a mean
# square of 1/2.
_LOG = (2.50274055, -5.69347764, 4.94748919, -2.27546241, 0.58130217, -0.06258986)
_SINE = (1.57032085, -0.6421246, 0.07188415)


# The functions of this module are functions of the compiled program, one for each shape: inlined, the samples were a
# sixth of the operations of a product.
@partial(jax.jit, static_argnums=1)
def streams(key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Independent streams of samples, uint32 [*shape, 2], from a JAX key.

    Both words of the key pass triple32 before they meet the place, twice, so that keys that differ in one bit have
    unrelated streams. `jax.random.bits` would be a loop on CPUs, of a dozen kernels to compile in each product.
    """
    data = jax.random.key_data(key).reshape(-1)
    first = _triple32(data[0] ^ np.uint32(0x9E3779B9))
    second = first
    for word in data[1:]:
        second = _triple32(second ^ word)
    return _triple32(_triple32(_places((*shape, 2)) ^ second) + _triple32(second + first))


@partial(jax.jit, static_argnums=1)
def normal(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Independent Gaussian samples of mean 0 and variance 1, float32.

    sqrt(-2 ln u) sin(angle), Box and Muller, Ann. Math. Stat. 29, 610 (1958). The largest magnitude is 6.6 sigma;
    tests count the tails to 4.5 sigma.
    """
    word = words(stream, shape)
    return jnp.sqrt(_square_of_radius(word)) * _sine(word)


def stored_normal(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The samples of `normal`, stored in memory on CPUs before they are used.

    Within a long loop over the outputs of a product they take longer than in a loop of their own, storing and reading
    included: a product of 512 vectors takes 2.7 % less (docs/performance.md).
    """
    return fusion_barrier(lambda stream: normal(stream, shape), stream)


@jax.jit
def gaussian(stream: jax.Array, variance: Number) -> jax.Array:
    """Independent Gaussian samples of mean 0 and the given variances, any shape, with a single square root.

    The gradient is that of the reparametrisation, noise / (2 variance), and 0 at a variance of 0.
    """
    return _gaussian(variance, words(stream, jnp.shape(variance)))


@jax.custom_jvp
def _gaussian(variance, word):
    # A single root for the standard deviation and the radius.
    return jnp.sqrt(variance * _square_of_radius(word)) * _sine(word)


@_gaussian.defjvp
def _gaussian_jvp(primals, tangents):
    variance, word = primals
    samples = _gaussian(variance, word)

    def moved(samples, variance, tangent):
        return choose(variance > 0, samples / choose(variance > 0, 2 * variance, 1.0), 0.0) * tangent

    # Behind a barrier: XLA would otherwise draw the samples again for each part that the variance comes from.
    return samples, fusion_barrier(moved, samples, variance, tangents[0])


@jax.custom_jvp
def scaled(samples: jax.Array, variance: Number) -> jax.Array:
    """Samples of variance 1 scaled to `variance`, which broadcasts; the gradient is as that of `gaussian`."""
    return samples * jnp.sqrt(variance)


@scaled.defjvp
def _scaled_jvp(primals, tangents):
    samples, variance = primals
    root = jnp.sqrt(variance)

    def moved(samples, root, tangent):
        return samples * (choose(root > 0, 0.5 / choose(root > 0, root, 1.0), 0.0) * tangent)

    # The barrier as in `_gaussian_jvp`.
    return samples * root, tangents[0] * root + fusion_barrier(moved, samples, root, tangents[1])


def logistic(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Independent samples of the logistic distribution of mean 0 and scale 1, ln(u / (1 - u)), float32."""
    u = ((words(stream, shape) >> 8).astype(jnp.int32).astype(jnp.float32) + 0.5) * np.float32(2**-24)
    return jnp.log(u) - jnp.log1p(-u)


@partial(jax.jit, static_argnums=1)
def words(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Independent words of 32 bits, uint32, as a function of the stream and of the place in row-major order.

    The place and the words of the stream pass the three rounds of triple32 (Wellons, Prospecting for hash functions,
    2018) without its last shift, because only the upper bits are used.

    Raises:
        ValueError: for more than 2**32 places.
    """
    if math.prod(shape) > LARGEST:
        raise ValueError(f"shape {shape} has more places than the {LARGEST} that a stream has samples for")
    return _rounds(_places(shape) ^ stream[0], stream[1])


@jax.jit
def _triple32(word: jax.Array) -> jax.Array:
    word = _rounds(word, np.uint32(0))
    return word ^ (word >> 14)


def _rounds(word: jax.Array, key: jax.Array | np.uint32) -> jax.Array:
    """The rounds of triple32, without its last shift; `key` is added in the first."""
    word = (word ^ (word >> 17)) * np.uint32(0xED5AD4BB) + key
    word = (word ^ (word >> 11)) * np.uint32(0xAC4C1B51)
    return (word ^ (word >> 15)) * np.uint32(0x31848BAB)


def _places(shape: tuple[int, ...]) -> jax.Array:
    """Row-major index of each place, modulo 2**32."""
    place = jnp.zeros((1,) * len(shape), jnp.uint32)
    for axis, size in enumerate(shape):
        place = place * np.uint32(size % LARGEST) + jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return place


@jax.jit
def _square_of_radius(word: jax.Array) -> jax.Array:
    """-2 ln u from exponent and mantissa of the float u, the upper 31 bits of the word as a share of 2**31."""
    u = ((word >> 1) | np.uint32(1)).astype(jnp.int32).astype(jnp.float32)
    bits = jax.lax.bitcast_convert_type(u, jnp.int32)
    mantissa = jax.lax.bitcast_convert_type((bits & 0x7FFFFF) | 0x3F800000, jnp.float32)
    exponent_and_mantissa = (bits - ((127 + 31) << 23)).astype(jnp.float32)
    return exponent_and_mantissa * np.float32(-2 * math.log(2) / 2**23) + _polynomial(_LOG, mantissa)


@jax.jit
def _sine(word: jax.Array) -> jax.Array:
    """Sine of one of 65,536 angles, uniform over half a turn; the other half has the same values.

    The distribution of radius times sine is an integral over the angle, and uniform angles are its trapezoidal rule. It
    converges exponentially in the tails, and no angle is closer to 0 than 2e-5. Multiplying by the golden ratio
    spreads the angles evenly over words of any size, so that few bits serve both angle and radius.
    """
    angle = ((word * np.uint32(0x9E3779B9)) >> 16).astype(jnp.int32).astype(jnp.float32)
    x = angle * np.float32(2**-15) - np.float32(1 - 2**-16)
    return x * _polynomial(_SINE, x * x)


def _polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """Polynomial by Estrin's scheme, whose pairs a processor evaluates in parallel, unlike the steps of Horner's."""
    terms: list[Any] = [np.float32(c) for c in coefficients]
    while len(terms) > 1:
        pairs = [a + b * x for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms, x = pairs + terms[len(pairs) * 2 :], x * x
    return terms[0]
