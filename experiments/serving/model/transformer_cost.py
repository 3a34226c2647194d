"""What a decoder holds, computes and moves, from its shape alone.

Symbols: D hidden, F intermediate, L layers, h heads, g key-value heads, d head width, V vocabulary, P weights of all
layers that multiply a token, E experts, K experts per token. One multiply-accumulate is 2 operations. Norms, softmax
and rotary embedding are left out: they are below 1 % of the operations at these widths.

Routing is taken to be even and independent of token and layer: T tokens of a pass touch E (1 - (1 - K/E)^T) experts of
a layer, and only the weights of these are read. A layer with a sliding window keeps and reads the keys of its window.
Latent attention keeps the latent and the shared rotary features. A prompt expands it into keys and values of all heads;
a decoded token, and a prompt after a cached prefix, multiply it as it is.
"""

import dataclasses
import math
from collections import Counter
from functools import cached_property, lru_cache

import models
from experiments.serving.model.precision import Precision

ACTIVATION_BYTES = 2


@lru_cache(maxsize=64)
def _layer_weights(config: models.DecoderConfig) -> tuple[int, int]:
    """(weights of all layers outside of experts that are chosen, weights of all experts)."""
    shapes = models.parameter_shapes(config)
    stacks = [
        leaf.shape
        for stack in ("layers", "dense")
        for name, leaf in shapes.get(stack, {}).items()
        if not name.endswith("_bias") and len(leaf.shape) >= 3
    ]
    return (
        sum(math.prod(shape) for shape in stacks if len(shape) == 3),
        sum(math.prod(shape) for shape in stacks if len(shape) == 4),
    )


def layer_weights(config: models.DecoderConfig) -> tuple[float, int]:
    """(weights of all layers that multiply a token, weights of all layers), without the head."""
    every, experts = _layer_weights(config)
    return every + experts * _routed_share(config), every + experts


def _routed_share(config: models.DecoderConfig) -> float:
    return config.mixture.per_token / config.mixture.experts if config.mixture else 1.0


def touched_share(config: models.DecoderConfig, tokens: float) -> float:
    """Expected share of the experts of a layer that a pass of `tokens` touches; 1 without experts."""
    return 1.0 - (1.0 - _routed_share(config)) ** tokens if config.mixture else 1.0


def touched_layer_weights(config: models.DecoderConfig, tokens: float) -> float:
    """Expected number of weights of all layers that a pass of `tokens` reads."""
    every, experts = _layer_weights(config)
    return every + experts * touched_share(config, tokens)


def linear_parameters(config: models.DecoderConfig) -> float:
    """Weights that multiply every decoded token: P of the layers, and the head, D V."""
    return layer_weights(config)[0] + config.hidden * config.vocabulary


def attention_flops(config: models.DecoderConfig, pairs: float, absorbed: bool = False) -> float:
    """Operations of scores and weighted sums.

    4 L h d per pair; with latent attention 2 L h (d + value width), or where the latent is multiplied as it is
    2 L h (2 rank + rotary width).

    Args:
        config: shape of the model.
        pairs: pairs of a query with a key, mean over the layers.
        absorbed: whether latents are multiplied as they are.
    """
    width = 2 * config.head_dim
    if config.latent is not None:
        latent = config.latent
        width = 2 * latent.rank + latent.rotary_dim if absorbed else config.head_dim + latent.value_dim
    return 2.0 * config.layers * config.heads * width * pairs


@lru_cache(maxsize=64)
def _windows(config: models.DecoderConfig) -> tuple[tuple[float, float], ...]:
    """(window in tokens, share of the layers that have it)."""
    counts = Counter(math.inf if kind.window is None else kind.window for kind in config.layer_kinds)
    return tuple((window, count / config.layers) for window, count in counts.items())


def kept_tokens(config: models.DecoderConfig, tokens: float) -> float:
    """Tokens of a sequence whose keys and values a layer keeps, mean over the layers."""
    return sum(share * min(tokens, window) for window, share in _windows(config))


def causal_pairs(config: models.DecoderConfig, new: float, cached: float = 0) -> float:
    """Pairs of `new` queries with the keys that they see, mean over the layers.

    All `cached` keys and half of the square of the new ones; in a layer with a window no more than the window each.
    """
    return sum(share * _seen(new, cached, window) for window, share in _windows(config))


def _seen(new: float, cached: float, window: float) -> float:
    inside = min(max(window - cached, 0.0), new)
    beyond = new - inside
    return inside * cached + inside * inside / 2 + (beyond * window if beyond else 0.0)


