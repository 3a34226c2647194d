"""Report of the target on the terminal: tables, and sentences made from the computed numbers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.candidates import mask_in_words
from experiments.common.reporting import kilowatts
from experiments.common.verdict import SystemSize
from experiments.target.records import (
    AccuracyMap,
    BudgetComparison,
    ScenarioVerdict,
    TargetSummary,
)
from experiments.target.sentences import measured, percent, sentences, with_error


def print_report(summary: TargetSummary, out: Path) -> None:
    """Print the tables, the verdict, the constants that decide it, and the costs outside the bill."""
    scenarios, target = summary["scenarios"], summary["target"]["watts"]
    print(
        f"\n{summary['shapes']}, {summary['workload']}{mask_in_words(summary['mask'])}, at 1 exaOPS; "
        f"{summary['model']} on {summary['text']}, "
        f"{summary['windows']} x {summary['window_tokens']} tokens, {summary['keys']} draws of the noise"
    )
    print(reporting.table([_HEADER, *(_cells(name, scenario) for name, scenario in scenarios.items())]))
    w8a8 = summary["digital"]["digital_w8a8"]
    print(
        f"kW: nominal, and 5 to 95 % over the ranges of all constants, {summary['draws']} draws; closes: share of them "
        f"at or under {target / 1e3:g} kW; parts: the same with the design's choices fixed.\n"
        f"Digital W8A8 loses {with_error(w8a8)} (KL {w8a8['kl']:.4f})."
    )
    if summary["attention"] != "digital":
        print(_on_attention(summary["attention"], scenarios))
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
        print(reporting.deciding(scenario, DECIDING))
    print(
        "\nA budget by hand of such a machine, at its own mean drive of 0.2, fJ/MAC, and what its omitted costs "
        "add, one upon the other:"
    )
    print(reporting.table(_budget_rows(summary["budget_by_hand"])))
    if summary["map"] is not None:
        _print_map(summary["map"])
    print("\nVerdict: " + " ".join(sentences(summary)))
    first = next(iter(scenarios.values()))
    print("\nNot in the bill: " + "; ".join(first["omitted"]) + ".")
    counts = ", ".join(f"{name} {len(scenario['assumptions'])}" for name, scenario in scenarios.items())
    print(f"Assumed constants (listed in summary.json): {counts}.")
    drawn = ["waterfall", "tornado", *(["map", "pareto"] if summary["map"] else [])]
    print(f"Written: {out}/summary.json, " + ", ".join(f"{name}.png/.pdf" for name in drawn))


DECIDING = 6
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
        f"{kilowatts(watts['nominal'])}",
        f"{kilowatts(watts['p05'])} to {kilowatts(watts['p95'])}",
        percent(scenario["probability_of_closing"]),
        percent(scenario["probability_of_closing_choices_held"]),
        f"{scenario['fj_per_mac']:.3g}",
        f"{scenario['fj_per_mac_on_core']:.3g}",
        with_error(scenario),
        f"{scenario['kl']:.4f}",
        _distinct(f"{core['source_power_w'] * 1e3:.3g}" for core in scenario["system"]["by_core"]),
    )


def _distinct(values: Iterable[str]) -> str:
    """What the cores of a design have, each value once."""
    return ", ".join(dict.fromkeys(values))


def _machine_cells(name: str, machine: SystemSize) -> tuple[str, ...]:
    return (
        name,
        _distinct(f"{core['rows']}" for core in machine["by_core"]),
        _distinct(f"{core['clock_hz'] / 1e9:g}" for core in machine["by_core"]),
        _distinct(f"{core['adc_enob']:g}" for core in machine["by_core"]),
        f"{machine['cores']:.0f}",
        percent(machine["utilisation"]),
        f"{machine['resident_weights']:.3g}",
        f"{machine['passes']:.3g}",
        f"{machine['sources']:.3g}",
        f"{machine['converters']:.3g}",
        f"{machine['tile_loads_per_second']:.3g}",
    )


def _on_attention(attention: str, scenarios: Mapping[str, ScenarioVerdict]) -> str:
    """Which policy holds in the bills and in the losses."""
    how = "as chosen" if attention != "light" else "where it costs less at the nominal constants"
    machines = {
        name: ", ".join(f"{side} of {site}" for site, side in scenario["operands_on_mask"].items()) or "none on light"
        for name, scenario in scenarios.items()
    }
    stated = "; ".join(f"{name}: {text}" for name, text in machines.items())
    return (
        f"Attention on light in the bills and in the losses; the operand on the mask, {how}, is the same in all draws "
        f"and on the map ({stated})."
    )


def _reload_rows(scenarios: Mapping[str, ScenarioVerdict]) -> list[tuple[str, ...]]:
    rows = [("vectors", *scenarios)]
    for cells in zip(*(scenario["reload"] for scenario in scenarios.values()), strict=True):
        rows.append(
            (
                f"{cells[0]['vectors_per_load']:g}",
                *(
                    f"{c['fj_per_mac']:.3g}; {percent(c['utilisation'])}; {c['watts_at_exaops'] / 1e3:.3g}"
                    for c in cells
                ),
            )
        )
    return rows


def _budget_rows(comparisons: Sequence[BudgetComparison]) -> list[tuple[str, ...]]:
    steps = list(comparisons[0]["steps"])
    rows: list[tuple[str, ...]] = [("", "by hand", steps[0], "ratio", *(f"+ {name}" for name in steps[1:]))]
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
                measured(core),
            )
        )
    print(reporting.table(rows))
