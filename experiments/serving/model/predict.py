"""Time, joules and batch of a model on a system, each as a nominal value with the ends of its range.

A range is the model at two corners: every constant of the system at its best end, and every one at its worst. Constants
are not all wrong the same way at once, so the range is an outer bound of what the constants allow; of watts, which a
faster machine may draw more of, it is the span of the corners.
"""

import dataclasses
from typing import Protocol

from experiments.serving.model.machine import Machine
from experiments.serving.model.precision import precision_named
from experiments.serving.model.serving import Request, Served, needed_bytes, require_fit, sequences_that_fit, serve
from experiments.serving.model.shape import Model, Shape
from experiments.serving.model.system import CORNERS, Corner, machine

MOST_CHIPS = 2**16


class AnySystem(Protocol):
    """Machines of one kind: `DigitalSystem`, or an optical system with machines at the corners of its own ranges."""

    name: str

    def at(self, chips: int, corner: Corner = "nominal", software: str | None = None) -> Machine:
        """The machine of so many chips at a corner."""


@dataclasses.dataclass(frozen=True)
class Range:
    """A nominal value and the ends of its range."""

    nominal: float
    low: float
    high: float

    @classmethod
    def over(cls, values: tuple[float, ...]) -> "Range":
        """The first of the values, between the least and the greatest of all."""
        return cls(values[0], min(values), max(values))

    def __str__(self) -> str:
        return f"{self.nominal:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a system is expected to do. Joules are per output token, watts of all copies, both at the wall.

    Attributes:
        chips: chips of one copy of the model; `copies` of them run side by side.
        batch: sequences at once of one copy, at nominal values; largest_batch: how many fit.
        weight_bytes: of one copy; kv_bytes: of one request at its end.
        ttft_s: from a prompt's arrival at an empty queue to its first token.
        tpot_s: mean time between two tokens of a sequence, prompts of others included.
        tokens_per_s: output tokens/s of all copies.
        prefill_j, decode_j: above what the idle machine draws; idle_j: that; j_per_token: the three together.
        chip_j_per_token: the part of j_per_token that the chips draw, as meters on the chips show it.
    """

    system: str
    chips: int
    copies: int
    batch: int
    largest_batch: int
    weight_bytes: float
    kv_bytes: float
    ttft_s: Range
    tpot_s: Range
    tokens_per_s: Range
    prefill_j: Range
    decode_j: Range
    idle_j: Range
    j_per_token: Range
    chip_j_per_token: Range
    watts: Range


def predict(
    system: str | AnySystem,
    shape: Shape,
    *,
    precision: str,
    prompt: int,
    output: int,
    chips: int | None = None,
    batch: int | None = None,
    cached: int = 0,
    copies: int = 1,
    software: str | None = None,
) -> Prediction:
    """Serves requests of `prompt` tokens in and `output` tokens out, `cached` of the prompt's read before.

    `chips` hold one copy of the model, by default the least power of two that does; `batch` is of one copy, by default
    the largest that fits. `software` names that of experiments/serving/model/software.toml, by default the system's.

    Raises:
        ValueError: for an unknown system, precision or software (with the nearest name), a precision that the system
            has not, a batch or length below 1, a request beyond the model's context, or a model that does not fit.
    """
    for name, value in (("chips", chips), ("batch", batch), ("copies", copies)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value} must be at least 1")
    model, request = Model(shape, precision_named(precision)), Request(prompt=prompt, output=output, cached=cached)
    request.check(model)
    chips = chips or chips_needed(system, model, request, batch or 1, software)
    machines = tuple(machine_of(system, chips, corner, software) for corner in CORNERS)
    for candidate in machines:
        candidate.check(model)
    require_fit(machines[0], model, request, batch or 1)
    fits = [max(1, sequences_that_fit(candidate, model, request.length)) for candidate in machines]
    served = [serve(machine, model, request, batch or most) for machine, most in zip(machines, fits, strict=True)]
    return _prediction(machines, served, model, request, copies, fits[0])


def chips_needed(
    system: str | AnySystem, model: Model, request: Request, batch: int = 1, software: str | None = None
) -> int:
    """The least power of two of chips that hold the weights and `batch` requests."""
    needed = needed_bytes(model, request, batch)
    chips = 1
    while machine_of(system, chips, "nominal", software).memory_bytes < needed:
        chips *= 2
        if chips > MOST_CHIPS:
            raise ValueError(f"{needed / 1e9:.4g} GB of weights, keys and values do not fit in {MOST_CHIPS} chips")
    return chips


def machine_of(system: str | AnySystem, chips: int, corner: Corner = "nominal", software: str | None = None) -> Machine:
    """So many chips of a system, by its name or as an object, at a corner."""
    if isinstance(system, str):
        return machine(system, chips, corner, software)
    return system.at(chips, corner, software)


def _prediction(
    machines: tuple[Machine, ...], served: list[Served], model: Model, request: Request, copies: int, fits: int
) -> Prediction:
    def over(name: str, factor: float = 1.0) -> Range:
        return Range.over(tuple(factor * getattr(each, name) for each in served))

    at_chips = tuple(each.j_per_token / machine.wall_factor for each, machine in zip(served, machines, strict=True))
    return Prediction(
        system=machines[0].name,
        chips=machines[0].chips,
        copies=copies,
        batch=served[0].batch,
        largest_batch=fits,
        weight_bytes=model.resident_bytes,
        kv_bytes=request.length * model.kv_bytes_per_token,
        tokens_per_s=over("tokens_per_s", copies),
        watts=over("watts", copies),
        chip_j_per_token=Range.over(at_chips),
        **{name: over(name) for name in ("ttft_s", "tpot_s", "prefill_j", "decode_j", "idle_j", "j_per_token")},
    )
