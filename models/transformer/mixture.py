"""A mixture of experts: a router chooses the MLPs that each token passes through."""

from typing import Any

import jax
import jax.numpy as jnp

from models.shape.config import DecoderConfig
from models.shape.features import Mixture
from models.transformer.linear import Multiply, Routed, activate, linear, mlp


def mixture_mlp(
    config: DecoderConfig, mixture: Mixture, layer: dict[str, Any], x: jax.Array, multiply: Multiply = linear
) -> jax.Array:
    """Return the sum of a token's experts, weighted by the router's shares, and of the MLP that all tokens share.

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
        shares, chosen = _routed(mixture, layer, scores.astype(jnp.float32))
        order = jnp.argsort(chosen.reshape(-1), stable=True)
        experts = chosen.reshape(-1)[order]
        sizes = jnp.sum(experts[:, None] == jnp.arange(mixture.experts)[None, :], axis=0, dtype=jnp.int32)
        rows = jnp.take(tokens, order // mixture.per_token, axis=0)
    routed = Routed(sizes, experts)
    gate, up = (multiply(layer, name, rows, routed) for name in ("gate", "up"))
    outputs = multiply(layer, "down", activate(config, gate, up), routed)
    with jax.named_scope("routing"):
        own = jnp.take(outputs, jnp.argsort(order), axis=0).reshape(*chosen.shape, -1)
        mixed = jnp.sum(own * shares[..., None].astype(x.dtype), axis=1).reshape(x.shape)
    return mixed + mlp(config, layer, x, multiply, "shared_") if mixture.shared else mixed


def _routed(mixture: Mixture, layer: dict[str, Any], scores: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The shares of a token's experts and their numbers, each [tokens, per_token], of the router's products."""
    if mixture.scoring == "softmax":
        scores = likely = jax.nn.softmax(scores, axis=-1)
    else:
        scores = jax.nn.sigmoid(scores)
        likely = scores + layer["router_correction"].astype(jnp.float32)[None]
    if mixture.groups > 1:
        likely = _in_best_groups(mixture, likely)
    shares, chosen = jax.lax.top_k(likely, mixture.per_token)
    if mixture.scoring == "sigmoid" or mixture.groups > 1:
        shares = jnp.take_along_axis(scores, chosen, axis=-1)
    if mixture.normalised:
        shares = shares / jnp.sum(shares, axis=-1, keepdims=True)
    return (shares if mixture.scale == 1.0 else mixture.scale * shares), chosen


def _in_best_groups(mixture: Mixture, likely: jax.Array) -> jax.Array:
    """Scores [tokens, experts], and -inf in the groups that a token's experts are not in."""
    grouped = likely.reshape(-1, mixture.groups, mixture.experts // mixture.groups)
    of_group = jnp.sum(jax.lax.top_k(grouped, 2)[0], axis=-1)
    best = jax.lax.top_k(of_group, mixture.groups_per_token)[1]
    among = jnp.any(best[..., None] == jnp.arange(mixture.groups)[None, None], axis=1)
    return jnp.where(among[..., None], grouped, -jnp.inf).reshape(likely.shape)
