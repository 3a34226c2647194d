"""The everyday program: a sweep from a file, run to its end, with its table, summary and figures."""

import dataclasses
import resource
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.common import options as checks
from experiments.common import reporting
from experiments.sweeps.definition import file
from experiments.sweeps.plots import figures, tables
from experiments.sweeps.running import cluster, layout
from experiments.sweeps.running.results import Run
from experiments.sweeps.running.run import run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs the sweep that a file defines; the same command goes on where an earlier one was."""

    file: Annotated[Path, tyro.conf.Positional]
    """The definition, a .toml file."""
    out: Path | None = None
    """Folder for results.sqlite, summary.json and the figures; runs/NAME of the file unless it is given."""
    width: int | None = None
    """Trials that a device runs at once, by vmap; chosen by itself, and kept to the end of the run."""
    per_call: int | None = None
    """Trials of one call on a device, after which results are kept; a multiple of `width`."""
    mixed: bool = False
    """Go on with a run that was begun with other code, other versions or on another kind of device."""
    figures: bool = True
    """Draw the figures at the end."""
    confidence: float = 0.68
    """Of the intervals in the table and the figures."""
    joined: bool = False
    """One of several processes, on a cluster that JAX finds by itself."""
    coordinator: str | None = None
    """One of several processes: HOST:PORT of the first."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """Which of them this one is, from 0."""


def main(options: Sweep) -> dict[str, Any] | None:
    """Runs the sweep; the leading process prints the table, writes summary.json and figures, returns the summary."""
    checks.confidence(options.confidence)
    layout.check(options.width, options.per_call)
    where = cluster.Cluster(coordinator=options.coordinator, processes=options.processes, process=options.process)
    if options.joined or any(value is not None for value in dataclasses.astuple(where)):
        where.join()
    sweep = file.load(options.file)
    out = options.out or Path("runs") / options.file.stem
    checks.folder("out", out)
    found = run(sweep, out, width=options.width, per_call=options.per_call, mixed=options.mixed)
    if not cluster.leads():
        return None
    summary = summarised(found, options.confidence)
    reporting.write(summary, out)
    print(f"\n{tables.heading(found)}\n\n{tables.table(found, confidence=options.confidence)}")
    drawn = figures.draw(found, confidence=options.confidence) if options.figures and sweep.points > 1 else []
    print(f"\n{laid_out(found)}")
    written = [f"{out}/results.sqlite", "summary.json", *(f"{name}.png/.pdf/.svg" for name in drawn)]
    print(f"Written: {', '.join(written)}")
    return summary


def summarised(found: Run, confidence: float) -> dict[str, Any]:
    """A run as summary.json has it."""
    return {
        "definition": found.definition,
        "layout": found.manifest.get("layout"),
        "drives": {name: value for name, value in found.manifest.items() if name.startswith("drive of group ")},
        "bill_rests_on": {name: value for name, value in found.manifest.items() if name.startswith("bill of group ")},
        "confidence": confidence,
        "sessions": found.sessions,
        "peak_bytes_of_this_process": peak_bytes(),
        "rows": found.rows(confidence),
        "versions": reporting.versions(),
    }


def laid_out(found: Run) -> str:
    """How the last session ran, in one line."""
    last, layout = found.sessions[-1], found.manifest.get("layout")
    if layout is None or "trials" not in last:
        return "Nothing was left to run."
    how = "one after the other" if layout["width"] == 1 else f"{layout['width']} at once"
    return (
        f"{last['trials']} trials in {last['seconds']:.0f} s, {last['compilations']} compilation(s); "
        f"{layout['per_call']} a call and device, {how}, {last['devices']} device(s); "
        f"{last['bytes_a_device'] / 2**20:.0f} MiB a program, {peak_bytes() / 2**20:.0f} MiB at most in all"
    )


def peak_bytes() -> int:
    """The most memory that this process has had so far [bytes]."""
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
