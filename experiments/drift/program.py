"""`otc drift`: what a core computes over an hour as its gains drift, calibrated at several intervals."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import optics
from experiments.common import reporting
from experiments.common.options import check_folder, check_integer, check_seed
from experiments.drift import figure
from experiments.drift.records import DriftFigure, DriftRow, DriftSummary
from experiments.sweeps.definition import function_name
from experiments.sweeps.subjects.function import Function
from optics.analysis.probes import residual_of
from optics.analysis.timeline import Figures
from optics.core.tensor_core import RealizedCore

RESIDUAL = "residual"
MOST_POINTS = 10_000
BEFORE = 1e-3
"""Share of the shortest interval by which a point precedes each calibration."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriftOptions:
    """What a core computes over time as its gains drift, and what calibrations at several intervals cost."""

    function: str = ""
    """FOLDER/MODULE:NAME of a sweeps.Function, or of a function that returns one; without it a random product."""
    preset: str = "projected_2029"
    """Preset whose light is sized for `rows` and `columns`."""
    rows: int = 64
    """Rows of the core."""
    columns: int = 64
    """Columns of the core."""
    core: Path | None = None
    """A core of your own, a .toml or .json file, instead of the preset and its size."""
    device: int = 7
    """Serial number of the device."""
    factor: float = 1.0
    """Factor on both rates of the drift of the core."""
    gain_mismatch: float | None = None
    """Spread of the sources before the first calibration, in place of that of the core."""
    intervals: tuple[float, ...] = (600.0, 1800.0, 3600.0)
    """Seconds between calibrations, one curve each. One of more than `duration` is calibrated at the start alone."""
    duration: float = 3600.0
    """Seconds that are drawn."""
    points: int = 13
    """Times at which the figures are taken, beside those just before and after each calibration."""
    paths: int = 4
    """Walks of the gains, the same for all intervals."""
    probes: Literal["single", "hadamard"] = "single"
    """Vectors of a calibration: one input at a time, or half of them."""
    averages: int = 16
    """Times that a calibration sends each vector."""
    seed: int = 0
    """Seed of walks, probes and noise."""
    out: Path = Path("runs/drift")
    """Folder for summary.json and the figure."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        check_integer("rows", self.rows, 1)
        check_integer("columns", self.columns, 1)
        check_integer("points", self.points, 2, MOST_POINTS)
        check_integer("device", self.device, 0, 2**24 - 1)
        check_seed("seed", self.seed)
        check_folder("out", self.out)
        for name, value in (("duration", self.duration), *(("intervals", each) for each in self.intervals)):
            if not 0 < value < np.inf:
                raise ValueError(f"{name} = {value} must be a number of seconds above 0")
        if not self.intervals:
            raise ValueError("intervals must name at least one number of seconds")
        if not 0 <= self.factor < np.inf:
            raise ValueError(f"factor = {self.factor} must be a finite number, at least 0")

    def made(self) -> optics.TensorCore:
        """Return the core before its first calibration."""
        if self.core is not None:
            core = optics.serialise.load(self.core)
        elif self.preset in optics.PRESETS and self.preset not in optics.DEVICES:
            core = optics.preset(self.preset, rows=self.rows, columns=self.columns)
        else:
            core = dataclasses.replace(optics.preset(self.preset), rows=self.rows, columns=self.columns)
        changes: dict[str, Any] = {
            "device": self.device,
            "drift.age": 0.0,
            "drift.source_rate": self.factor * float(core.drift.source_rate),
            "drift.receiver_rate": self.factor * float(core.drift.receiver_rate),
        }
        if self.gain_mismatch is not None:
            changes["source.gain_mismatch"] = self.gain_mismatch
        return core.replace(changes)

    def times(self) -> np.ndarray:
        """Return the times of the figures, which hold the calibrations of all intervals: all then share their walks."""
        calibrations = np.concatenate(
            [every * np.arange(1, int(self.duration / every) + 1) for every in self.intervals]
        )
        before = calibrations - BEFORE * min(self.intervals)
        return np.unique(np.concatenate([np.linspace(0, self.duration, self.points), calibrations, before]))


def main(options: DriftOptions) -> DriftSummary:
    """Run every interval over the same walks, print the table, write summary.json and the figure."""
    options.check()
    core = options.made()
    function = _function(options.function)
    figures, labels, exact = _figures(function, options.averages)
    times = options.times()
    rows: list[DriftRow] = []
    for interval in options.intervals:
        found = optics.drift_timeline(
            core,
            figures,
            key=jax.random.key(options.seed),
            times=times,
            interval=interval,
            probes=options.probes,
            averages=options.averages,
            paths=options.paths,
        )
        rows.append(_row(found, interval, labels))
    summary: DriftSummary = {
        "core": options.preset if options.core is None else options.core.stem,
        "function": "random product" if function is None else str(function.describe()["name"]),
        "rows": core.rows,
        "columns": core.columns,
        "device": options.device,
        "probes": options.probes,
        "averages": options.averages,
        "paths": options.paths,
        "source_rate": float(core.drift.source_rate),
        "receiver_rate": float(core.drift.receiver_rate),
        "times": times.tolist(),
        "exact": exact,
        "intervals": rows,
        "options": {name: str(value) for name, value in dataclasses.asdict(options).items()},
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    _print_report(summary, options.out)
    return summary


def _function(name: str) -> Function | None:
    if not name:
        return None
    folder, _, module = name.rpartition("/")
    function = function_name.load(module, Path(folder or "."))
    function.check()
    return function


def _figures(
    function: Function | None, averages: int
) -> tuple[Figures, Mapping[str, tuple[str, str]], dict[str, float]]:
    """(figures of a core, their labels and units by name, those of exact arithmetic)."""
    labels = {RESIDUAL: ("error of a product", "rms of the product")}

    def of_product(realized: RealizedCore, key: jax.Array) -> dict[str, jax.Array]:
        return {RESIDUAL: residual_of(realized, key, averages)}

    if function is None:
        return of_product, labels, {}
    loaded = function.load()
    names = tuple(function.metrics)

    def figures(realized: RealizedCore, key: jax.Array) -> dict[str, jax.Array]:
        return of_product(realized, key) | loaded.score(realized, key, jnp.uint32(0), loaded.operands, names)

    params, data, reference = loaded.operands

    @jax.jit
    def digital(data: Any, reference: Any) -> Any:
        return jax.lax.map(lambda each: function.score(params, *each), (data, reference))

    exact = {name: float(np.mean(digital(data, reference)[name])) for name in names}
    return figures, labels | {name: (each.label, each.unit) for name, each in function.metrics.items()}, exact


def _row(found: optics.DriftTimeline, interval: float, labels: Mapping[str, tuple[str, str]]) -> DriftRow:
    return {
        "interval": interval,
        "calibrations": found.calibrations.tolist(),
        "vectors": found.vectors,
        "joules": found.joules,
        "duty": found.duty,
        "watts": found.watts,
        "figures": {name: _over_paths(values, *labels[name]) for name, values in found.values.items()},
    }


def _over_paths(values: np.ndarray, label: str, unit: str) -> DriftFigure:
    paths = len(values)
    spread = np.std(values, axis=0, ddof=1) / paths**0.5 if paths > 1 else np.zeros(values.shape[1])
    return {"label": label, "unit": unit, "mean": values.mean(axis=0).tolist(), "stderr": spread.tolist()}


def _print_report(summary: DriftSummary, out: Path) -> None:
    print(
        f"\n{summary['function']} on {summary['core']}, {summary['rows']} x {summary['columns']}, device "
        f"{summary['device']}; rms drift of a source {summary['source_rate'] * 60:.2%} in an hour, of a receiver "
        f"{summary['receiver_rate'] * 60:.2%}; {summary['paths']} walks"
    )
    names = list(summary["intervals"][0]["figures"])
    cells = [("interval [s]", *(f"{name}, {what}" for name in names for what in ("mean", "last")), "uJ each", "duty")]
    for row in summary["intervals"]:
        means = [row["figures"][name]["mean"] for name in names]
        numbers = [f"{each:.5f}" for mean in means for each in (_mean_over(summary["times"], mean), mean[-2])]
        cells.append((f"{row['interval']:g}", *numbers, f"{row['joules'] * 1e6:.3g}", f"{row['duty']:.1e}"))
    print(reporting.table(cells))
    if summary["exact"]:
        print("exact arithmetic: " + ", ".join(f"{name} {value:.5f}" for name, value in summary["exact"].items()))
    print("last: just before the last time. Written: " + f"{out}/summary.json, drift.png/.pdf")


def _mean_over(times: list[float], values: list[float]) -> float:
    """Mean over the time, by trapezia."""
    return float(np.trapezoid(values, times) / (times[-1] - times[0]))
