"""Watts of a core at 1 exaOPS on a workload: nominal, over the ranges of its constants, and by constant."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import numpy as np

import optics
from electronics import Constant
from experiments.common import billing
from experiments.common.workload import Workload
from optics.core.by_site import Machine, MachineT, host_core
from optics.core.cost_component import CostComponent

TARGET_WATTS = 10e3
RESIDENCIES = (256, 1024, 4096, 16384, 65536)
RELOAD_LINES = (CostComponent.WEIGHT_FETCH, CostComponent.MASK_WRITE, CostComponent.IDLE_AT_RELOAD)


class Percentiles(TypedDict):
    """Percentiles over the ranges of the constants."""

    p05: float
    p50: float
    p95: float


class Interval(Percentiles):
    """A nominal value and its percentiles."""

    nominal: float


class ReloadCost(TypedDict):
    """Cost of loading the masks once per so many vectors: energy at the core, utilisation, and watts of it all."""

    vectors_per_load: float
    fj_per_mac: float
    utilisation: float
    watts_at_exaops: float


class CoreSize(TypedDict):
    """A core that a system is built of, and how many of it there are; `rule` is which sites run on it in a design."""

    rule: str
    cores: float
    rows: int
    columns: int
    clock_hz: float
    adc_enob: float
    source_power_w: float


class SystemSize(TypedDict):
    """The system that reaches 1 exaOPS, and the core that it is built of, of a design the first; `by_core` has all."""

    cores: float
    utilisation: float
    resident_weights: float
    passes: float
    sources: float
    converters: float
    tile_loads_per_second: float
    source_power_w: float
    rows: int
    columns: int
    clock_hz: float
    adc_enob: float
    by_core: list[CoreSize]


class EnergyVerdict(TypedDict):
    """The energy side of a verdict, as a summary states it.

    `_choices_held`: with the constants that a designer chooses at their nominal values. tornado, sobol, break_even: by
    constant, see `optics.Uncertainty`. operands_on_mask: "left" or "right" by product of two activations on the core,
    as the nominal core chooses it for all draws; empty for digital attention.
    """

    fj_per_mac: float
    fj_per_mac_on_core: float
    tops_per_watt: float
    joules_per_token: float
    watts_at_exaops: Interval
    watts_at_exaops_choices_held: Interval
    probability_of_closing: float
    probability_of_closing_choices_held: float
    components: dict[str, Interval]
    system: SystemSize
    reload: list[ReloadCost]
    tornado: dict[str, dict[str, Any]]
    sobol: dict[str, dict[str, Any]]
    break_even: dict[str, Any]
    operands_on_mask: dict[str, str]
    omitted: list[str]
    bill_rests_on: list[str]
    assumptions: list[str]
    constants: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A core or a design that a verdict is asked for, and the constants behind it.

    Attributes:
        name: the scenario, `overrides.OWN`, or the name of a design's file.
        core: the core or design at the nominal constants.
        constants: by the names that `core.replace` takes, with their ranges.
        effective_bits: the precision that the light is sized for at any value of the constants; None where the core's
            source power is given.
        measured_on: the model that the core's mean drive was measured on; empty where it is assumed.
        readings: mean drive by name of the sites of the workload; they move with `source.mean_drive` where that is
            drawn. Empty for the mean drive at all sites.
        placed: makes the design that is billed of the core with its light, as `Setting.machine` does.
    """

    name: str
    core: Machine
    constants: Mapping[str, Constant]
    effective_bits: float | None
    measured_on: str = ""
    readings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    placed: Callable[[Machine], Machine] = lambda core: core

    @property
    def machine(self) -> Machine:
        """What is billed, at the nominal constants."""
        return self.placed(self.core)

    def priced(self, workload: Workload, core: Machine) -> optics.Bill:
        """Return the bill of a variant of the core, whose nominal one chooses the operands of attention on masks."""
        readings = self.readings
        if readings:
            scale = host_core(core).source.mean_drive / host_core(self.core).source.mean_drive
            readings = {site: drive * scale for site, drive in readings.items()}
        return workload.price(self.placed(core), readings, chosen_by=self.core)

    @property
    def single(self) -> optics.TensorCore:
        """The core. Raises ValueError for a design of several."""
        if isinstance(self.core, optics.CoresBySite):
            raise ValueError(f"{self.name} is a design of several cores, and not one core")
        return self.core

    def with_source_power(self, core: MachineT) -> MachineT:
        """Return a variant of the core with its source power set for `effective_bits`."""
        if self.effective_bits is None or not isinstance(core, optics.TensorCore):
            return core
        sized = optics.with_effective_bits(core, self.effective_bits)
        assert isinstance(sized, type(core))
        return sized

    def at_drive(self, mean_drive: float, measured_on: str) -> "Candidate":
        """Return the candidate billed for a measured mean drive; the range of the constant is widened to hold it."""
        constant = self.constants["source.mean_drive"]
        measured = dataclasses.replace(
            constant,
            value=mean_drive,
            low=min(constant.low, mean_drive),
            high=max(constant.high, mean_drive),
            mark="measured",
            source=f"mean drive, over MACs, of the inputs of {measured_on}; range as before, for other models",
        )
        return dataclasses.replace(
            self,
            core=billing.with_mean_drive(self.core, mean_drive),
            constants={**self.constants, "source.mean_drive": measured},
            measured_on=measured_on,
        )


