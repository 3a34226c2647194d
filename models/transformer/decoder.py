"""The Llama transformer as one plain function of its parameters and tokens.

Parameters are a nested dict of arrays. The layers are stacked along a leading axis and run with
`jax.lax.scan`, so a model of any depth compiles as one layer. Every matrix is stored as
[in, out] and applied as `x @ w`:

    {"embedding": [vocabulary, hidden],
     "layers": {"attention_norm": [layers, hidden],
                "q": [layers, hidden, heads * head_dim],
                "k": [layers, hidden, kv_heads * head_dim],
                "v": [layers, hidden, kv_heads * head_dim],
                "o": [layers, heads * head_dim, hidden],
                "mlp_norm": [layers, hidden],
                "gate": [layers, hidden, intermediate],
                "up": [layers, hidden, intermediate],
                "down": [layers, intermediate, hidden]},
     "norm": [hidden],
     "head": [hidden, vocabulary]}        # only where config.tied_head is False
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike

from models.transformer.config import LlamaConfig
from models.transformer.rope import rotate, rotation_tables

Params = dict[str, Any]
Cache = dict[str, jax.Array]


def forward(config: LlamaConfig, params: Params, tokens: jax.Array) -> jax.Array:
    """Run the transformer over whole sequences; each position attends to itself and those before it.

    Activations take the dtype of the parameters; norms, rotations and softmax are computed in
    float32. On accelerators that multiply float32 in a shorter format by default,
    `jax.default_matmul_precision("highest")` gives full float32.

    Args:
        config: the shape of the model; static.
        params: the nested dict described in this module's docstring.
        tokens: integers in [0, vocabulary), [batch, length]. A token at or above `vocabulary`
            turns the logits of its sequence into NaN.

    Returns:
        Logits, float32 [batch, length, vocabulary]; position i predicts token i + 1.

    Raises:
        ValueError: if tokens are not two-dimensional integers, or longer than `config.context`.
    """
    _check_tokens(config, tokens)
    rotation = rotation_tables(config, tokens.shape[1])

    def block(x: jax.Array, layer: Params) -> tuple[jax.Array, None]:
        q, k, v = _queries_keys_values(config, layer, _norm(config, x, layer["attention_norm"]), rotation)
        x = x + _attend(config, q, k, v, _causal(q, k)) @ layer["o"]
        x = x + _mlp(layer, _norm(config, x, layer["mlp_norm"]))
        return x, None

    x = jnp.take(params["embedding"], tokens, axis=0)
    x, _ = jax.lax.scan(block, x, params["layers"])
    return _logits(config, params, x)


def empty_cache(config: LlamaConfig, batch: int, length: int, dtype: DTypeLike = jnp.float32) -> Cache:
    """Return zeros for the keys and values of `length` positions, each [layers, batch, length, kv_heads, head_dim]."""
    shape = (config.layers, batch, length, config.kv_heads, config.head_dim)
    return {"k": jnp.zeros(shape, dtype), "v": jnp.zeros(shape, dtype)}


def decode_step(
    config: LlamaConfig, params: Params, cache: Cache, tokens: jax.Array, position: jax.Array
) -> tuple[jax.Array, Cache]:
    """Run one more token of each sequence, with the keys and values of the tokens before it in the cache.

    Args:
        config: the shape of the model; static.
        params: as for `forward`.
        cache: of the form of `empty_cache`. Positions from `position` on are masked, but must be finite.
        tokens: integers [batch].
        position: number of positions of the cache that are filled, an integer.

    Returns:
        (logits [batch, vocabulary] of the next token, the cache with this position filled).

    Raises:
        ValueError: if tokens are not one-dimensional integers of the cache's batch, if the cache is not of the
            parameters' dtype, or if `position`, where it is known, is not within the cache.
    """
    _check_step(params, cache, tokens, position)
    here = rotation_tables(config, 1, start=position)

    def block(x: jax.Array, layer: tuple[Params, Cache]) -> tuple[jax.Array, Cache]:
        weights, filled = layer
        q, k, v = _queries_keys_values(config, weights, _norm(config, x, weights["attention_norm"]), here)
        filled = {
            name: jax.lax.dynamic_update_slice_in_dim(filled[name], new, position, axis=1)
            for name, new in (("k", k), ("v", v))
        }
        mask = (jnp.arange(filled["k"].shape[1]) <= position)[None, None, None, None]
        x = x + _attend(config, q, filled["k"], filled["v"], mask) @ weights["o"]
        x = x + _mlp(weights, _norm(config, x, weights["mlp_norm"]))
        return x, filled

    x = jnp.take(params["embedding"], tokens[:, None], axis=0)
    x, cache = jax.lax.scan(block, x, (params["layers"], cache))
    return _logits(config, params, x)[:, 0], cache


def parameter_shapes(config: LlamaConfig, dtype: DTypeLike = jnp.float32) -> Params:
    """Return the parameter tree with a `jax.ShapeDtypeStruct` for every array.

    It takes no memory and is enough to trace a model of any size, as with `jax.eval_shape`.
    """
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    hidden, intermediate = config.hidden, config.intermediate
    layer = {
        "attention_norm": (hidden,),
        "q": (hidden, queries),
        "k": (hidden, keys),
        "v": (hidden, keys),
        "o": (queries, hidden),
        "mlp_norm": (hidden,),
        "gate": (hidden, intermediate),
        "up": (hidden, intermediate),
        "down": (intermediate, hidden),
    }
    shapes: dict[str, Any] = {
        "embedding": (config.vocabulary, hidden),
        "layers": {name: (config.layers, *shape) for name, shape in layer.items()},
        "norm": (hidden,),
    }
    if not config.tied_head:
        shapes["head"] = (hidden, config.vocabulary)
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, dtype),
        shapes,
        is_leaf=lambda node: isinstance(node, tuple),
    )


def parameter_count(config: LlamaConfig) -> int:
    """Return the number of parameters; a tied head counts once, as the embedding."""
    return sum(math.prod(shape.shape) for shape in jax.tree.leaves(parameter_shapes(config)))


def initialise(config: LlamaConfig, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
    """Return random parameters: matrices normal with variance 1 / fan-in, norms one.

    Args:
        config: the shape of the model.
        key: a `jax.random` key; the same key gives the same parameters.

    Returns:
        The tree of `parameter_shapes(config, dtype)` with arrays in it.
    """
    shapes, structure = jax.tree.flatten_with_path(parameter_shapes(config, dtype))
    keys = jax.random.split(key, len(shapes))
    leaves = [_random_leaf(path[-1].key, key, leaf) for key, (path, leaf) in zip(keys, shapes, strict=True)]
    return jax.tree.unflatten(structure, leaves)


def _random_leaf(name: str, key: jax.Array, leaf: jax.ShapeDtypeStruct) -> jax.Array:
    if name.endswith("norm"):
        return jnp.ones(leaf.shape, leaf.dtype)
    # A tied head contracts over the rows of the embedding.
    fan_in = leaf.shape[-1] if name == "embedding" else leaf.shape[-2]
    return jax.random.normal(key, leaf.shape, leaf.dtype) * fan_in**-0.5


def _check_tokens(config: LlamaConfig, tokens: jax.Array) -> None:
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"tokens have shape {tokens.shape} and dtype {tokens.dtype}; they must be integers of shape [batch, length]"
        )
    if tokens.shape[1] > config.context:
        raise ValueError(f"tokens are {tokens.shape[1]} long; this model's context is {config.context}")


def _check_step(params: Params, cache: Cache, tokens: jax.Array, position: jax.Array | int) -> None:
    _, batch, length, *_ = cache["k"].shape
    if tokens.shape != (batch,) or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"tokens have shape {tokens.shape} and dtype {tokens.dtype}; they must be {batch} integers")
    if cache["k"].dtype != params["embedding"].dtype:
        raise ValueError(f"the cache is {cache['k'].dtype} and the parameters are {params['embedding'].dtype}")
    if not isinstance(position, Tracer) and not 0 <= int(position) < length:
        raise ValueError(f"position = {position} must be from 0 to {length - 1}, within the cache")


def _logits(config: LlamaConfig, params: Params, x: jax.Array) -> jax.Array:
    head = params["embedding"].T if config.tied_head else params["head"]
    return (_norm(config, x, params["norm"]) @ head).astype(jnp.float32)


@jax.named_scope("norms")
def _norm(config: LlamaConfig, x: jax.Array, weight: jax.Array) -> jax.Array:
    wide = x.astype(jnp.float32)
    mean_square = jnp.mean(wide * wide, axis=-1, keepdims=True)
    normed = wide * jax.lax.rsqrt(mean_square + config.norm_epsilon)
    return normed.astype(x.dtype) * weight[None, None, :]


def _queries_keys_values(
    config: LlamaConfig, layer: Params, x: jax.Array, rotation: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """q [batch, length, kv_heads, groups, head_dim], k and v [batch, length, kv_heads, head_dim]."""
    batch, length, _ = x.shape
    q = (x @ layer["q"]).reshape(batch, length, config.heads, config.head_dim)
    k = (x @ layer["k"]).reshape(batch, length, config.kv_heads, config.head_dim)
    v = (x @ layer["v"]).reshape(batch, length, config.kv_heads, config.head_dim)
    with jax.named_scope("rotary embedding"):
        q, k = rotate(q, *rotation), rotate(k, *rotation)
    # Consecutive query heads share a key head; with a group axis keys and values need not be repeated.
    return q.reshape(batch, length, config.kv_heads, config.heads // config.kv_heads, config.head_dim), k, v


def _causal(q: jax.Array, k: jax.Array) -> jax.Array:
    """The causal mask, [1, 1, 1, queries, keys]: each position attends to itself and those before it."""
    return jnp.tril(jnp.ones((q.shape[1], k.shape[1]), dtype=bool))[None, None, None]


def _attend(config: LlamaConfig, q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array) -> jax.Array:
    """Attention of queries to the keys of a mask, [batch, queries, heads * head_dim]."""
    products = jnp.einsum("bqhgd,bkhd->bhgqk", q, k)
    with jax.named_scope("softmax"):
        scores = products.astype(jnp.float32) * config.head_dim**-0.5
        shares = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1).astype(v.dtype)
    mixed = jnp.einsum("bhgqk,bkhd->bqhgd", shares, v)
    return mixed.reshape(*mixed.shape[:2], config.heads * config.head_dim)


def _mlp(layer: Params, x: jax.Array) -> jax.Array:
    gate, up = x @ layer["gate"], x @ layer["up"]
    with jax.named_scope("activations"):
        hidden = jax.nn.silu(gate) * up
    return hidden @ layer["down"]
