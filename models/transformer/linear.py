"""Products with the weights of a layer, norms and activations."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from models.shape.config import DecoderConfig

# Of gpt-oss: the bound of gate and linear part, and the slope of the sigmoid.
_CLAMP, _SLOPE = 7.0, 1.702


class Routed(NamedTuple):
    """Which experts rows belong to; those of an expert stand together.

    Attributes:
        sizes: number of rows of each expert, int32 [experts].
        experts: the expert of each row, [rows].
    """

    sizes: jax.Array
    experts: jax.Array


class Multiply(Protocol):
    """What multiplies with the weights of a layer: `linear`, or what stands for it."""

    def __call__(self, layer: dict[str, Any], name: str, x: jax.Array, routed: Routed | None = None) -> jax.Array:
        """Return `x` [..., in] times the matrix of a name; rows [rows, in] times that of their expert if routed."""
        ...


def linear(layer: dict[str, Any], name: str, x: jax.Array, routed: Routed | None = None) -> jax.Array:
    """Return `x @ w`, and the bias where the layer has one; weights of another dtype take that of `x` here.

    Where `routed` is given, w is [experts, in, out], and each row of `x` meets that of its expert.
    """
    if routed is not None:
        y = jax.lax.ragged_dot(x, layer[name].astype(x.dtype), routed.sizes)
        if f"{name}_bias" not in layer:
            return y
        return y + jnp.take(layer[f"{name}_bias"].astype(y.dtype), routed.experts, axis=0)
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
    """The hidden layer of an MLP from its two products, rotated where the config says so."""
    hidden = _activation(config, gate, up)
    if config.down_rotation is None:
        return hidden
    with jax.named_scope("rotation"):
        return config.down_rotation.apply(hidden)


def _activation(config: DecoderConfig, gate: jax.Array, up: jax.Array) -> jax.Array:
    with jax.named_scope("activations"):
        if config.activation == "silu":
            return jax.nn.silu(gate) * up
        if config.activation == "gelu_tanh":
            return jax.nn.gelu(gate, approximate=True) * up
        gate = jnp.minimum(gate, _CLAMP)
        return gate * jax.nn.sigmoid(_SLOPE * gate) * (jnp.clip(up, -_CLAMP, _CLAMP) + 1.0)


def mlp(
    config: DecoderConfig, layer: dict[str, Any], x: jax.Array, multiply: Multiply = linear, prefix: str = ""
) -> jax.Array:
    """A gated MLP, [..., hidden], of the matrices whose names begin with `prefix`."""
    gate, up = (multiply(layer, f"{prefix}{name}", x) for name in ("gate", "up"))
    return multiply(layer, f"{prefix}down", activate(config, gate, up))


def _along_last(vector: jax.Array, like: jax.Array) -> jax.Array:
    return jnp.expand_dims(vector, range(like.ndim - 1))
