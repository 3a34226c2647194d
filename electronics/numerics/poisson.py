"""Poisson-distributed counts with a gradient in their mean and variance."""

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bounds import choose

# Above this mean float32 does not resolve the terms of the rejection test. Counts are then Gaussian up to a skewness of
# 1/32, which the Cornish-Fisher term adds.
LARGEST_COUNTED = 1024.0


@jax.custom_jvp
def fluctuation(mean: jax.Array, stream: jax.Array) -> jax.Array:
    """Poisson counts n of the means m, less m.

    Up to a mean of 1,024, n is a whole count (`jax.random.poisson`). Above it, n - m = sqrt(m) z + (z^2 - 1) / 6 for a
    normal z, which has the mean and the skewness of a count, and its variance up to 1/18. The gradient keeps
    z = (n - m) / sqrt(m) constant, so that mean and variance of the sample follow m; it is 0 at m = 0.

    Args:
        mean: expected counts, at least 0, float32, any shape.
        stream: uint32 [2], see `electronics.numerics.noise.streams`; one stream gives one set of counts.

    Returns:
        An array of the shape of `mean`.
    """
    key = jax.random.wrap_key_data(stream, impl="threefry2x32")
    count_key, normal_key = jax.random.split(key)
    few = choose(mean > LARGEST_COUNTED, 0.0, mean)
    counted = jax.random.poisson(count_key, few, dtype=jnp.int32).astype(jnp.float32) - few
    normal = noise.normal(noise.streams(normal_key), mean.shape)
    return choose(mean > LARGEST_COUNTED, jnp.sqrt(mean) * normal + (normal**2 - 1) / 6, counted)


@fluctuation.defjvp
def _fluctuation_jvp(primals, tangents):
    mean, _ = primals
    found = fluctuation(*primals)
    slope = choose(mean > 0, found / choose(mean > 0, 2 * mean, 1.0), 0.0)
    return found, slope * tangents[0]
