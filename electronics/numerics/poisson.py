"""Counts of independent events, as Poisson's law has them, that differentiate by their mean and variance."""

import jax
import jax.numpy as jnp

from electronics.numerics import noise

# Beyond this mean, float32 no longer resolves the terms of the rejection test, and a count of this many is a Gaussian
# number but for its skewness of 1/32, which the Cornish-Fisher term keeps.
LARGEST_COUNTED = 1024.0


@jax.custom_jvp
def fluctuation(mean: jax.Array, stream: jax.Array) -> jax.Array:
    """Poisson counts of each mean, less that mean.

    Up to a mean of 1,024 these are whole counts (`jax.random.poisson`); beyond it sqrt(m) z + (z^2 - 1) / 6 of a normal
    z, whose mean and skewness are those of a count, and its variance but for 1/18. The gradient holds
    z = (n - m) / sqrt(m), so that it is that of a sample of which mean and variance follow m; it is 0 at a mean of 0.

    Args:
        mean: expected counts, at least 0, float32, any shape.
        stream: uint32 [2], see `electronics.numerics.noise.streams`; one stream gives one set of counts.

    Returns:
        An array of the shape of `mean`.
    """
    key = jax.random.wrap_key_data(stream, impl="threefry2x32")
    count_key, normal_key = jax.random.split(key)
    few = jnp.where(mean > LARGEST_COUNTED, 0.0, mean)
    counted = jax.random.poisson(count_key, few, dtype=jnp.int32).astype(jnp.float32) - few
    normal = noise.normal(noise.streams(normal_key), mean.shape)
    return jnp.where(mean > LARGEST_COUNTED, jnp.sqrt(mean) * normal + (normal**2 - 1) / 6, counted)


@fluctuation.defjvp
def _fluctuation_jvp(primals, tangents):
    mean, _ = primals
    found = fluctuation(*primals)
    slope = jnp.where(mean > 0, found / jnp.where(mean > 0, 2 * mean, 1.0), 0.0)
    return found, slope * tangents[0]
