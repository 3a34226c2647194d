"""Servers of optical cores as a serving machine: time and energy of a pass."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import models
from experiments.serving.model import Corner, Cost, Model
from experiments.serving.model.transformer_cost import (
    attention_flops,
    causal_pairs,
    kept_tokens,
    layer_weights,
    touched_layer_weights,
)
from experiments.serving.optical.unit_costs import CoreCosts, PromptCosts

PRECISION = "int8"
TOKENS_PER_PASS = 65_536
LARGEST_BATCH = 2048


class CostedSystem(Protocol):
    """What a machine asks of the system that it is built from."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def core_rate(self) -> float:
        """Operations/s of one core that is never reloaded."""
        ...

    @property
    def cells(self) -> float:
        """Weights that one core holds."""
        ...

    @property
    def stated_for(self) -> models.DecoderConfig:
        """Shape of the model that nameplate power is stated for."""
        ...

    def costs(self, config: models.DecoderConfig, corner: Corner = "nominal") -> CoreCosts:
        """Return the costs of the core at a corner of its ranges."""
        ...

    def attention_on_light(
        self, config: models.DecoderConfig, tokens: int, corner: Corner = "nominal"
    ) -> PromptCosts | None:
        """Return what attention of a prompt costs where it runs on light; None where it is digital."""
        ...

    def digital_share(self, config: models.DecoderConfig) -> float:
        """Return the share of the weights whose products stay digital."""
        ...


class AttentionCost(NamedTuple):
    """Attention of a pass: energy at the plug [J], time of the cores [s], and operations on digital units."""

    joules: float
    core_seconds: float
    digital_flops: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpticalMachine:
    """Servers that hold one copy of a model. `constants` are those of optical.toml at the corner."""

    system: CostedSystem
    chips: int
    corner: Corner
    constants: Mapping[str, float]
    tokens_per_pass: int = TOKENS_PER_PASS
    largest_batch: int = LARGEST_BATCH
    wall_factor: float = 1.0

    @property
    def name(self) -> str:
        return self.system.name

    @property
    def memory_bytes(self) -> float:
        return self.chips * self.constants["memory_bytes"] * self.constants["memory_share"]

    @property
    def hand_over_bandwidth(self) -> float:
        return self.chips * self.constants["network_bandwidth"]

    @property
    def cores(self) -> int:
        """Cores of all servers."""
        return self.chips * math.ceil(self.constants["ops"] / self.system.core_rate)

    @property
    def idle_watts(self) -> float:
        """Bias of the lasers, the receivers, and the host's share of nameplate power [W]."""
        return self.cores * self._stated.bias_watts + self._stated.host_share * self.nameplate_watts

    @property
    def nameplate_watts(self) -> float:
        """Power of all cores that multiply the layers of a model without a pause, without loads [W]."""
        layers = self._stated.layers
        return self.cores * layers.token_joules / layers.token_seconds

    @property
    def _stated(self) -> CoreCosts:
        """Costs of the model that nameplate power is stated for."""
        return self.system.costs(self.system.stated_for, self.corner)

    def check(self, model: Model) -> None:
        if model.precision.name != PRECISION:
            raise ValueError(f"{self.name} has no {model.precision.name} rate; it has {PRECISION}")

    def prefill(self, model: Model, batch: int, new: float, cached: float = 0.0) -> Cost:
        self.check(model)
        tokens = batch * new
        loads = max(1.0, tokens / self.tokens_per_pass)
        on_light = None if cached else self.system.attention_on_light(model.config, max(1, round(new)), self.corner)
        if on_light is None:
            attention = self._digital_attention(model, batch * causal_pairs(model.config, new, cached), cached > 0)
        else:
            flops = on_light.digital_share * attention_flops(model.config, causal_pairs(model.config, new))
            attention = AttentionCost(
                batch * (on_light.product_joules + on_light.other_joules),
                batch * on_light.product_seconds,
                batch * flops,
            )
        prompts = 0 if cached else batch
        return self._pass(model, tokens, batch, attention, batch * model.kv_bytes(cached), loads, prompts)

    def decode_step(self, model: Model, batch: int, context: float) -> Cost:
        self.check(model)
        pairs = batch * kept_tokens(model.config, context)
        attention = self._digital_attention(model, pairs, True)
        return self._pass(model, batch, batch, attention, batch * model.kv_bytes(context), 1.0)

    def _digital_attention(self, model: Model, pairs: float, absorbed: bool) -> AttentionCost:
        """Attention on digital units.

        Args:
            model: the model.
            pairs: pairs of a query and a key, mean over the layers.
            absorbed: whether latent attention multiplies latents as they are.
        """
        flops = attention_flops(model.config, pairs, absorbed)
        # The bill's pairs are those of a prompt without a cached prefix.
        billed = pairs * (flops / whole if (whole := attention_flops(model.config, pairs)) else 1.0)
        return AttentionCost(billed * self.system.costs(model.config, self.corner).layers.pair_joules, 0.0, flops)

    def _pass(
        self,
        model: Model,
        tokens: float,
        heads: float,
        attention: AttentionCost,
        cached_bytes: float,
        loads: float,
        prompts: int = 0,
    ) -> Cost:
        """Cost of a pass. Weights are fetched while others multiply; digital attention waits for the products.

        Args:
            model: the model.
            tokens: tokens that are multiplied with the layers.
            heads: tokens that are multiplied with the head.
            attention: of all layers.
            cached_bytes: bytes of keys and values that are read from memory.
            loads: times that all masks are loaded with the weights; of experts those that a load's tokens touch.
            prompts: among the tokens, those that begin at the first position, where a design may have rules of its own.
        """
        costs = self.system.costs(model.config, self.corner)
        layers, head = costs.layers, costs.head
        fetched_bytes = loads * model.weight_bytes(tokens / loads)
        touched = touched_layer_weights(model.config, tokens / loads) / layer_weights(model.config)[1]
        # Attention on light writes its masks over those of the weights.
        if self._holds(model) and not attention.core_seconds:
            loads = fetched_bytes = 0.0
        joules = (
            tokens * layers.token_joules
            + prompts * layers.prompt_joules
            + attention.joules
            + heads * head.token_joules
            + loads * (touched * layers.load_joules + head.load_joules)
            + 8 * cached_bytes * costs.memory_bit_joules
        )
        core_seconds = (
            tokens * layers.token_seconds
            + prompts * layers.prompt_seconds
            + attention.core_seconds
            + heads * head.token_seconds
            + loads * (touched * layers.load_seconds + head.load_seconds)
        )
        busy = core_seconds / self.cores
        bandwidth = self.chips * self.constants["memory_bandwidth"]
        fetched = fetched_bytes / bandwidth
        # Products that a design leaves digital run on the units that compute attention.
        digital_flops = 2.0 * self.system.digital_share(model.config) * model.linear_parameters * tokens
        digital_flops += attention.digital_flops + prompts * layers.prompt_flops
        on_units = digital_flops / (self.chips * self.constants["digital_ops"])
        seconds = max(busy, fetched) + max(on_units, cached_bytes / bandwidth)
        # The bill includes the host and the bias of busy cores, which `idle_watts` counts too.
        bias_watts = self.cores * costs.bias_watts
        return Cost(seconds, max(0.0, joules * (1 - costs.host_share) - bias_watts * busy))

    def _holds(self, model: Model) -> bool:
        """Whether the masks hold all weights at once, so that none is ever loaded."""
        return self.cores * self.system.cells >= model.resident_weights
