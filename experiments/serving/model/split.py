"""Decode split within each token: attention on one machine, products with weights on another.

After NVIDIA's description of GPUs beside Groq 3 LPUs (2026): the GPU reads prompts, stores keys and values and computes
the attention of each layer; the LPU computes all products with weights. Activations cross the link twice per layer,
keys and values never. A single batch leaves each machine idle while the other works; `in_flight` batches fill the gaps.
"""

import dataclasses
from typing import Protocol

from experiments.serving.model.batching import Request, Served, prompt_cost, require_fit
from experiments.serving.model.machine import Cost, Machine, require_link
from experiments.serving.model.transformer_cost import ACTIVATION_BYTES, Model

CROSSINGS_PER_LAYER = 2


class AttentionMachine(Machine, Protocol):
    """A machine with attention as a separate step."""

    def attention_step(self, model: Model, batch: int, context: float) -> Cost:
        """Compute scores and weighted sums of `batch` sequences that see `context` keys each."""
        ...


class ProductMachine(Machine, Protocol):
    """A machine with products as a separate step."""

    def products_step(self, model: Model, batch: int) -> Cost:
        """Compute all products with weights, for one token of each of `batch` sequences."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Two machines and the link between them: bandwidth one way [B/s], latency [s], energy at the wall [J/B]."""

    attention: AttentionMachine
    products: ProductMachine
    link_bandwidth: float
    link_seconds: float
    link_joules: float

    def __post_init__(self) -> None:
        require_link(self.attention, self.products, self.link_bandwidth)

    def crossing_bytes(self, model: Model) -> float:
        """Return bytes of activations per decoded token: there and back in each layer."""
        return CROSSINGS_PER_LAYER * model.config.layers * model.config.hidden * ACTIVATION_BYTES

    def crossing_seconds(self, model: Model, batch: int) -> float:
        """Return the time that a step waits for the link."""
        latency = CROSSINGS_PER_LAYER * model.config.layers * self.link_seconds
        return latency + batch * self.crossing_bytes(model) / self.link_bandwidth


def serve_split(
    split: Split, model: Model, request: Request, batch: int, attention_model: Model | None = None, in_flight: int = 1
) -> Served:
    """Return the steady state of `in_flight` batches of `batch` sequences; the result's `batch` counts them all.

    Args:
        split: the two machines.
        model: the model in the precision of the products machine.
        request: the requests, all equal.
        batch: sequences in a batch.
        attention_model: the model in the precision of the attention machine, by default `model`.
        in_flight: batches that take turns.

    Raises:
        ValueError: if a machine cannot multiply in its precision, or weights and sequences do not fit.
    """
    attention_model = attention_model or model
    if in_flight < 1:
        raise ValueError(f"in_flight = {in_flight} must be at least 1")
    split.attention.check(attention_model)
    split.products.check(model)
    require_fit(split.attention, attention_model, request, in_flight * batch)
    if model.resident_bytes > split.products.memory_bytes:
        raise ValueError(
            f"{model.resident_bytes / 1e9:.4g} GB of weights do not fit in the "
            f"{split.products.memory_bytes / 1e9:.4g} GB of {split.products.chips} x {split.products.name}"
        )
    prompt = prompt_cost(split.attention, attention_model, request, batch)
    attention = split.attention.attention_step(attention_model, batch, request.mean_context)
    products = split.products.products_step(model, batch)
    latency = attention.seconds + products.seconds + split.crossing_seconds(model, batch)
    sequences = in_flight * batch
    step = max(latency, in_flight * max(attention.seconds, products.seconds))
    tpot = step + sequences * prompt.seconds / request.output
    idle_watts = split.attention.idle_watts + split.products.idle_watts
    return Served(
        batch=sequences,
        ttft_s=split.attention.prefill(attention_model, 1, request.new, request.cached).seconds,
        tpot_s=tpot,
        tokens_per_s=sequences / tpot,
        prefill_j=prompt.joules / request.output,
        decode_j=(attention.joules + products.joules) / batch,
        idle_j=idle_watts * tpot / sequences,
        transfer_j=split.crossing_bytes(model) * split.link_joules,
    )
