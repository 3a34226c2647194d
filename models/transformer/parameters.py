"""The parameters of a decoder: their tree, their number, random ones.

They are a nested dict of arrays. The layers are stacked along a leading axis. Every matrix is stored as [in, out] and
applied as `x @ w`. In brackets: where the config says so.

    {"embedding": [vocabulary, hidden],
     "layers": {"attention_norm": [layers, hidden],
                "q": [layers, hidden, heads * head_dim],
                "k": [layers, hidden, kv_heads * head_dim],
                "v": [layers, hidden, kv_heads * head_dim],
                "o": [layers, heads * head_dim, hidden],
                "mlp_norm": [layers, hidden],
                "gate": [layers, (experts,) hidden, intermediate],
                "up": [layers, (experts,) hidden, intermediate],
                "down": [layers, (experts,) intermediate, hidden],
                ("router": [layers, hidden, experts],)
                ("q_bias": [layers, heads * head_dim], and so on,)
                ("q_norm", "k_norm": [layers, head_dim],)
                ("attention_post_norm", "mlp_post_norm": [layers, hidden],)
                ("sinks": [layers, heads],)
                ("router_correction": [layers, experts],)
                ("shared_gate", "shared_up": [layers, hidden, shared], "shared_down": [layers, shared, hidden])},
     ("dense": the first layers in the same form, where they have an MLP and the others a mixture,)
     "norm": [hidden],
     ("head": [hidden, vocabulary])}

With latent attention a layer has no k and v but "kv_down" [layers, hidden, rank + rotary_dim], "kv_down_norm" [layers,
rank] and "kv" [layers, rank, heads * (head_dim - rotary_dim + value_dim)], in which keys and values of a head stand
together; where queries have a latent too, "q_down" [layers, hidden, query_rank] and "q_down_norm" [layers, query_rank].
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from models.shape.config import DecoderConfig

Params = dict[str, Any]


def layer_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of one layer of a model whose layers are alike."""
    hidden, intermediate = config.hidden, config.intermediate
    experts = (config.mixture.experts,) if config.mixture else ()
    layer: dict[str, tuple[int, ...]] = {
        "attention_norm": (hidden,),
        **_attention_shapes(config),
        "mlp_norm": (hidden,),
        "gate": (*experts, hidden, intermediate),
        "up": (*experts, hidden, intermediate),
        "down": (*experts, intermediate, hidden),
    }
    if config.mixture:
        layer["router"] = (hidden, config.mixture.experts)
        if config.mixture.scoring == "sigmoid":
            layer["router_correction"] = (config.mixture.experts,)
        if shared := config.mixture.shared:
            layer |= {"shared_gate": (hidden, shared), "shared_up": (hidden, shared), "shared_down": (shared, hidden)}
    # The bias of a matrix [..., in, out] is [..., out].
    layer |= {f"{name}_bias": (*layer[name][:-2], layer[name][-1]) for name in config.biases}
    if config.query_key_norm:
        layer |= {"q_norm": (config.head_dim,), "k_norm": (config.head_dim,)}
    if config.post_norms:
        layer |= {"attention_post_norm": (hidden,), "mlp_post_norm": (hidden,)}
    if config.sinks:
        layer["sinks"] = (config.heads,)
    return layer


def _attention_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    hidden, queries = config.hidden, config.heads * config.head_dim
    latent = config.latent
    if latent is None:
        keys = config.kv_heads * config.head_dim
        return {"q": (hidden, queries), "k": (hidden, keys), "v": (hidden, keys), "o": (queries, hidden)}
    made = config.head_dim - latent.rotary_dim + latent.value_dim
    shapes = {
        "q": (latent.query_rank or hidden, queries),
        "kv_down": (hidden, latent.rank + latent.rotary_dim),
        "kv_down_norm": (latent.rank,),
        "kv": (latent.rank, config.heads * made),
        "o": (config.heads * latent.value_dim, hidden),
    }
    if latent.query_rank is not None:
        shapes |= {"q_down": (hidden, latent.query_rank), "q_down_norm": (latent.query_rank,)}
    return shapes


def parameter_shapes(config: DecoderConfig, dtype: DTypeLike = jnp.float32) -> Params:
    """Return the parameter tree with a `jax.ShapeDtypeStruct` for every array.

    It takes no memory and is enough to trace a model of any size, as with `jax.eval_shape`.
    """
    shapes: dict[str, Any] = {
        "embedding": (config.vocabulary, config.hidden),
        **{
            name: {each: (part.layers, *shape) for each, shape in layer_shapes(part).items()}
            for name, part in config.parts.items()
        },
        "norm": (config.hidden,),
    }
    if not config.tied_head:
        shapes["head"] = (config.hidden, config.vocabulary)
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, dtype),
        shapes,
        is_leaf=lambda node: isinstance(node, tuple),
    )


def layers_before(params: Params) -> dict[str, int]:
    """Return by stack of layers in a tree of parameters or shapes the number of layers in the stacks before it."""
    dense = jax.tree.leaves(params.get("dense"))
    return {"dense": 0, "layers": dense[0].shape[0]} if dense else {"layers": 0}


def parameter_count(config: DecoderConfig) -> int:
    """Return the number of parameters; a tied head counts once, as the embedding."""
    return sum(math.prod(shape.shape) for shape in jax.tree.leaves(parameter_shapes(config)))


def initialise(config: DecoderConfig, key: jax.Array, dtype: DTypeLike = jnp.float32) -> Params:
    """Return random parameters: matrices normal with variance 1 / fan-in, gains of norms one, and all else zero.

    Args:
        config: the shape of the model.
        key: a `jax.random` key; the same key gives the same parameters.

    Returns:
        The tree of `parameter_shapes(config, dtype)` with arrays in it.
    """
    shapes, structure = jax.tree.flatten_with_path(parameter_shapes(config, dtype))
    keys = jax.random.split(key, len(shapes))
    leaves = [_random_leaf(config, path[-1].key, key, leaf) for key, (path, leaf) in zip(keys, shapes, strict=True)]
    return jax.tree.unflatten(structure, leaves)


def _random_leaf(config: DecoderConfig, name: str, key: jax.Array, leaf: jax.ShapeDtypeStruct) -> jax.Array:
    if name.endswith("norm"):
        return jnp.full(leaf.shape, 0.0 if config.offset_norms else 1.0, leaf.dtype)
    if name.endswith("bias") or name in ("sinks", "router_correction"):
        return jnp.zeros(leaf.shape, leaf.dtype)
    # A tied head contracts over the rows of the embedding.
    fan_in = leaf.shape[-1] if name == "embedding" else leaf.shape[-2]
    return jax.random.normal(key, leaf.shape, leaf.dtype) * fan_in**-0.5
