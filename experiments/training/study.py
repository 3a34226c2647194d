"""Runs of training that are compared: every core, light, seed and method of a definition."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import optics
from experiments.evaluation.paired import standard_error
from experiments.training.method import step as stepping
from experiments.training.method.gaussian import GaussianCore
from experiments.training.method.step import Measured
from experiments.training.records import Recovery, TrainedRow
from experiments.training.run import start
from experiments.training.run.loop import train
from experiments.training.run.options import Options
from experiments.training.run.order import batches_in_order
from experiments.training.run.outcome import TrainingResult
from experiments.training.task import Task
from optics.core.by_site import Machine

METHODS = ("none", "digital", "gaussian", "fixed_gaussian", "light", "codesign")
NONE, DIGITAL, GAUSSIAN, FIXED_GAUSSIAN, LIGHT, CODESIGN = METHODS
TEST_SEED = 2**31
"""Added to the seed: test draws are of noise and devices that no training has seen."""
SETTINGS = 3
"""How often the light is set to the photons wanted, each time at the drive of the last setting."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What is trained, on what, and how.

    Attributes:
        task: the function and its data, by seed.
        cores: by name, the cores or designs.
        photons: launched photons per MAC at the drive of the starting point, each a light level; None for the light
            that the cores have.
        methods: of `METHODS`; the starting point, "none", is always there.
        seeds: each trains all anew.
        options: of training.
        knobs: options of "codesign" in place of those of `options`: knobs, price, knob_rate.
        figure: that is compared.
        draws: of the noise on the test examples.
        policy: which products run on the core.
    """

    task: Callable[[int], Task]
    cores: Mapping[str, Machine]
    photons: Sequence[float] | None = None
    methods: Sequence[str] = (LIGHT,)
    seeds: Sequence[int] = (0,)
    options: Options = dataclasses.field(default_factory=Options)
    knobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    figure: str = "loss"
    draws: int = 8
    policy: optics.Policy = optics.stationary


class Point(NamedTuple):
    """A core with its light."""

    name: str
    photons: float | None
    core: Machine

    @property
    def label(self) -> str:
        """Name of its folder."""
        return self.name if self.photons is None else f"{self.name}-{self.photons:g}"


class Outcome(NamedTuple):
    """What a study found: the name of its function, rows, exact figures by seed, and results."""

    name: str
    rows: list[TrainedRow]
    exact: dict[str, dict[str, float]]
    best: dict[str, TrainingResult]


def run(study: Study, out: Path, progress: bool = True) -> Outcome:
    """Train everything; interrupted, the same call goes on.

    Args:
        study: what is trained.
        out: folder with one folder for each run.
        progress: whether lines on stderr show where it is.
    """
    name = ""
    rows: list[TrainedRow] = []
    exact: dict[str, dict[str, float]] = {}
    best: dict[str, TrainingResult] = {}
    for seed in study.seeds:
        task = study.task(seed)
        bench, name = _Bench(study, task, seed), task.name or name
        exact[str(seed)] = bench.figures(task.params, None)[0]
        if study.figure not in exact[str(seed)]:
            raise ValueError(f"figure = {study.figure!r} is none of those of the loss: {', '.join(exact[str(seed)])}")
        for point in bench.points():
            seen = bench.observed(task.params, point.core)
            rows.append(bench.row(point, NONE, task.params, point.core))
            for method in study.methods:
                if method == NONE:
                    continue
                folder = out / f"{point.label}-{seed}-{method}"
                core, options = bench.training(method, point.core, seen)
                result = train(
                    task.loss,
                    task.params,
                    task.data,
                    core=core,
                    held_out=task.held_out,
                    forward=task.forward,
                    options=options,
                    out=folder,
                    policy=study.policy,
                    progress=progress,
                )
                row = bench.row(point, method, result.params, result.core if method == CODESIGN else point.core, result)
                if method in (GAUSSIAN, FIXED_GAUSSIAN):
                    before, after = (bench.figures(params, core)[0] for params in (task.params, result.params))
                    row["start_in_training"], row["in_training"] = before, after
                row["folder"] = folder.name
                rows.append(row)
                best[folder.name] = result
    return Outcome(name, rows, exact, best)


class _Bench:
    """The function, its examples and what is compiled for one seed."""

    def __init__(self, study: Study, task: Task, seed: int):
        self.study, self.task, self.seed = study, task, seed
        self.options = dataclasses.replace(study.options, seed=seed)
        redrawn = study.options.device == "redrawn"
        self.measured = Measured(loss=task.loss, forward=task.forward, redrawn=redrawn, policy=study.policy)
        micro = self.options.batch // self.options.accumulate
        self.batches = batches_in_order(task.held_out if task.test is None else task.test, micro)
        self.sample = jax.tree.map(lambda array: array[0], self.batches)
        numbers = start.numbers_of(self.options)
        self.numbers = numbers._replace(
            seed=np.uint32(TEST_SEED + seed), device_seed=np.uint32((int(numbers.device_seed) + TEST_SEED) % 2**32)
        )

    def points(self) -> Iterator[Point]:
        """Each core at each light level, at the drive of the starting point."""
        for name, core in self.study.cores.items():
            if self.study.photons is None:
                yield Point(name, None, core)
                continue
            if not isinstance(core, optics.TensorCore):
                raise ValueError(f"photons_per_mac sets the light of one core, and {name} is a design")
            for photons in self.study.photons:
                lit = core
                for _ in range(SETTINGS):
                    # Noise changes the activations, and so the drive that light is launched for.
                    lit = optics.with_photons_per_mac(lit, photons, self.seen(self.task.params, lit))
                yield Point(name, photons, lit)

    def seen(self, params: Any, core: Any) -> Mapping[str, Any]:
        """Return the diagnostics of parameters on a core's own device, by site name."""
        measured = dataclasses.replace(self.measured, redrawn=False)
        return stepping.observe(measured, params, self.task.params, core, self.numbers, self.sample)

    def observed(self, params: Any, core: Any) -> start.Observed:
        """Return SNRs and drives of parameters on a core."""
        return start.observe(
            self.measured, params, self.task.params, core, self.numbers, self.sample, self.options.least_snr
        )

    def training(self, method: str, core: Machine, seen: start.Observed) -> tuple[Any, Options]:
        """Return (what is trained under, options) of a method."""
        if method == DIGITAL:
            return None, self.options
        if method in (GAUSSIAN, FIXED_GAUSSIAN):
            noisy = GaussianCore.like(seen.diagnostics, relative=method == GAUSSIAN)
            return noisy, dataclasses.replace(self.options, device="fixed")
        if method == CODESIGN:
            return core, dataclasses.replace(self.options, **self.study.knobs)
        return core, self.options

    def figures(self, params: Any, core: Any) -> tuple[dict[str, float], float | None]:
        """Return (mean figures on the test examples, standard error of the compared one over draws of the noise)."""
        draws = 1 if core is None else self.study.draws
        measured = dataclasses.replace(self.measured, redrawn=self.measured.redrawn and isinstance(core, Machine))
        found = stepping.evaluate(measured, draws, params, self.task.params, core, self.numbers, self.batches)
        means = {name: np.mean(np.asarray(values, np.float64), axis=1) for name, values in found.items()}
        spread = standard_error(means[self.study.figure]) if draws > 1 and self.study.figure in means else None
        return {name: float(np.mean(each)) for name, each in means.items()}, spread

    def row(
        self, point: Point, method: str, params: Any, core: Machine, result: TrainingResult | None = None
    ) -> TrainedRow:
        """Return the record of parameters on a core."""
        figures, spread = self.figures(params, core)
        seen = self.seen(params, core)
        row: TrainedRow = {
            "core": point.name,
            "photons": point.photons,
            "seed": self.seed,
            "method": method,
            "figures": figures,
            "draw_stderr": spread,
            "snr_db": {name: ratio if math.isfinite(ratio) else None for name, ratio in start.ratios(seen).items()},
            "launched": float(optics.photons_per_mac(core, seen)) if isinstance(core, optics.TensorCore) else None,
            "watts": self._watts(core, seen),
            "steps": 0,
            "best_step": 0,
            "stopped": "",
            "seconds_per_step": None,
        }
        if result is None:
            return row
        seconds = result.seconds_per_step
        row["steps"], row["best_step"], row["stopped"] = result.steps, result.best_step, result.stopped
        row["seconds_per_step"] = None if math.isnan(seconds) else seconds
        row["curve"] = [(number, each[self.study.figure]) for number, each in result.held_out]
        if method == CODESIGN:
            row["hardware"] = {name: result.figures[name] for name in self.study.knobs["knobs"]}
        return row

    def _watts(self, core: Machine, seen: Mapping[str, Any]) -> float:
        shapes = (self.task.params, self.sample, self.measured.reference(self.task.params, self.sample))
        sites = optics.trace(self.task.loss, policy=self.study.policy)(*shapes)
        return float(optics.price(core, sites, readings=seen).watts_at())


