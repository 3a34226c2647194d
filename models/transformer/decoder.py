"""A decoder as one plain function of its parameters and tokens.

`models.transformer.parameters` describes the parameters. `models.transformer.layers.block` is one layer.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike

from models.shape.checks import check_one_per, check_tokens
from models.shape.config import DecoderConfig, LayerKind
from models.transformer.attention import attend, causal_mask, not_padding
from models.transformer.latent_attention import attend_by_head, attend_latents
from models.transformer.layers import block, over_layers
from models.transformer.linear import norm
from models.transformer.parameters import Params
from models.transformer.rope import Tables, rotation_tables
from models.transformer.stored import StoredLayers, layer_of, matrix_of, rows_of

Cache = dict[str, jax.Array]
Layer = Callable[[LayerKind, jax.Array, Any], tuple[jax.Array, Any]]


def forward(
    config: DecoderConfig,
    params: Params,
    tokens: jax.Array,
    *,
    padding: jax.Array | None = None,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """Run the transformer over whole sequences; each position attends to itself and those before it.

    Norms, rotations and softmax are computed in float32. On accelerators that multiply float32 in a shorter format by
    default, `jax.default_matmul_precision("highest")` gives full float32.

    Args:
        config: the shape of the model; static.
        params: the nested dict that `models.transformer.parameters` describes, of any float dtypes, in memory or in
            files (`models.transformer.stored`).
        tokens: integers in [0, vocabulary), [batch, length]. A token at or above `vocabulary`
            turns the logits of its sequence into NaN.
        padding: number of tokens at the start of each sequence that nothing attends to, integers [batch]; the logits
            of those positions mean nothing. None for no padding.
        dtype: of the activations, to which weights are converted as they are multiplied; None for that of the
            embedding.

    Returns:
        Logits, float32 [batch, length, vocabulary]; position i predicts token i + 1.

    Raises:
        ValueError: if tokens are not two-dimensional integers, or longer than `config.context`, or `padding` is not of
            their batch.
    """
    x, _, last = _over_tokens(config, params, tokens, padding, dtype, lambda kept: None)
    return logits(config, params, x, last)


def prefill(
    config: DecoderConfig,
    params: Params,
    tokens: jax.Array,
    room: int,
    *,
    padding: jax.Array | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[jax.Array, Cache]:
    """Run the transformer over prompts as `forward` does, and keep their keys and values for `decode_step`.

    Args:
        config: as for `forward`.
        params: as for `forward`.
        tokens: as for `forward`.
        room: positions of the cache, at least the length of the prompts.
        padding: as for `forward`.
        dtype: as for `forward`.

    Returns:
        (logits as of `forward`, a cache of the form of `empty_cache` with the first `length` positions filled).

    Raises:
        ValueError: as `forward`, or if the prompts are longer than `room`.
    """
    free = room - tokens.shape[-1]
    if free < 0:
        raise ValueError(f"tokens are {tokens.shape[-1]} long; room = {room} must be at least that")

    def keep(kept: Cache) -> Cache:
        return {name: jnp.pad(new, ((0, 0), (0, free), *((0, 0),) * (new.ndim - 2))) for name, new in kept.items()}

    x, cache, last = _over_tokens(config, params, tokens, padding, dtype, keep)
    return logits(config, params, x, last), cache


def _over_tokens(
    config: DecoderConfig,
    params: Params,
    tokens: jax.Array,
    padding: jax.Array | None,
    dtype: DTypeLike | None,
    keep: Callable[[Cache], Any],
) -> tuple[jax.Array, Any, jax.Array | None]:
    """Return what `over_layers` does, with what `keep` returns of a layer's part of the cache kept."""
    check_tokens(tokens, config.context)
    check_one_per("sequence", "padding", padding, tokens)
    length = tokens.shape[1]
    rotations = _rotations(config, length)
    seen = None if padding is None else not_padding(padding, length, length)

    def layer_of_part(part: DecoderConfig) -> Layer:
        def layer(kind: LayerKind, x: jax.Array, weights: Params) -> tuple[jax.Array, Any]:
            weights = layer_of(weights, x.dtype)

            def attention(q: jax.Array, *made: jax.Array) -> tuple[jax.Array, Any]:
                mask = causal_mask(length, length, kind.window)
                if part.latent is None:
                    mixed = attend(part, weights, q, *made, mask=mask, also=seen)
                else:
                    mixed = attend_by_head(part, part.latent, weights, q, *made, mask=mask, also=seen)
                return mixed, keep(dict(zip(_cached(part), made, strict=True)))

            return block(part, weights, x, rotations[kind], attention)

        if isinstance(params["layers"], StoredLayers):
            # A gradient reads each layer again, or it would keep the weights of all.
            return jax.checkpoint(layer, static_argnums=0)
        return layer

    return _over_parts(config, params, embed(config, params, tokens, dtype), layer_of_part)


def _over_parts(
    config: DecoderConfig,
    params: Params,
    x: jax.Array,
    layer_of_part: Callable[[DecoderConfig], Layer],
    cache: Cache | None = None,
) -> tuple[jax.Array, Any, jax.Array | None]:
    """Return what `over_layers` does of all layers, which take their part of a cache after their parameters."""
    found, last, first = [], None, 0
    for name, part in config.parts.items():
        given = params[name]
        if cache is not None:
            given = given, _cut(cache, first, part.layers, config.layers)
        x, kept, last = over_layers(part, layer_of_part(part), x, given)
        found.append(kept)
        first += part.layers
    return x, found[0] if len(found) == 1 else jax.tree.map(lambda *each: jnp.concatenate(each), *found), last


