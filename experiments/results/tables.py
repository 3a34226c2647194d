"""Tables of the documentation by name, from the summaries of the programs."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.comparison.achieved import tops_per_watt
from experiments.comparison.records import BASES, PLACES, CompareSummary
from experiments.comparison.report import kilowatts, three
from experiments.results import guide_tables, results_page, serving_tables
from experiments.results.pages import Rows
from experiments.scaling import report as scaling_report
from experiments.scaling.records import ScalingSummary
from experiments.verdict.report import tables as verdict_tables
from experiments.verdict.report.records import VerdictSummary
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


def verdict(summary: VerdictSummary) -> Rows:
    """Return the watts of the cheapest design within each loss, by scenario and model."""
    return [list(row) for row in verdict_tables.best_rows(summary)]


def verdict_designs(summary: VerdictSummary) -> Rows:
    """Return the best designs, a row per scenario and loss."""
    return [list(row) for row in verdict_tables.design_rows(summary)]


def verdict_steps(summary: VerdictSummary) -> Rows:
    """Return the steps from the first verdict to the best design."""
    return [list(row) for row in verdict_tables.step_rows(summary)]


def verdict_masks(summary: VerdictSummary) -> Rows:
    """Return the best design of projected_2029 with the mask of each technology."""
    return [list(row) for row in verdict_tables.mask_rows(summary)]


def verdict_otherwise(summary: VerdictSummary) -> Rows:
    """Return the best design of projected_2029 with other ranges of its ADCs and other encodings of signs."""
    return [list(row) for row in verdict_tables.otherwise_rows(summary)]


def verdict_like(summary: VerdictSummary) -> Rows:
    """Return peak beside achieved, at the plug and at the facility, of the best designs and of digital machines."""
    return [list(row) for row in verdict_tables.like_rows(summary)]


def verdict_families(summary: VerdictSummary) -> Rows:
    """Return least watts with each choice of the structure."""
    return [list(row) for row in verdict_tables.family_rows(summary)]


def verdict_deciding(summary: VerdictSummary) -> Rows:
    """Return what decides the best designs, and what would close the target."""
    return [list(row) for row in verdict_tables.deciding_rows(summary)]


def verdict_search(summary: VerdictSummary) -> Rows:
    """Return searches beside random ones of as many losses."""
    return [list(row) for row in verdict_tables.comparison_rows(summary)]


def verdict_cost(summary: VerdictSummary) -> Rows:
    """Return what the search cost, in windows that a model was run on."""
    return [list(row) for row in verdict_tables.cost_rows(summary)]


def scaling(summary: ScalingSummary) -> Rows:
    """Return losses of the tiny models and of larger ones on light, a row per model."""
    return [list(row) for row in scaling_report.model_rows(summary)]


def scaling_laws(summary: ScalingSummary) -> Rows:
    """Return what each law of the tiny models says of the larger one, and what is measured."""
    return [list(row) for row in scaling_report.law_rows(summary)]


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
    "compare": compare,
    "verdict": verdict,
    "verdict_designs": verdict_designs,
    "verdict_steps": verdict_steps,
    "verdict_like": verdict_like,
    "verdict_masks": verdict_masks,
    "verdict_otherwise": verdict_otherwise,
    "verdict_families": verdict_families,
    "verdict_deciding": verdict_deciding,
    "verdict_search": verdict_search,
    "verdict_cost": verdict_cost,
    "serve_light": serving_tables.light,
    "serve_announced": serving_tables.announced,
    "serve_designs": serving_tables.alone,
    "serve_designs_light": serving_tables.light,
    "workloads": workloads,
    "scaling": scaling,
    "scaling_laws": scaling_laws,
}
"""Rows of cells, the header first, of the summary of a program, by name of the table."""
