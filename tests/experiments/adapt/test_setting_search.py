"""Light by kind of site against the closed form of a loss of one over the light; gain and range as slopes of a loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
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


@pytest.mark.parametrize("what", ["gain", "loading"])
def test_gradient_in_factors_is_the_difference_of_the_kl_under_the_same_noise(what, byte_model):
    """Noise and clipping of the ADC. Without its rounding the KL is continuous in the range, with kinks where it clips.

    Four fixed keys: no error rate.
    """
    checkpoint = models.load_gguf(byte_model)
    core = optics.today(rows=64, columns=64).replace({"adc.bits": 20, "adc.enob": 5.0, "adc.loading": 2.0})
    core = core.replace({"effects": optics.Effects.only("adc_noise", "adc_clipping")})
    tokens = jnp.arange(24, dtype=jnp.int32)[None]
    shares = {"layers.q": 0.5, "layers.down": 0.3, "head": 0.2}
    start = {"layers.down": 0.6, "head": 0.8}
    kl = kl_by_factors(what, checkpoint.forward, Setting(), shares, start, optics.stationary)
    reference = checkpoint.forward(checkpoint.params, tokens)

    @jax.jit
    @jax.value_and_grad
    def of_four(logs):
        keys = jax.random.split(jax.random.key(3), 4)
        return jnp.mean(jax.lax.map(lambda key: kl(logs, core, key, checkpoint.params, tokens, reference), keys))

    found, step = of_four(jnp.zeros(3))[1], 0.002
    difference = [(of_four(step * each)[0] - of_four(-step * each)[0]) / (2 * step) for each in jnp.eye(3)]
    largest = float(jnp.max(jnp.abs(found)))
    assert largest > 1e-3
    np.testing.assert_allclose(found, difference, rtol=0.05, atol=0.02 * largest)
