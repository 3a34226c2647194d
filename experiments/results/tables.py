"""Tables of the documentation by name, from the summaries of the programs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.comparison.achieved import tops_per_watt
from experiments.comparison.records import BASES, PLACES, CompareSummary
from experiments.comparison.report import kilowatts, three
from experiments.results import bench_table, guide_tables, results_page, serving_tables
from experiments.results.pages import Rows
from experiments.scaling import report as scaling_report
from experiments.verdict.report import tables as verdict_tables
from experiments.workloads.records import Comparison as Against
from experiments.workloads.records import WorkloadRow, WorkloadsSummary
from experiments.workloads.report import in_range, vectors


def workloads(summary: WorkloadsSummary) -> Rows:
    """Return energy on light and over that of digital machines, a row per workload."""
    header = ["", "mJ, bill", "fJ/MAC", "kW at 1 exaOPS", "MACs on light", "vectors per load", "utilisation"]
    names = [f"light / {name}" for name in summary["machines"]]
    return [[*header, "most of the bill", "mJ, served", "idle", *names], *map(_workload_row, summary["rows"])]


def _workload_row(row: WorkloadRow) -> list[str]:
    bill, server = row["bill"], row["served"]
    return [
        row["title"],
        three(bill["joules"]["nominal"] * 1e3),
        three(bill["fj_per_mac"]),
        three(bill["watts_at_exaops"] / 1e3),
        f"{bill['light_share']:.0%}",
        vectors(row),
        f"{bill['utilisation']:.1%}",
        f"{bill['dominant']} {bill['dominant_share']:.0%}",
        *(("", "") if server is None else (three(server["joules"]["nominal"] * 1e3), f"{server['idle_share']:.0%}")),
        *map(_against, row["against"].values()),
    ]


def _against(found: Against | None) -> str:
    if found is None:
        return "none"
    ratio, verdict = in_range(found["ratio"]), found["verdict"]
    if not found["like"]:
        return f"{ratio} *"
    return ratio if verdict == "cannot be told apart" else f"{ratio}, **{verdict}**"


def compare(summary: CompareSummary) -> Rows:
    """Return kW at 1 exaOPS of optical cores and digital machines, a row per machine and format."""
    header = ["", "format", *(f"{basis}, {place}" for place in PLACES for basis in BASES)]
    rows = [[*header, "utilisation", "TOPS/W, achieved, facility", "delta NLL"]]
    for row in summary["rows"]:
        watts = row["watts_at_exaops"]
        rows.append(
            [
                row["title"],
                row["format"],
                *(kilowatts(watts[basis][place]) for place in PLACES for basis in BASES),
                f"{100 * row['utilisation']['nominal']:.0f} %",
                three(tops_per_watt(watts["achieved"]["facility"])["nominal"]),
                "" if row["delta_nll"] is None else f"{row['delta_nll']:.3f}",
            ]
        )
    return rows


def _rows(of: Callable[[Any], Iterable[Sequence[str]]]) -> Callable[[Any], Rows]:
    """A table that a program prints, as rows of a page."""
    return lambda summary: [list(row) for row in of(summary)]


TABLES: Mapping[str, Callable[[Any], Rows]] = {
    "headline": results_page.headline,
    "target": results_page.target,
    "budget": results_page.budget,
    "full_scale_light": results_page.full_scale_light,
    "reload": results_page.reload,
    "descent": results_page.descent,
    "width": results_page.width,
    "gain": results_page.gain,
    "ablation": results_page.ablation,
    "ablation_prepared": results_page.ablation,
    "adapt": guide_tables.adapt,
    "adapt_devices": guide_tables.adapt_devices,
    "adapt_trained": guide_tables.adapt_trained,
    "train_digits": guide_tables.train_digits,
    "train_codesign": guide_tables.train_codesign,
    "train_language": guide_tables.trained,
    "train_device": guide_tables.trained,
    "train_unscaled": guide_tables.trained,
    "compare": compare,
    "bench": bench_table.bench,
    "verdict": _rows(verdict_tables.best_rows),
    "verdict_designs": _rows(verdict_tables.design_rows),
    "verdict_steps": _rows(verdict_tables.step_rows),
    "verdict_like": _rows(verdict_tables.like_rows),
    "verdict_masks": _rows(verdict_tables.mask_rows),
    "verdict_otherwise": _rows(verdict_tables.otherwise_rows),
    "verdict_families": _rows(verdict_tables.family_rows),
    "verdict_deciding": _rows(verdict_tables.deciding_rows),
    "verdict_fixed": _rows(verdict_tables.best_rows),
    "verdict_search": _rows(verdict_tables.comparison_rows),
    "verdict_cost": _rows(verdict_tables.cost_rows),
    "serve_light": serving_tables.light,
    "serve_announced": serving_tables.announced,
    "serve_designs": serving_tables.alone,
    "serve_designs_light": serving_tables.light,
    "workloads": workloads,
    "scaling": _rows(scaling_report.model_rows),
    "scaling_laws": _rows(scaling_report.law_rows),
}
"""Rows of cells, the header first, of the summary of a program, by name of the table."""
