"""Energy of one phase of a language model on servers, digital or optical, with idle draw, as `otc serve` has it."""

import dataclasses

from experiments.common.workload import Workload
from experiments.serving.model import (
    CORNERS,
    DigitalSystem,
    Model,
    Range,
    Request,
    chips_needed,
    machine_of,
    precision_named,
    prompt_cost,
    require_fit,
)
from experiments.serving.model.machine import Machine
from experiments.serving.optical import OpticalSystem
from experiments.serving.rows import precision_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedEnergy:
    """Energy of a phase on a server.

    Attributes:
        joules: per token at the wall.
        idle_share: share of the idle draw in them, nominally.
        chips: of the server.
    """

    joules: Range
    idle_share: float
    chips: int


def served(system: DigitalSystem | OpticalSystem, work: Workload) -> ServedEnergy:
    """Return the energy of a phase on a server.

    A server has the fewest chips, a power of two, that hold the model and the sequences of a pass or of a step. It does
    nothing but this phase, one pass after the other, in the precision that `otc serve` chooses. The range spans its
    corners: all constants at their best, and at their worst.

    Args:
        system: digital or optical.
        work: prefill or decode of a model; attention is digital whatever it says.

    Raises:
        ValueError: if model and batch do not fit.
    """
    key = system.name if isinstance(system, DigitalSystem) else system
    model = Model(work.config, precision_named(precision_of(system)))
    request = Request(prompt=work.context, output=1) if work.phase == "prefill" else _decoded(work)
    together = work.batch
    if work.phase == "prefill":
        together = max(1, min(work.batch, machine_of(key, 1).tokens_per_pass // work.context))
    chips = chips_needed(key, model, request, together)
    require_fit(machine_of(key, chips), model, request, together)
    machines = [machine_of(key, chips, corner) for corner in CORNERS]
    found = [_joules(machine, model, request, work) for machine in machines]
    active, idle = found[0]
    return ServedEnergy(
        joules=Range.over(tuple(sum(parts) for parts in found)), idle_share=idle / (active + idle), chips=chips
    )


def _decoded(work: Workload) -> Request:
    return Request(prompt=max(work.context - 1, 1), output=1)


def _joules(machine: Machine, model: Model, request: Request, work: Workload) -> tuple[float, float]:
    """(joules above the idle draw, idle draw) per token of a machine that does this phase alone."""
    if work.phase == "prefill":
        cost, tokens = prompt_cost(machine, model, request, work.batch), work.context
    else:
        cost, tokens = machine.decode_step(model, work.batch, work.context), work.batch
    return cost.joules / tokens, machine.idle_watts * cost.seconds / tokens
