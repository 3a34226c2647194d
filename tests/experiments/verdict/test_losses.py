"""Losses placed over 8-bit digital by curves that are known, and cores that are made smaller."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.verdict.losses import Curve, Measured, OverDigital, scaled
from experiments.verdict.space import FIRST, Design

KNOTS = np.array([0.0, 0.1, 0.2, 0.4])
CURVE = np.array([0.0, 0.09, 0.19, 0.35])
"""Delta NLL at these KL, of the model as it is."""


def spread(mean, draws, windows, share=0.1):
    """Windows that spread by a share about a mean, which their own mean is."""
    values = draws.normal(size=windows)
    return mean + share * (values - values.mean())


def curve(draws, kl=KNOTS, delta_nll=CURVE, w8a8=0.04, windows=24):
    rows = [np.stack([spread(mean, draws, windows, 0.02) for mean in means]) for means in (kl, delta_nll)]
    return Curve(*rows, spread(w8a8, draws, windows, 0.02), np.stack([spread(0.15, draws, windows), rows[1][2]]))


def measured(kl, delta_nll, model="as it is", w8a8=0.01, windows=4):
    draws = np.random.default_rng(9)
    values = (spread(mean, draws, windows, 0.01) for mean in (delta_nll, kl, w8a8))
    return Measured(Design(FIRST, {}), model, model, *values)


def test_excess_is_read_off_the_curve_of_the_model_and_measured_on_windows_of_its_own():
    draws = np.random.default_rng(0)
    trained = curve(draws, np.array([0.05, 0.15, 0.35]), np.array([-0.02, 0.06, 0.26]))
    place = OverDigital({"as it is": curve(draws), "trained": trained}, seed=0)
    for kl in (0.03, 0.1, 0.17, 0.39):
        found = place.excess(measured(kl, 0.5))
        assert found.value == pytest.approx(np.interp(kl, KNOTS, CURVE) - 0.04)
        assert found.measured == pytest.approx(0.5 - 0.01)
        assert place.value(measured(kl, 0.5)) == found.value
    # Below the model in float32 on its first line, and beyond the last core as measured, over W8A8 of those windows.
    for kl, wanted in ((0.04, -0.028), (0.1, 0.02), (0.25, 0.16)):
        assert place.value(measured(kl, 0.5, "trained")) == pytest.approx(wanted - 0.04)
    beyond = place.excess(measured(0.5, 0.6))
    assert beyond.value == pytest.approx(beyond.measured) == pytest.approx(0.59)
    assert beyond.stderr == pytest.approx(beyond.measured_stderr, rel=0.18)


# A standard deviation of 400 samples has an error of 3.5 %: the bounds are at five of them.
def test_error_has_that_of_the_design_and_that_of_the_curve():
    draws = np.random.default_rng(1)
    model = curve(draws)
    place = OverDigital({"as it is": model}, seed=0)
    at = measured(0.15, 0.5)
    slope = (CURVE[2] - CURVE[1]) / (KNOTS[2] - KNOTS[1])
    # Halfway between two cores: by the means of their losses and, through the slope, of their KL.
    middle = model.delta_nll[1:3].mean(axis=0) - slope * model.kl[1:3].mean(axis=0) - model.w8a8
    variances = [np.var(each, ddof=1) / len(each) for each in (slope * at.kl, middle)]
    assert variances[0] < 20 * variances[1] and variances[1] < 20 * variances[0]
    assert place.excess(at).stderr == pytest.approx(np.sqrt(sum(variances)), rel=0.18)


# The bound is at five standard deviations of the error of 400 samples.
def test_departure_of_attention_on_light_is_its_distance_from_the_curve_on_the_same_windows():
    model = curve(np.random.default_rng(2))
    # At a KL of 0.15, between 0.1 and 0.2, where the curve has 0.14, the loss of the core at 0.2, which is 0.19.
    found = OverDigital({"as it is": model}, seed=0).departure("as it is")
    assert (found.kl, found.value) == (pytest.approx(0.15), pytest.approx(0.05))
    # To first order, of the windows of both together: half the loss of the core at 0.2 cancels.
    slope = (CURVE[2] - CURVE[1]) / (KNOTS[2] - KNOTS[1])
    lower, upper = model.delta_nll[1:3] - slope * model.kl[1:3]
    terms = model.attention_on_light[1] - slope * model.attention_on_light[0] - (lower + upper) / 2
    assert found.stderr == pytest.approx(np.std(terms, ddof=1) / np.sqrt(len(terms)), rel=0.18)


@pytest.mark.parametrize(("of_curve", "of_design"), [(1, 4), (24, 1)])
def test_single_window_has_no_error(of_curve, of_design):
    place = OverDigital({"as it is": curve(np.random.default_rng(0), windows=of_curve)}, seed=0)
    found = place.excess(measured(0.1, 0.2, windows=of_design))
    assert found.value == pytest.approx(0.05) and found.stderr is None
    assert (found.measured_stderr is None) == (of_design == 1)
    assert (place.departure("as it is").stderr is None) == (of_curve == 1)


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
