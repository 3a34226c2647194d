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


def curved(kl):
    """Delta NLL that rises faster than KL where KL is large, as on SmolLM2."""
    return kl * (0.75 + 0.25 * kl / (kl + 1))


def exact(model, kl=0.0, delta=0.0):
    return Measured(Design(FIRST, {}), model, model, np.full(WINDOWS, delta), np.full(WINDOWS, kl))


# The standard error of a slope of eight designs is 0.02 / sqrt(8 x 64) / 0.2 = 0.004, and of a placed loss below 0.002:
# the bounds are at five of them, plus the curvature below a KL of 0.4, some 0.01 at most.
def test_excess_is_that_of_the_line_and_designs_that_fail_do_not_move_it():
    draws = np.random.default_rng(0)
    losses = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.39, 2.0]
    plain = [measured("as it is", kl, curved(kl) / kl, 0.0, draws) for kl in losses]
    trained = [measured("trained", kl, 0.8, -0.06, draws) for kl in losses[:-1]]
    w8a8 = measured("W8A8", 0.05, 0.75, 0.0, draws)
    models = {"as it is": exact("as it is"), "trained": exact("trained", 0.05, -0.02)}
    place = OverDigital([*plain, *trained], models, "as it is", w8a8, seed=0)
    for kl, one, other in zip(losses[:-1], plain, trained, strict=False):
        assert place.excess(one).value == pytest.approx(curved(kl) - curved(0.05), abs=0.02)
        assert place.excess(other).value == pytest.approx(0.8 * kl - 0.06 - curved(0.05), abs=0.02)
        found = place.excess(one)
        assert found.measured == pytest.approx(np.mean(one.delta_nll - w8a8.delta_nll))
        assert 0 < found.stderr < found.measured_stderr
    failed = place.excess(plain[-1])
    assert failed.value == pytest.approx(float(plain[-1].delta_nll.mean()) - curved(0.05), abs=0.02)
    assert failed.stderr == pytest.approx(failed.measured_stderr, rel=0.2)


def test_few_designs_take_the_slope_of_the_model_as_it_is():
    draws = np.random.default_rng(1)
    plain = [measured("as it is", kl, 0.9, 0.0, draws, noise=0) for kl in (0.1, 0.2, 0.4, 0.8)]
    own = measured("trained", 0.2, 0.9, -0.05, draws, noise=0)
    w8a8 = measured("W8A8", 0.05, 0.9, 0.0, draws, noise=0)
    models = {"as it is": exact("as it is"), "trained": exact("trained", 0.1, 0.04)}
    found = OverDigital([*plain, own], models, "as it is", w8a8, seed=0).excess(own)
    assert found.value == pytest.approx(float(own.delta_nll.mean() - w8a8.delta_nll.mean()), abs=1e-6)


def test_single_window_has_no_error_and_other_windows_no_measured_excess():
    one = Measured(Design(FIRST, {}), "as it is", "as it is", np.array([0.2]), np.array([0.25]))
    w8a8 = Measured(Design(FIRST, {}), "W8A8", "W8A8", np.array([0.04]), np.array([0.05]))
    start = Measured(Design(FIRST, {}), "as it is", "as it is", np.zeros(1), np.zeros(1))
    place = OverDigital([one], {"as it is": start}, "as it is", w8a8, seed=0)
    assert place.excess(one)._asdict() == {
        "value": pytest.approx(0.16), "stderr": None, "measured": pytest.approx(0.16), "measured_stderr": None,
    }  # fmt: skip
    other = Measured(Design(FIRST, {}), "as it is", "as it is", np.array([0.3, 0.1]), np.array([0.3, 0.2]))
    assert place.excess(other).measured is None


def test_joining_more_tiles_than_a_sum_has_changes_nothing():
    core = optics.today(rows=16, columns=8)
    w, x = (jax.random.normal(jax.random.key(seed), shape) for seed, shape in ((1, (30, 8)), (2, (4, 30))))
    run = optics.emulate(lambda w, x: x @ w)
    two, four = (run(dataclasses.replace(core, accumulate=tiles), jax.random.key(0), w, x) for tiles in (2, 4))
    assert jnp.array_equal(two, four)


def test_a_smaller_core_has_the_light_and_the_ratio_of_noise_of_the_large_one():
    core = optics.today(rows=64, columns=32)
    small = scaled(core, 0.25)
    assert (small.rows, small.columns) == (16, 8)
    assert float(small.unit_current) == pytest.approx(float(core.unit_current), rel=1e-6)
    for clock in (1e8, 1e9):
        ratio = float(small.tia.noise_variance(clock) / core.tia.noise_variance(clock))
        assert ratio == pytest.approx(0.25, rel=1e-5)
    assert scaled(core, 1.0) is core
