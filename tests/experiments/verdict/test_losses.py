"""Losses placed over 8-bit digital by lines, against lines that are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.verdict.losses import Measured, OverDigital, scaled
from experiments.verdict.space import FIRST, Design

WINDOWS = 64


def measured(variant, kl, slope, offset, draws, noise=0.02):
    """Windows of mean KL whose delta NLL lies on a line, with noise."""
    by_window = kl * (1 + 0.1 * draws.normal(size=WINDOWS))
    delta = offset + slope * by_window + noise * draws.normal(size=WINDOWS)
    return Measured(Design(FIRST, {}), variant, variant, delta, by_window)


# Standard error of an excess is about 0.02 / sqrt(64 x 8 designs) = 0.001; the bound of 0.01 is far outside it.
def test_excess_is_that_of_the_line():
    draws = np.random.default_rng(0)
    losses = np.geomspace(0.05, 0.5, 8)
    plain = [measured("as it is", kl, 0.9, 0.0, draws) for kl in losses]
    trained = [measured("trained", kl, 0.8, -0.03, draws) for kl in losses]
    w8a8 = measured("W8A8", 0.05, 0.9, 0.0, draws)
    place = OverDigital([*plain, *trained], "as it is", w8a8, seed=0)
    for kl, one, other in zip(losses, plain, trained, strict=True):
        for at, expected in ((one, 0.9 * kl), (other, 0.8 * kl - 0.03)):
            found = place.excess(at)
            assert found.value == pytest.approx(expected - 0.9 * 0.05, abs=0.01 + 0.05 * kl)
            assert found.measured == pytest.approx(np.mean(at.delta_nll - w8a8.delta_nll))
            assert 0 < found.stderr < found.measured_stderr * 10


def test_few_designs_take_the_slope_of_the_model_as_it_is():
    draws = np.random.default_rng(1)
    plain = [measured("as it is", kl, 0.9, 0.0, draws, noise=0) for kl in (0.1, 0.2, 0.4, 0.8)]
    own = measured("trained", 0.2, 0.9, -0.05, draws, noise=0)
    w8a8 = measured("W8A8", 0.05, 0.9, 0.0, draws, noise=0)
    found = OverDigital([*plain, own], "as it is", w8a8, seed=0).excess(own)
    assert found.value == pytest.approx(float(own.delta_nll.mean() - w8a8.delta_nll.mean()), abs=1e-6)


def test_joining_more_tiles_than_a_sum_has_changes_nothing():
    core = optics.today(rows=16, columns=8)
    w, x = (jax.random.normal(jax.random.key(seed), shape) for seed, shape in ((1, (30, 8)), (2, (4, 30))))
    run = optics.emulate(lambda w, x: x @ w)
    two, four = (run(dataclasses.replace(core, accumulate=tiles), jax.random.key(0), w, x) for tiles in (2, 4))
    assert jnp.array_equal(two, four)


def test_a_smaller_core_has_the_same_light_on_each_pixel():
    core = optics.today(rows=64, columns=32)
    small = scaled(core, 0.25)
    assert (small.rows, small.columns) == (16, 8)
    assert float(small.unit_current) == pytest.approx(float(core.unit_current), rel=1e-6)
    assert scaled(core, 1.0) is core
