"""Tiny checkpoints of every family give the logits that transformers computes with torch, at once and token by token.

`tests/models/fixtures/make_fixtures.py` made checkpoints and logits; `make oracle` makes them again and compares.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models

TOLERANCE = 1e-4
# Its parts but one, each with other logits.
DEEPSEEK = models.Mixture(experts=8, per_token=2, scoring="sigmoid", groups=4, groups_per_token=2, scale=2.5, shared=8)
# What makes a family's models other than Llama: without it the logits are others.
FEATURES = [
    ("llama-3", {"rope_scaling": None}),
    ("smollm3", {"rotary": ()}),
    ("mistral", {"window": None}),
    ("qwen2-window", {"windowed": ()}),
    ("gemma2", {"score_cap": None}),
    ("gemma2", {"logit_cap": None}),
    ("gemma2", {"score_scale": None}),
    ("gemma2", {"activation": "silu"}),
    ("gemma2", {"embedding_scale": None}),
    ("gemma2", {"offset_norms": False}),
    ("gemma3", {"window_rope_theta": None}),
    ("mixtral", {"mixture": models.Mixture(experts=4, per_token=1)}),
    ("qwen3-moe", {"mixture": models.Mixture(experts=6, per_token=3, normalised=True)}),
    ("gpt-oss", {"sinks": False}),
    ("gpt-oss", {"activation": "silu"}),
    ("deepseek-v3", {"score_scale": None}),
    ("deepseek-v3", {"rope_scaling": None}),
    ("deepseek-v3", {"latent": models.LatentAttention(
        query_rank=12, rank=8, rotary_dim=4, value_dim=5, norm_epsilon=0.1)}),
    *(
        ("deepseek-v3", {"mixture": dataclasses.replace(DEEPSEEK, **{field: value})})
        for field, value in (
            ("scoring", "softmax"), ("groups_per_token", 4), ("scale", 1.0), ("normalised", False), ("shared", 0)
        )
    ),
]  # fmt: skip


def worst(logits, expected):
    """The largest difference as a share of the largest logit."""
    return np.abs(np.asarray(logits) - expected).max() / np.abs(expected).max()


def test_every_family_has_a_checkpoint(given, decoders):
    held = {given(name).model.family.title for name in decoders}
    assert held == {family.title for family in models.FAMILIES.values()}


def test_forward_gives_the_logits_of_transformers(given, decoder):
    case = given(decoder)
    logits = jax.jit(case.model.forward)(case.model.params, case.tokens)
    assert logits.dtype == jnp.float32
    assert worst(logits, case.logits) < TOLERANCE


def test_decode_of_left_padded_prompts_gives_the_logits_of_each_alone(given, decoder):
    """Each sequence begins at a place of its own in the cache."""
    case = given(decoder)
    config, family = case.model.config, case.model.family
    padding = np.array([0, 3])
    length = case.tokens.shape[1]
    tokens = np.stack(
        [np.concatenate([np.full(pad, 7), row])[:length] for pad, row in zip(padding, case.tokens, strict=True)]
    )

    @jax.jit
    def decode(params, tokens, padding):
        def step(cache, at):
            token, position = at
            logits, cache = family.decode_step(
                config, params, cache, token, position, padding=padding, dtype=jnp.float32
            )
            return cache, logits

        cache = family.empty_cache(config, len(tokens), length)
        _, logits = jax.lax.scan(step, cache, (tokens.T, jnp.arange(length)))
        return logits.swapaxes(0, 1)

    logits = decode(case.model.params, jnp.asarray(tokens, jnp.int32), jnp.asarray(padding))
    for row, pad, expected in zip(logits, padding, case.logits, strict=True):
        assert worst(row[pad:], expected[: length - pad]) < TOLERANCE


# One for each way in which masks differ: none, a window, windows in some layers, and sinks.
@pytest.mark.parametrize("name", ["llama-2", "mistral", "gemma2", "gpt-oss"])
def test_forward_of_a_left_padded_batch_gives_the_logits_of_each_alone(given, name):
    case = given(name)
    padding, length = (0, 5), case.tokens.shape[1]
    tokens = np.stack(
        [np.concatenate([np.full(pad, 7), row])[:length] for pad, row in zip(padding, case.tokens, strict=True)]
    )
    forward = jax.jit(lambda params, tokens, padding: case.model.family.forward(
        case.model.config, params, tokens, padding=padding, dtype=jnp.float32
    ))  # fmt: skip
    logits = forward(case.model.params, tokens.astype(np.int32), jnp.asarray(padding))
    assert np.isfinite(logits).all()
    for row, pad, expected in zip(logits, padding, case.logits, strict=True):
        assert worst(row[pad:], expected[: length - pad]) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "change"), FEATURES, ids=lambda value: value if isinstance(value, str) else min(value)
)
def test_a_feature_left_out_changes_the_logits(given, name, change):
    case = given(name)
    config = dataclasses.replace(case.model.config, **change)
    logits = jax.jit(case.model.family.forward, static_argnums=0)(config, case.model.params, case.tokens)
    assert worst(logits, case.logits) > 30 * TOLERANCE


def test_the_correction_of_deepseek_chooses_experts_and_is_no_share(given):
    """Without it other experts are chosen; one that is the same for all experts changes nothing."""
    case = given("deepseek-v3")
    assert case.model.config.mixture == DEEPSEEK
    layers = case.model.params["layers"]
    forward = jax.jit(case.model.forward)
    for correction, changes in ((jnp.zeros_like, True), (lambda leaf: leaf + 0.5, False)):
        changed = layers | {"router_correction": correction(layers["router_correction"])}
        difference = worst(forward(case.model.params | {"layers": changed}, case.tokens), case.logits)
        assert difference > 30 * TOLERANCE if changes else difference < TOLERANCE


def test_weights_of_bfloat16_stay_so_until_they_are_multiplied(given):
    case = given("smollm2")
    leaves = jax.tree.leaves(case.model.params)
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.bfloat16)}
    text = str(jax.make_jaxpr(case.model.forward)(case.model.params, case.tokens))
    # The only products are of float32.
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert products and all("f32" in line.partition("=")[0] for line in products)
    short = jax.jit(case.model.family.forward, static_argnums=0)(case.model.config, case.model.params, case.tokens)
    assert 1e-3 < worst(short, case.logits) < 0.2


@pytest.mark.parametrize("name", ["llama-3", "gemma2"])
def test_layers_run_one_by_one_give_the_forward_pass(given, name):
    """What a stream of layers from disk does."""
    from models.transformer import attention, decoder, layers, rope

    case = given(name)
    config, params, tokens = case.model.config, case.model.params, jnp.asarray(case.tokens)
    length = tokens.shape[1]
    x = decoder.embed(config, params, tokens)
    for number, kind in enumerate(config.layer_kinds):
        layer = jax.tree.map(lambda leaf, number=number: leaf[number], params["layers"])

        def attend(q, k, v, layer=layer, kind=kind):
            return attention.attend(config, layer, q, k, v, attention.causal_mask(length, length, kind.window)), None

        x, _ = layers.block(config, layer, x, rope.rotation_tables(config, length, kind=kind), attend)
    assert worst(decoder.logits(config, params, x), case.logits) < TOLERANCE