def _cut(cache: Cache, first: int, number: int, layers: int) -> Cache:
    return cache if number == layers else {name: leaf[first : first + number] for name, leaf in cache.items()}


def empty_cache(config: DecoderConfig, batch: int, length: int, dtype: DTypeLike = jnp.float32) -> Cache:
    """Return zeros for `length` positions.

    Keys and values "k" and "v" are each [layers, batch, length, kv_heads, head_dim]. With latent attention there are
    "latents" [layers, batch, length, rank + rotary_dim] in place of both.
    """
    stacked = (config.layers, batch, length)
    latent = config.latent
    kept = (config.kv_heads, config.head_dim) if latent is None else (latent.rank + latent.rotary_dim,)
    return {name: jnp.zeros((*stacked, *kept), dtype) for name in _cached(config)}


def _cached(config: DecoderConfig) -> tuple[str, ...]:
    """Names of what the cache holds, in the order in which `block` hands it on."""
    return ("k", "v") if config.latent is None else ("latents",)


def decode_step(
    config: DecoderConfig,
    params: Params,
    cache: Cache,
    tokens: jax.Array,
    position: jax.Array | int,
    *,
    padding: jax.Array | None = None,
    dtype: DTypeLike | None = None,
) -> tuple[jax.Array, Cache]:
    """Run one more token of each sequence, with the keys and values of the tokens before it in the cache.

    Args:
        config: the shape of the model; static.
        params: as for `forward`.
        cache: of the form of `empty_cache`. Positions from `position` on are masked, but must be finite.
        tokens: integers [batch].
        position: number of positions of the cache that are filled, an integer.
        padding: as for `forward`.
        dtype: as for `forward`.

    Returns:
        (logits [batch, vocabulary] of the next token, the cache with this position filled).

    Raises:
        ValueError: if tokens are not one-dimensional integers of the cache's batch, if the cache is not of the
            activations' dtype, or if `position`, where it is known, is not within the cache.
    """
    _check_step(params, cache, tokens, position, dtype)
    rotations = _rotations(config, 1, position)

    def layer_of_part(part: DecoderConfig) -> Layer:
        def layer(kind: LayerKind, x: jax.Array, given: tuple[Params, Cache]) -> tuple[jax.Array, Cache]:
            weights, filled = layer_of(given[0], x.dtype), given[1]

            def attention(q: jax.Array, *made: jax.Array) -> tuple[jax.Array, Cache]:
                cached = {
                    name: jax.lax.dynamic_update_slice_in_dim(filled[name], new, position, axis=1)
                    for name, new in zip(_cached(part), made, strict=True)
                }
                places = jnp.arange(filled[_cached(part)[0]].shape[1])
                mask = places <= position
                if kind.window is not None:
                    mask = mask & (places > position - kind.window)
                mask = mask[None, None, None, None]
                seen = None if padding is None else not_padding(padding, 1, len(places), position)
                kept = cached.values()
                if part.latent is None:
                    return attend(part, weights, q, *kept, mask=mask, also=seen), cached
                return attend_latents(part, part.latent, weights, q, *kept, mask=mask, also=seen), cached

            return block(part, weights, x, rotations[kind], attention)

        return layer

    x = embed(config, params, tokens[:, None], dtype)
    x, cache, last = _over_parts(config, params, x, layer_of_part, cache)
    return logits(config, params, x, last)[:, 0], cache


def embed(config: DecoderConfig, params: Params, tokens: jax.Array, dtype: DTypeLike | None = None) -> jax.Array:
    """Return the residual stream before the first layer, [batch, length, hidden]."""
    x = rows_of(params["embedding"], tokens)
    x = x if dtype is None else x.astype(dtype)
    return x if config.embedding_scale is None else x * jnp.asarray(config.embedding_scale, x.dtype)


def logits(config: DecoderConfig, params: Params, x: jax.Array, last: jax.Array | None = None) -> jax.Array:
    """Return float32 logits [batch, length, vocabulary] of the residual stream after the last layer.

    last: what `over_layers` returns; a head that stays in its file is read after it.
    """
    head = matrix_of(params["embedding" if config.tied_head else "head"], x.dtype, last)
    head = head.T if config.tied_head else head
    scores = (norm(config, x, params["norm"]) @ head).astype(jnp.float32)
    return scores if config.logit_cap is None else config.logit_cap * jnp.tanh(scores / config.logit_cap)


def _rotations(config: DecoderConfig, length: int, start: jax.Array | int = 0) -> dict[LayerKind, Tables | None]:
    """The tables of each kind of layers."""
    tables = functools.partial(rotation_tables, config, length, start)
    return {kind: tables(kind) for kind in dict.fromkeys(config.layer_kinds)}


def _check_step(
    params: Params, cache: Cache, tokens: jax.Array, position: jax.Array | int, dtype: DTypeLike | None
) -> None:
    kept = next(iter(cache.values()))
    _, batch, length, *_ = kept.shape
    if tokens.shape != (batch,) or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"tokens have shape {tokens.shape} and dtype {tokens.dtype}; they must be {batch} integers")
    if dtype is None and kept.dtype != params["embedding"].dtype:
        raise ValueError(f"the cache is {cache['k'].dtype} and the parameters are {params['embedding'].dtype}")
    if dtype is not None and kept.dtype != dtype:
        raise ValueError(f"the cache is {cache['k'].dtype} and the activations are {jnp.dtype(dtype)}")
    if not isinstance(position, Tracer) and not 0 <= int(position) < length:
        raise ValueError(f"position = {position} must be from 0 to {length - 1}, within the cache")
