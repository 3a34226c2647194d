"""The noise source against the normal law, at 1e8 samples, and its streams against one another.

Every statistic is compared in units of its own standard error under the law that is claimed, with a bar of five: a
right source fails one with probability 6e-7. Kolmogorov and Smirnov's distance has a bar that a right source passes
with probability 1 - 1e-6: sqrt(ln(2e6) / 2) / sqrt(n). Keys are fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from electronics.numerics import noise

pytestmark = pytest.mark.optimised

SHAPE = (10_000, 10_000)
COUNT = SHAPE[0] * SHAPE[1]
BAR = 5.0
TAILS = (1.0, 2.0, 3.0, 4.0, 4.5)
# Standard normal moments 0 to 8.
MOMENTS = (1, 0, 1, 0, 3, 0, 15, 0, 105)


@jax.jit
def row_means(key):
    z = noise.normal(noise.streams(key), SHAPE)
    powers = [jnp.mean(z**p, axis=1) for p in (1, 2, 3, 4)]
    return powers, [jnp.mean((jnp.abs(z) > bound).astype(jnp.float32), axis=1) for bound in TAILS]


@pytest.fixture(scope="module", params=[1, 2])
def averages(request) -> tuple[list[float], list[float]]:
    """Powers and tails of 1e8 samples, averaged."""
    found = row_means(jax.random.key(request.param))
    return tuple([float(np.mean(np.asarray(rows, np.float64))) for rows in part] for part in found)


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_moments_are_those_of_the_normal_law(averages, power):
    """Mean 0, variance 1, skewness 0, kurtosis 3: the raw moments, whose variance is E z^2p - (E z^p)^2."""
    error = np.sqrt((MOMENTS[2 * power] - MOMENTS[power] ** 2) / COUNT)
    assert abs(averages[0][power - 1] - MOMENTS[power]) < BAR * error


@pytest.mark.parametrize("number", range(len(TAILS)))
def test_tails_hold_as_many_samples_as_the_normal_law(averages, number):
    share = 2 * stats.norm.sf(TAILS[number])
    assert abs(averages[1][number] - share) < BAR * np.sqrt(share * (1 - share) / COUNT)


def test_kolmogorov_smirnov_against_the_normal_law():
    """From counts in bins of 2^-16: between two edges the distance exceeds that at them by at most a bin's share."""
    step, reach = 2.0**-16, 8

    @jax.jit
    def bins(key):
        z = noise.normal(noise.streams(key), SHAPE)
        return jnp.int32(jnp.floor(jnp.clip(z, -reach, reach - step) / step)) + int(reach / step)

    edges = np.arange(-reach, reach, step) + step
    parts = np.array_split(np.ravel(bins(jax.random.key(3))), 20)
    counts = np.sum([np.bincount(part, minlength=edges.size) for part in parts], axis=0)
    below = np.cumsum(counts)
    assert below[-1] == COUNT
    distance = np.max(np.abs(below / COUNT - special.ndtr(edges))) + step * stats.norm.pdf(0)
    assert distance < np.sqrt(np.log(2e6) / 2 / COUNT)


def folded(*numbers: int) -> jax.Array:
    key = jax.random.key(0)
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return noise.streams(key)


NEIGHBOURS = {
    "keys": lambda: (noise.streams(jax.random.key(0)), noise.streams(jax.random.key(1))),
    "sites": lambda: (folded(6), folded(7)),
    "iterations": lambda: (folded(2**31 + 6, 0), folded(2**31 + 6, 1)),
    "streams of one key": lambda: tuple(noise.streams(jax.random.key(0), (2,))),
    # The worst that two keys can have in common: one word of the two, or all but one bit of both.
    "streams that share the first word": lambda: (jnp.uint32([5, 6]), jnp.uint32([5, 7])),
    "streams that share the second word": lambda: (jnp.uint32([5, 6]), jnp.uint32([4, 6])),
}


