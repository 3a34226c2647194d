"""Digital machines at peak and as they are run, by the model of `otc serve`."""

from typing import NamedTuple

import optics
from electronics.digital.measured import ENERGY_PER_MAC
from experiments.common.workload import Workload
from experiments.comparison.records import Interval
from experiments.serving.model import (
    CORNERS,
    Corner,
    DigitalSystem,
    Model,
    Request,
    chips_needed,
    precision_named,
    prompt_cost,
)

FORMATS = {
    "fp4": "FP4",
    "fp8": "FP8",
    "int8": "INT8",
    "bfp8": "BFP8",
    "bf16": "BF16",
    "int4": "INT4",
}
"""Titles of the formats; FP4 is NVFP4 on NVIDIA's machines and MXFP4 on others."""
EIGHT_BITS = ("fp8", "int8", "bfp8")
NVIDIA = "NVIDIA"
PUBLISHED = {("h100", "bf16"): "h100_bf16", ("h100", "fp8"): "h100", ("h200", "fp8"): "h200", ("b200", "fp4"): "b200"}
"""Names in `ENERGY_PER_MAC` of a system in a format."""


class Achieved(NamedTuple):
    """Watts at 1 exaOPS at the plug of a digital machine that reads prompts, and its share of peak operations/s."""

    watts: float
    utilisation: float
    chips: int


def formats_of(system: DigitalSystem) -> list[str]:
    """Return the formats that a system is compared in: one of 8 bits and FP4 where it has them, else its widest."""
    eight = [name for name in EIGHT_BITS if name in system.precisions][:1]
    found = eight + [name for name in ("fp4",) if name in system.precisions]
    return found or [next(name for name in ("bf16", "int4") if name in system.precisions)]


def format_title(system: DigitalSystem, precision: str) -> str:
    """Return the name of a format as a maker has it."""
    if precision == "fp4":
        return "NVFP4" if system.title.startswith(NVIDIA) else "MXFP4"
    return FORMATS[precision]


def peak_watts(system: DigitalSystem, precision: str, corner: Corner = "nominal") -> float:
    """Watts at 1 exaOPS at the plug by the maker's figures: power of the server over its dense peak in a format.

    Raises ValueError for a format that the system lacks.
    """
    machine = system.at(1, corner)
    _require(system, precision)
    return machine.nameplate_watts / machine.peak[precision] * optics.EXAOPS


def achieved_watts(system: DigitalSystem, workload: Workload, precision: str, corner: Corner = "nominal") -> Achieved:
    """Watts at 1 exaOPS at the plug of a machine that reads the prompts of a workload over and over.

    Its joules are those of `otc serve`'s prefill, above idle, and its idle draw for as long as they take. Operations
    are those that it performs: the head multiplies the last token of a prompt alone.

    Raises ValueError for a format that the system lacks, and for a prompt that fits into no machine.
    """
    _require(system, precision)
    model = Model(workload.config, precision_named(precision))
    request = Request(prompt=workload.context, output=1)
    chips = chips_needed(system, model, request, workload.batch)
    machine = system.at(chips, corner)
    cost = prompt_cost(machine, model, request, workload.batch)
    joules = cost.joules + machine.idle_watts * cost.seconds
    operations = 2 * macs_of_prompt(workload)
    return Achieved(
        watts=joules / operations * optics.EXAOPS,
        utilisation=operations / (cost.seconds * chips * machine.peak[precision]),
        chips=chips,
    )


def achieved_over_corners(system: DigitalSystem, workload: Workload, precision: str) -> dict[Corner, Achieved]:
    """Return `achieved_watts` at the nominal constants of a system and at their ends."""
    return {corner: achieved_watts(system, workload, precision, corner) for corner in CORNERS}


def published_watts(system: DigitalSystem, precision: str) -> Interval | None:
    """Watts at 1 exaOPS at the plug that follow from published runs, see `ENERGY_PER_MAC`; None without any."""
    name = PUBLISHED.get((system.name, precision))
    if name is None:
        return None
    found = ENERGY_PER_MAC[name]
    nominal, low, high = (joules * optics.EXAOPS / 2 for joules in (found.value, found.low, found.high))
    return {"nominal": nominal, "low": low, "high": high}


def macs_of_prompt(workload: Workload) -> float:
    """Multiply-accumulates of one prompt whose last token alone is multiplied with the head."""
    sites = workload.sites
    head = sum(site.macs for site in sites if site.stationary and site.columns == workload.config.vocabulary)
    return (sum(site.macs for site in sites) - head) / workload.batch + head / workload.tokens


def _require(system: DigitalSystem, precision: str) -> None:
    if precision not in system.precisions:
        raise ValueError(f"{system.name} has no {precision} rate; it has {', '.join(system.precisions)}")
