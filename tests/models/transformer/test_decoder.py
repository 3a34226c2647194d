"""The forward pass against a loop-by-loop float64 transcription of the published model."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models


def reference_forward(config, params, tokens):
    """Llama written with loops in float64, as in the paper and transformers' LlamaModel."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    head = p["embedding"].T if config.tied_head else p["head"]
    return np.stack([_reference_sequence(config, p, row, head) for row in np.asarray(tokens)])


def _reference_sequence(config, p, row, head):
    x = np.stack([p["embedding"][token] for token in row])
    for i in range(config.layers):
        layer = {name: stack[i] for name, stack in p["layers"].items()}
        h = _rms_norm(config, x, layer["attention_norm"])
        x = x + _reference_attention(config, layer, h) @ layer["o"]
        h = _rms_norm(config, x, layer["mlp_norm"])
        gate = h @ layer["gate"]
        x = x + (gate / (1 + np.exp(-gate)) * (h @ layer["up"])) @ layer["down"]
    return _rms_norm(config, x, p["norm"]) @ head


def _rms_norm(config, x, weight):
    out = np.empty_like(x)
    for i, row in enumerate(x):
        out[i] = row / math.sqrt(np.mean(row**2) + config.norm_epsilon) * weight
    return out


def _reference_attention(config, layer, h):
    d, out = config.head_dim, np.zeros((len(h), config.heads * config.head_dim))
    for head in range(config.heads):
        shared = head // (config.heads // config.kv_heads)
        query = (h @ layer["q"])[:, head * d : (head + 1) * d]
        key = (h @ layer["k"])[:, shared * d : (shared + 1) * d]
        value = (h @ layer["v"])[:, shared * d : (shared + 1) * d]
        for i in range(len(h)):
            turned = _turn(config, query[i], i)
            scores = [turned @ _turn(config, key[j], j) / math.sqrt(d) for j in range(i + 1)]
            shares = np.exp(np.array(scores) - max(scores))
            out[i, head * d : (head + 1) * d] = shares / shares.sum() @ value[: i + 1]
    return out


def _turn(config, vector, position):
    half = config.head_dim // 2
    out = np.empty(config.head_dim)
    for i in range(half):
        frequency = _scaled(config, config.rope_theta ** (-2 * i / config.head_dim))
        c, s = math.cos(position * frequency), math.sin(position * frequency)
        a, b = vector[i], vector[i + half]
        out[i], out[i + half] = a * c - b * s, a * s + b * c
    return out


def _scaled(config, frequency):
    rule = config.rope_scaling
    if rule is None:
        return frequency
    wavelength = 2 * math.pi / frequency
    if wavelength < rule.original_context / rule.high_frequency_factor:
        return frequency
    if wavelength > rule.original_context / rule.low_frequency_factor:
        return frequency / rule.factor
    smooth = rule.original_context / wavelength - rule.low_frequency_factor
    smooth /= rule.high_frequency_factor - rule.low_frequency_factor
    return (1 - smooth) * frequency / rule.factor + smooth * frequency


def variants(config):
    plain = dataclasses.replace(config, rope_scaling=None, tied_head=True)
    return {
        "scaled rope, untied head, grouped queries": config,
        "plain rope, tied head": plain,
        "a key head per query head": dataclasses.replace(plain, kv_heads=4),
        "one key head": dataclasses.replace(config, kv_heads=1),
    }


@pytest.mark.parametrize("variant", range(4))
def test_forward_is_the_published_model(config, random_params, tokens, variant):
    config = list(variants(config).values())[variant]
    params = random_params(config)
    with jax.default_matmul_precision("highest"):
        logits = models.forward(config, params, tokens)
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, reference_forward(config, params, tokens), rtol=1e-4, atol=1e-4)


def test_rope_scaling_changes_the_result(config, params, tokens):
    plain = dataclasses.replace(config, rope_scaling=None)
    change = models.forward(config, params, tokens) - models.forward(plain, params, tokens)
    assert jnp.abs(change).max() > 1e-2


def test_jit_changes_nothing(config, params, tokens):
    jitted = jax.jit(models.forward, static_argnums=0)(config, params, tokens)
    np.testing.assert_allclose(jitted, models.forward(config, params, tokens), atol=1e-5)


def test_a_token_does_not_reach_back(config, params, tokens):
    changed = np.array(tokens)
    changed[:, 25] = (changed[:, 25] + 1) % config.vocabulary
    before = models.forward(config, params, tokens)
    after = models.forward(config, params, changed)
    np.testing.assert_array_equal(before[:, :25], after[:, :25])
    assert (jnp.abs(before - after).max(axis=-1)[:, 25:] > 1e-6).all()


def test_gradient_is_the_slope(config, params, tokens):
    @jax.jit
    def loss(params):
        return models.next_token_losses(models.forward(config, params, tokens), tokens).mean()

    gradient = jax.jit(jax.grad(loss))(params)
    direction = models.initialise(config, jax.random.key(7))
    step = 1e-3
    ahead, behind = (
        loss(jax.tree.map(lambda p, d, sign=sign: p + sign * step * d, params, direction)) for sign in (1, -1)
    )
    slope = jax.tree.reduce(jnp.add, jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, direction))
    np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=2e-2)


def test_bfloat16_parameters_give_float32_logits(config, params, tokens):
    short = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    logits = models.forward(config, short, tokens)
    assert logits.dtype == jnp.float32
    difference = logits - models.forward(config, params, tokens)
    assert 0 < jnp.std(difference) < 0.1 * jnp.std(logits)


def test_initialise_fills_parameter_shapes(config):
    params = models.initialise(config, jax.random.key(3))
    shapes = models.parameter_shapes(config)
    assert jax.tree.structure(params) == jax.tree.structure(shapes)
    jax.tree.map(lambda a, s: np.testing.assert_equal((a.shape, a.dtype), (s.shape, s.dtype)), params, shapes)
    again = models.initialise(config, jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, params, again)


def test_the_largest_model_traces_without_memory():
    config = models.LLAMA_3_1_405B
    tokens = jax.ShapeDtypeStruct((1, 512), jnp.int32)
    logits = jax.eval_shape(functools.partial(models.forward, config), models.parameter_shapes(config), tokens)
    assert logits.shape == (1, 512, 128256)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros((1, 65), np.int32), "65 long; this model's context is 64"),
        (np.zeros((4,), np.int32), r"shape \(4,\)"),
        (np.zeros((1, 4), np.float32), "dtype float32"),
    ],
)
def test_tokens_that_cannot_be_run_are_refused(config, params, tokens, message):
    with pytest.raises(ValueError, match=message):
        models.forward(config, params, tokens)


def test_a_token_outside_the_vocabulary_spoils_its_sequence_alone(config, params):
    tokens = np.array([[1, 2, config.vocabulary, 3], [1, 2, 3, 4]], np.int32)
    logits = models.forward(config, params, tokens)
    assert jnp.isnan(logits[0]).all()
    assert jnp.isfinite(logits[1]).all()
