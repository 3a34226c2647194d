"""One token at a time gives what the whole sequence gives, and the cache holds what was written and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models

LENGTH = 12
ROOM = 16

step = jax.jit(models.decode_step, static_argnums=0)
forward = jax.jit(models.forward, static_argnums=0)


def decode(config, params, tokens, cache):
    """Logits [batch, length, vocabulary] of one step a token, and the cache at the end."""
    found = []
    for position in range(tokens.shape[1]):
        logits, cache = step(config, params, cache, tokens[:, position], jnp.int32(position))
        found.append(logits)
    return jnp.stack(found, axis=1), cache


def variants(config, params):
    plain = dataclasses.replace(config, rope_scaling=None, tied_head=True, kv_heads=1)
    # Parts of the parameters at hand: to draw others takes longer than all these tests.
    layers = params["layers"] | {name: params["layers"][name][..., : config.head_dim] for name in ("k", "v")}
    fewer = {name: leaf for name, leaf in params.items() if name != "head"} | {"layers": layers}
    return {
        "scaled rope, untied head, grouped queries": (config, params),
        "plain rope, tied head, one key head": (plain, fewer),
    }


@pytest.mark.parametrize("variant", range(2))
def test_steps_give_what_the_whole_sequence_gives(config, params, tokens, variant):
    """`models.forward` is held against a float64 transcription of the published model in test_decoder.py."""
    config, params = list(variants(config, params).values())[variant]
    tokens = tokens[:, :LENGTH]
    logits, _ = decode(config, params, tokens, models.empty_cache(config, 2, ROOM))
    assert logits.shape == (2, LENGTH, config.vocabulary) and logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, forward(config, params, tokens), rtol=1e-5, atol=1e-5)


def test_the_position_is_traced_and_compiled_once(config, params, tokens):
    traces = []

    @jax.jit
    def counted(cache, token, position):
        traces.append(position)
        return models.decode_step(config, params, cache, token, position)

    cache = models.empty_cache(config, 2, ROOM)
    for position in range(3):
        logits, cache = counted(cache, tokens[:, position], position)
    assert len(traces) == 1
    np.testing.assert_allclose(logits, forward(config, params, tokens[:, :3])[:, 2], rtol=1e-5, atol=1e-5)


def test_the_cache_is_filled_where_it_was_written(config, params, tokens):
    """In the first layer v is W_v applied to the embedding, normed: float64 NumPy. Position 0 does not turn its k."""
    _, cache = decode(config, params, tokens[:, :5], models.empty_cache(config, 2, ROOM))
    for kept in cache.values():
        assert kept.shape == (config.layers, 2, ROOM, config.kv_heads, config.head_dim)
        assert np.all(np.any(np.asarray(kept[:, :, :5]) != 0, axis=(3, 4)))
        np.testing.assert_array_equal(kept[:, :, 5:], 0)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    x = p["embedding"][tokens[:, :5]]
    normed = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + config.norm_epsilon)
    normed *= p["layers"]["attention_norm"][0]
    heads = (2, 5, config.kv_heads, config.head_dim)
    np.testing.assert_allclose(
        cache["v"][0, :, :5], (normed @ p["layers"]["v"][0]).reshape(heads), rtol=1e-4, atol=1e-5
    )
    unturned = (normed @ p["layers"]["k"][0]).reshape(heads)
    np.testing.assert_allclose(cache["k"][0, :, 0], unturned[:, 0], rtol=1e-4, atol=1e-5)


def test_a_step_leaves_what_is_before_and_behind_it_alone(config, params, tokens):
    noise = np.random.default_rng(3)
    cache = jax.tree.map(
        lambda kept: jnp.asarray(noise.normal(size=kept.shape), jnp.float32), models.empty_cache(config, 2, ROOM)
    )
    _, after = step(config, params, cache, tokens[:, 0], jnp.int32(7))
    for name, kept in cache.items():
        changed = np.any(np.asarray(kept != after[name]), axis=(0, 1, 3, 4))
        np.testing.assert_array_equal(np.flatnonzero(changed), [7])


def test_what_is_not_yet_written_is_not_looked_at(config, params, tokens):
    """Finite rubbish from the position on, a million times a key's size, changes no bit of the logits."""
    noise = np.random.default_rng(4)
    rubbish = jax.tree.map(
        lambda kept: jnp.asarray(1e6 * noise.normal(size=kept.shape), jnp.float32), models.empty_cache(config, 2, ROOM)
    )
    clean, _ = decode(config, params, tokens[:, :LENGTH], models.empty_cache(config, 2, ROOM))
    found, _ = decode(config, params, tokens[:, :LENGTH], rubbish)
    np.testing.assert_array_equal(found, clean)


def test_room_that_is_left_over_changes_nothing(config, params, tokens):
    tight, _ = decode(config, params, tokens[:, :4], models.empty_cache(config, 2, 4))
    roomy, _ = decode(config, params, tokens[:, :4], models.empty_cache(config, 2, ROOM))
    np.testing.assert_allclose(tight, roomy, rtol=1e-5, atol=1e-5)


def test_what_came_before_is_looked_at(config, params, tokens):
    """Each earlier position's key and value matter to the logits, or the cache would be for nothing."""
    _, cache = decode(config, params, tokens[:, :4], models.empty_cache(config, 2, ROOM))
    before, _ = step(config, params, cache, tokens[:, 4], jnp.int32(4))
    for name in ("k", "v"):
        for position in range(4):
            changed = cache | {name: cache[name].at[:, :, position].add(0.5)}
            after, _ = step(config, params, changed, tokens[:, 4], jnp.int32(4))
            assert jnp.all(jnp.max(jnp.abs(after - before), axis=-1) > 1e-4), (name, position)


def test_bfloat16_keeps_a_cache_in_bfloat16(config, params, tokens):
    short = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    logits, cache = decode(config, short, tokens[:, :4], models.empty_cache(config, 2, ROOM, jnp.bfloat16))
    assert logits.dtype == jnp.float32
    assert {kept.dtype for kept in cache.values()} == {jnp.dtype(jnp.bfloat16)}
    difference = logits - forward(config, params, tokens[:, :4])
    assert 0 < jnp.std(difference) < 0.1 * jnp.std(logits)


def test_a_step_of_the_largest_model_traces_without_memory():
    """Keys and values of 8,192 tokens of Llama 3.1 405B: 126 layers of 8 heads of 128."""
    config = models.LLAMA_3_1_405B
    cache = jax.eval_shape(lambda: models.empty_cache(config, 1, 8192))
    token, position = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)
    shapes = models.parameter_shapes(config)
    logits, after = jax.eval_shape(lambda *args: models.decode_step(config, *args), shapes, cache, token, position)
    assert logits.shape == (1, 128256)
    assert {kept.shape for kept in after.values()} == {(126, 1, 8192, 8, 128)}
