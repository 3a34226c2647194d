"""Prediction of time, energy and batch of a model on a system, as nominal values with ranges.

A range spans two corners: every constant of the system at its best end, and every constant at its worst end. Errors of
constants are not all aligned, so the range is an outer bound. For watts, which a faster machine may draw more of, it is
the span of the corners.
"""

import dataclasses
from typing import Protocol

import models
from experiments.serving.model.batching import Request, Served, needed_bytes, require_fit, sequences_that_fit, serve
from experiments.serving.model.machine import Machine
from experiments.serving.model.precision import precision_named
from experiments.serving.model.system import CORNERS, Corner, machine
from experiments.serving.model.transformer_cost import Model

MOST_CHIPS = 2**16


class AnySystem(Protocol):
    """Machines of one kind: `DigitalSystem`, or an optical system with machines at the corners of its own ranges."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    def at(self, chips: int, corner: Corner = "nominal", software: str | None = None) -> Machine:
        """Return the machine of `chips` chips at a corner."""
        ...


@dataclasses.dataclass(frozen=True)
class Range:
    """A nominal value and the ends of its range."""

    nominal: float
    low: float
    high: float

    @classmethod
    def over(cls, values: tuple[float, ...]) -> "Range":
        """Return the first value as nominal, with the least and the greatest as its range."""
        return cls(values[0], min(values), max(values))

    def __truediv__(self, other: "Range") -> "Range":
        """Quotient of two ranges taken as independent: an outer bound where they share constants."""
        return Range(self.nominal / other.nominal, self.low / other.high, self.high / other.low)

    def overlaps(self, other: "Range") -> bool:
        """Whether some value lies in both ranges."""
        return max(self.low, other.low) <= min(self.high, other.high)

    def __str__(self) -> str:
        return f"{self.nominal:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted performance of a system. Joules are per output token, watts of all copies, both at the wall.

    Attributes:
        chips: chips of one copy of the model; `copies` of them run side by side.
        batch: sequences at once per copy, at nominal values; largest_batch: the number that fits.
        weight_bytes: of one copy; kv_bytes: of one request at its end.
        ttft_s: from a prompt's arrival at an empty queue to its first token.
        tpot_s: mean time between two tokens of a sequence, prompts of others included.
        tokens_per_s: output tokens/s of all copies.
        prefill_j, decode_j: above the idle draw; idle_j: the idle draw; j_per_token: the sum of the three.
        chip_j_per_token: the part of j_per_token that the chips draw.
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
    config: models.DecoderConfig,
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
    """Predict the steady state of equal requests on a system.

    Args:
        system: a name in `SYSTEMS`, or an object with machines at the corners of its ranges.
        config: shape of the model.
        precision: name of the precision that the model is kept in.
        prompt, output: tokens in and out per request.
        chips: chips of one copy of the model, by default the least power of two that holds it.
        batch: sequences at once per copy, by default the largest number that fits.
        cached: tokens of the prompt whose keys and values are in memory already.
        copies: copies of the model, side by side.
        software: a name in software.toml, by default the system's.

    Raises:
        ValueError: for an unknown system, precision or software (with the nearest name), a precision that the system
            lacks, a batch or length below 1, a request beyond the model's context, or a model that does not fit.
    """
    for name, value in (("chips", chips), ("batch", batch), ("copies", copies)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value} must be at least 1")
    model, request = Model(config, precision_named(precision)), Request(prompt=prompt, output=output, cached=cached)
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
    """Return the least power of two of chips that hold the weights and `batch` requests."""
    needed = needed_bytes(model, request, batch)
    chips = 1
    while machine_of(system, chips, "nominal", software).memory_bytes < needed:
        chips *= 2
        if chips > MOST_CHIPS:
            raise ValueError(f"{needed / 1e9:.4g} GB of weights, keys and values do not fit in {MOST_CHIPS} chips")
    return chips


def machine_of(system: str | AnySystem, chips: int, corner: Corner = "nominal", software: str | None = None) -> Machine:
    """Return `chips` chips of a system, given by name or as an object, at a corner."""
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
        kv_bytes=model.kv_bytes(request.length),
        tokens_per_s=over("tokens_per_s", copies),
        watts=over("watts", copies),
        chip_j_per_token=Range.over(at_chips),
        **{name: over(name) for name in ("ttft_s", "tpot_s", "prefill_j", "decode_j", "idle_j", "j_per_token")},
    )
