"""The next token: the most likely one, or one drawn from a distribution that is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
from models.generation.sampling import allowed_logits

SHARES = np.array([0.05, 0.4, 0.2, 0.25, 0.1])
LOGITS = jnp.asarray(np.log(SHARES), jnp.float32)


def shares(temperature=1.0, top_k=5, top_p=1.0, logits=LOGITS):
    """The distribution that tokens are drawn from."""
    return np.asarray(jax.nn.softmax(allowed_logits(logits, temperature, top_k, top_p)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_a_power_of_the_shares(temperature):
    powers = SHARES ** (1 / temperature)
    np.testing.assert_allclose(shares(temperature), powers / powers.sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("top_k", "kept"), [(1, [1]), (2, [1, 3]), (4, [1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]), (2**31 - 1, [0, 1, 2, 3, 4])]
)
def test_top_k_keeps_the_k_most_likely(top_k, kept):
    expected = np.where(np.isin(np.arange(5), kept), SHARES, 0)
    np.testing.assert_allclose(shares(top_k=top_k), expected / expected.sum(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    # Sorted, the shares add up to 0.4, 0.65, 0.85, 0.95 and 1: the fewest tokens that hold at least top_p.
    [(1e-9, [1]), (0.39, [1]), (0.41, [1, 3]), (0.64, [1, 3]), (0.66, [1, 2, 3]), (0.96, [0, 1, 2, 3, 4])],
)
def test_top_p_keeps_the_fewest_that_hold_it(top_p, kept):
    expected = np.where(np.isin(np.arange(5), kept), SHARES, 0)
    np.testing.assert_allclose(shares(top_p=top_p), expected / expected.sum(), rtol=1e-5, atol=1e-8)


def test_top_p_counts_shares_of_what_top_k_leaves():
    """Of 0.4 and 0.25 the first holds 0.615: enough for 0.6, though it is 0.4 of all."""
    np.testing.assert_allclose(shares(top_k=2, top_p=0.6), [0, 1, 0, 0, 0], atol=1e-8)
    np.testing.assert_allclose(shares(top_k=2, top_p=0.62), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0], rtol=1e-5, atol=1e-8)


def test_top_p_of_one_keeps_shares_that_float32_cannot_add():
    logits = jnp.zeros(5).at[0].set(40.0)
    assert np.isfinite(allowed_logits(logits, 1.0, 5, 1.0)).all()


def test_equal_logits_are_cut_by_number():
    np.testing.assert_allclose(shares(top_k=2, logits=jnp.zeros(5)), [0.5, 0.5, 0, 0, 0], atol=1e-8)


def test_a_tiny_temperature_takes_the_most_likely():
    np.testing.assert_array_equal(shares(1e-30), [0, 1, 0, 0, 0])


@pytest.mark.parametrize("settings", [{}, {"top_k": 3, "top_p": 0.8, "temperature": 1.3}])
def test_draws_have_the_distribution(settings):
    """Chi-square: a right sampler fails one in a million runs, and with these keys either always or never."""
    draws, sampling = 20_000, models.Sampling(**{"temperature": 1.0, **settings})
    keys = jax.random.split(jax.random.key(7), draws)
    drawn = jax.vmap(lambda key: sampling.choose(LOGITS, key))(keys)
    expected = shares(**settings) * draws
    counts = np.bincount(drawn, minlength=5)
    used = expected > 0
    assert counts[~used].sum() == 0
    chi_square = np.sum((counts[used] - expected[used]) ** 2 / expected[used])
    # Quantiles of 1 - 1e-6: 33.4 of four degrees of freedom, 27.6 of two.
    assert chi_square < {5: 33.4, 3: 27.6}[used.sum()]


def test_temperature_zero_takes_the_most_likely_by_any_key():
    for seed in range(3):
        assert int(models.Sampling().choose(LOGITS, jax.random.key(seed))) == 1


def test_the_same_key_draws_the_same_token_and_settings_share_a_program():
    from models.generation.sampling import _drawn

    before = _drawn._cache_size()
    for settings in ({"temperature": 1.0}, {"temperature": 2.0, "top_k": 3}, {"temperature": 0.5, "top_p": 0.5}):
        sampling = models.Sampling(**settings)
        first, second = (int(sampling.choose(LOGITS, jax.random.key(4))) for _ in range(2))
        assert first == second
    assert _drawn._cache_size() <= before + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.5}, "temperature = -0.5 must be a finite number of at least 0"),
        ({"temperature": float("nan")}, "temperature = nan must be"),
        ({"temperature": float("inf")}, "temperature = inf must be"),
        ({"top_k": 0}, "top_k = 0 must be an integer from 1"),
        ({"top_k": 1.5}, "top_k = 1.5 must be an integer"),
        ({"top_p": 0.0}, "top_p = 0.0 must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p = 1.5 must be above 0 and at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.Sampling(**settings)
