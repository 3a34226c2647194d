"""What a Llama-architecture transformer holds, computes and moves, from its shape alone.

D hidden, F intermediate, L layers, h heads, g key-value heads, d head width, V vocabulary. One multiplication with its
addition is 2 operations. Norms, softmax and rotary turns are left out: below 1 % of the operations at these widths.
"""

import dataclasses
from functools import cached_property
from typing import Protocol

from experiments.serving.model.precision import Precision

ACTIVATION_BYTES = 2


class Shape(Protocol):
    """The attributes of a model that its cost follows from; `models.LlamaConfig` has them."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    tied_head: bool


def layer_parameters(shape: Shape) -> int:
    """Weights of one layer that multiply: 2 D h d + 2 D g d + 3 D F."""
    attention = 2 * shape.hidden * shape.head_dim * (shape.heads + shape.kv_heads)
    return attention + 3 * shape.hidden * shape.intermediate


def linear_parameters(shape: Shape) -> int:
    """Weights that multiply every decoded token: L layers and the head, D V."""
    return shape.layers * layer_parameters(shape) + shape.hidden * shape.vocabulary


def parameters(shape: Shape) -> int:
    """All parameters: those that multiply, the embedding where it is not the head, and the norms."""
    embedding = 0 if shape.tied_head else shape.hidden * shape.vocabulary
    return linear_parameters(shape) + embedding + (2 * shape.layers + 1) * shape.hidden


def kv_values_per_token(shape: Shape) -> int:
    """Keys and values that one token leaves: 2 L g d."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim


def attention_flops(shape: Shape, pairs: float) -> float:
    """Operations of scores and their weighted sums for so many pairs of a query with a key: 4 L h d each."""
    return 4.0 * shape.layers * shape.heads * shape.head_dim * pairs


def causal_pairs(new: float, cached: float = 0) -> float:
    """Pairs of `new` queries with the keys before them: all `cached` ones, and half of their own square."""
    return new * cached + new * new / 2


def prefill_flops(shape: Shape, new: float, cached: float = 0) -> float:
    """Operations that read `new` tokens after `cached` ones: 2 P new + attention + the head once, 2 D V."""
    layers = 2.0 * shape.layers * layer_parameters(shape) * new
    return layers + attention_flops(shape, causal_pairs(new, cached)) + 2.0 * shape.hidden * shape.vocabulary


def decode_flops(shape: Shape, context: float) -> float:
    """Operations of one decoded token that sees `context` keys: 2 (P + D V) + 4 L h d context."""
    return 2.0 * linear_parameters(shape) + attention_flops(shape, context)


def activation_values(shape: Shape) -> int:
    """Values that one token moves to and from memory between kernels.

    A layer reads and writes the residual stream ten times (two norms, two additions, the inputs and outputs of the
    products), queries, keys and values twice each, gate and up three times: 10 D + 2 (h + 2 g) d + 6 F, if each
    kernel fuses only its own element-wise work.
    """
    layer = 10 * shape.hidden + 2 * (shape.heads + 2 * shape.kv_heads) * shape.head_dim + 6 * shape.intermediate
    return shape.layers * layer


@dataclasses.dataclass(frozen=True)
class Model:
    """A shape kept in a precision."""

    shape: Shape
    precision: Precision

    @cached_property
    def linear_parameters(self) -> int:
        """Weights that multiply every decoded token."""
        return linear_parameters(self.shape)

    @cached_property
    def resident_bytes(self) -> float:
        """Bytes of all parameters in memory."""
        return parameters(self.shape) * self.precision.weight_bytes

    @cached_property
    def step_weight_bytes(self) -> float:
        """Bytes of weights that one pass reads: b_w (P + D V)."""
        return self.linear_parameters * self.precision.weight_bytes

    @cached_property
    def kv_bytes_per_token(self) -> float:
        """Bytes of keys and values that one token leaves: 2 L g d b_kv."""
        return kv_values_per_token(self.shape) * self.precision.kv_bytes

    @cached_property
    def activation_bytes(self) -> float:
        """Bytes that one token moves between kernels."""
        return activation_values(self.shape) * ACTIVATION_BYTES

    @cached_property
    def layer_parameters(self) -> int:
        """Weights of one layer."""
        return layer_parameters(self.shape)

    def decode_step_bytes(self, batch: float, context: float) -> float:
        """Bytes of one step: the weights once, and the keys and values of each sequence."""
        return self.step_weight_bytes + batch * context * self.kv_bytes_per_token
