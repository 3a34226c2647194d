"""Light by kind of site against the closed form of a loss that falls as one over the light."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.adapt.setting_search import descend, equal_watts

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