@jax.jit
def products(first, second):
    a, b = noise.normal(first, SHAPE), noise.normal(second, SHAPE)
    return jnp.mean(a * b, axis=1), jnp.mean((a**2 - 1) * (b**2 - 1), axis=1) / 2


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbouring_streams_are_uncorrelated(name):
    """So are their squares: neither signs nor sizes follow one another."""
    for correlation in products(*NEIGHBOURS[name]()):
        assert abs(np.mean(np.asarray(correlation, np.float64))) < BAR / np.sqrt(COUNT)


@pytest.mark.parametrize("rows, columns", [(0, 1), (0, 2), (0, 7), (1, 0), (1, 1), (16, 0)])
def test_neighbouring_places_are_uncorrelated(rows, columns):
    @jax.jit
    def lagged(key):
        z = noise.normal(noise.streams(key), SHAPE)
        a, b = z[: SHAPE[0] - rows, : SHAPE[1] - columns], z[rows:, columns:]
        return jnp.mean(a * b, axis=1), jnp.mean((a**2 - 1) * (b**2 - 1), axis=1) / 2

    for correlation in lagged(jax.random.key(4)):
        assert abs(np.mean(np.asarray(correlation, np.float64))) < 1.01 * BAR / np.sqrt(COUNT)


def test_a_sample_depends_on_its_stream_and_place_alone():
    """Part of an array, a compiled one, a mapped one: the same samples."""
    stream = noise.streams(jax.random.key(5))
    whole = noise.normal(stream, (7, 40))
    np.testing.assert_array_equal(whole.ravel()[:40], noise.normal(stream, (40,)))
    np.testing.assert_allclose(whole, jax.jit(noise.normal, static_argnums=1)(stream, (7, 40)), atol=2e-5)
    several = noise.streams(jax.random.key(5), (3,))
    mapped = jax.vmap(lambda s: noise.normal(s, (5,)))(several)
    np.testing.assert_allclose(mapped, jnp.stack([noise.normal(s, (5,)) for s in several]), atol=2e-5)


@pytest.mark.parametrize("draw", ["gaussian", "scaled"])
def test_the_gradient_is_that_of_the_reparametrisation(draw):
    """noise = sqrt(v) z, so d noise / d v = noise / 2 v; and 0, not infinite, where there is no variance."""
    stream, variance = noise.streams(jax.random.key(6)), jnp.float32([0.0, 0.25, 4.0])

    def sample(v):
        return noise.gaussian(stream, v) if draw == "gaussian" else noise.scaled(noise.normal(stream, (3,)), v)

    z = noise.normal(stream, (3,))
    np.testing.assert_allclose(sample(variance), z * jnp.sqrt(variance), rtol=1e-5, atol=1e-7)
    slope = jax.grad(lambda v: jnp.sum(sample(v)))(variance)
    np.testing.assert_allclose(slope, [0.0, z[1] / 2 / 0.5, z[2] / 2 / 2.0], rtol=1e-5, atol=1e-7)
    h = jnp.float32([0.0, 0.01, 0.01])
    finite = (sample(variance + h) - sample(variance - h))[1:] / 0.02
    np.testing.assert_allclose(slope[1:], finite, rtol=2e-3)


def test_more_samples_than_a_stream_has_are_refused():
    with pytest.raises(ValueError, match="4294967296"):
        jax.eval_shape(lambda: noise.normal(noise.streams(jax.random.key(0)), (2**17, 2**16)))


def test_the_logistic_law_has_its_variance_and_tails():
    """Variance pi^2 / 3, kurtosis 4.2; P(|x| > 9) = 2 / (1 + e^9)."""
    x = np.asarray(noise.logistic(noise.streams(jax.random.key(8)), (2_000_000,)), np.float64)
    assert abs(x.var() / (np.pi**2 / 3) - 1) < BAR * np.sqrt(3.2 / x.size)
    share = 2 / (1 + np.exp(9))
    assert abs(np.mean(np.abs(x) > 9) - share) < BAR * np.sqrt(share / x.size)