def energy(candidate: Candidate, workload: Workload, draws: int, sobol_draws: int, seed: int) -> EnergyVerdict:
    """Return watts at 1 exaOPS with intervals, and the share of each constant in them.

    Args:
        candidate: the core and the ranges of its constants.
        workload: what the core is billed for.
        draws: draws of all constants, a power of two.
        sobol_draws: draws for the Sobol indices, a power of two.
        seed: of the draws.
    """
    machine = candidate.machine
    bill = candidate.priced(workload, candidate.core)
    on_core = workload.price_on_core(machine, candidate.readings, chosen_by=candidate.core)
    system = optics.system(machine, bill, weights=workload.weights_on(machine))
    over = optics.Uncertainty(
        _Components(candidate, workload), candidate.core, optics.spreads(candidate.constants), _watts
    )
    components = over.at(over.draw(draws, seed))
    watts, parts_only = _watts(components), _watts(over.at(over.draw(draws, seed, held=optics.CHOICES)))
    nominal = float(bill.watts_at())
    return {
        "fj_per_mac": float(bill.per_mac) * 1e15,
        "fj_per_mac_on_core": float(on_core.per_mac) * 1e15,
        "tops_per_watt": float(bill.tops_per_watt),
        "joules_per_token": float(bill.total) / workload.tokens,
        "watts_at_exaops": {"nominal": nominal, **_percentiles(watts)},
        "watts_at_exaops_choices_held": {"nominal": nominal, **_percentiles(parts_only)},
        "probability_of_closing": float(np.mean(watts <= TARGET_WATTS)),
        "probability_of_closing_choices_held": float(np.mean(parts_only <= TARGET_WATTS)),
        "components": {
            name: {"nominal": float(energy / bill.macs) * 1e15, **_percentiles(components[name], 1e15)}
            for name, energy in bill.components.items()
        },
        "system": _system_size(machine, system, bill),
        "reload": [reload(candidate, workload, vectors) for vectors in RESIDENCIES],
        "tornado": {name: swing._asdict() for name, swing in over.tornado().items()},
        "sobol": {name: index._asdict() for name, index in over.sobol(sobol_draws, seed).items()},
        "break_even": over.break_even(TARGET_WATTS),
        "operands_on_mask": workload.operands_on_mask(machine),
        "omitted": list(bill.omitted),
        "bill_rests_on": billing.statements(bill, candidate.measured_on),
        "assumptions": [str(c) for c in candidate.constants.values() if c.mark == "assumed"],
        "constants": {field: dataclasses.asdict(c) for field, c in candidate.constants.items()},
    }


def reload(candidate: Candidate, workload: Workload, vectors: float) -> ReloadCost:
    """Return the cost of loading the masks once per `vectors` vectors."""
    core = candidate.core.replace({"vectors_per_load": vectors})
    assert isinstance(core, Machine)
    bill, core = candidate.priced(workload, core), candidate.placed(core)
    return {
        "vectors_per_load": vectors,
        "fj_per_mac": float(sum(bill.components[line] for line in RELOAD_LINES) / bill.macs) * 1e15,
        "utilisation": float(optics.system(core, bill, weights=workload.weights_on(core)).utilisation),
        "watts_at_exaops": float(bill.watts_at()),
    }


@dataclasses.dataclass(frozen=True)
class _Components:
    """Energy per MAC [J] by component of a variant of the candidate, whose nominal core chooses operands on masks."""

    candidate: Candidate
    workload: Workload

    def __call__(self, core: Machine) -> dict[str, Any]:
        bill = self.candidate.priced(self.workload, self.candidate.with_source_power(core))
        return {name: energy / bill.macs for name, energy in bill.components.items()}


def _watts(components: Mapping[str, np.ndarray]) -> np.ndarray:
    """Watts at 1 exaOPS from energies per MAC."""
    return np.asarray(sum(components.values())) * optics.EXAOPS / 2


def _percentiles(values: np.ndarray, scale: float = 1.0) -> Percentiles:
    low, middle, high = (float(np.percentile(values, share)) * scale for share in (5, 50, 95))
    return {"p05": low, "p50": middle, "p95": high}


def _system_size(machine: Machine, system: optics.System, bill: optics.Bill) -> SystemSize:
    first = host_core(machine)
    return {
        "cores": float(system.cores),
        "utilisation": float(system.utilisation),
        "resident_weights": float(system.resident_weights),
        "passes": float(system.passes),
        "sources": float(system.sources),
        "converters": float(system.converters),
        "tile_loads_per_second": float(system.loads_per_second),
        "source_power_w": float(first.source.power),
        "rows": first.rows,
        "columns": first.columns,
        "clock_hz": float(first.clock),
        "adc_enob": float(first.adc.enob),
        "by_core": _core_sizes(machine, system, bill),
    }


def _core_sizes(machine: Machine, system: optics.System, bill: optics.Bill) -> list[CoreSize]:
    kinds: list[tuple[str, optics.TensorCore]] = [("", machine)] if isinstance(machine, optics.TensorCore) else []
    if isinstance(machine, optics.CoresBySite):
        pairs = zip(machine.labels, machine.cores, strict=True)
        kinds = [(label, core) for label, core in pairs if isinstance(core, optics.TensorCore)]
    counts = [system.cores * seconds / bill.core_seconds for seconds in bill.seconds_by_core] or [system.cores]
    return [
        {
            "rule": label,
            "cores": float(count),
            "rows": core.rows,
            "columns": core.columns,
            "clock_hz": float(core.clock),
            "adc_enob": float(core.adc.enob),
            "source_power_w": float(core.source.power),
        }
        for (label, core), count in zip(kinds, counts, strict=True)
    ]
