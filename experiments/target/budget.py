"""A budget by hand of a 1 exaOPS, 10 kW machine against this bill, and the costs that the budget omits.

It was worked out from the parts of the scenarios before this emulator was. It (fJ/MAC at the plug, 1 GHz, one load of
the weights for 16 k vectors) counts converters, sources, amplifiers, data movement, partial sums, weights and the
server. It omits signed inputs, requantisation, the update time of a mask, calibration, and everything in a transformer
that is no product with weights.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import optics
from electronics.converters import adc_survey
from experiments.common.workload import Workload
from experiments.target.records import BudgetComparison
from optics.core.cost_component import CostComponent
from optics.energy.light_budget import DESIGN_INPUT_MEAN


class BudgetLine(NamedTuple):
    """A total of the budget: precision counted against "full scale" or against the "product", and its fJ/MAC."""

    scenario: str
    rows: int
    bits: int
    against: str
    fj_per_mac: float


BY_HAND = (
    BudgetLine("today", 1024, 8, "full scale", 44),
    BudgetLine("today", 2048, 8, "full scale", 23),
    BudgetLine("projected_2029", 1024, 8, "full scale", 15.3),
    BudgetLine("projected_2029", 2048, 8, "full scale", 8.3),
    BudgetLine("today", 1024, 6, "product", 63),
    BudgetLine("today", 1024, 7, "product", 113),
    BudgetLine("projected_2029", 1024, 6, "product", 18.9),
    BudgetLine("projected_2029", 1024, 7, "product", 34),
    BudgetLine("physical_limit", 1024, 6, "product", 1.2),
    BudgetLine("physical_limit", 1024, 7, "product", 3.4),
)
# Costs that the budget omits, and the numbers of a core that each of them follows from.
OMITTED: dict[str, tuple[str, ...]] = {
    "requantising": ("digital.rescale_energy",),
    CostComponent.IDLE_AT_RELOAD: ("mask.update_time", "mask.settle_time"),
    CostComponent.CALIBRATION: ("upkeep.probes",),
}


def assumed(row: BudgetLine) -> optics.TensorCore:
    """Return the core of a total under the budget's assumptions.

    One unsigned source per input, outputs moved in words of 16 bits, weights in 8 bits with the sign, ADC energy on
    the envelope of the survey, and none of the omitted costs.
    """
    core = optics.preset(row.scenario, rows=row.rows, columns=row.rows)
    none = {field: 0.0 for fields in OMITTED.values() for field in fields}
    # The budget counts four pixels per weight, although it has one source per input.
    pixels = {"mask.write_energy": 2 * core.mask.write_energy}
    # The budget reads the survey's envelope at 1 GS/s itself, not a fit to it.
    place = adc_survey.ENOB.tolist().index(row.bits), adc_survey.RATES.tolist().index(1e9)
    as_read = adc_survey.ENERGY[place] / float(adc_survey.energy(row.bits, 1e9))
    converters = {
        "adc.bits": 16.0,
        "adc.enob": row.bits,
        "adc.survey_factor": core.adc.survey_factor * as_read,
        "mask.bits": 7.0,
        "source.mean_drive": DESIGN_INPUT_MEAN,
    }
    return optics.with_effective_bits(
        core.replace({**none, **pixels, **converters, "encoding.inputs": "unsigned"}),
        row.bits,
        against=row.against,
    )


def compare(row: BudgetLine, workload: Workload) -> BudgetComparison:
    """Compare a total of the budget with ours [fJ/MAC]; add the omitted costs one by one, the workload last."""
    core, full = assumed(row), optics.preset(row.scenario, rows=row.rows, columns=row.rows)
    steps = {"here": _product(core)}
    core = core.replace({"encoding.inputs": "rails", "mask.write_energy": full.mask.write_energy})
    steps["signed inputs"] = _product(core)
    for name, fields in OMITTED.items():
        numbers = full.numbers()
        core = core.replace({field: numbers[field] for field in fields})
        steps[name] = _product(core)
    steps["tiles of the model"] = _per_mac(optics.price(core, workload.on_core))
    steps["attention"] = _per_mac(optics.price(core, workload.sites_on(core)))
    steps["norms, softmax, KV cache"] = _per_mac(workload.price(core))
    return {
        "scenario": row.scenario,
        "rows": row.rows,
        "bits": row.bits,
        "against": row.against,
        "fj_per_mac": row.fj_per_mac,
        "ratio": steps["here"] / row.fj_per_mac,
        "steps": steps,
    }


def _product(core: optics.TensorCore) -> float:
    """fJ/MAC of a product of sixteen row tiles: most partial sums are read back, as the budget assumes."""
    shapes = (16 * core.rows, core.columns), (512, 16 * core.rows)
    sites = optics.trace(lambda w, x: x @ w)(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))
    return _per_mac(optics.price(core, sites))


def _per_mac(bill: optics.Bill) -> float:
    return float(bill.per_mac) * 1e15
