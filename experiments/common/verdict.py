"""What a core draws at 1 exaOPS on a workload: nominal, over the ranges of its constants, and what decides it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

import optics
from electronics import Constant
from experiments.common import billing
from experiments.common.workload import Workload
from optics.core.cost_component import CostComponent

TARGET_WATTS = 10e3
RESIDENCIES = (256, 1024, 4096, 16384, 65536)
RELOAD_LINES = (CostComponent.WEIGHT_FETCH, CostComponent.MASK_WRITE, CostComponent.IDLE_AT_RELOAD)
PERCENTILES = {"p05": 5, "p50": 50, "p95": 95}


class ReloadCost(TypedDict):
    """Cost of loading the masks once for `vectors_per_load` vectors."""

    vectors_per_load: float
    fj_per_mac: float
    utilisation: float
    watts_at_exaops: float


class SystemSize(TypedDict):
    """The cores that do 1 exaOPS, and what surrounds them; see `optics.System`."""

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


class EnergyVerdict(TypedDict):
    """Energy of a core on a workload at 1 exaOPS, with intervals and sensitivities, as summary.json states it.

    `watts_at_exaops` and each of `components` [fJ/MAC] hold "nominal", "p05", "p50" and "p95"; `tornado` [W] and
    `sobol` are by constant, as is `constants`, the fields of each `electronics.Constant`.
    """

    fj_per_mac: float
    fj_per_mac_on_core: float
    tops_per_watt: float
    joules_per_token: float
    watts_at_exaops: dict[str, float]
    watts_at_exaops_choices_held: dict[str, float]
    probability_of_closing: float
    probability_of_closing_choices_held: float
    components: dict[str, dict[str, float]]
    system: SystemSize
    reload: list[ReloadCost]
    tornado: dict[str, dict[str, float]]
    sobol: dict[str, dict[str, float]]
    break_even: dict[str, float]
    omitted: list[str]
    bill_rests_on: list[str]
    assumptions: list[str]
    constants: dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A core on trial and the constants behind it.

    effective_bits: the precision that the light is sized for, whatever the constants turn out to be; None where the
    core's power is given. measured_on: the model that the core's mean drive was measured on, if it was.
    """

    name: str
    core: optics.TensorCore
    constants: Mapping[str, Constant]
    effective_bits: float | None
    measured_on: str = ""

    def lit(self, core: optics.TensorCore) -> optics.TensorCore:
        """A variant of the core with the light that its constants ask for."""
        return core if self.effective_bits is None else optics.with_effective_bits(core, self.effective_bits)

    def at_drive(self, mean_drive: float, measured_on: str) -> "Candidate":
        """The candidate billed for the mean drive that a model was measured to have; its range stays, and holds it."""
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
    """The energy side of a verdict, as a summary states it: watts at 1 exaOPS with intervals, and what decides them."""
    bill = workload.price(candidate.core)
    on_core = optics.price(candidate.core, workload.on_core)
    around = optics.system(candidate.core, bill, weights=workload.weights)
    over = optics.Uncertainty(
        _Components(candidate, workload), candidate.core, optics.spreads(candidate.constants), _watts
    )
    components = over.at(over.draw(draws, seed))
    watts, parts_only = _watts(components), _watts(over.at(over.draw(draws, seed, held=optics.CHOICES)))
    return {
        "fj_per_mac": float(bill.per_mac) * 1e15,
        "fj_per_mac_on_core": float(on_core.per_mac) * 1e15,
        "tops_per_watt": float(bill.tops_per_watt),
        "joules_per_token": float(bill.total) / workload.tokens,
        "watts_at_exaops": {"nominal": float(bill.watts_at()), **_percentiles(watts)},
        "watts_at_exaops_choices_held": {"nominal": float(bill.watts_at()), **_percentiles(parts_only)},
        "probability_of_closing": float(np.mean(watts <= TARGET_WATTS)),
        "probability_of_closing_choices_held": float(np.mean(parts_only <= TARGET_WATTS)),
        "components": {
            name: {
                "nominal": float(energy / bill.macs) * 1e15,
                **{key: value * 1e15 for key, value in _percentiles(components[name]).items()},
            }
            for name, energy in bill.components.items()
        },
        "system": _system(candidate, around),
        "reload": [reload(candidate.core, workload, vectors) for vectors in RESIDENCIES],
        "tornado": {name: swing._asdict() for name, swing in over.tornado().items()},
        "sobol": {name: index._asdict() for name, index in over.sobol(sobol_draws, seed).items()},
        "break_even": over.break_even(TARGET_WATTS),
        "omitted": list(bill.omitted),
        "bill_rests_on": billing.statements(bill, candidate.measured_on),
        "assumptions": [str(c) for c in candidate.constants.values() if c.mark == "assumed"],
        "constants": {field: dataclasses.asdict(c) for field, c in candidate.constants.items()},
    }


def reload(core: optics.TensorCore, workload: Workload, vectors: float) -> ReloadCost:
    """What it costs to load the masks once for so many vectors: energy at the engine, time, and watts of it all."""
    core = core.replace({"vectors_per_load": vectors})
    bill = workload.price(core)
    return {
        "vectors_per_load": vectors,
        "fj_per_mac": float(sum(bill.components[line] for line in RELOAD_LINES) / bill.macs) * 1e15,
        "utilisation": float(optics.system(core, bill, weights=workload.weights).utilisation),
        "watts_at_exaops": float(bill.watts_at()),
    }


@dataclasses.dataclass(frozen=True)
class _Components:
    """Energy per MAC [J] by component of a variant of the candidate."""

    candidate: Candidate
    workload: Workload

    def __call__(self, core: optics.TensorCore) -> dict[str, Any]:
        bill = self.workload.price(self.candidate.lit(core))
        return {name: energy / bill.macs for name, energy in bill.components.items()}


def _watts(components: Mapping[str, np.ndarray]) -> np.ndarray:
    """Watts at 1 exaOPS from energies per MAC."""
    return sum(components.values()) * optics.EXAOPS / 2


def _percentiles(values: np.ndarray) -> dict[str, float]:
    return {name: float(np.percentile(values, share)) for name, share in PERCENTILES.items()}


def _system(candidate: Candidate, around: optics.System) -> SystemSize:
    core = candidate.core
    return {
        "cores": float(around.cores),
        "utilisation": float(around.utilisation),
        "resident_weights": float(around.resident_weights),
        "passes": float(around.passes),
        "sources": float(around.sources),
        "converters": float(around.converters),
        "tile_loads_per_second": float(around.loads_per_second),
        "source_power_w": float(core.source.power),
        "rows": core.rows,
        "columns": core.columns,
        "clock_hz": float(core.clock),
        "adc_enob": float(core.adc.enob),
    }
