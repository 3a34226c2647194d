"""What a Llama-architecture transformer holds, computes and moves, from its shape alone.

Symbols: D hidden, F intermediate, L layers, h heads, g key-value heads, d head width, V vocabulary, P weights of all
layers. One multiply-accumulate is 2 operations. Norms, softmax and rotary embedding are left out: they are below 1 % of
the operations at these widths.
"""

import dataclasses
import math
from functools import cached_property, lru_cache

import models
from experiments.serving.model.precision import Precision

ACTIVATION_BYTES = 2


def check_served(name: str, config: models.DecoderConfig) -> None:
    """Raise ValueError for a model that these formulas do not describe: a mixture, or one with other attention."""
    if config.mixture:
        raise ValueError(f"model = {name!r} is a mixture of experts; serving is predicted for models without")
    if config.window:
        raise ValueError(f"model = {name!r} attends in a sliding window; serving is predicted for models without")
    if config.latent:
        raise ValueError(f"model = {name!r} has latent attention; serving is predicted for models without")


@lru_cache(maxsize=64)
def layer_parameters(config: models.DecoderConfig) -> int:
    """Weights of one layer that multiply: 2 D h d + 2 D g d + 3 D F."""
    stacked = [leaf.shape for leaf in models.parameter_shapes(config)["layers"].values()]
    return sum(math.prod(shape[1:]) for shape in stacked if len(shape) == 3)


def layer_weights(config: models.DecoderConfig) -> tuple[int, int]:
    """(weights of all layers that multiply a token, weights of all layers)."""
    weights = config.layers * layer_parameters(config)
    return weights, weights


def linear_parameters(config: models.DecoderConfig) -> int:
    """Weights that multiply every decoded token: P of the layers, and the head, D V."""
    return config.layers * layer_parameters(config) + config.hidden * config.vocabulary


def attention_flops(config: models.DecoderConfig, pairs: float) -> float:
    """Operations of scores and weighted sums for `pairs` pairs of a query with a key: 4 L h d per pair."""
    return 4.0 * config.layers * config.heads * config.head_dim * pairs


def causal_pairs(new: float, cached: float = 0) -> float:
    """Pairs of `new` queries with the keys before them: all `cached` ones, and half of their own square."""
    return new * cached + new * new / 2


def prefill_flops(config: models.DecoderConfig, new: float, cached: float = 0) -> float:
    """Operations that read `new` tokens after `cached` ones: 2 P new, attention, and the head once, 2 D V."""
    layers = 2.0 * config.layers * layer_parameters(config) * new
    return layers + attention_flops(config, causal_pairs(new, cached)) + 2.0 * config.hidden * config.vocabulary


def decode_flops(config: models.DecoderConfig, context: float) -> float:
    """Operations of one decoded token that sees `context` keys: 2 (P + D V) + 4 L h d context."""
    return 2.0 * linear_parameters(config) + attention_flops(config, context)


def activation_values(config: models.DecoderConfig) -> int:
    """Values that one token moves to and from memory between kernels, each of which fuses its own elementwise work.

    Per layer 10 D + 2 (h + 2 g) d + 6 F: the residual stream is read or written ten times (two norms, two additions,
    the inputs and outputs of the products), queries, keys and values twice each, gate and up three times each.
    """
    layer = 10 * config.hidden + 2 * (config.heads + 2 * config.kv_heads) * config.head_dim + 6 * config.intermediate
    return config.layers * layer


@dataclasses.dataclass(frozen=True)
class Model:
    """A transformer whose weights, keys and values are kept in a precision."""

    config: models.DecoderConfig
    precision: Precision

    @cached_property
    def linear_parameters(self) -> int:
        """Weights that multiply every decoded token."""
        return linear_parameters(self.config)

    @cached_property
    def resident_bytes(self) -> float:
        """Bytes of all parameters in memory."""
        return models.parameter_count(self.config) * self.precision.weight_bytes

    @cached_property
    def step_weight_bytes(self) -> float:
        """Bytes of weights that one pass reads: b_w (P + D V)."""
        return self.linear_parameters * self.precision.weight_bytes

    @cached_property
    def kv_bytes_per_token(self) -> float:
        """Bytes of keys and values per token: 2 L g d b_kv."""
        return 2 * self.config.layers * self.config.kv_heads * self.config.head_dim * self.precision.kv_bytes

    @cached_property
    def activation_bytes(self) -> float:
        """Bytes that one token moves between kernels."""
        return activation_values(self.config) * ACTIVATION_BYTES

    @cached_property
    def layer_parameters(self) -> int:
        """Weights of one layer."""
        return layer_parameters(self.config)

    def decode_step_bytes(self, batch: float, context: float) -> float:
        """Bytes of one step: the weights once, and the keys and values of each sequence."""
        return self.step_weight_bytes + batch * context * self.kv_bytes_per_token
