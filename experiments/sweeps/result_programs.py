"""`otc show`, `otc plot` and `otc export`: the results of a sweep, finished or not, as a table, figures or a file."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.common.options import check_confidence
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.plots import figures, tables


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The option that these programs share: the folder of the run."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowOptions(RunFolder):
    """Prints the table of a run."""

    metrics: tuple[str, ...] = ()
    """Metrics to print, all unless given."""
    most: int = 40
    """Largest number of rows."""
    confidence: float = 0.68
    """Confidence of the intervals."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlotOptions(RunFolder):
    """Draws a run, as PNG, PDF and SVG: lines with bands, maps with contours, fronts of accuracy and energy."""

    metrics: tuple[str, ...] = ()
    """Metrics to draw, all unless given."""
    x: str | None = None
    """The horizontal axis; chosen automatically unless given, as are those below."""
    y: str | None = None
    """The vertical axis of a map."""
    by: str | None = None
    """The axis that has a line for each value."""
    panel: str | None = None
    """The axis that has a panel for each value."""
    kind: Literal["lines", "map", "front", "dots", "scatter"] | None = None
    """The kind of figure; all that fit unless given."""
    confidence: float = 0.68
    """Confidence of the bands."""
    out: Path | None = None
    """Folder for the figures, the run's own unless given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(RunFolder):
    """Writes the values of a run, a row for each draw of the noise and sample, for another program."""

    to: Annotated[Path, tyro.conf.Positional]
    """A .csv or .parquet table, or a .nc file (NetCDF) of labelled arrays."""


def show(options: ShowOptions) -> None:
    """Print the table."""
    check_confidence(options.confidence)
    results = SweepResults(options.run)
    print(tables.heading(results))
    print()
    print(tables.table(results, options.metrics or None, options.confidence, options.most))


def plot(options: PlotOptions) -> None:
    """Draw the figures and print their names."""
    check_confidence(options.confidence)
    results = SweepResults(options.run)
    drawn = figures.draw(
        results,
        metrics=options.metrics or None,
        x=options.x,
        y=options.y,
        by=options.by,
        panel=options.panel,
        kind=options.kind,
        confidence=options.confidence,
        out=options.out,
    )
    print(f"Written to {options.out or results.folder}: {', '.join(f'{name}.png/.pdf/.svg' for name in drawn)}")


def export(options: ExportOptions) -> None:
    """Write the file and print its name."""
    SweepResults(options.run).export(options.to)
    print(f"Written: {options.to}")
