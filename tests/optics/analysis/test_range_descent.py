"""Ranges that are learned by their gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optics
from optics import Effects, RangeRule

NOISE = np.random.default_rng(4)
KEY = jax.random.key(0)
CORE = optics.today(rows=64, columns=16).replace({
    "dac.bits": 5.0, "dac.enob": 5.0, "mask.bits": 4.0, "adc.bits": 6.0, "adc.enob": 5.5,
    "effects": Effects.only("dac_rounding", "dac_clipping", "weight_rounding", "adc_rounding", "adc_clipping"),
})  # fmt: skip
X = (NOISE.standard_t(3, (96, 64)) * np.geomspace(0.3, 3, 96)[:, None]).astype(np.float32)
W = (NOISE.standard_t(4, (64, 12)) * np.geomspace(0.1, 10, 12)).astype(np.float32)


def product(w, x):
    return x @ w


emulated = optics.emulate(product)
(SITE,) = (site.name for site in optics.trace(product)(W, X))


def loss(ranges, key):
    return jnp.mean((emulated(optics.FixedRangeCore(CORE, ranges), key, W, X) - X @ W) ** 2)


def test_learned_ranges_pass_least_squares_from_the_largest_magnitudes():
    rules = {"inputs": RangeRule("least squares"), "mask": RangeRule("least squares")}
    best = jax.jit(optics.fit_ranges(product, **rules))(CORE, KEY, W, X)
    start = {SITE: best[SITE]._replace(input_scale=jnp.max(jnp.abs(X)), weight_share=jnp.ones(12))}
    found = optics.learn_ranges(loss, start, KEY, steps=60)
    assert found.losses.shape == (60,)
    assert float(found.losses[0]) == pytest.approx(float(loss(start, KEY)), rel=1e-4)
    assert float(loss(found.ranges, KEY)) < 1.02 * float(loss(best, KEY)) < 0.9 * float(found.losses[0])
    learned = found.ranges[SITE]
    assert learned.input_share is None
    assert float(jnp.max(learned.weight_share)) <= 1


def test_an_optimiser_of_the_callers_own_moves_as_it_says():
    """One step of plain descent on the logarithm of the range: log r - rate r dL/dr."""
    start = {SITE: optics.SiteRange(None, jnp.float32(20.0))}
    value = jnp.float32(20.0)
    slope = jax.jit(jax.grad(lambda r: loss({SITE: optics.SiteRange(None, r)}, jax.random.split(KEY, 1)[0])))(value)
    found = optics.learn_ranges(loss, start, KEY, steps=1, optimiser=optax.sgd(1e-4))
    expected = np.log(20.0) - 1e-4 * 20.0 * float(slope)
    assert float(jnp.log(found.ranges[SITE].input_scale)) == pytest.approx(expected, rel=1e-4)


def test_no_step_and_no_range_are_refused():
    with pytest.raises(ValueError, match="steps = 0 must be at least 1"):
        optics.learn_ranges(loss, {SITE: optics.SiteRange(None, 1.0)}, KEY, steps=0)
    with pytest.raises(ValueError, match="there is no range to be learned"):
        optics.learn_ranges(loss, {SITE: optics.SiteRange(None)}, KEY, steps=1)
