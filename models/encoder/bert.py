"""BERT: hidden states of whole texts, and sentence embeddings as of sentence-transformers.

The parameters are a nested dict of arrays. The layers are stacked along a leading axis. Every matrix is stored as
[in, out] and applied as `x @ w + bias`.

    {"embedding": [vocabulary, hidden],
     "positions": [context, hidden],
     "types": [types, hidden],
     "embedding_norm", "embedding_norm_bias": [hidden],
     "layers": {"q", "k", "v", "o": [layers, hidden, hidden], and "q_bias" and so on: [layers, hidden],
                "attention_norm", "attention_norm_bias": [layers, hidden],
                "up": [layers, hidden, intermediate], "up_bias": [layers, intermediate],
                "down": [layers, intermediate, hidden], "down_bias": [layers, hidden],
                "mlp_norm", "mlp_norm_bias": [layers, hidden]}}
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from models.shape.checks import check_one_per, check_tokens, require_count, require_number
from models.transformer.linear import linear

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The static shape of a BERT: hashable, so it may be a static argument of `jit`.

    Attributes:
        hidden: width of the residual stream.
        intermediate: width of the hidden layer of an MLP.
        layers: number of transformer blocks.
        heads: of attention, a divisor of `hidden`.
        vocabulary: number of tokens.
        context: number of positions.
        types: number of kinds of text; a text alone is of the first.
        norm_epsilon: added to the variance in LayerNorm.

    Raises:
        ValueError: if a field lies outside its range; the message names field, value and range.
    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    vocabulary: int
    context: int
    types: int = 2
    norm_epsilon: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("hidden", "intermediate", "layers", "heads", "vocabulary", "context", "types"):
            require_count(self, name)
        require_number(self, "norm_epsilon")
        if self.hidden % self.heads:
            raise ValueError(f"EncoderConfig.heads is {self.heads}; it must divide hidden, which is {self.hidden}")


def encoder_shapes(config: EncoderConfig, dtype: DTypeLike = jnp.float32) -> Params:
    """Return the parameter tree with a `jax.ShapeDtypeStruct` for every array."""
    hidden, intermediate = config.hidden, config.intermediate
    matrices = dict.fromkeys("qkvo", (hidden, hidden)) | {"up": (hidden, intermediate), "down": (intermediate, hidden)}
    layer: dict[str, tuple[int, ...]] = {**matrices, **{f"{name}_bias": shape[1:] for name, shape in matrices.items()}}
    layer |= dict.fromkeys(("attention_norm", "attention_norm_bias", "mlp_norm", "mlp_norm_bias"), (hidden,))
    shapes = {
        "embedding": (config.vocabulary, hidden),
        "positions": (config.context, hidden),
        "types": (config.types, hidden),
        "embedding_norm": (hidden,),
        "embedding_norm_bias": (hidden,),
        "layers": {name: (config.layers, *shape) for name, shape in layer.items()},
    }
    return jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, dtype), shapes, is_leaf=lambda node: isinstance(node, tuple)
    )


def encode(
    config: EncoderConfig,
    params: Params,
    tokens: jax.Array,
    *,
    lengths: jax.Array | None = None,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """Return the hidden states of whole texts, of which each position attends to all others.

    Args:
        config: the shape of the model; static.
        params: the nested dict that this module describes, of any float dtypes.
        tokens: integers in [0, vocabulary), [batch, length]; texts that are shorter are filled up at their end.
        lengths: tokens of each text, integers [batch]; None for no filling.
        dtype: of the activations, to which weights are converted as they are multiplied; None for that of the
            embedding.

    Returns:
        [batch, length, hidden]; those of filled places mean nothing.

    Raises:
        ValueError: if tokens are not two-dimensional integers, or longer than `config.context`, or `lengths` is not of
            their batch.
    """
    check_tokens(tokens, config.context)
    check_one_per("text", "lengths", lengths, tokens)
    length = tokens.shape[1]
    x = jnp.take(params["embedding"], tokens, axis=0) + params["positions"][None, :length] + params["types"][None, :1]
    x = _norm(config, params, "embedding_norm", x if dtype is None else x.astype(dtype))
    seen = jnp.ones((1, length), bool) if lengths is None else _filled(lengths, length)

    def layer(x: jax.Array, weights: Params) -> tuple[jax.Array, None]:
        x = _norm(config, weights, "attention_norm", x + _attention(config, weights, x, seen))
        with jax.named_scope("activations"):
            wide = jax.nn.gelu(linear(weights, "up", x), approximate=False)
        return _norm(config, weights, "mlp_norm", x + linear(weights, "down", wide)), None

    return jax.lax.scan(layer, x, params["layers"])[0]


def sentence_embeddings(
    config: EncoderConfig,
    params: Params,
    tokens: jax.Array,
    *,
    lengths: jax.Array | None = None,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """Return unit vectors [batch, hidden]: the mean hidden state of each text, normalised.

    Arguments and errors are those of `encode`.
    """
    states = encode(config, params, tokens, lengths=lengths, dtype=dtype).astype(jnp.float32)
    if lengths is None:
        mean = jnp.mean(states, axis=1)
    else:
        seen = _filled(lengths, tokens.shape[1])[:, :, None]
        mean = jnp.sum(jnp.where(seen, states, 0.0), axis=1) / lengths[:, None].astype(jnp.float32)
    return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)


def _filled(lengths: jax.Array, length: int) -> jax.Array:
    """Whether a place holds a token of its text, [batch, length]."""
    return jnp.arange(length)[None] < lengths[:, None]


def _attention(config: EncoderConfig, layer: Params, x: jax.Array, seen: jax.Array) -> jax.Array:
    width = config.hidden // config.heads
    q, k, v = (linear(layer, name, x).reshape(*x.shape[:2], config.heads, width) for name in "qkv")
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k).astype(jnp.float32) * width**-0.5
    with jax.named_scope("softmax"):
        shares = jax.nn.softmax(jnp.where(seen[:, None, None], scores, -jnp.inf), axis=-1).astype(v.dtype)
    return linear(layer, "o", jnp.einsum("bhqk,bkhd->bqhd", shares, v).reshape(x.shape))


@jax.named_scope("norms")
def _norm(config: EncoderConfig, params: Params, name: str, x: jax.Array) -> jax.Array:
    """LayerNorm over the last axis, computed in float32."""
    wide = x.astype(jnp.float32)
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + config.norm_epsilon)
    gain, bias = (params[key].astype(jnp.float32)[None, None] for key in (name, f"{name}_bias"))
    return (normed * gain + bias).astype(x.dtype)