def prefill_flops(config: models.DecoderConfig, new: float, cached: float = 0) -> float:
    """Operations that read `new` tokens after `cached` ones: 2 P new, attention, and the head once, 2 D V."""
    layers = 2.0 * layer_weights(config)[0] * new
    pairs = attention_flops(config, causal_pairs(config, new, cached), absorbed=cached > 0)
    return layers + pairs + 2.0 * config.hidden * config.vocabulary


def decode_flops(config: models.DecoderConfig, context: float) -> float:
    """Operations of one decoded token that sees `context` keys: 2 (P + D V) + 4 L h d context."""
    return 2.0 * linear_parameters(config) + attention_flops(config, kept_tokens(config, context), absorbed=True)


def cached_values(config: models.DecoderConfig) -> int:
    """Values per token that a layer keeps: 2 g d of keys and values, or those of the latent."""
    if config.latent is not None:
        return config.latent.rank + config.latent.rotary_dim
    return 2 * config.kv_heads * config.head_dim


def residual_values(config: models.DecoderConfig) -> int:
    """Values of `activation_values` that every chip of a tensor-parallel group moves: 10 D per layer.

    Norms and additions are computed on all chips alike, and inputs and summed outputs of the products are whole on each
    (Korthikanti et al., arXiv 2205.05198, section 4.2.1).
    """
    return config.layers * 10 * config.hidden


def activation_values(config: models.DecoderConfig) -> int:
    """Values that one token moves to and from memory between kernels, each of which fuses its own elementwise work.

    Per layer 10 D + 2 (h + 2 g) d + 6 F: the residual stream is read or written ten times (two norms, two additions,
    the inputs and outputs of the products), queries, keys and values twice each, gate and up three times each. With
    experts F is the sum over those of a token, and 2 D of each go to and come from it.
    """
    attention = 10 * config.hidden + 2 * (config.heads * config.head_dim + cached_values(config))
    if config.mixture is None:
        return config.layers * (attention + 6 * config.intermediate)
    mixture = config.mixture
    routed = mixture.per_token * (6 * config.intermediate + 2 * config.hidden) + 6 * mixture.shared
    dense = config.dense_layers * 6 * (config.dense_intermediate or 0)
    return config.layers * attention + (config.layers - config.dense_layers) * routed + dense


@dataclasses.dataclass(frozen=True)
class Model:
    """A transformer whose weights, keys and values are kept in a precision."""

    config: models.DecoderConfig
    precision: Precision

    @cached_property
    def linear_parameters(self) -> float:
        """Weights that multiply every decoded token."""
        return linear_parameters(self.config)

    @cached_property
    def active_layer_weights(self) -> float:
        """Weights of all layers that multiply a token."""
        return layer_weights(self.config)[0]

    @cached_property
    def resident_weights(self) -> int:
        """Weights of all layers and the head, every expert's too."""
        return layer_weights(self.config)[1] + self.config.hidden * self.config.vocabulary

    @cached_property
    def resident_bytes(self) -> float:
        """Bytes of all parameters in memory."""
        return models.parameter_count(self.config) * self.precision.weight_bytes

    def weight_bytes(self, tokens: float) -> float:
        """Bytes of weights that one pass of `tokens` reads: b_w (P + D V), of experts those that it touches."""
        touched = touched_layer_weights(self.config, tokens) + self.config.hidden * self.config.vocabulary
        return touched * self.precision.weight_bytes

    @cached_property
    def kv_bytes_per_token(self) -> float:
        """Bytes of keys and values per token where no layer has a window: 2 L g d b_kv, or L b_kv of the latent."""
        return cached_values(self.config) * self.config.layers * self.precision.kv_bytes

    def kv_bytes(self, tokens: float) -> float:
        """Bytes of keys and values of a sequence of `tokens`."""
        return kept_tokens(self.config, tokens) * self.kv_bytes_per_token

    @cached_property
    def activation_bytes(self) -> float:
        """Bytes that one token moves between kernels."""
        return activation_values(self.config) * ACTIVATION_BYTES

    @cached_property
    def layer_parameters(self) -> float:
        """Weights that multiply a token, mean over the layers."""
        return self.active_layer_weights / self.config.layers

    @cached_property
    def residual_bytes(self) -> float:
        """Bytes of `activation_bytes` that every chip of a tensor-parallel group moves."""
        return residual_values(self.config) * ACTIVATION_BYTES

    def decode_step_bytes(self, batch: float, context: float) -> float:
        """Bytes of one step: the weights once, and the keys and values of each sequence."""
        return self.weight_bytes(batch) + batch * self.kv_bytes(context)