def recovery(outcome: Outcome, figure: str) -> list[Recovery]:
    """Return means over the seeds of each point and method.

    Args:
        outcome: of the study.
        figure: that is compared, of which less is better.
    """
    rows = outcome.rows
    groups = list(dict.fromkeys((row["core"], row["photons"], row["method"]) for row in rows))
    found = {(row["core"], row["photons"], row["method"], row["seed"]): row for row in rows}
    seeds = list(dict.fromkeys(row["seed"] for row in rows))

    def share(row: TrainedRow, at_start: Mapping[str, float], at_end: Mapping[str, float]) -> float:
        cost = at_start[figure] - outcome.exact[str(row["seed"])][figure]
        return (at_start[figure] - at_end[figure]) / cost if cost else math.nan

    def on_core(core: str, photons: float | None, method: str) -> np.ndarray:
        of_seeds = [found[core, photons, method, seed] for seed in seeds]
        starts = [found[core, photons, NONE, seed]["figures"] for seed in seeds]
        return np.array([share(row, at, row["figures"]) for row, at in zip(of_seeds, starts, strict=True)])

    table: list[Recovery] = []
    for core, photons, method in groups:
        of_seeds = [found[core, photons, method, seed] for seed in seeds]
        losses = np.array([row["figures"][figure] for row in of_seeds])
        shares = on_core(core, photons, method)
        watts = np.array([row["watts"] for row in of_seeds])
        launched = [row["launched"] for row in of_seeds if row["launched"] is not None]
        over = None
        if (core, photons, GAUSSIAN) in groups and method != NONE:
            over = shares - on_core(core, photons, GAUSSIAN)
        own = [
            share(row, row["start_in_training"], row["in_training"])
            for row in of_seeds
            if "start_in_training" in row and "in_training" in row
        ]
        table.append(
            {
                "core": core,
                "photons": photons,
                "method": method,
                "loss": float(np.mean(losses)),
                "loss_stderr": _spread(losses),
                "recovered": float(np.mean(shares)),
                "recovered_stderr": _spread(shares),
                "recovered_in_training": float(np.mean(own)) if own else None,
                "recovered_in_training_stderr": _spread(np.array(own)) if own else None,
                "over_gaussian": None if over is None else float(np.mean(over)),
                "over_gaussian_stderr": None if over is None else _spread(over),
                "launched": float(np.mean(launched)) if launched else None,
                "watts": float(np.mean(watts)),
                "watts_stderr": _spread(watts),
                "seeds": len(seeds),
            }
        )
    return table


def _spread(values: np.ndarray) -> float | None:
    return standard_error(values) if len(values) > 1 else None
