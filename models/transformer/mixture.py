"""A mixture of experts: a router chooses the MLPs that each token passes through."""

from typing import Any

import jax
import jax.numpy as jnp

from models.transformer.config import DecoderConfig, Mixture
from models.transformer.linear import Multiply, Routed, activate, linear


def mixture_mlp(
    config: DecoderConfig, mixture: Mixture, layer: dict[str, Any], x: jax.Array, multiply: Multiply = linear
) -> jax.Array:
    """Return the sum of a token's experts, weighted by the router's shares.

    The rows of an expert stand together, so that `jax.lax.ragged_dot` multiplies each expert's rows by its own matrix:
    an emulated core then loads the matrix of an expert once for all its rows.

    Args:
        config: the shape of the model.
        mixture: that of `config`.
        layer: the parameters of a layer.
        x: [batch, length, hidden].
        multiply: with the weights of the layer.

    Returns:
        An array of the shape and dtype of `x`.
    """
    tokens = x.reshape(-1, x.shape[-1])
    scores = multiply(layer, "router", tokens)
    with jax.named_scope("routing"):
        shares, chosen = jax.lax.top_k(jax.nn.softmax(scores.astype(jnp.float32), axis=-1), mixture.per_token)
        if mixture.normalised:
            shares = shares / jnp.sum(shares, axis=-1, keepdims=True)
        order = jnp.argsort(chosen.reshape(-1), stable=True)
        experts = chosen.reshape(-1)[order]
        sizes = jnp.sum(experts[:, None] == jnp.arange(mixture.experts)[None, :], axis=0, dtype=jnp.int32)
        rows = jnp.take(tokens, order // mixture.per_token, axis=0)
    routed = Routed(sizes, experts)
    gate, up = (multiply(layer, name, rows, routed) for name in ("gate", "up"))
    outputs = multiply(layer, "down", activate(config, gate, up), routed)
    with jax.named_scope("routing"):
        own = jnp.take(outputs, jnp.argsort(order), axis=0).reshape(*chosen.shape, -1)
        return jnp.sum(own * shares[..., None].astype(x.dtype), axis=1).reshape(x.shape)
