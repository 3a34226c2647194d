"""Looking at the run of a sweep, finished or not: as a table, as figures, or as a file for another program."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.common import options as checks
from experiments.sweeps.plots import figures, tables
from experiments.sweeps.running.results import Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfRun:
    """What is common: the run."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Show(OfRun):
    """Prints the table of a run."""

    metrics: tuple[str, ...] = ()
    """Those shown, all unless given."""
    most: int = 40
    """The most rows that are shown."""
    confidence: float = 0.68
    """Of the intervals."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot(OfRun):
    """Draws a run, as PNG, PDF and SVG: lines with bands, maps with contours, fronts of accuracy and energy."""

    metrics: tuple[str, ...] = ()
    """Those drawn, all unless given."""
    x: str | None = None
    """The axis from left to right; chosen by itself, as all below."""
    y: str | None = None
    """The axis from bottom to top of a map."""
    by: str | None = None
    """The axis that has a line for each value."""
    panel: str | None = None
    """The axis that has a small figure for each value."""
    kind: Literal["lines", "map", "front", "dots", "scatter"] | None = None
    """The kind of figure; all that fit unless given."""
    confidence: float = 0.68
    """Of the bands."""
    out: Path | None = None
    """Folder for the figures, the run's own unless given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export(OfRun):
    """Writes the figures of a run, a row for each draw of the noise and sample, for another program."""

    to: Annotated[Path, tyro.conf.Positional]
    """A .csv or .parquet table, or a .nc file (NetCDF) of labelled arrays."""


def show(options: Show) -> None:
    """Prints the table."""
    checks.confidence(options.confidence)
    found = Run(options.run)
    print(tables.heading(found))
    print()
    print(tables.table(found, options.metrics or None, options.confidence, options.most))


def plot(options: Plot) -> None:
    """Draws and says what was drawn."""
    checks.confidence(options.confidence)
    found = Run(options.run)
    drawn = figures.draw(
        found,
        metrics=options.metrics or None,
        x=options.x,
        y=options.y,
        by=options.by,
        panel=options.panel,
        kind=options.kind,
        confidence=options.confidence,
        out=options.out,
    )
    print(f"Written to {options.out or found.folder}: {', '.join(f'{name}.png/.pdf/.svg' for name in drawn)}")


def export(options: Export) -> None:
    """Writes the file and says so."""
    Run(options.run).export(options.to)
    print(f"Written: {options.to}")
