"""`otc target`: does a core reach 1 exaOPS in 10 kW at an acceptable accuracy?"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import models
import optics
from electronics.digital import measured
from electronics.part import nearest
from experiments.common import billing, reporting, verdict
from experiments.common.candidates import check_design, design_candidate, file_candidate, scenario_candidate
from experiments.common.options import check_integer, check_power_of_two
from experiments.common.overrides import OWN
from experiments.common.text_options import TextOptions
from experiments.common.verdict import Candidate
from experiments.common.workload import Attention, Workload, shapes_named
from experiments.evaluation.measure import measure
from experiments.evaluation.paired import digital_cases, paired_loss
from experiments.evaluation.records import EvaluationCase, observed_drive
from experiments.target import budget, figures, report
from experiments.target.design_space import Axes
from experiments.target.map import MapMeasurement
from experiments.target.records import FullScaleLight, ScenarioVerdict, TargetSummary

ACCEPTED_LOSS = 0.02
MOST, MOST_GRID, MOST_DRAWS = 2**20, 100, 2**22
FULL_SCALE_BITS = 8.0
SHOWN_BILLS = ("llama-3.1-8b", "llama-3.1-70b")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetOptions(TextOptions):
    """Does 1 exaOPS in 10 kW close? Watts with their uncertainty, joined with the accuracy of a real language model."""

    scenarios: tuple[str, ...] = ("today", "projected_2029", "physical_limit")
    """Scenarios to judge."""
    core: Path | None = None
    """A core of your own (.toml or .json) beside them; what it shares with `ranges` keeps that scenario's ranges."""
    cores: Path | None = None
    """A design with a core for each site beside them, .toml (docs/guide/cores.md), with ranges as for `core`."""
    ranges: str = "projected_2029"
    """Scenario that lends its ranges to your own core and your own design."""
    mask: str | None = None
    """Technology of the weight mask of the scenarios, with ranges of its own (docs/guide/cores.md)."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    set: tuple[str, ...] = ()
    """Constants to change: FIELD=VALUE or FIELD=LOW:VALUE:HIGH in SI units, for one scenario SCENARIO.FIELD=...,
    for your own core core.FIELD=..., for your own design cores.FIELD=..."""
    rows: int = 1024
    """Rows and columns of the cores."""
    effective_bits: float = 7.0
    """Bits against the product's own rms that size the light of the scenarios."""
    shapes: str = "llama-3.1-70b"
    """Model that the machine is to run, by name: its shapes alone are used."""
    context: int = 8192
    """Tokens of its prompt."""
    draws: int = 16384
    """Draws of all constants, a power of two."""
    sobol_draws: int = 2048
    """Draws for the Sobol indices, a power of two; times the number of constants they are the cores evaluated."""
    windows: int = 4
    """Windows of the text on which the language model is scored, each with `keys` draws of the noise."""
    window_tokens: int = 256
    """Tokens in a window."""
    keys: int = 2
    """Draws of the noise for each window."""
    map: str | None = "projected_2029"
    """Scenario (or "core") whose map of accuracy and watts is measured and descended; None for no map."""
    map_windows: int = 2
    """Windows, one draw of the noise each, at each point of the map."""
    sizes: tuple[int, ...] = (1024, 2048)
    """Rows and columns on the map."""
    light: tuple[float, ...] = (6.0, 7.0, 8.0, 9.0)
    """Effective bits of light on the map."""
    enob: tuple[float, ...] = (6.0, 7.0, 8.0, 10.0)
    """Effective bits of the ADC on the map."""
    clocks: tuple[float, ...] = (0.5e9, 1e9, 2e9)
    """Clocks on the map [Hz]."""
    steps: int | None = 20
    """Evaluations of the descent to the best core of the map; None for no descent."""
    loss_scale: float = 0.1
    """Loss [nats per token] that the descent weighs like a factor e in watts."""
    grid: int | None = None
    """Points per axis of a grid over the bounds of the descent, to compare; 10 takes half an hour and more."""
    out: Path = Path("runs/target")
    """Folder for summary.json, the figures, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        # The workload checks shapes and context.
        _ = self.workload
        for name in ("keys", "map_windows", "steps", "rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} = {value} must be at least 1")
            if value is not None:
                check_integer(name, value, 1, MOST)
        if self.grid is not None and self.grid < 2:
            raise ValueError(f"grid = {self.grid} must be at least 2 points per axis")
        if self.grid is not None:
            check_integer("grid", self.grid, 2, MOST_GRID)
        if not 1 <= self.effective_bits <= 12:
            raise ValueError(f"effective_bits = {self.effective_bits} must be between 1 and 12")
        if self.map is not None and self.map_windows > self.windows:
            raise ValueError(f"map_windows = {self.map_windows} must be at most windows = {self.windows}")
        if self.mask is not None and not self.scenarios:
            raise ValueError(f"mask = {self.mask!r} is that of the scenarios, and there is none")
        if self.loss_scale <= 0:
            raise ValueError(f"loss_scale = {self.loss_scale} must be above 0")
        for name in ("draws", "sobol_draws"):
            check_power_of_two(name, getattr(self, name), MOST_DRAWS)
        self.axes.check()

    @property
    def axes(self) -> Axes:
        """Axes of the map."""
        return Axes(sizes=self.sizes, light_bits=self.light, enob=self.enob, clocks=self.clocks)

    @property
    def workload(self) -> Workload:
        """The workload that is billed."""
        return Workload(config=shapes_named(self.shapes), context=self.context, attention=self.attention)


def main(options: TargetOptions) -> TargetSummary:
    """Run everything, print the verdict, write summary.json and the figures, and return the summary."""
    options.check()
    candidates = _candidates(options)
    if options.map is not None and options.map not in candidates:
        raise ValueError(f"map = {options.map!r} is not judged{nearest(options.map, list(candidates))}")
    if options.map is not None:
        # A map varies one light and one ADC.
        _ = candidates[options.map].single
    shown = [dataclasses.replace(options.workload, config=shapes_named(name)) for name in SHOWN_BILLS]
    _check_designs(candidates, [options.workload, *shown])
    checkpoint, windows = options.load()
    own = dataclasses.replace(options.workload, config=checkpoint.config, context=options.window_tokens)
    _check_designs(candidates, [own])
    summary, judged = _summary(options, candidates, checkpoint, windows)
    space = None
    if options.map is not None:
        measurement = _map_measurement(options, judged[options.map], checkpoint, windows)
        summary["map"], space = measurement.measure(summary["digital"]["digital_w8a8"]["kl"], ACCEPTED_LOSS)
        if options.steps is not None:
            summary["descent"] = measurement.descend(options.steps, options.loss_scale, options.grid)
    reporting.write(summary, options.out)
    figures.draw(summary, space, options.out)
    report.print_report(summary, options.out)
    return summary


def _candidates(options: TargetOptions) -> dict[str, Candidate]:
    candidates = {
        name: scenario_candidate(name, options.set, options.rows, options.effective_bits, options.mask)
        for name in dict.fromkeys(options.scenarios)
    }
    if options.core is not None:
        candidates[OWN] = file_candidate(options.core, options.ranges, options.set)
    if options.cores is not None:
        design = design_candidate(options.cores, options.ranges, options.set)
        if design.name in candidates:
            raise ValueError(f"cores = {options.cores}: a candidate is named {design.name!r} already; rename the file")
        candidates[design.name] = design
    if not candidates:
        raise ValueError("scenarios = () leaves nothing to judge; name one, or give a core or a design")
    return candidates


def _check_designs(candidates: Mapping[str, Candidate], workloads: Sequence[Workload]) -> None:
    for candidate in candidates.values():
        check_design(candidate.core, workloads)


def _map_measurement(
    options: TargetOptions, candidate: Candidate, checkpoint: models.Checkpoint, windows: np.ndarray
) -> MapMeasurement:
    # A user's core may be calibrated, which holds for its own size alone.
    sizes = (candidate.single.rows,) if options.map == OWN else options.sizes
    return MapMeasurement(
        candidate=candidate,
        workload=options.workload,
        axes=dataclasses.replace(options.axes, sizes=sizes),
        checkpoint=checkpoint,
        windows=windows[: options.map_windows],
        seed=options.seed,
        kept=options.out / "results.sqlite",
    )


def _summary(
    options: TargetOptions, candidates: Mapping[str, Candidate], checkpoint: models.Checkpoint, windows: np.ndarray
) -> tuple[TargetSummary, dict[str, Candidate]]:
    """Return the summary without the map, and the candidates at their measured mean drive."""
    # The noise key of a window follows from its number, so repeated windows are the same text under other noise.
    repeated = np.tile(windows, (options.keys, 1))
    attention = options.attention
    cases = [
        EvaluationCase(name=name, core=c.core, windows=len(repeated), observed=True, attention=attention)
        for name, c in candidates.items()
    ]
    dim = {
        name: optics.with_effective_bits(c.single, FULL_SCALE_BITS, against="full scale")
        for name, c in candidates.items()
        if c.effective_bits is not None
    }
    cases += [
        EvaluationCase(name=f"dim {name}", core=core, windows=len(windows), attention=attention)
        for name, core in dim.items()
    ]
    cases += digital_cases(len(repeated))
    results = measure(checkpoint, repeated, cases, options.seed, options.out / "results.sqlite")
    exact, workload = results["digital_fp32"], options.workload
    measured_on = f"{options.model_name}, first window of {options.text}"
    drives = {name: observed_drive(results[name]) for name in candidates}
    judged = {name: c.at_drive(drives[name], measured_on) for name, c in candidates.items()}
    digital = {"digital_w8a8": paired_loss(results["digital_w8a8"], exact, options.keys)}
    scenarios: dict[str, ScenarioVerdict] = {
        name: {
            **verdict.energy(candidate, workload, options.draws, options.sobol_draws, options.seed),
            **paired_loss(results[name], exact, options.keys),
            "mean_drive": drives[name],
        }
        for name, candidate in judged.items()
    }
    full_scale_light: dict[str, FullScaleLight] = {
        name: {
            "bits": FULL_SCALE_BITS,
            "watts_at_exaops": float(workload.price(billing.with_mean_drive(core, drives[name])).watts_at()),
            **paired_loss(results[f"dim {name}"], exact),
        }
        for name, core in dim.items()
    }
    summary: TargetSummary = {
        **options.described(),
        "keys": options.keys,
        "effective_bits": options.effective_bits,
        "shapes": options.shapes,
        "workload": str(workload),
        "mask": options.mask,
        "attention": attention,
        "target": {"watts": verdict.TARGET_WATTS, "fj_per_mac": verdict.TARGET_WATTS / optics.EXAOPS * 2e15},
        "accepted_loss": ACCEPTED_LOSS,
        "draws": options.draws,
        "changes": list(options.set),
        "scenarios": scenarios,
        "digital": digital,
        "full_scale_light": full_scale_light,
        "digital_watts": {name: measured.ENERGY_PER_MAC[name].value * optics.EXAOPS / 2 for name in ("b200", "h200")},
        "map": None,
        "descent": None,
        "budget_by_hand": [budget.compare(row, workload) for row in budget.BY_HAND],
        "bills": {
            name: billing.token_bills(candidate.core, SHOWN_BILLS, options.context, 1, measured_on, attention)
            for name, candidate in judged.items()
        },
        "versions": reporting.versions(),
    }
    return summary, judged
