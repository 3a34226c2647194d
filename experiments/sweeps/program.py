"""`otc sweep`: runs the sweep that a file defines to its end, with a table, a summary and figures."""

import dataclasses
import resource
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.common import reporting
from experiments.common.options import check_confidence, check_folder
from experiments.common.workload import Attention
from experiments.sweeps.definition import toml_file
from experiments.sweeps.execution import cluster, layout, rate
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.execution.runner import run
from experiments.sweeps.plots import figures, tables


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Runs the sweep that a file defines; the same command resumes an interrupted run."""

    file: Annotated[Path, tyro.conf.Positional]
    """The definition, a .toml file."""
    cores: Path | None = None
    """A design with a core for each site, .toml (docs/guide/cores.md), in place of the core of the definition."""
    attention: Attention | None = None
    """Where the attention of a language model runs, in place of what the definition says."""
    out: Path | None = None
    """Folder for results.sqlite, summary.json and the figures; runs/NAME of the file unless it is given."""
    width: int | None = None
    """Trials that a device runs at once, by vmap; chosen automatically, and the same to the end of the run."""
    per_call: int | None = None
    """Trials per call and device, after which results are stored; a multiple of `width`."""
    mixed: bool = False
    """Resume a run that was begun with other code, other versions or on another kind of device."""
    figures: bool = True
    """Draw the figures at the end."""
    confidence: float = 0.68
    """Confidence of the intervals in the table and the figures."""
    rate: bool = False
    """Time a trial beside the digital forward pass at the end, in turns; of a function alone."""
    joined: bool = False
    """One of several processes, on a cluster that JAX finds by itself."""
    coordinator: str | None = None
    """One of several processes: HOST:PORT of the first."""
    processes: int | None = None
    """Number of processes."""
    process: int | None = None
    """Number of this process, from 0."""


def main(options: SweepOptions) -> dict[str, Any] | None:
    """Run the sweep; the leading process prints the table, writes summary.json and figures, returns the summary."""
    check_confidence(options.confidence)
    layout.check(options.width, options.per_call)
    where = cluster.Cluster(coordinator=options.coordinator, processes=options.processes, process=options.process)
    if options.joined or any(value is not None for value in dataclasses.astuple(where)):
        where.join()
    given = {"cores": options.cores and str(options.cores), "attention": options.attention}
    sweep = toml_file.load(options.file, {name: value for name, value in given.items() if value is not None})
    out = options.out or Path("runs") / options.file.stem
    check_folder("out", out)
    if options.rate:
        rate.check(sweep)
    results = run(sweep, out, width=options.width, per_call=options.per_call, mixed=options.mixed)
    if not cluster.is_leader():
        return None
    summary = summarise(results, options.confidence)
    measured = rate.measure(sweep, results) if options.rate else None
    if measured is not None:
        summary["rate"] = measured._asdict()
    reporting.write(summary, out)
    print(f"\n{tables.heading(results)}\n\n{tables.table(results, confidence=options.confidence)}")
    drawn = figures.draw(results, confidence=options.confidence) if options.figures and sweep.points > 1 else []
    print(f"\n{session_line(results)}")
    if measured is not None:
        print(rate.line(measured, results))
    written = [f"{out}/results.sqlite", "summary.json", *(f"{name}.png/.pdf/.svg" for name in drawn)]
    print(f"Written: {', '.join(written)}")
    return summary


def summarise(results: SweepResults, confidence: float) -> dict[str, Any]:
    """Return the results as summary.json has them."""
    manifest = results.manifest
    return {
        "definition": results.definition,
        "layout": manifest.get("layout"),
        "drives": {name: value for name, value in manifest.items() if name.startswith("drive of group ")},
        "bill_rests_on": {name: value for name, value in manifest.items() if name.startswith("bill of group ")},
        "confidence": confidence,
        "sessions": results.sessions,
        "peak_bytes_of_this_process": peak_bytes(),
        "rows": results.rows(confidence),
        "versions": reporting.versions(),
    }


def session_line(results: SweepResults) -> str:
    """Return trials, time, layout and memory of the last session in one line."""
    last, layout = results.sessions[-1], results.manifest.get("layout")
    if layout is None or "trials" not in last:
        return "Nothing was left to run."
    how = "one after the other" if layout["width"] == 1 else f"{layout['width']} at once"
    return (
        f"{last['trials']} trials in {last['seconds']:.0f} s, {last['compilations']} compilation(s); "
        f"{layout['per_call']} per call and device, {how}, {last['devices']} device(s); "
        f"{last['bytes_a_device'] / 2**20:.0f} MiB per program, {peak_bytes() / 2**20:.0f} MiB at most in all"
    )


def peak_bytes() -> int:
    """Return the peak memory of this process so far [bytes]."""
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
