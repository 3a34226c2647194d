"""Roofline model of a digital machine: time by kernel, latency, link and host; energy by operation and byte.

Products with weights and attention are separate kernels: each is bound by its own slower resource, and their times
add. Utilisations are achieved ones, not peaks.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from experiments.serving.model.machine import Cost
from experiments.serving.model.transformer_cost import (
    ACTIVATION_BYTES,
    Model,
    attention_flops,
    causal_pairs,
    kept_tokens,
)

REFERENCE_LAYER = 218_103_808
"""Weights of a layer of Llama 3.1 8B, for which latencies that grow with a layer are stated."""
REDUCTIONS_PER_LAYER = 2
RING_CHIPS = 8
"""Chips of the largest ring, those of one node; beyond, switches add and the latency stays."""
LIMIT_SHARPNESS = 32
"""Exponent of the soft limit of power: within 5 % of a hard clip at the limit, but differentiable for the fit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Software:
    """Overhead of the serving software, per step and per sequence in it, and its limits."""

    step_seconds: float
    sequence_seconds: float
    tokens_per_pass: int
    largest_batch: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitalMachine:
    """A number of equal chips that hold one copy of a model. Rates, bytes and watts are per chip where named so.

    Attributes:
        parallel: each chip has a part of every layer ("tensor"), or its own layers ("pipeline").
        peak: operations/s of one chip by precision, dense.
        chip_memory, chip_bandwidth: bytes and bytes/s of the memory that holds weights, keys and values.
        link_bandwidth: bytes/s, one way, between chips of one copy, as achieved.
        chip_network: bytes/s, one way, from one chip to other machines.
        compute_utilisation, weight_utilisation, kv_utilisation: achieved shares of peak and of bandwidth.
        layer_seconds: latency that a layer adds to a pass; it grows as (weights per layer)^layer_growth.
        reduce_seconds: latency of one sum over chips; over n it is that of two times (n - 1)^reduce_growth.
        memory_share: share of memory that weights, keys and values may fill.
        chip_watts, chip_idle_watts: power limit of a chip, and its power while it waits.
        flop_joules, byte_joules: J per BF16 operation and per byte; None: the chip draws `busy_watts` in every pass.
        wall_factor: watts at the wall over watts of the chips.
        rack_watts: nameplate share of a chip at the wall; None: chip_watts times wall_factor.
    """

    name: str
    chips: int
    parallel: Literal["tensor", "pipeline"]
    peak: Mapping[str, float]
    chip_memory: float
    chip_bandwidth: float
    link_bandwidth: float
    chip_network: float
    compute_utilisation: float
    weight_utilisation: float
    kv_utilisation: float
    layer_seconds: float
    layer_growth: float
    reduce_seconds: float
    reduce_growth: float
    memory_share: float
    chip_watts: float
    chip_idle_watts: float
    busy_watts: float
    flop_joules: float | None
    byte_joules: float | None
    wall_factor: float
    rack_watts: float | None
    software: Software

    @property
    def memory_bytes(self) -> float:
        return self.chips * self.chip_memory * self.memory_share

    @property
    def hand_over_bandwidth(self) -> float:
        return self.chips * self.chip_network

    @property
    def idle_watts(self) -> float:
        return self.chips * self.chip_idle_watts * self.wall_factor

    @property
    def nameplate_watts(self) -> float:
        return self.chips * (self.rack_watts or self.chip_watts * self.wall_factor)

    @property
    def tokens_per_pass(self) -> int:
        return self.software.tokens_per_pass

    @property
    def largest_batch(self) -> int:
        return self.software.largest_batch

    def check(self, model: Model) -> None:
        if model.precision.name not in self.peak:
            raise ValueError(f"{self.name} has no {model.precision.name} rate; it has {', '.join(sorted(self.peak))}")

    def prefill(self, model: Model, batch: int, new: float, cached: float = 0.0) -> Cost:
        self.check(model)
        tokens = batch * new
        pairs = attention_flops(model.config, batch * causal_pairs(model.config, new, cached), absorbed=cached > 0)
        kv_bytes = batch * model.kv_bytes(cached + new)
        # Only the last token of a prompt needs the head; the other tokens need the layers alone.
        share = model.active_layer_weights / model.linear_parameters
        passes = max(1.0, tokens / self.tokens_per_pass)
        return self._pass(model, tokens * share + batch * (1 - share), tokens, pairs, kv_bytes, batch, passes)

    def decode_step(self, model: Model, batch: int, context: float) -> Cost:
        self.check(model)
        flops = _decode_attention(model, batch, context)
        return self._pass(model, batch, batch, flops, batch * model.kv_bytes(context), batch, 1.0)

    def products_step(self, model: Model, batch: int) -> Cost:
        """Return the cost of the products with weights in a step of decode."""
        self.check(model)
        return self._pass(model, batch, batch, 0.0, 0.0, batch, 1.0)

    def attention_step(self, model: Model, batch: int, context: float) -> Cost:
        """Return the cost of attention in a step of decode, a kernel per layer."""
        self.check(model)
        flops = _decode_attention(model, batch, context)
        kv_bytes = batch * model.kv_bytes(context)
        seconds = self._attention_seconds(model, flops, kv_bytes) + model.config.layers * self._layer_seconds(model)
        work = self._work_joules(model, 0.0, flops, kv_bytes, 0.0, seconds)
        return Cost(seconds, work * self.wall_factor)

    def _pass(
        self,
        model: Model,
        products: float,
        tokens: float,
        pair_flops: float,
        kv_bytes: float,
        sequences: int,
        passes: float,
    ) -> Cost:
        """Cost of a pass.

        Args:
            products: tokens that are multiplied with every weight.
            tokens: tokens whose activations move between kernels.
            pair_flops: operations of attention.
            kv_bytes: bytes of keys and values that are read.
            sequences: sequences in the pass.
            passes: times that the weights are read.
        """
        linear_flops = 2.0 * model.linear_parameters * products
        weight_bytes = passes * model.weight_bytes(tokens / passes)
        seconds = (
            self._linear_seconds(model, linear_flops, weight_bytes)
            + self._activation_seconds(model, tokens)
            + self._attention_seconds(model, pair_flops, kv_bytes)
            + self._link_seconds(model, tokens, passes)
            + passes * model.config.layers * self._layer_seconds(model)
            + passes * self.software.step_seconds
            + sequences * self.software.sequence_seconds
        )
        overhead = sequences * self.software.sequence_seconds
        moved = weight_bytes + self._activation_bytes(model, tokens) + kv_bytes
        work = self._work_joules(model, linear_flops, pair_flops, moved, overhead, seconds)
        return Cost(seconds, work * self.wall_factor)

    def _linear_seconds(self, model: Model, flops: float, weight_bytes: float) -> float:
        compute = flops / (self.chips * self.compute_utilisation * self.peak[model.precision.name])
        return max(compute, weight_bytes / (self.chips * self.weight_utilisation * self.chip_bandwidth))

    def _activation_seconds(self, model: Model, tokens: float) -> float:
        activation_bytes = self._activation_bytes(model, tokens)
        return activation_bytes / (self.chips * self.weight_utilisation * self.chip_bandwidth)

    def _activation_bytes(self, model: Model, tokens: float) -> float:
        """Bytes that all chips move between kernels. Tensor parallel: each chip moves the residual stream."""
        repeated = (self.chips - 1) * model.residual_bytes if self.parallel == "tensor" else 0.0
        return tokens * (model.activation_bytes + repeated)

    def _attention_seconds(self, model: Model, flops: float, kv_bytes: float) -> float:
        compute = flops / (self.chips * self.compute_utilisation * self._attention_peak(model))
        return max(compute, kv_bytes / (self.chips * self.kv_utilisation * self.chip_bandwidth))

    def _attention_peak(self, model: Model) -> float:
        return self.peak.get(model.precision.attention, self.peak[model.precision.name])

    def _link_seconds(self, model: Model, tokens: float, passes: float) -> float:
        """Tensor parallel: two sums over all chips in each layer, a ring moving 2 (n - 1) / n of the activations over
        each link. Its 2 (n - 1) steps follow each other, so its latency grows from that of two chips as (n - 1) to a
        power, up to the chips of a ring. Pipeline: one hand-over of the activations from each chip to the next."""
        activations = tokens * model.config.hidden * ACTIVATION_BYTES / self.link_bandwidth
        if self.parallel == "pipeline":
            return (self.chips - 1) * (activations + passes * self.reduce_seconds)
        if self.chips == 1:
            return 0.0
        ring = 2.0 * (self.chips - 1) / self.chips * activations
        latency = self.reduce_seconds * (min(self.chips, RING_CHIPS) - 1) ** self.reduce_growth
        return REDUCTIONS_PER_LAYER * model.config.layers * (ring + passes * latency)

    def _layer_seconds(self, model: Model) -> float:
        return self.layer_seconds * (model.layer_parameters / REFERENCE_LAYER) ** self.layer_growth

    def _work_joules(
        self, model: Model, linear: float, attention: float, moved: float, overhead: float, seconds: float
    ) -> float:
        """Joules of the chips above idle.

        The energy of an operation is inversely proportional to its rate. During overhead per sequence (sampling, short
        attention) a chip draws its limit. Power management holds the mean power below the limit.
        """
        limit = self.chips * (self.chip_watts - self.chip_idle_watts) * seconds
        if self.flop_joules is None or self.byte_joules is None:
            return self.chips * max(0.0, self.busy_watts - self.chip_idle_watts) * seconds
        at_full_rate = linear / self.peak[model.precision.name] + attention / self._attention_peak(model)
        uncapped = self.flop_joules * self.peak["bf16"] * at_full_rate + self.byte_joules * moved
        uncapped += limit * overhead / seconds
        return uncapped / (1.0 + (uncapped / limit) ** LIMIT_SHARPNESS) ** (1.0 / LIMIT_SHARPNESS)


def _decode_attention(model: Model, batch: int, context: float) -> float:
    """Operations of attention of a step of decode."""
    return attention_flops(model.config, batch * kept_tokens(model.config, context), absorbed=True)
