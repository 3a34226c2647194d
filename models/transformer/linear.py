"""Products with the weights of a layer, norms and activations."""

from typing import Any

import jax
import jax.numpy as jnp

from models.transformer.config import DecoderConfig

# Of gpt-oss: the bound of gate and linear part, and the slope of the sigmoid.
_CLAMP, _SLOPE = 7.0, 1.702


def linear(layer: dict[str, Any], name: str, x: jax.Array) -> jax.Array:
    """Return `x @ w`, and the bias where the layer has one; weights of another dtype take that of `x` here."""
    y = x @ layer[name].astype(x.dtype)
    return y + _along_last(layer[f"{name}_bias"].astype(x.dtype), y) if f"{name}_bias" in layer else y


@jax.named_scope("norms")
def norm(config: DecoderConfig, x: jax.Array, gain: jax.Array, epsilon: float | None = None) -> jax.Array:
    """RMSNorm over the last axis, computed in float32; `epsilon` is that of the config unless given."""
    wide = x.astype(jnp.float32)
    mean_square = jnp.mean(wide * wide, axis=-1, keepdims=True)
    normed = wide * jax.lax.rsqrt(mean_square + (epsilon or config.norm_epsilon))
    if config.offset_norms:
        return (normed * _along_last(1.0 + gain.astype(jnp.float32), x)).astype(x.dtype)
    return normed.astype(x.dtype) * _along_last(gain.astype(x.dtype), x)


def activate(config: DecoderConfig, gate: jax.Array, up: jax.Array) -> jax.Array:
    """The hidden layer of an MLP from its two products."""
    with jax.named_scope("activations"):
        if config.activation == "silu":
            return jax.nn.silu(gate) * up
        if config.activation == "gelu_tanh":
            return jax.nn.gelu(gate, approximate=True) * up
        gate = jnp.minimum(gate, _CLAMP)
        return gate * jax.nn.sigmoid(_SLOPE * gate) * (jnp.clip(up, -_CLAMP, _CLAMP) + 1.0)


def mlp(config: DecoderConfig, layer: dict[str, Any], x: jax.Array, prefix: str = "") -> jax.Array:
    """A gated MLP, [..., hidden], of the matrices whose names begin with `prefix`."""
    gate, up = (linear(layer, f"{prefix}{name}", x) for name in ("gate", "up"))
    return linear(layer, f"{prefix}down", activate(config, gate, up))


def _along_last(vector: jax.Array, like: jax.Array) -> jax.Array:
    return jnp.expand_dims(vector, range(like.ndim - 1))
