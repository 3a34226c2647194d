"""Light by kind of site against the closed form of a loss of one over the light; the range by the slope of the KL."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.adapt.setting import Setting
from experiments.adapt.setting_search import descend, equal_watts, kl_by_factors

SHARES = np.array([0.5, 0.3, 0.15, 0.05], np.float32)
LOSSES = np.array([0.01, 0.2, 0.05, 0.1], np.float32)


def test_equal_watts_keeps_the_watts_and_the_ratios():
    logs = jnp.asarray([0.3, -1.0, 2.0, 0.0])
    factors = equal_watts(logs, jnp.asarray(SHARES))
    assert float(jnp.sum(factors * SHARES)) == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(factors / factors[0], jnp.exp(logs - logs[0]), rtol=1e-5)


def test_descend_under_noise_finds_the_light_of_least_loss():
    """sum a / f at sum s f = 1 is least at f = sqrt(a / s) / sum sqrt(a s). Noise of the gradient is as large as it."""
    best = np.sqrt(LOSSES / SHARES) / np.sum(np.sqrt(LOSSES * SHARES))
    least = float(np.sum(LOSSES / best))

    def loss(logs, noise):
        return jnp.sum(LOSSES / equal_watts(logs, jnp.asarray(SHARES))) + jnp.sum(noise * logs)

    compiled = jax.jit(jax.value_and_grad(loss))
    size = float(np.mean(LOSSES))
    noise = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32) * size
    logs, losses = descend(lambda step, logs: compiled(logs, noise[step]), 4, 40)
    found = float(np.sum(LOSSES / np.asarray(equal_watts(logs, jnp.asarray(SHARES)))))
    assert len(losses) == 40 and losses[0] == pytest.approx(float(np.sum(LOSSES)), rel=1e-5)
    # Even light costs a third more. Fixed draws: no error rate.
    assert float(np.sum(LOSSES)) > 1.3 * least and least <= found < 1.03 * least


def test_gradient_in_factors_is_the_difference_of_the_kl_under_the_same_noise():
    """Noise and clipping of the ADC. Without its rounding the KL is continuous in the range, with kinks where it clips.

    Four fixed keys: no error rate.
    """
    draws = np.random.default_rng(2)
    shapes = {"table": (40, 32), "q": (32, 32), "head": (32, 40)}
    params = {name: jnp.asarray(draws.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    core = optics.today(rows=32, columns=64).replace({"adc.bits": 20, "adc.enob": 5.0, "adc.loading": 2.0})
    core = core.replace({"effects": optics.Effects.only("adc_noise", "adc_clipping")})
    tokens = jnp.arange(24, dtype=jnp.int32)[None]

    def forward(params, tokens):
        return jnp.tanh(params["table"][tokens] @ params["q"] / 6) @ params["head"] / 4

    shares, start = {"q": 0.7, "head": 0.3}, {"head": 0.8}
    kl = kl_by_factors("loading", forward, Setting(), shares, start, optics.stationary)
    reference = forward(params, tokens)

    @jax.jit
    @jax.value_and_grad
    def of_four(logs):
        keys = jax.random.split(jax.random.key(3), 4)
        return jnp.mean(jax.lax.map(lambda key: kl(logs, core, key, params, tokens, reference), keys))

    found, step = of_four(jnp.zeros(2))[1], 0.005
    difference = [(of_four(step * each)[0] - of_four(-step * each)[0]) / (2 * step) for each in jnp.eye(2)]
    assert float(jnp.min(jnp.abs(found))) > 1e-3
    np.testing.assert_allclose(found, difference, rtol=0.05)
