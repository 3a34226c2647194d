"""Report of the target on the terminal: tables, and sentences made from the computed numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.paired import PairedLoss
from experiments.common.verdict import SystemSize
from experiments.plotting import waterfall
from experiments.target.records import (
    AccuracyMap,
    BudgetComparison,
    Descent,
    FullScaleLight,
    InterpolatedCore,
    ScenarioVerdict,
    TargetSummary,
)
from optics import EXAOPS

DECIDING = 3


def print_report(summary: TargetSummary, out: Path) -> None:
    """Print the tables, the verdict, the constants that decide it, and the costs outside the bill."""
    scenarios, target = summary["scenarios"], summary["target"]["watts"]
    print(
        f"\n{summary['shapes']}, {summary['workload']}, at 1 exaOPS; {summary['model']} on {summary['text']}, "
        f"{summary['windows']} x {summary['window_tokens']} tokens, {summary['keys']} draws of the noise"
    )
    print(reporting.table([_HEADER, *(_cells(name, scenario) for name, scenario in scenarios.items())]))
    w8a8 = summary["digital"]["digital_w8a8"]
    print(
        f"kW: nominal, and 5 to 95 % over the ranges of all constants, {summary['draws']} draws; closes: share of them "
        f"at or under {target / 1e3:g} kW; parts: the same with the design's choices held.\n"
        f"Digital W8A8 loses {_with_error(w8a8)} (KL {w8a8['kl']:.4f})."
    )
    for name, scenario in scenarios.items():
        print(f"Bill of {name}: {'; '.join(scenario['bill_rests_on'])}.")
    print("\nThe machine around the cores:")
    print(
        reporting.table([_MACHINE, *(_machine_cells(name, scenario["system"]) for name, scenario in scenarios.items())])
    )
    print("\nWeights stay for so many vectors: fJ/MAC of fetching, writing and waiting; share of the time at work; kW")
    print(reporting.table(_reload_rows(scenarios)))
    for name, scenario in scenarios.items():
        print(f"\nWhat decides {name}, Sobol total index of ln(watts), and kW at the ends of its range alone:")
        print(reporting.table([("", "S_T", "kW low", "kW high", "nominal (range)", "known how"), *_deciding(scenario)]))
    print(
        "\nThe published budget of such a machine, at its own mean drive of 0.2, fJ/MAC, and what its omitted costs "
        "add, one upon the other:"
    )
    print(reporting.table(_budget_rows(summary["published_budget"])))
    if summary["map"] is not None:
        _print_map(summary["map"])
    print("\nVerdict: " + " ".join(sentences(summary)))
    first = next(iter(scenarios.values()))
    print("\nNot in the bill: " + "; ".join(first["omitted"]) + ".")
    counts = ", ".join(f"{name} {len(scenario['assumptions'])}" for name, scenario in scenarios.items())
    print(f"Assumed constants (listed in summary.json): {counts}.")
    drawn = ["waterfall", "tornado", *(["map", "pareto"] if summary["map"] else [])]
    print(f"Written: {out}/summary.json, " + ", ".join(f"{name}.png/.pdf" for name in drawn))


_HEADER = (
    "",
    "kW",
    "5 to 95 %",
    "closes",
    "parts",
    "fJ/MAC",
    "on core",
    "delta NLL",
    "KL",
    "mW/source",
)
_MACHINE = ("", "rows", "GHz", "ENOB", "cores", "at work", "weights held", "passes", "lasers", "ADCs", "tiles loaded/s")


def _cells(name: str, scenario: ScenarioVerdict) -> tuple[str, ...]:
    watts = scenario["watts_at_exaops"]
    return (
        name,
        f"{_kw(watts['nominal'])}",
        f"{_kw(watts['p05'])} to {_kw(watts['p95'])}",
        _percent(scenario["probability_of_closing"]),
        _percent(scenario["probability_of_closing_choices_held"]),
        f"{scenario['fj_per_mac']:.3g}",
        f"{scenario['fj_per_mac_on_core']:.3g}",
        _with_error(scenario),
        f"{scenario['kl']:.4f}",
        f"{scenario['system']['source_power_w'] * 1e3:.3g}",
    )


def _machine_cells(name: str, machine: SystemSize) -> tuple[str, ...]:
    return (
        name,
        f"{machine['rows']}",
        f"{machine['clock_hz'] / 1e9:g}",
        f"{machine['adc_enob']:g}",
        f"{machine['cores']:.0f}",
        _percent(machine["utilisation"]),
        f"{machine['resident_weights']:.3g}",
        f"{machine['passes']:.3g}",
        f"{machine['sources']:.3g}",
        f"{machine['converters']:.3g}",
        f"{machine['tile_loads_per_second']:.3g}",
    )


def _reload_rows(scenarios: Mapping[str, ScenarioVerdict]) -> list[tuple[str, ...]]:
    rows = [("vectors", *scenarios)]
    for cells in zip(*(scenario["reload"] for scenario in scenarios.values()), strict=True):
        rows.append(
            (
                f"{cells[0]['vectors_per_load']:g}",
                *(
                    f"{c['fj_per_mac']:.3g}; {_percent(c['utilisation'])}; {c['watts_at_exaops'] / 1e3:.3g}"
                    for c in cells
                ),
            )
        )
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _with_error(loss: PairedLoss) -> str:
    error = loss["delta_nll_stderr"]
    return f"{loss['delta_nll']:+.3f}" + ("" if error is None else f" ± {error:.3f}")


def _measured(core: InterpolatedCore) -> str:
    return _with_error(core["measured"]) if "measured" in core else "not measured"


def _deciding(scenario: ScenarioVerdict, count: int = 6) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for field, index in list(scenario["sobol"].items())[:count]:
        swing = scenario["tornado"][field]
        known = scenario["constants"][field]
        unit = "" if known["unit"] == "1" else f" {known['unit']}"
        span = f"{known['value']:.3g} ({known['low']:.3g} to {known['high']:.3g}){unit}"
        ends = _kw(swing["low"]), _kw(swing["high"])
        rows.append((field, f"{index['total']:.2f}", *ends, span, known["mark"]))
    return rows


def _budget_rows(comparisons: Sequence[BudgetComparison]) -> list[tuple[str, ...]]:
    steps = list(comparisons[0]["steps"])
    rows: list[tuple[str, ...]] = [("", "published", steps[0], "ratio", *(f"+ {name}" for name in steps[1:]))]
    for row in comparisons:
        values = row["steps"]
        rows.append(
            (
                f"{row['scenario']} {row['rows']}, {row['bits']:g} b of {row['against']}",
                f"{row['fj_per_mac']:g}",
                f"{values[steps[0]]:.3g}",
                f"{row['ratio']:.3f}",
                *(f"{values[name]:.3g}" for name in steps[1:]),
            )
        )
    return rows


def _print_map(accuracy: AccuracyMap) -> None:
    error = "" if accuracy["nll_per_kl_stderr"] is None else f" ± {accuracy['nll_per_kl_stderr']:.2f}"
    print(
        f"\nMap of {accuracy['scenario']}: delta NLL is {accuracy['nll_per_kl_fitted']:.2f}{error} of KL over "
        f"{len(accuracy['points'])} cores of {accuracy['windows']} windows; so W8A8 loses "
        f"{accuracy['w8a8_delta_nll_from_kl']:.3f}."
    )
    rows: list[tuple[str, ...]] = [
        ("cheapest core within", "rows", "light b", "ENOB", "GHz", "kW", "on core", "predicted", "measured")
    ]
    for entry in accuracy["cheapest"]:
        name = f"{entry['most']:.3f} (over {entry['over']}), imperfections {entry['imperfections']}"
        core = entry["core"]
        if core is None:
            rows.append((name, *["none"] * 8))
            continue
        rows.append(
            (
                name,
                f"{core['size']}",
                f"{core['light_bits']:.2f}",
                f"{core['enob']:.2f}",
                f"{core['clock_hz'] / 1e9:.2g}",
                f"{core['watts'] / 1e3:.3g}",
                f"{core['watts_on_core'] / 1e3:.3g}",
                f"{core['delta_nll']:.3f}",
                _measured(core),
            )
        )
    print(reporting.table(rows))


def sentences(summary: TargetSummary) -> list[str]:
    """The verdict on each scenario, then on accuracy, then on the descent."""
    scenarios = summary["scenarios"]
    verdicts = [_on_scenario(name, scenario, summary["target"]["watts"]) for name, scenario in scenarios.items()]
    verdicts += [_on_full_scale_light(name, scenarios[name], dim) for name, dim in summary["full_scale_light"].items()]
    if summary["map"] is not None:
        verdicts += _on_accuracy(summary["map"], summary["accepted_loss"])
    if summary["descent"] is not None:
        verdicts.append(_on_descent(summary["descent"]))
    return verdicts


def _on_scenario(name: str, scenario: ScenarioVerdict, target: float) -> str:
    watts = scenario["watts_at_exaops"]
    closes = watts["nominal"] <= target
    ratio = max(watts["nominal"] / target, target / watts["nominal"])
    components = scenario["components"]
    largest = sorted(components, key=lambda name: -components[name]["nominal"])[:DECIDING]
    labels = [waterfall.LABELS.get(name, name) for name in largest]
    core_alone = scenario["fj_per_mac_on_core"] * 1e-15 * EXAOPS / 2
    alone = "would close" if core_alone <= target else "would not close either"
    text = (
        f"{name} draws {_kw(watts['nominal'])} kW (5 to 95 %: {_kw(watts['p05'])} to "
        f"{_kw(watts['p95'])}), {'under' if closes else 'over'} the target by a factor of {ratio:.2g}, and closes "
        f"in {_percent(scenario['probability_of_closing'])} of the draws, at a loss of {_with_error(scenario)} nats "
        f"per token; its largest costs are {', '.join(labels)}; the products on light alone "
        f"({core_alone / 1e3:.3g} kW) {alone}."
    )
    if not closes:
        text += " " + _what_would_close(scenario["break_even"])
    return text


def _on_full_scale_light(name: str, scenario: ScenarioVerdict, dim: FullScaleLight) -> str:
    return (
        f"Light of {dim['bits']:g} bits against a detector's full scale, as most papers count, would bring {name} to "
        f"{_kw(dim['watts_at_exaops'])} kW, and its loss from {scenario['kl']:.3g} to {dim['kl']:.3g} nats of KL."
    )


def _kw(watts: float) -> str:
    """Kilowatts to three digits, without an exponent."""
    return f"{watts / 1e3:,.0f}" if watts >= 1e6 else f"{watts / 1e3:.3g}"


def _what_would_close(break_even: Mapping[str, float]) -> str:
    if not break_even:
        return "No single constant, moved to the end of its range, closes it."
    listed = ", ".join(f"{field} at {value:.3g}" for field, value in list(break_even.items())[:DECIDING])
    return f"Alone would close it: {listed}."


def _on_accuracy(accuracy: AccuracyMap, accepted_loss: float) -> list[str]:
    texts = []
    for entry in accuracy["cheapest"]:
        if entry["over"] != "W8A8":
            continue
        core, how = entry["core"], entry["imperfections"]
        level = f"{accepted_loss:g} nats of 8-bit digital, with its imperfections {how}"
        if core is None:
            least = accuracy["least_loss"][how]
            texts.append(
                f"No core of {accuracy['scenario']} on the map comes within {level}: the best loses "
                f"{least['delta_nll_from_kl']:.3f} at {least['watts'] / 1e3:.3g} kW, where "
                f"{entry['most']:.3f} is asked."
            )
        else:
            texts.append(
                f"The cheapest core of {accuracy['scenario']} within {level} draws {core['watts'] / 1e3:.3g} kW "
                f"({core['size']} rows, {core['light_bits']:.2g} bits of light, {core['enob']:.2g} ENOB, "
                f"{core['clock_hz'] / 1e9:.2g} GHz); measured, it loses {_measured(core)}."
            )
    return texts


def _on_descent(descent: Descent) -> str:
    best, start = descent["best"], descent["path"][0]
    text = (
        f"Descended in {descent['evaluations']} evaluations ({descent['loss_scale']:g} nats count as a factor e of "
        f"watts): {best['clock'] / 1e9:.2g} GHz, {best['light_bits']:.2g} bits of light, {best['enob']:.2g} ENOB, "
        f"{best['watts'] / 1e3:.3g} kW at KL {best['on_fresh_noise']['kl']:.3f}; figure of merit "
        f"{best['merit']:.3f} from {start['merit']:.3f}"
    )
    if "grid" not in descent:
        return text + "."
    top = descent["grid"]["best"]
    return text + (
        f", against {top['merit']:.3f} for the best of {descent['grid']['evaluations']} on a grid; on fresh noise "
        f"{best['on_fresh_noise']['merit']:.3f} ± {best['on_fresh_noise']['merit_stderr']:.3f} against "
        f"{top['on_fresh_noise']['merit']:.3f} ± {top['on_fresh_noise']['merit_stderr']:.3f}."
    )
