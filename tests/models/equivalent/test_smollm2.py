"""SmolLM2 itself: its logits stay the same under every change.

Its second token has a massive activation: its logits are what is left of numbers a thousand times larger. There the
model in float32 is 1e-3 of the largest logit away from itself with activations of float64, whatever is changed. So
activations are float64 here, and that token has a bound of its own: norms and softmax stay float32.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
from models import equivalent

# A forward pass of the real model takes minutes where nothing is optimised.
pytestmark = pytest.mark.optimised

EXACT, MASSIVE, OF_MASSIVE = 1e-5, 1, 1e-3


@pytest.fixture(scope="module")
def tokens(smollm2):
    return np.asarray(models.windows(smollm2.tokenizer.encode(models.load_text("owt_5")), 1, 32))


@pytest.fixture(scope="module")
def deviations(smollm2, tokens):
    """By position, as shares of the largest logit."""
    run = jax.jit(smollm2.family.forward, static_argnums=0, static_argnames="dtype")

    def logits(model):
        with jax.enable_x64(True):
            params = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), model.params)
            return np.asarray(run(model.config, params, tokens, dtype="float64"))

    expected = logits(equivalent.untie_head(smollm2))

    def measure(model):
        return np.abs(logits(model) - expected).max(axis=(0, 2)) / np.abs(expected).max()

    return measure


def assert_same(found):
    assert np.delete(found, MASSIVE).max() < EXACT
    assert found[MASSIVE] < OF_MASSIVE


def all_changes(model, tokens, seed):
    model = equivalent.rescale(model, equivalent.measure_inputs(model, tokens), {"o": 0.5, "down": 0.5})
    model = equivalent.rotate_values(equivalent.rotate_residual(model, seed), seed)
    return equivalent.rotate_down(model, seed)


def test_all_changes_together_leave_the_logits_of_smollm2(smollm2, tokens, deviations):
    assert_same(deviations(all_changes(smollm2, tokens, 0)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_each_change_leaves_the_logits_of_smollm2(smollm2, tokens, deviations, seed):
    assert_same(deviations(equivalent.fold_norms(smollm2)))
    inputs = equivalent.measure_inputs(smollm2, tokens)
    for exponent in (0.0, 0.5, 1.0):
        assert_same(deviations(equivalent.rescale(smollm2, inputs, exponent)))
    for change in (equivalent.rotate_residual, equivalent.rotate_values, equivalent.rotate_down):
        assert_same(deviations(change(smollm2, seed)))


@pytest.mark.slow
def test_saved_smollm2_is_read_back_with_its_tokenizer_and_template(smollm2, tmp_path):
    changed = equivalent.rotate_down(equivalent.untie_head(smollm2), 3)
    models.save(changed, tmp_path / "saved")
    read = models.load(tmp_path / "saved", progress=False)
    assert read.config == changed.config
    for new, old in zip(jax.tree.leaves(read.params), jax.tree.leaves(changed.params), strict=True):
        np.testing.assert_array_equal(new, old)
    text = "The capital of France\n\n is 75 014 Paris. Δ"
    np.testing.assert_array_equal(read.prompt(text), smollm2.prompt(text))
    np.testing.assert_array_equal(read.chat("Hello"), smollm2.chat("Hello"))
    assert read.prompts.stop_tokens == smollm2.prompts.stop_tokens
