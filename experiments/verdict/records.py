"""Makes the records of summary.json from what was measured, and models and designs from records."""

import dataclasses
from collections.abc import Sequence

import optics
from experiments.adapt.bills import Drives
from experiments.adapt.setting import Setting
from experiments.common.reporting import kilowatts
from experiments.common.verdict import TARGET_WATTS, Candidate, EnergyVerdict
from experiments.common.workload import Workload
from experiments.evaluation.paired import standard_error
from experiments.verdict.losses import Excess, Measured, OverDigital
from experiments.verdict.prices import BilledModel
from experiments.verdict.report.records import CurvesRecord, DepartureRecord, DesignRecord, PairRecord, VariantRecord
from experiments.verdict.report.tables import PAIRED
from experiments.verdict.space import KNOBS, Design, Structure
from experiments.verdict.variants import Variant
from models.shape.rotation import Rotation


def variant_record(variant: Variant) -> VariantRecord:
    """Return the record of a model and its settings."""
    setting, drives, rotation = variant.setting, variant.drives, variant.rotation
    return {
        "steps": list(variant.steps),
        "mean_drive": drives.mean,
        "drive_by_site": dict(drives.by_kind),
        "macs_by_site": dict(drives.macs),
        "sinks": setting.sinks,
        "light_by_site": dict(setting.light),
        "gain_by_site": dict(setting.gain),
        "loading_by_site": dict(setting.loading),
        "rotation_seed": None if rotation is None else rotation.seed,
        "heads": list(variant.heads),
    }


def model_of(name: str, record: VariantRecord) -> BilledModel:
    """Return what bills need of a model, from its record."""
    drives = Drives(record["drive_by_site"], record["macs_by_site"], record["mean_drive"])
    setting = Setting(
        sinks=record["sinks"],
        light=record["light_by_site"],
        gain=record["gain_by_site"],
        loading=record["loading_by_site"],
        kinds=tuple(drives.by_kind),
    )
    seed = record["rotation_seed"]
    return BilledModel(name, setting, drives, None if seed is None else Rotation(seed=seed))


def design_of(record: DesignRecord) -> Design:
    """Return the design of a record."""
    structure = Structure(**{field.name: record[field.name] for field in dataclasses.fields(Structure)})
    return Design(structure, {name: record[name] for name in KNOBS})


def cheapest(priced: Sequence[tuple[float, DesignRecord]], limit: float) -> tuple[float, DesignRecord] | None:
    """Return the least watts, and their design, of designs whose loss is within a limit; None where none is."""
    good = [(watts, each) for watts, each in priced if each["excess"] <= limit]
    return min(good, key=lambda pair: pair[0]) if good else None


def in_words(watts: float, variant: str, structure: Structure | str) -> str:
    """Return a design in words, for announcements."""
    return f"{kilowatts(watts)} kW, model {variant}, {structure}"


def pair_records(candidate: Candidate, workload: Workload, energy: EnergyVerdict) -> list[PairRecord]:
    """Return pairs of the constants of the widest swings that close the target together, and neither alone."""
    over = optics.Uncertainty(
        lambda core: candidate.priced(workload, candidate.with_source_power(core)).watts_at(),
        candidate.core,
        optics.spreads(candidate.constants),
    )
    pairs = over.break_even_pairs(TARGET_WATTS, list(energy["tornado"])[:PAIRED])
    return [PairRecord(**pair._asdict()) for pair in pairs]


def curves_record(place: OverDigital) -> CurvesRecord:
    """Return the record of what losses are placed by."""
    return {
        "windows": len(place.w8a8),
        "models": {
            model: {
                "kl": curve.kl.mean(axis=1).tolist(),
                "delta_nll": curve.delta_nll.mean(axis=1).tolist(),
                "attention_on_light": DepartureRecord(kl=kl, delta_nll=above, delta_nll_stderr=stderr),
            }
            for model, curve in place.curves.items()
            for kl, above, stderr in [place.departure(model)]
        },
        "w8a8": {"delta_nll": float(place.w8a8.mean()), "delta_nll_stderr": standard_error(place.w8a8)},
    }


def design_record(design: Design, measured: Measured, excess: Excess, watts: float, photons: float) -> DesignRecord:
    """Return the record of a measured design."""
    structure, knobs = design
    return {
        "variant": measured.variant,
        "structure": str(structure),
        "attention": structure.attention,
        "mask": structure.mask,
        "ranges": structure.ranges,
        "encoding": structure.encoding,
        "rows": structure.rows,
        "columns": structure.columns,
        "accumulate": structure.accumulate,
        "light_bits": float(knobs["light_bits"]),
        "enob": float(knobs["enob"]),
        "dac_enob": float(knobs["dac_enob"]),
        "clock": float(knobs["clock"]),
        "loading": float(knobs["loading"]),
        "photons_per_mac": photons,
        "watts": watts,
        "kl": float(measured.kl.mean()),
        "delta_nll": float(measured.delta_nll.mean()),
        "delta_nll_stderr": standard_error(measured.delta_nll),
        "excess": excess.value,
        "excess_stderr": excess.stderr,
        "measured_excess": excess.measured,
        "measured_excess_stderr": excess.measured_stderr,
    }
