"""Tables of docs/results.md, from the summaries of the programs."""

from experiments.comparison.report import three
from experiments.headline.records import HeadlineRow, HeadlineSummary
from experiments.programs.ablation import AblationSummary, EffectRow
from experiments.programs.gain import SERIES, GainSummary
from experiments.results.pages import Rows
from experiments.target.records import EvaluatedCore, ScenarioVerdict, TargetSummary
from experiments.training.report import with_error
from experiments.width.records import WidthSummary


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


def _spaced(name: str) -> str:
    names = {"digital_fp32": "digital fp32", "digital_w8a8": "digital W8A8"}
    return names.get(name, name.replace("_", " "))


def budget(summary: TargetSummary) -> Rows:
    """Return totals of the budget by hand beside the bill, and what the costs that they omit add, fJ/MAC."""
    first, *omitted = summary["budget_by_hand"][0]["steps"]
    rows = [["", "by hand", first, *(f"+ {name}" for name in omitted)]]
    for row in summary["budget_by_hand"]:
        title = f"{_spaced(row['scenario'])}, {row['rows']} rows, {row['bits']} bits of the {row['against']}"
        rows.append([title, f"{row['fj_per_mac']:g}", *(three(value) for value in row["steps"].values())])
    return rows


def full_scale_light(summary: TargetSummary) -> Rows:
    """Return watts and loss of light that is sized against the product, and against the full scale of a detector."""
    bits = {dim["bits"] for dim in summary["full_scale_light"].values()}
    of_full_scale = f"{' or '.join(f'{each:g}' for each in sorted(bits))} bits against full scale, kW"
    rows = [["", f"{summary['effective_bits']:g} bits against the product, kW", "KL", of_full_scale, "KL"]]
    for name, dim in summary["full_scale_light"].items():
        scenario = summary["scenarios"][name]
        pairs = [(scenario["watts_at_exaops"]["nominal"], scenario), (dim["watts_at_exaops"], dim)]
        cells = [[three(watts / 1e3), with_error(loss["kl"], loss["kl_stderr"], ".3f")] for watts, loss in pairs]
        rows.append([_spaced(name), *cells[0], *cells[1]])
    return rows


def reload(summary: TargetSummary) -> Rows:
    """Return what loading the masks costs, a row per number of vectors that share a load."""
    scenarios = summary["scenarios"]
    rows = [["vectors per load", *(f"{_spaced(name)}, {what}" for name in scenarios for what in ("fJ/MAC", "kW"))]]
    for costs in zip(*(scenario["reload"] for scenario in scenarios.values()), strict=True):
        pairs = [(three(cost["fj_per_mac"]), three(cost["watts_at_exaops"] / 1e3)) for cost in costs]
        rows.append([f"{costs[0]['vectors_per_load']:,.0f}", *(cell for pair in pairs for cell in pair)])
    return rows


def descent(summary: TargetSummary) -> Rows:
    """Return the start and the end of the descent on watts and loss, and the best core of a grid, a row each."""
    rows = [["", "evaluations", "GHz", "light b", "ENOB", "kW", "KL", "figure of merit", "on fresh noise"]]
    found = summary["descent"]
    if found is None:
        return rows
    rows.append(["start", "1", *_core_cells(found["path"][0]), ""])
    ends = [("descent", found["evaluations"], found["best"])]
    if "grid" in found:
        ends.append(("grid", found["grid"]["evaluations"], found["grid"]["best"]))
    for name, evaluations, best in ends:
        fresh = best["on_fresh_noise"]
        again = with_error(fresh["merit"], fresh["merit_stderr"], ".2f")
        rows.append([name, f"{evaluations:,}", *_core_cells(best), again])
    return rows


def _core_cells(core: EvaluatedCore) -> list[str]:
    return [
        f"{core['clock'] / 1e9:.2f}",
        f"{core['light_bits']:.1f}",
        f"{core['enob']:.1f}",
        three(core["watts"] / 1e3),
        f"{core['kl']:.3f}",
        f"{core['merit']:.2f}",
    ]


def width(summary: WidthSummary) -> Rows:
    """Return how photons per MAC go with the width of a product, a row per fit."""
    rows = [["d ln(photons per MAC) / d ln N", "slope", "points", "verdict", "with signs shuffled"]]
    for name, slope in summary["slopes"].items():
        shuffled = ""
        if "shuffled_slope" in slope and "shuffled_stderr" in slope:
            shuffled = with_error(slope["shuffled_slope"], slope["shuffled_stderr"], ".3f")
        own = with_error(slope["slope"], slope["stderr"], ".3f")
        rows.append([name, own, str(slope["points"]), slope["verdict"], shuffled])
    return rows


def gain(summary: GainSummary) -> Rows:
    """Return the perplexity at each gain before the ADC, a column per gain."""
    gains = list(dict.fromkeys(row["gain"] for row in summary["rows"]))
    found = {(row["series"], row["gain"]): row["perplexity"] for row in summary["rows"]}
    rows = [["perplexity at a gain of", *(f"{each:g}" for each in gains)]]
    return [*rows, *([series, *(_perplexity(found[series, each]) for each in gains)] for series in SERIES)]


def _perplexity(value: float) -> str:
    return three(value) if value < 1e6 else f"{value:.0e}"


LEAST_SHARE = 0.05
"""Effects whose KL, alone and saved by removing, is below this share of that of all effects are not in the table."""


def ablation(summary: AblationSummary) -> Rows:
    """Return the loss of each imperfection alone, and what is saved by removing it, those of no weight left out."""
    least = LEAST_SHARE * summary["everything"]["kl"]
    rows = [["", "KL alone", "KL saved by removing it"]]
    rows += [_effect_row(row) for row in summary["rows"] if max(_kl_of(row)) >= least]
    everything = with_error(summary["everything"]["kl"], summary["everything"]["kl_stderr"], ".3f")
    return [*rows, ["all", everything, ""]]


def _kl_of(row: EffectRow) -> tuple[float, float]:
    return row["alone"]["kl"], row["saved_by_removing"]["kl"]


def _effect_row(row: EffectRow) -> list[str]:
    differences = row["alone"], row["saved_by_removing"]
    return [_spaced(row["effect"]), *(with_error(each["kl"], each["kl_stderr"], ".3f") for each in differences)]
