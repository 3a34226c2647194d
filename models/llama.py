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
from jax.typing import DTypeLike

from models.llama_config import LlamaConfig
from models.rope import rotate, rotation_tables

Params = dict[str, Any]


def forward(config: LlamaConfig, params: Params, tokens: jax.Array) -> jax.Array:
    """Runs the transformer over whole sequences, each position seeing itself and those before.

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
        x = x + _attention(config, layer, _norm(config, x, layer["attention_norm"]), rotation)
        x = x + _mlp(layer, _norm(config, x, layer["mlp_norm"]))
        return x, None

    x = jnp.take(params["embedding"], tokens, axis=0)
    x, _ = jax.lax.scan(block, x, params["layers"])
    x = _norm(config, x, params["norm"])
    head = params["embedding"].T if config.tied_head else params["head"]
    return (x @ head).astype(jnp.float32)


def parameter_shapes(config: LlamaConfig, dtype: DTypeLike = jnp.float32) -> Params:
    """The parameter tree with a `jax.ShapeDtypeStruct` for every array: no memory is taken.

    Enough to trace a model of any size, as with `jax.eval_shape`.
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
    """How many numbers the parameters hold; a tied head counts once, as the embedding."""
    return sum(math.prod(shape.shape) for shape in jax.tree.leaves(parameter_shapes(config)))


def initialise(config: LlamaConfig, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
    """Random parameters: matrices normal with variance 1 / fan-in, norms one.

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
    # A row of the embedding is what a tied head contracts over.
    fan_in = leaf.shape[-1] if name == "embedding" else leaf.shape[-2]
    return jax.random.normal(key, leaf.shape, leaf.dtype) * fan_in**-0.5


def _check_tokens(config: LlamaConfig, tokens: jax.Array) -> None:
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"tokens have shape {tokens.shape} and dtype {tokens.dtype}; they must be integers of shape [batch, length]"
        )
    if tokens.shape[1] > config.context:
        raise ValueError(f"tokens are {tokens.shape[1]} long; this model's context is {config.context}")


def _norm(config: LlamaConfig, x: jax.Array, weight: jax.Array) -> jax.Array:
    wide = x.astype(jnp.float32)
    mean_square = jnp.mean(wide * wide, axis=-1, keepdims=True)
    normed = wide * jax.lax.rsqrt(mean_square + config.norm_epsilon)
    return normed.astype(x.dtype) * weight[None, None, :]


def _attention(config: LlamaConfig, layer: Params, x: jax.Array, rotation: tuple[jax.Array, jax.Array]) -> jax.Array:
    batch, length, _ = x.shape
    groups = config.heads // config.kv_heads
    q = (x @ layer["q"]).reshape(batch, length, config.heads, config.head_dim)
    k = (x @ layer["k"]).reshape(batch, length, config.kv_heads, config.head_dim)
    v = (x @ layer["v"]).reshape(batch, length, config.kv_heads, config.head_dim)
    # Consecutive query heads share a key head; a group axis spares the repeated keys and values.
    q = rotate(q, *rotation).reshape(batch, length, config.kv_heads, groups, config.head_dim)
    k = rotate(k, *rotation)
    scores = jnp.einsum("bqhgd,bkhd->bhgqk", q, k).astype(jnp.float32) * config.head_dim**-0.5
    causal = jnp.tril(jnp.ones((length, length), dtype=bool))[None, None, None]
    shares = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1).astype(x.dtype)
    mixed = jnp.einsum("bhgqk,bkhd->bqhgd", shares, v)
    return mixed.reshape(batch, length, config.heads * config.head_dim) @ layer["o"]


def _mlp(layer: Params, x: jax.Array) -> jax.Array:
    return (jax.nn.silu(x @ layer["gate"]) * (x @ layer["up"])) @ layer["down"]
