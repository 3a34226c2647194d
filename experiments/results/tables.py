"""Tables of the documentation, from the summaries of the programs."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.adapt.compare import own_light
from experiments.adapt.methods import NONE
from experiments.adapt.records import CRITERIA, AdaptSummary, Comparison, MethodRow
from experiments.comparison.achieved import tops_per_watt
from experiments.comparison.records import BASES, PLACES, CompareSummary
from experiments.comparison.report import kilowatts, three
from experiments.headline.records import HeadlineRow, HeadlineSummary
from experiments.target.records import ScenarioVerdict, TargetSummary
from experiments.training.records import Recovery, TrainSummary
from experiments.training.report import NAMES, with_error
from experiments.verdict import report as verdict_report
from experiments.verdict.records import VerdictSummary
from experiments.workloads.records import Comparison as Against
from experiments.workloads.records import WorkloadRow, WorkloadsSummary
from experiments.workloads.report import in_range, vectors

Rows = list[list[str]]


def headline(summary: HeadlineSummary) -> Rows:
    """Return accuracy and energy of SmolLM2, a row per machine."""
    header = ["", "perplexity", "delta NLL [nats/token]", "top-1", "KL", "SNR [dB]", "ENOB full scale", "fJ/MAC"]
    return [[*header, "on the core alone", "kW at 1 exaOPS"], *map(_headline_row, summary["rows"])]


PRICED_AS = {"digital_fp32": " (BF16, H100)", "digital_w8a8": " (FP8, H200)"}


def _headline_row(row: HeadlineRow) -> list[str]:
    exact = row["name"] == "digital_fp32"
    loss = with_error(row["delta_nll"], row["delta_nll_stderr"], ".3f")
    accuracy = ["0", "1", "0"] if exact else [loss, f"{row['top1_agreement']:.3f}", f"{row['kl']:.3f}"]
    snr, enob = row.get("snr_db"), row.get("enob_full_scale")
    on_core = three(row["energy_per_mac_on_core_j"] * 1e15) if row["optical"] is True else ""
    return [
        _spaced(row["name"]),
        f"{row['perplexity']:.4f}" if exact else f"{row['perplexity']:.2f}",
        *accuracy,
        "" if snr is None else f"{snr:.1f}",
        "" if enob is None else f"{enob:.1f}",
        three(row["energy_per_mac_j"] * 1e15) + PRICED_AS.get(row["name"], ""),
        on_core,
        three(row["watts_at_exaops"] / 1e3),
    ]


def target(summary: TargetSummary) -> Rows:
    """Return the verdict, a row per scenario, and the loss of 8-bit digital arithmetic."""
    header = ["", "kW", "5 to 95 %", "closes", "fJ/MAC", "products on light alone", "delta NLL", "KL", "cores"]
    w8a8 = summary["digital"]["digital_w8a8"]
    digital = ["digital W8A8", *[""] * 5, with_error(w8a8["delta_nll"], w8a8["delta_nll_stderr"], ".3f")]
    scenarios = [_target_row(name, scenario) for name, scenario in summary["scenarios"].items()]
    return [header, *scenarios, [*digital, f"{w8a8['kl']:.3f}", ""]]


def _target_row(name: str, scenario: ScenarioVerdict) -> list[str]:
    watts = scenario["watts_at_exaops"]
    return [
        _spaced(name),
        three(watts["nominal"] / 1e3),
        f"{three(watts['p05'] / 1e3)} to {three(watts['p95'] / 1e3)}",
        f"{100 * scenario['probability_of_closing']:.1f}".removesuffix(".0") + " %",
        three(scenario["fj_per_mac"]),
        three(scenario["fj_per_mac_on_core"]),
        with_error(scenario["delta_nll"], scenario["delta_nll_stderr"], ".3f"),
        f"{scenario['kl']:.3f}",
        f"{scenario['system']['cores']:.0f}",
    ]


def adapt(summary: AdaptSummary) -> Rows:
    """Return what preparation recovers without training, a row per method."""
    header = ["method", "KL at the core's own light", "mean drive", "photons per MAC", "kW"]
    gone = [f"gone at equal {name}" for name in ("photons", "peak power", "watts")]
    return [[*header, *gone, "kW at equal KL"], *(_adapt_row(row) for row in summary["rows"])]


def _adapt_row(row: MethodRow) -> list[str]:
    own, compared = own_light(row["points"]), row["against_unprepared"]
    plain = row["name"] == NONE
    watts = compared["watts_at_exaops"]["equal_kl"]
    return [
        "as it is" if plain else f"`{row['name']}`",
        with_error(own["kl"], own["kl_stderr"], ".3f"),
        f"{row['mean_drive']:.3f}",
        f"{own['photons_per_mac']:,.0f}",
        three(own["watts_at_exaops"] / 1e3),
        *("" if plain else _gone(compared[criterion]) for criterion in CRITERIA),
        "beyond" if watts is None else three(watts / 1e3),
    ]


def _gone(found: Comparison) -> str:
    if found["recovered"] is None:
        return "beyond"
    error = found["recovered_stderr"]
    return f"{100 * found['recovered']:.0f} %" + ("" if error is None else f" ± {100 * error:.0f}")


def train_digits(summary: TrainSummary) -> Rows:
    """Return what training recovers, a row per light level and method."""
    header = ["photons per MAC", "method", "KL [nats/image]", "recovered", "on its own noise", "launched after"]
    return [header, *map(_digits_row, summary["recovery"])]


def _digits_row(row: Recovery) -> list[str]:
    own = row["recovered_in_training"]
    return [
        "" if row["photons"] is None else f"{row['photons']:,.0f}",
        NAMES[row["method"]],
        with_error(row["loss"], row["loss_stderr"], ".3f" if row["loss"] < 1 else ".2f"),
        "" if row["method"] == "none" else with_error(row["recovered"], row["recovered_stderr"], ".3f"),
        "" if own is None else with_error(own, row["recovered_in_training_stderr"], ".3f"),
        "" if row["launched"] is None else f"{row['launched']:,.0f}",
    ]


def train_codesign(summary: TrainSummary) -> Rows:
    """Return loss and watts, a row per starting core and method."""
    return [["start", "method", "KL [nats/image]", "kW at 1 exaOPS"], *map(_codesign_row, summary["recovery"])]


def _codesign_row(row: Recovery) -> list[str]:
    loss = _to_error(row["loss"], row["loss_stderr"])
    return [f"`{row['core']}`", NAMES[row["method"]], loss, three(row["watts"] / 1e3)]


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


def _to_error(value: float, error: float | None) -> str:
    """A number with its error, to the first digit of the latter."""
    if not error:
        return f"{value:.3g}"
    places = max(0, -int(f"{error:.0e}".partition("e")[2]))
    return f"{value:.{places}f} ± {error:.{places}f}"


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


def _spaced(name: str) -> str:
    names = {"digital_fp32": "digital fp32", "digital_w8a8": "digital W8A8"}
    return names.get(name, name.replace("_", " "))


def verdict(summary: VerdictSummary) -> Rows:
    """Return the watts of the cheapest design within each loss, by scenario and model."""
    return [list(row) for row in verdict_report.best_rows(summary)]


def verdict_designs(summary: VerdictSummary) -> Rows:
    """Return the best designs, a row per scenario and loss."""
    return [list(row) for row in verdict_report.design_rows(summary)]


def verdict_steps(summary: VerdictSummary) -> Rows:
    """Return the steps from the first verdict to the best design."""
    return [list(row) for row in verdict_report.step_rows(summary)]


def verdict_masks(summary: VerdictSummary) -> Rows:
    """Return the best design of projected_2029 with the mask of each technology."""
    return [list(row) for row in verdict_report.mask_rows(summary)]


def verdict_otherwise(summary: VerdictSummary) -> Rows:
    """Return the best design of projected_2029 with other ranges of its ADCs and other encodings of signs."""
    return [list(row) for row in verdict_report.otherwise_rows(summary)]


def verdict_like(summary: VerdictSummary) -> Rows:
    """Return peak beside achieved, at the plug and at the facility, of the best designs and of digital machines."""
    return [list(row) for row in verdict_report.like_rows(summary)]


TABLES: Mapping[str, Callable[[Any], Rows]] = {
    "headline": headline,
    "target": target,
    "adapt": adapt,
    "compare": compare,
    "train_digits": train_digits,
    "train_codesign": train_codesign,
    "verdict": verdict,
    "verdict_designs": verdict_designs,
    "verdict_steps": verdict_steps,
    "verdict_like": verdict_like,
    "verdict_masks": verdict_masks,
    "verdict_otherwise": verdict_otherwise,
    "workloads": workloads,
}
"""Rows of cells, the header first, of the summary of a program, by name of the table."""
