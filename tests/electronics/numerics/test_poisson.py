"""Counts against Poisson's law: moments, the share of none, and gradients.

Over n draws a sample mean has the standard error sqrt(m / n), a sample variance the relative one sqrt((2 + 1 / m) / n),
and a skewness some sqrt(6 / n) (1 + 1 / sqrt m). The bar is five of them, which a right program fails with probability
below 6e-7 a comparison.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from electronics.numerics import noise, poisson

DRAWS = 2**16
STREAM = noise.streams(jax.random.key(3))
draw = jax.jit(poisson.fluctuation)


@pytest.mark.parametrize("mean", [0.5, 3.0, 30.0, 1000.0, 1100.0, 1e6])
def test_counts_have_the_moments_of_poissons_law(mean):
    found = np.asarray(draw(jnp.full(DRAWS, mean, jnp.float32), STREAM), np.float64)
    assert abs(found.mean()) < 5 * np.sqrt(mean / DRAWS)
    assert found.var() / mean == pytest.approx(1, abs=5 * np.sqrt((2 + 1 / mean) / DRAWS))
    skewness = 5 * np.sqrt(6 / DRAWS) * (1 + 1 / np.sqrt(mean))
    assert stats.skew(found) == pytest.approx(1 / np.sqrt(mean), abs=skewness)
    if mean <= poisson.LARGEST_COUNTED:
        counts = found + mean
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-3)
        for count in (0, round(mean)):
            chance = stats.poisson.pmf(count, mean)
            bar = 5 * np.sqrt(chance * (1 - chance) / DRAWS) + 1e-9
            assert np.mean(np.round(counts) == count) == pytest.approx(chance, abs=bar)


def test_no_light_gives_no_count_and_no_gradient():
    dark = jnp.zeros(8)
    np.testing.assert_array_equal(draw(dark, STREAM), dark)
    np.testing.assert_array_equal(jax.grad(lambda m: jnp.sum(draw(m, STREAM) ** 2))(dark), dark)


def test_a_mean_that_is_no_number_stays_none():
    assert np.isnan(draw(jnp.array([jnp.nan, 2.0]), STREAM)).tolist() == [True, False]


@pytest.mark.parametrize("mean", [3.0, 2000.0])
def test_the_gradient_is_that_of_the_variance(mean):
    """E (n - m)^2 = m, so its derivative is 1; the standard error of the mean is sqrt((2 + 1 / m) / n), over m."""

    def square(m):
        return jnp.mean(draw(jnp.full(DRAWS, m), STREAM) ** 2)

    assert float(jax.grad(square)(mean)) == pytest.approx(1, abs=5 * np.sqrt((2 + 1 / mean) / DRAWS))
