"""Ranges of ADCs that are fixed per column: against the rms in NumPy, and in an evaluation against a run by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from experiments.evaluation.agreement import scored
from experiments.evaluation.fixed_ranges import fixed_ranges
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.records import EvaluationCase

LOADING = 3.0


def two_layers(params, x, _):
    return jnp.tanh(x @ params["first"]) @ params["second"]


def rms_in_full_products(x, w):
    """rms by column of x w, inputs in units of each vector's largest element and weights of each column's."""
    inputs = x / np.max(np.abs(x), axis=1, keepdims=True)
    return np.sqrt(np.mean((inputs @ (w / np.max(np.abs(w), axis=0))) ** 2, axis=0))


def test_fixed_ranges_are_the_loading_times_the_rms_of_each_column():
    draws = np.random.default_rng(0)
    params = {"first": draws.normal(size=(16, 8)), "second": draws.normal(size=(8, 4))}
    x = draws.normal(size=(32, 16))
    core = optics.ideal().replace({"adc.loading": LOADING})
    call = jax.random.key(0), params, jnp.asarray(x), None
    names = list(fixed_ranges(two_layers, optics.stationary, core, *call))
    wider = optics.SiteRule((names[1],), core.replace({"adc.loading": 2 * LOADING}))
    hidden = np.tanh(x @ params["first"])
    for machine, factor in ((core, 1), (optics.CoresBySite(core, [wider]), 2)):
        found = fixed_ranges(two_layers, optics.stationary, machine, *call)
        first, second = (np.asarray(each.full_scale) for each in found.values())
        np.testing.assert_allclose(first, LOADING * rms_in_full_products(x, params["first"]), rtol=1e-4)
        expected = factor * LOADING * rms_in_full_products(hidden, params["second"])
        np.testing.assert_allclose(second, expected, rtol=1e-4)


@pytest.mark.parametrize("attention", ["digital", "light-left"])
def test_a_case_with_fixed_ranges_is_run_with_those_of_its_own_text(byte_model, tmp_path, attention):
    """Of a design with a digital position, whose ranges are so narrow that they clip."""
    checkpoint = models.load_gguf(byte_model)
    ids = np.random.default_rng(1).integers(0, 200, size=(3, 16)).astype(np.int32)
    windows, calibrating = ids[:2], ids[2:]
    core = optics.projected_2029(rows=64, columns=64).replace({"adc.loading": LOADING})
    names = "layers.q", "layers.k", "layers.v", "layers.o"
    digital = optics.SiteRule(names, optics.DIGITAL, positions=(0,))
    design = optics.CoresBySite(core, [digital])
    follow = EvaluationCase(name="follow", core=design, windows=2, attention=attention)
    fixed = EvaluationCase(name="fixed", core=design, windows=2, attention=attention, ranged_on=calibrating)
    other = EvaluationCase(name="other", core=design, windows=2, attention=attention, ranged_on=windows[:1])
    with Evaluator(checkpoint, 0, tmp_path / "results.sqlite") as evaluator:
        found = evaluator.measure(checkpoint, windows, [follow, fixed, other])
        again = evaluator.measure(checkpoint, windows, [other, fixed, follow])
    kl = {name: [window["kl"] for window in each.windows] for name, each in found.items()}
    assert kl == {name: [window["kl"] for window in each.windows] for name, each in again.items()}
    assert len({tuple(each) for each in kl.values()}) == 3

    policy = optics.stationary if attention == "digital" else optics.AttentionOnLight(core, "left")
    score, key = scored(checkpoint.forward), jax.random.key(0)
    reference = checkpoint.forward(checkpoint.params, jnp.asarray(windows[:1]))
    sample = checkpoint.params, jnp.asarray(calibrating), jnp.zeros_like(reference)
    ranges = optics.fit_ranges(score, policy=policy, loading=1.0)(design, key, *sample)
    ranged = optics.FixedRangeCore(
        design, {name: optics.SiteRange(LOADING * each.full_scale) for name, each in ranges.items()}
    )
    by_hand = optics.emulate(score, policy=policy)(
        ranged, jax.random.fold_in(key, 0), checkpoint.params, jnp.asarray(windows[:1]), reference
    )
    # Compiled otherwise, codes on the edge between two levels fall to either.
    assert kl["fixed"][0] == pytest.approx(float(by_hand.kl), rel=0.02)
    assert kl["follow"][0] != pytest.approx(float(by_hand.kl), rel=0.02)
