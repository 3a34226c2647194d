"""Gaussian noise made for the purpose: a counter, two keys, a hash, and Box and Muller's transform without tables.

A sample is a function of its stream and its place alone, so that any device may compute any part of an array, and a
compiler may fuse it into what uses it. JAX's own generator hashes longer and inverts the error function: its samples
cost more than the products that they disturb.
"""

import math

import jax
import jax.numpy as jnp

from electronics.part import Number

LARGEST = 2**32
# In a mantissa m, -2 ln(m) + 2 (m - 1) ln 2 to 2.2e-5, exact at its ends, and 2e-6 more so that rounding leaves no root
# of a negative number; and in x from -1 to 1, sin(pi x / 2) to 6.8e-5, its mean square 1/2.
_LOG = (2.50274055, -5.69347764, 4.94748919, -2.27546241, 0.58130217, -0.06258986)
_SINE = (1.57032085, -0.6421246, 0.07188415)


def streams(key: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """As many independent streams of samples as `shape` has places, uint32 [*shape, 2], from a key of JAX's."""
    return jax.random.bits(key, (*shape, 2), jnp.uint32)


def normal(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Independent samples of mean 0 and variance 1, float32.

    Box and Muller (Ann. Math. Stat. 29, 610, 1958): sqrt(-2 ln u) sin(angle). The largest magnitude is 6.6 sigma, and
    tests count the tails to 4.5.
    """
    word = words(stream, shape)
    return jnp.sqrt(_square_of_radius(word)) * _sine(word)


def gaussian(stream: jax.Array, variance: Number) -> jax.Array:
    """Independent samples of mean 0 and of each variance, any shape; the fastest where nothing else is computed.

    The gradient is that of the reparametrisation, noise / (2 variance), and 0 where there is no variance.
    """
    return _gaussian(variance, words(stream, jnp.shape(variance)))


@jax.custom_jvp
def _gaussian(variance, word):
    # One root for both, the standard deviation and the radius.
    return jnp.sqrt(variance * _square_of_radius(word)) * _sine(word)


@_gaussian.defjvp
def _gaussian_jvp(primals, tangents):
    variance, word = primals
    samples = _gaussian(variance, word)
    slope = jnp.where(variance > 0, samples / jnp.where(variance > 0, 2 * variance, 1.0), 0.0)
    return samples, slope * tangents[0]


@jax.custom_jvp
def scaled(samples: jax.Array, variance: Number) -> jax.Array:
    """Samples of variance 1 as samples of another variance, which broadcasts; the gradient as that of `gaussian`."""
    return samples * jnp.sqrt(variance)


@scaled.defjvp
def _scaled_jvp(primals, tangents):
    samples, variance = primals
    root = jnp.sqrt(variance)
    slope = jnp.where(variance > 0, 0.5 / jnp.where(variance > 0, root, 1.0), 0.0)
    return samples * root, tangents[0] * root + samples * (slope * tangents[1])


def logistic(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Independent samples of the logistic law of mean 0 and scale 1, ln(u / (1 - u)), float32."""
    u = ((words(stream, shape) >> 8).astype(jnp.int32).astype(jnp.float32) + 0.5) * jnp.float32(2**-24)
    return jnp.log(u) - jnp.log1p(-u)


def words(stream: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Independent words of 32 bits, uint32: a function of the stream and of the place in row-major order.

    The place, joined by the stream's words, passes the three rounds of multiplying and shifting of triple32 (Wellons,
    Prospecting for hash functions, 2018), less the last shift: the upper bits are the good ones. Raises ValueError for
    more than 2**32 places, with all that draws from here.
    """
    if math.prod(shape) > LARGEST:
        raise ValueError(f"shape {shape} has more places than the {LARGEST} that a stream has samples for")
    word = _places(shape) ^ stream[0]
    word = (word ^ (word >> 17)) * jnp.uint32(0xED5AD4BB) + stream[1]
    word = (word ^ (word >> 11)) * jnp.uint32(0xAC4C1B51)
    return (word ^ (word >> 15)) * jnp.uint32(0x31848BAB)


def _places(shape: tuple[int, ...]) -> jax.Array:
    """The number of each place, in row-major order, modulo 2**32."""
    place = jnp.zeros((1,) * len(shape), jnp.uint32)
    for axis, size in enumerate(shape):
        place = place * jnp.uint32(size % LARGEST) + jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return place


def _square_of_radius(word: jax.Array) -> jax.Array:
    """-2 ln u, u the word's upper 31 bits as a share of 2**31, from the float's exponent and mantissa."""
    u = ((word >> 1) | jnp.uint32(1)).astype(jnp.int32).astype(jnp.float32)
    bits = jax.lax.bitcast_convert_type(u, jnp.int32)
    mantissa = jax.lax.bitcast_convert_type((bits & 0x7FFFFF) | 0x3F800000, jnp.float32)
    exponent_and_mantissa = (bits - ((127 + 31) << 23)).astype(jnp.float32)
    return exponent_and_mantissa * jnp.float32(-2 * math.log(2) / 2**23) + _polynomial(_LOG, mantissa)


def _sine(word: jax.Array) -> jax.Array:
    """Sine of one of 65,536 angles, evenly spaced over half a turn; the other half has the same values.

    The law of radius times sine is an integral over the angle, and this its trapezoidal rule: in the tails it converges
    exponentially, and next to 0 no angle is closer than 2e-5. The golden ratio spreads the angles evenly over words of
    any size, so that few bits serve twice.
    """
    angle = ((word * jnp.uint32(0x9E3779B9)) >> 16).astype(jnp.int32).astype(jnp.float32)
    x = angle * jnp.float32(2**-15) - jnp.float32(1 - 2**-16)
    return x * _polynomial(_SINE, x * x)


def _polynomial(coefficients: tuple[float, ...], x: jax.Array) -> jax.Array:
    """Estrin's way, pairs first: a processor adds up pairs side by side, where Horner's way waits for each step."""
    terms = [jnp.float32(c) for c in coefficients]
    while len(terms) > 1:
        pairs = [a + b * x for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms, x = pairs + terms[len(pairs) * 2 :], x * x
    return terms[0]
