"""The core that the workloads are priced on, and its bill of each over the ranges of its constants."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import models
import optics
from experiments.common.candidates import design_candidate, file_candidate, load_machine
from experiments.common.verdict import Candidate
from experiments.serving.model import Range
from experiments.serving.optical import SCENARIOS, OpticalSystem
from experiments.serving.records import range_record
from experiments.workloads.options import WorkloadsOptions
from experiments.workloads.records import LightBill
from experiments.workloads.tasks import Task
from optics.core.by_site import Machine

PRESET_BITS = 7.0
"""Effective bits that the light of the scenarios is sized for, the default of `optics.preset`."""
PERCENTILES = (5, 95)
SEED = 0


def candidate_of(options: WorkloadsOptions) -> Candidate:
    """Return the core or design of the options, with the ranges of its constants.

    Raises:
        ValueError: for two files, a wrong file and an unknown preset.
    """
    machine = load_machine(options.preset, options.core, options.cores)
    if options.cores is not None:
        return design_candidate(options.cores, options.ranges, ())
    if options.core is not None:
        return file_candidate(options.core, options.ranges, ())
    return Candidate(
        name=options.preset,
        core=machine,
        constants=optics.constants_of(options.preset),
        effective_bits=PRESET_BITS if options.preset in SCENARIOS else None,
    )


class Servers:
    """Servers of a core or design, as `otc serve` builds them: of a design sized on the model that is served.

    Args:
        candidate: the core or design.
    """

    def __init__(self, candidate: Candidate):
        self.candidate = candidate
        self._built: dict[models.DecoderConfig | None, OpticalSystem] = {}

    def of(self, config: models.DecoderConfig) -> OpticalSystem:
        """Return the servers of a model. Those of one core are the same for all, and keep the costs they worked out."""
        candidate = self.candidate
        own = None if isinstance(candidate.core, optics.TensorCore) else config
        if own not in self._built:
            system = OpticalSystem(
                name=candidate.name,
                core=candidate.core,
                constants=candidate.constants,
                effective_bits=candidate.effective_bits,
            )
            self._built[own] = system if own is None else dataclasses.replace(system, sized_on=own)
        return self._built[own]


def light_bill(candidate: Candidate, task: Task, draws: int) -> LightBill:
    """Return the bill of one item of a workload.

    Args:
        candidate: the core.
        task: the workload.
        draws: draws over the ranges of its constants. What a designer chooses (`optics.CHOICES`) is held, and light is
            sized again for each draw where the candidate says so.
    """
    core = candidate.core
    bill = task.price(core)
    total = sum(float(energy) for energy in bill.components.values())
    dominant = max(bill.components, key=lambda name: float(bill.components[name]))
    served, least = task.vectors(core)
    return {
        "joules": range_record(over_ranges(candidate, task, draws)),
        "fj_per_mac": float(bill.per_mac) * 1e15,
        "macs": float(bill.macs) / task.items,
        "watts_at_exaops": float(bill.watts_at()),
        "light_share": float(bill.optical_macs / bill.macs),
        "vectors_per_load": served,
        "least_vectors_per_load": least,
        "utilisation": float(optics.system(core, bill, weights=float(task.work.weights)).utilisation),
        "dominant": dominant,
        "dominant_share": float(bill.components[dominant]) / total,
        "components_j": {name: float(energy) / task.items for name, energy in bill.components.items()},
        "bill_rests_on": list(bill.basis),
    }


def over_ranges(candidate: Candidate, task: Task, draws: int) -> Range:
    """Return the joules of one item: nominal, and their 5th and 95th percentile over the ranges of the constants."""

    def joules(core: Machine, chosen_by: Machine | None = None) -> Any:
        return task.price(core, chosen_by).total / task.items

    nominal = float(joules(candidate.core))
    merit: Callable[[Any], Any] = lambda core: joules(candidate.with_source_power(core), candidate.core)  # noqa: E731
    held = [field for field in candidate.constants if _is_choice(field)]
    over = optics.Uncertainty(merit, candidate.core, optics.spreads(candidate.constants, held))
    if not over.spreads:
        return Range(nominal, nominal, nominal)
    low, high = np.percentile(over.at(over.draw(draws, SEED)), PERCENTILES)
    return Range(nominal, min(float(low), nominal), max(float(high), nominal))


def _is_choice(field: str) -> bool:
    return any(field == choice or field.endswith(f".{choice}") for choice in optics.CHOICES)
