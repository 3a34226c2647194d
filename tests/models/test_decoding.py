"""Losses are log likelihoods, and greedy continuation is the one-token-at-a-time loop."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models


def test_losses_are_negative_log_likelihoods():
    logits = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    tokens = np.random.default_rng(1).integers(0, 7, (2, 5), dtype=np.int32)
    losses = models.next_token_losses(jnp.asarray(logits), tokens)
    assert losses.shape == (2, 4)
    for b in range(2):
        for i in range(4):
            row = logits[b, i].astype(np.float64)
            expected = -math.log(math.exp(row[tokens[b, i + 1]]) / sum(map(math.exp, row)))
            np.testing.assert_allclose(losses[b, i], expected, rtol=1e-5)


def test_losses_of_huge_logits_stay_finite():
    logits = jnp.array([[[1e4, -1e4], [0.0, 0.0]]])
    losses = models.next_token_losses(logits, jnp.array([[0, 1]]))
    np.testing.assert_allclose(losses, [[2e4]])


def test_losses_refuse_shapes_that_do_not_match():
    with pytest.raises(ValueError, match="do not match"):
        models.next_token_losses(jnp.zeros((2, 5, 7)), jnp.zeros((2, 4), jnp.int32))
    with pytest.raises(ValueError, match="length at least 2"):
        models.next_token_losses(jnp.zeros((2, 1, 7)), jnp.zeros((2, 1), jnp.int32))


def test_greedy_is_the_plain_loop_compiled_once(config, params, tokens):
    traces = []

    def forward(params, tokens):
        traces.append(tokens.shape)
        return models.forward(config, params, tokens)

    first = models.greedy(forward, params, tokens[:, :6], steps=8)
    second = models.greedy(forward, params, tokens[:, 6:12], steps=8)
    assert traces == [(2, 14)]
    run = jax.jit(models.forward, static_argnums=0)
    for prompt, added in ((tokens[:, :6], first), (tokens[:, 6:12], second)):
        # Another filler than greedy's own: what is not yet written must not matter.
        row = np.pad(prompt, ((0, 0), (0, 8)), constant_values=5)
        for position in range(6, 14):
            row[:, position] = run(config, params, row)[:, position - 1].argmax(axis=-1)
        np.testing.assert_array_equal(added, row[:, 6:])


def test_greedy_refuses_an_empty_task(config, params, tokens):
    def forward(params, tokens):
        return models.forward(config, params, tokens)

    with pytest.raises(ValueError, match="steps is 0"):
        models.greedy(forward, params, tokens, steps=0)
    with pytest.raises(ValueError, match="length at least 1"):
        models.greedy(forward, params, tokens[:, :0], steps=1)
