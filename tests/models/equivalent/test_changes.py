"""What each change does to the numbers, the statistics it rests on, and what is refused."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

import models
from models import equivalent

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def llama(tiny):
    return tiny("llama-3")


@pytest.fixture(scope="module")
def inputs(llama):
    return equivalent.measure_inputs(*llama)


def test_tied_head_is_copied_before_anything_is_folded(tiny):
    model, _ = tiny("smollm2")
    folded = equivalent.fold_norms(model)
    np.testing.assert_array_equal(folded.params["embedding"], model.params["embedding"])
    expected = np.asarray(model.params["norm"], np.float64)[:, None] * np.asarray(model.params["embedding"], float).T
    np.testing.assert_allclose(folded.params["head"], expected, rtol=1e-6)
    untied = equivalent.untie_head(model)
    assert equivalent.untie_head(untied) is untied


def by_hand(model, tokens):
    """Inputs of the matrices of the first layer of a Llama, in NumPy float64: rows [tokens, in]."""
    config = model.config
    layer = {name: np.asarray(leaf[0], np.float64) for name, leaf in model.params["layers"].items()}

    def norm(x, gain):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + config.norm_epsilon) * gain

    x = np.asarray(model.params["embedding"], np.float64)[tokens]
    found = {"q": norm(x, layer["attention_norm"])}
    # With one token each value is attended to by itself alone.
    values = (found["q"] @ layer["v"]).reshape(len(tokens), config.kv_heads, config.head_dim)
    found["o"] = np.repeat(values, config.heads // config.kv_heads, axis=1).reshape(len(tokens), -1)
    x = x + found["o"] @ layer["o"]
    found["gate"] = norm(x, layer["mlp_norm"])
    gate = found["gate"] @ layer["gate"]
    found["down"] = gate / (1 + np.exp(-gate)) * (found["gate"] @ layer["up"])
    return found


def test_input_statistics_are_those_of_a_float64_oracle(llama):
    model, tokens = llama
    seen = equivalent.measure_inputs(model, tokens[0][:, None])
    for name, rows in by_hand(model, tokens[0]).items():
        np.testing.assert_allclose(seen.peak[name][0], np.abs(rows).max(axis=0), rtol=2e-5, err_msg=name)
        np.testing.assert_allclose(seen.rms[name][0], np.sqrt(np.mean(rows**2, axis=0)), rtol=2e-5, err_msg=name)
    assert seen.tokens == tokens.shape[1]
    assert seen.peak["head"].shape == (model.config.hidden,)
    np.testing.assert_array_equal(seen.peak["k"], seen.peak["q"])


def test_input_statistics_of_experts_are_of_the_rows_they_get(tiny):
    """The rows of all experts together are those of the router, each `per_token` times."""
    model, tokens = tiny("mixtral")
    seen = equivalent.measure_inputs(model, tokens)
    config = model.config
    assert seen.peak["gate"].shape == (config.layers, config.mixture.experts, config.hidden)
    np.testing.assert_array_equal(seen.peak["gate"].max(axis=1), seen.peak["router"])
    np.testing.assert_array_equal(seen.peak["gate"], seen.peak["up"])
    assert seen.peak["down"].shape == (config.layers, config.mixture.experts, config.intermediate)


@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
def test_rescaling_moves_the_scale_that_the_formula_says(llama, inputs, exponent):
    model, _ = llama
    after = equivalent.rescale(model, inputs, {"mlp": exponent, "down": exponent, "o": exponent})
    old, new = model.params["layers"], after.params["layers"]
    weights = np.maximum(*(np.abs(np.asarray(old[name])).max(axis=-1) for name in ("gate", "up")))
    scale = inputs.peak["gate"].astype(float) ** exponent / weights.astype(float) ** (1 - exponent)
    np.testing.assert_allclose(new["mlp_norm"], old["mlp_norm"] / scale, rtol=1e-5)
    down = inputs.peak["down"].astype(float) ** exponent
    down = down / np.abs(np.asarray(old["down"], float)).max(axis=-1) ** (1 - exponent)
    np.testing.assert_allclose(new["down"], down[..., None] * old["down"], rtol=1e-5)
    np.testing.assert_allclose(new["up"], scale[..., None] * np.asarray(old["up"], float) / down[:, None], rtol=1e-5)
    np.testing.assert_array_equal(new["q"], old["q"])
    groups = (model.config.layers, model.config.kv_heads, -1, model.config.head_dim)
    ratio = (np.asarray(new["o"], float) / old["o"])[..., 0].reshape(groups)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :, :1], ratio.shape), rtol=1e-5)


def test_rescaling_by_one_gives_inputs_one_peak(llama, inputs):
    model, tokens = llama
    after = equivalent.rescale(model, inputs, {"attention": 1.0, "down": 1.0})
    seen = equivalent.measure_inputs(after, tokens)
    for name in ("q", "down"):
        np.testing.assert_allclose(seen.peak[name], 1, rtol=1e-4)


def test_search_takes_the_least_loss_and_tries_each_place(llama, inputs):
    """A loss that wants a largest |q| as small and a largest |down| as large as may be."""
    model, _ = llama

    def loss(made):
        layers = made.params["layers"]
        if not np.isfinite(layers["q"]).all():
            return np.nan
        return np.abs(layers["q"]).max() - np.abs(layers["down"]).max()

    found = equivalent.search_rescaling(
        model, inputs, loss, exponents=(0.0, 0.5, 1.0), places=("attention", "down"), by_place=True
    )
    losses = [value for _, value in found.tried]
    assert found.tried[0] == ({}, pytest.approx(float(loss(model))))
    assert found.loss == min(losses) == pytest.approx(float(loss(found.checkpoint)))
    # All pairs, for comparison.
    pairs = [{"attention": a, "down": b} for a in (0.0, 0.5, 1.0) for b in (0.0, 0.5, 1.0)]
    least = min(pairs, key=lambda pair: float(loss(equivalent.rescale(model, inputs, pair))))
    assert found.exponents == least


def test_search_keeps_a_model_that_nothing_improves(llama, inputs):
    model, _ = llama
    found = equivalent.search_rescaling(model, inputs, lambda made: 0.0 if made is model else np.nan)
    assert found.checkpoint is model
    assert found.exponents == {}


def test_rotated_residual_stream_is_the_rotated_one(llama):
    model, tokens = llama
    after = equivalent.rotate_residual(model, 11)
    turn = models.Rotation(seed=11).of_outputs(np.eye(model.config.hidden))
    np.testing.assert_allclose(after.params["embedding"], np.asarray(model.params["embedding"]) @ turn, atol=1e-6)
    assert np.abs(np.asarray(after.params["embedding"]) - model.params["embedding"]).max() > 0.1
    again = equivalent.rotate_residual(model, 11)
    assert again.sha256 == after.sha256 != equivalent.rotate_residual(model, 12).sha256


def test_statistics_of_another_model_are_refused(llama, inputs):
    with pytest.raises(ValueError, match="input statistics are of another model"):
        equivalent.rescale(equivalent.fold_norms(llama[0]), inputs, 0.5)


@pytest.mark.parametrize(
    ("exponent", "message"),
    [
        (1.5, "the exponent at 'attention' is 1.5; it must be a number from 0 to 1"),
        ({"queries": 0.5}, "'queries' is no place of rescaling; known: attention, o, mlp, down, head"),
    ],
)
def test_exponent_out_of_range_is_refused(llama, inputs, exponent, message):
    with pytest.raises(ValueError, match=message):
        equivalent.rescale(llama[0], inputs, exponent)


def test_second_rotation_of_the_hidden_layer_and_rescaling_after_one_are_refused(llama, inputs):
    rotated = equivalent.rotate_down(llama[0], 0)
    with pytest.raises(ValueError, match=r"rotated already, by Rotation\(seed=0\)"):
        equivalent.rotate_down(rotated, 1)
    of_rotated = dataclasses.replace(inputs, sha256=rotated.sha256)
    with pytest.raises(ValueError, match="down_rotation mixes the channels"):
        equivalent.rescale(rotated, of_rotated, {"down": 0.5})


def test_encoder_streamed_model_and_wrong_seed_are_refused(llama):
    encoder = models.load(FIXTURES / "bert", family=models.BERT, progress=False)
    with pytest.raises(ValueError, match=r"has a EncoderConfig; .* LayerNorm after it is not supported"):
        equivalent.fold_norms(encoder)
    with pytest.raises(ValueError, match="is streamed: its layers are not in memory"):
        equivalent.rotate_values(models.load(FIXTURES / "llama-3", progress=False, stream=True), 0)
    with pytest.raises(ValueError, match="seed is -1; it must be an integer of at least 0"):
        equivalent.rotate_down(llama[0], -1)
    with pytest.raises(ValueError, match="at least one token is needed"):
        equivalent.measure_inputs(llama[0], np.zeros((0, 4), np.int32))


def test_streamed_model_has_the_statistics_of_the_one_in_memory(llama, inputs):
    streamed = models.load(FIXTURES / "llama-3", progress=False, stream=True)
    seen = equivalent.measure_inputs(streamed, llama[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), seen.peak, inputs.peak)
