"""What the fast ways cost in truth on SmolLM2: light from its factors, and light multiplied in bfloat16.

Slow: `pytest -m slow tests/experiments/test_approximations.py -s` prints the figures that docs/performance.md states.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from optics.datapath.diagnostics import total

pytestmark = pytest.mark.slow
TOKENS, WINDOWS = 256, 12
TEXTS = ("owt_5", "wikipedia_5")


class Shares(NamedTuple):
    """Sums over outputs of the relative error of the light, its square and its size, which add."""

    count: jax.Array
    error: jax.Array
    square: jax.Array
    beyond: jax.Array


class Looking(NamedTuple):
    """A core that passes exact products on, and compares the light of its tiles with the factors' guess."""

    core: optics.TensorCore

    def matmul(self, x, w, *, key):
        return x @ w

    def observe(self, x, w, *, key):
        exact, guess = (
            lights(self.core.replace({"detector.light": kind}), x.reshape(-1, x.shape[-1]), w)
            for kind in ("exact", "factored")
        )
        error = guess / exact - 1
        return x @ w, Shares(
            jnp.float32(error.size),
            jnp.sum(error),
            jnp.sum(error**2),
            jnp.sum((jnp.abs(error) > 0.2).astype(jnp.float32)),
        )


def lights(core, x, w):
    """sum_k |x_k| x transmission, of each tile: what shot noise is made of."""
    planes = core.load(w).weights.planes
    column_tiles, row_tiles = planes.scale.shape[1:3]
    height = -(-w.shape[0] // row_tiles)
    x = jnp.pad(jnp.abs(x), ((0, 0), (0, height * row_tiles - w.shape[0])))
    xs = x.reshape(x.shape[0], row_tiles, height).swapaxes(0, 1)
    if hasattr(planes.total_power, "rows"):
        rows, columns = planes.total_power.rows[0], planes.total_power.columns[0]
        return jnp.einsum("rvh,crh,crw->crvw", xs, rows[..., 0], columns[:, :, 0])
    return jnp.einsum("rvh,crhw->crvw", xs, planes.total_power[0])


@pytest.fixture(scope="module")
def windows(smollm2):
    """[texts, windows, tokens]."""
    encoded = (smollm2.tokenizer.encode(models.load_text(text)) for text in TEXTS)
    return np.stack([models.windows(tokens, WINDOWS, TOKENS) for tokens in encoded])


def test_the_light_of_an_output_is_right_within_a_few_per_cent(smollm2, windows):
    def forward(params, tokens):
        return models.forward(smollm2.config, params, tokens)

    look = jax.jit(optics.emulate(forward, diagnostics=True))
    _, seen = look(Looking(optics.today()), jax.random.key(0), smollm2.params, windows[0, :1, :128])
    for name, shares in seen.items():
        one = total([shares])
        rms, mean = np.sqrt(one.square / one.count), one.error / one.count
        print(
            f"{name}: rms {float(rms):.3f}, mean {float(mean):+.4f}, beyond 20 %: {float(one.beyond / one.count):.4f}"
        )
        assert rms < 0.25
        assert abs(mean) < 0.05


@pytest.mark.parametrize("preset", ["today", "projected_2029", "physical_limit"])
@pytest.mark.parametrize("field, fast, slow, least, most", [
    # Factors may not flatter, and may cost some hundredths.
    ("detector.light", "factored", "exact", 0.0, 0.03), ("arithmetic", "bfloat16", "float32", -0.02, 0.02),
])  # fmt: skip
def test_the_loss_of_the_model_is_the_same(smollm2, windows, preset, field, fast, slow, least, most):
    """Paired: the same draws of all noise. Each bound holds within 3 standard errors of a text's windows."""

    def score(params, tokens):
        return jnp.mean(models.next_token_losses(models.forward(smollm2.config, params, tokens), tokens))

    run = jax.jit(optics.emulate(score))
    for text, of_text in zip(TEXTS, windows, strict=True):
        fast_loss, slow_loss = (
            np.array([run(core, jax.random.key(n), smollm2.params, w[None]) for n, w in enumerate(of_text)])
            for core in (optics.preset(preset).replace({field: kind}) for kind in (fast, slow))
        )
        difference = fast_loss - slow_loss
        mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))
        print(f"{preset}, {text}, {field}: NLL {slow_loss.mean():.4f}, difference {mean:+.4f} +- {error:.4f}")
        assert least - 3 * error < mean < most + 3 * error
