"""Decode split inside each token: attention where the keys and values are, products where the weights are.

As NVIDIA describes a GPU beside Groq 3 LPUs (2026): the GPU reads prompts, keeps keys and values and does the attention
of each layer; the other machine does all that meets weights; activations cross in each layer, and no cache ever does.
With one batch on its way the two machines take turns: `in_flight` batches fill the gaps.
"""

import dataclasses
from typing import Protocol

from experiments.serving.model.machine import Cost, Machine, require_link
from experiments.serving.model.serving import Request, Served, prompt_cost, require_fit
from experiments.serving.model.shape import ACTIVATION_BYTES, Model

CROSSINGS_PER_LAYER = 2


class AttentionMachine(Machine, Protocol):
    """A machine that can do the attention of a step alone."""

    def attention_step(self, model: Model, batch: int, context: float) -> Cost:
        """Scores and weighted sums of `batch` sequences that see `context` keys each."""


class ProductMachine(Machine, Protocol):
    """A machine that can do the products of a step alone."""

    def products_step(self, model: Model, batch: int) -> Cost:
        """All that meets weights, for one token of each of `batch` sequences."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Both machines, and the link between them: bytes/s one way, seconds of one crossing, J/B at the wall."""

    attention: AttentionMachine
    products: ProductMachine
    link_bandwidth: float
    link_seconds: float
    link_joules: float

    def __post_init__(self) -> None:
        require_link(self.attention, self.products, self.link_bandwidth)

    def crossing_bytes(self, model: Model) -> float:
        """Bytes of activations that one decoded token moves: there and back in each layer."""
        return CROSSINGS_PER_LAYER * model.shape.layers * model.shape.hidden * ACTIVATION_BYTES

    def crossing_seconds(self, model: Model, batch: int) -> float:
        """What a step waits for the link."""
        latency = CROSSINGS_PER_LAYER * model.shape.layers * self.link_seconds
        return latency + batch * self.crossing_bytes(model) / self.link_bandwidth


def serve_split(
    split: Split, model: Model, request: Request, batch: int, read_as: Model | None = None, in_flight: int = 1
) -> Served:
    """Requests without end, `in_flight` batches of `batch` sequences, all of which the result's `batch` counts.

    `read_as` is the model as the GPU keeps it.

    Raises ValueError where a machine cannot multiply in its precision, or weights and sequences do not fit.
    """
    read_as = read_as or model
    if in_flight < 1:
        raise ValueError(f"in_flight = {in_flight} must be at least 1")
    split.attention.check(read_as)
    split.products.check(model)
    require_fit(split.attention, read_as, request, in_flight * batch)
    if model.resident_bytes > split.products.memory_bytes:
        raise ValueError(
            f"{model.resident_bytes / 1e9:.4g} GB of weights do not fit in the "
            f"{split.products.memory_bytes / 1e9:.4g} GB of {split.products.chips} x {split.products.name}"
        )
    prompt = prompt_cost(split.attention, read_as, request, batch)
    attention = split.attention.attention_step(read_as, batch, request.mean_context)
    products = split.products.products_step(model, batch)
    alone = attention.seconds + products.seconds + split.crossing_seconds(model, batch)
    sequences = in_flight * batch
    step = max(alone, in_flight * max(attention.seconds, products.seconds))
    tpot = step + sequences * prompt.seconds / request.output
    idle_watts = split.attention.idle_watts + split.products.idle_watts
    return Served(
        batch=sequences,
        ttft_s=split.attention.prefill(read_as, 1, request.new, request.cached).seconds,
        tpot_s=tpot,
        tokens_per_s=sequences / tpot,
        prefill_j=prompt.joules / request.output,
        decode_j=(attention.joules + products.joules) / batch,
        idle_j=idle_watts * tpot / sequences,
        transfer_j=split.crossing_bytes(model) * split.link_joules,
    )
