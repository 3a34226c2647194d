"""Attention with grouped queries, causal or in a sliding window, with or without sinks."""

from typing import Any

import jax
import jax.numpy as jnp

from models.shape.config import DecoderConfig
from models.transformer.linear import Multiply, linear, norm
from models.transformer.rope import Tables, rotate


def queries_keys_values(
    config: DecoderConfig, layer: dict[str, Any], x: jax.Array, rotation: Tables | None, multiply: Multiply = linear
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return q [batch, length, kv_heads, groups, head_dim], k and v [batch, length, kv_heads, head_dim]."""
    batch, length, _ = x.shape
    q = multiply(layer, "q", x).reshape(batch, length, config.heads, config.head_dim)
    k = multiply(layer, "k", x).reshape(batch, length, config.kv_heads, config.head_dim)
    v = multiply(layer, "v", x).reshape(batch, length, config.kv_heads, config.head_dim)
    if config.query_key_norm:
        q, k = norm(config, q, layer["q_norm"]), norm(config, k, layer["k_norm"])
    if rotation is not None:
        with jax.named_scope("rotary embedding"):
            q, k = rotate(q, *rotation), rotate(k, *rotation)
    # Consecutive query heads share a key head; with a group axis keys and values need not be repeated.
    return q.reshape(batch, length, config.kv_heads, config.heads // config.kv_heads, config.head_dim), k, v


def causal_mask(queries: int, keys: int, window: int | None) -> jax.Array:
    """Return [1, 1, 1, queries, keys]: each position attends to itself and those before it, within a window."""
    everything = jnp.ones((queries, keys), dtype=bool)
    mask = jnp.tril(everything)
    if window is not None:
        mask = mask & jnp.triu(everything, 1 - window)
    return mask[None, None, None]


def not_padding(padding: jax.Array, queries: int, keys: int, first: jax.Array | int = 0) -> jax.Array:
    """Return [batch, 1, 1, queries, keys]: which keys are no padding. Padding attends to itself, or it would be NaN.

    first: position of the first query.
    """
    key, query = jnp.arange(keys)[None, None, :], first + jnp.arange(queries)[None, :, None]
    return ((key >= padding[:, None, None]) | (key == query))[:, None, None]


def attend(
    config: DecoderConfig,
    layer: dict[str, Any],
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array,
    also: jax.Array | None = None,
) -> jax.Array:
    """Return attention of queries to the keys of two masks, [batch, queries, heads * width of a value].

    Args:
        config: the shape of the model.
        layer: the parameters of the layer, for its sinks.
        q, k, v: as `queries_keys_values` returns them.
        mask: bool, broadcast to [batch, kv_heads, groups, queries, keys].
        also: a mask that is data, as of padding. It is applied first, so that a constant `mask` is still seen as one
            by who counts what it leaves.
    """
    products = jnp.einsum("bqhgd,bkhd->bhgqk", q, k)
    shares = shares_of(config, layer, products, mask, also).astype(v.dtype)
    mixed = jnp.einsum("bhgqk,bkhd->bqhgd", shares, v)
    return mixed.reshape(*mixed.shape[:2], config.heads * v.shape[-1])


def shares_of(
    config: DecoderConfig, layer: dict[str, Any], products: jax.Array, mask: jax.Array, also: jax.Array | None = None
) -> jax.Array:
    """Return the softmax of scores, float32 [batch, kv_heads, groups, queries, keys].

    Args:
        config: the shape of the model.
        layer: as for `attend`.
        products: of queries with keys, of the shape of what is returned.
        mask: as for `attend`.
        also: as for `attend`.
    """
    with jax.named_scope("softmax"):
        scores = products.astype(jnp.float32) * (config.score_scale or config.head_dim**-0.5)
        if config.score_cap is not None:
            scores = config.score_cap * jnp.tanh(scores / config.score_cap)
        if also is not None:
            scores = jnp.where(also, scores, -jnp.inf)
        scores = jnp.where(mask, scores, -jnp.inf)
        shares = jax.nn.softmax(scores, axis=-1)
        if config.sinks:
            # A sink s adds exp(s) to the sum of the exponentials, and nothing to the values.
            sinks = layer["sinks"].astype(jnp.float32).reshape(1, *products.shape[1:3], 1, 1)
            shares = shares * jax.nn.sigmoid(jax.nn.logsumexp(scores, axis=-1, keepdims=True) - sinks)
        return shares
