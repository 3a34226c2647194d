"""Periods of layers, and the experts that a router chooses, against plain loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
from models.transformer.layers import over_layers, stages
from models.transformer.mixture import mixture_mlp
from models.transformer.rope import rotary_frequencies


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("aaaa", [("a", 0, 4)]),
        ("a", [("a", 0, 1)]),
        ("abab", [("ab", 0, 2)]),
        ("ababa", [("ab", 0, 2), ("a", 4, 1)]),
        ("aaabaaaba", [("aaab", 0, 2), ("a", 8, 1)]),
        ("abb", [("abb", 0, 1)]),
    ],
)
def test_stages_are_the_shortest_period_and_the_rest(kinds, expected):
    assert [(kind, first, repeats) for kind, first, repeats in stages(kinds)] == [
        (tuple(kind), first, repeats) for kind, first, repeats in expected
    ]


@pytest.mark.parametrize("windowed", [(), (True, False) * 2 + (True,), (True, True, False, True, True)])
def test_over_layers_runs_each_once_in_order(config, windowed):
    config = dataclasses.replace(config, layers=5, window=4, windowed=windowed)
    seen = []

    def layer(kind, x, one):
        seen.append(kind.window)
        return 2.0 * x + one, one + (kind.window or 0)

    x, kept, last = over_layers(config, layer, jnp.zeros(()), jnp.arange(5.0))
    assert last is None
    assert x == 0 * 16 + 1 * 8 + 2 * 4 + 3 * 2 + 4
    windows = [4.0 if flag else 0.0 for flag in windowed or (True,) * 5]
    np.testing.assert_array_equal(kept, np.arange(5.0) + windows)
    # A loop traces its body once.
    assert len(seen) < 10


@pytest.mark.parametrize("normalised", [True, False])
def test_mixture_is_the_weighted_sum_of_each_tokens_experts(config, normalised):
    """Against NumPy in float64, token by token."""
    config = dataclasses.replace(
        config, mixture=models.Mixture(experts=5, per_token=3, normalised=normalised), biases=("gate", "down", "router")
    )
    noise = np.random.default_rng(0)
    shapes = {name: leaf.shape[1:] for name, leaf in models.parameter_shapes(config)["layers"].items()}
    layer = {name: noise.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    x = noise.normal(size=(2, 7, config.hidden)).astype(np.float32)
    found = jax.jit(lambda layer, x: mixture_mlp(config, config.mixture, layer, x))(layer, x)

    wide = {name: value.astype(np.float64) for name, value in layer.items()}
    expected = np.zeros(x.shape)
    for at in np.ndindex(2, 7):
        token = x[at].astype(np.float64)
        scores = token @ wide["router"] + wide["router_bias"]
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        chosen = np.argsort(-shares)[:3]
        total = shares[chosen].sum() if normalised else 1.0
        for e in chosen:
            gate = token @ wide["gate"][e] + wide["gate_bias"][e]
            hidden = gate / (1 + np.exp(-gate)) * (token @ wide["up"][e])
            expected[at] += shares[e] / total * (hidden @ wide["down"][e] + wide["down_bias"][e])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_yarn_keeps_fast_frequencies_and_divides_slow_ones():
    scaling = models.YarnScaling(factor=32.0, original_context=4096, truncate=False)
    plain = rotary_frequencies(150_000.0, 64)
    ratio = plain / rotary_frequencies(150_000.0, 64, scaling)
    turns = 4096 * plain / (2 * np.pi)
    np.testing.assert_allclose(ratio[turns > 32], 1.0)
    np.testing.assert_allclose(ratio[turns < 1], 32.0)
    between = ratio[(turns < 32) & (turns > 1)]
    assert len(between) > 5 and (np.diff(between) > 0).all() and between.min() > 1 and between.max() < 32


def test_linear_scaling_divides_all_frequencies():
    scaling = models.LinearScaling(factor=8.0)
    ratio = rotary_frequencies(1e4, 16) / rotary_frequencies(1e4, 16, scaling)
    np.testing.assert_allclose(ratio, 8.0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("window", 0, "DecoderConfig.window is 0; it must be an integer of at least 1"),
        ("windowed", (True,), "windowed is .*; it must be empty, or a tuple of one bool for each of 3 layers"),
        ("rotary", [True] * 3, "rotary is .*; it must be empty, or a tuple"),
        ("activation", "relu", "activation is 'relu'; it must be one of silu, gelu_tanh, clamped_swiglu"),
        ("biases", ("q", "w"), "biases holds 'w'; known: q, k, v"),
        ("mixture", 8, "mixture is 8; it must be a Mixture or None"),
        ("score_cap", -1.0, "score_cap is -1.0; it must be a finite number above 0"),
        ("sinks", 1, "sinks is 1; it must be True or False"),
    ],
)
def test_a_feature_that_cannot_be_is_named_with_what_is_allowed(config, field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(config, **{field: value})


def test_a_mixture_has_as_many_experts_as_a_token_takes():
    with pytest.raises(ValueError, match="Mixture.per_token is 3; there are 2 experts"):
        models.Mixture(experts=2, per_token=3)


def test_padding_of_another_batch_is_refused(config, params, tokens):
    with pytest.raises(ValueError, match=r"padding has shape \(3,\); it must be \(2,\)"):
        models.forward(config, params, jnp.asarray(tokens), padding=jnp.zeros(3, jnp.int32))


def test_initialise_leaves_biases_and_sinks_at_zero(config):
    config = dataclasses.replace(config, biases=("q",), sinks=True, offset_norms=True, layers=1, vocabulary=4)
    layers = models.initialise(config, jax.random.key(0))["layers"]
    assert not layers["q_bias"].any() and not layers["sinks"].any() and not layers["mlp_norm"].any()
