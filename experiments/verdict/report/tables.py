"""Tables of a verdict: rows of cells, the header first."""

from collections.abc import Sequence

import optics
from experiments.common.verdict import EnergyVerdict
from experiments.comparison.records import BASES, PLACES, Comparison
from experiments.comparison.report import kilowatts, three
from experiments.verdict.report.records import DesignRecord, PairRecord, VerdictSummary

DECIDING = 5
PAIRED = 8
"""Constants of the largest swings that are paired."""
PAIRS = 2
STEPS_ON = "projected_2029"
"""The scenario of the steps, the masks and the other ranges and signs."""
CHOICES = ("attention", "rows", "columns", "accumulate", "mask", "ranges", "encoding")
"""What designs are chosen by, fields of their records."""
NAMES = {"accumulate": "tiles a conversion", "encoding": "inputs/weights on"}


def best_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of least watts: scenarios and limits down, models across."""
    names = list(dict.fromkeys(each["variant"] for r in summary["scenarios"].values() for each in r["best"]))
    rows: list[tuple[str, ...]] = [("", *names)]
    for scenario, record in summary["scenarios"].items():
        for limit in summary["limits"]:
            found = {each["variant"]: each["design"] for each in record["best"] if each["limit"] == limit}
            rows.append((named(scenario, limit), *(_watts(found.get(name)) for name in names)))
    return rows


def design_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of the best designs."""
    head = ("", "kW", "5 to 95 %", "closes", "loss over W8A8", "as measured", "confirmed", "tiled", "KL", "model",
            "structure", "light b", "ENOB", "DAC", "GHz", "loading")  # fmt: skip
    rows: list[tuple[str, ...]] = [head]
    for scenario, record in summary["scenarios"].items():
        for judged in record["judged"]:
            design, watts = judged["design"], judged["energy"]["watts_at_exaops"]
            rows.append(
                (
                    named(scenario, judged["limit"]),
                    f"{watts['nominal'] / 1e3:.3g}",
                    f"{three(watts['p05'] / 1e3)} to {three(watts['p95'] / 1e3)}",
                    f"{judged['energy']['probability_of_closing']:.0%}",
                    loss(design),
                    with_error(design["measured_excess"], design["measured_excess_stderr"]),
                    loss(judged["confirmed"]),
                    "" if judged["tiled"] is None else loss(judged["tiled"]),
                    f"{design['kl']:.3f}",
                    design["variant"],
                    design["structure"],
                    *(f"{design[knob]:.2f}" for knob in ("light_bits", "enob", "dac_enob")),
                    f"{design['clock'] / 1e9:.2g}",
                    f"{design['loading']:.3g}",
                )
            )
    return rows


def deciding_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of what decides the best designs: Sobol total indices, break-evens, and pairs."""
    rows: list[tuple[str, ...]] = [("", "S_T of ln W", "alone at the target", "two together at the target")]
    for scenario, record in summary["scenarios"].items():
        for judged in record["judged"]:
            energy = judged["energy"]
            indices = list(energy["sobol"].items())[:DECIDING]
            rows.append(
                (
                    named(scenario, judged["limit"]),
                    ", ".join(f"{field} {index['total']:.2f}" for field, index in indices),
                    _alone(energy),
                    _together(judged["pairs"])
                    if energy["watts_at_exaops"]["nominal"] > summary["target_watts"]
                    else "",
                )
            )
    return rows


def _alone(energy: EnergyVerdict) -> str:
    """Each break-even with the value and the range of its constant."""
    known = energy["constants"]
    listed = (
        f"{field} {at:.3g} for {known[field]['value']:.3g} ({known[field]['low']:.3g} to {known[field]['high']:.3g})"
        for field, at in energy["break_even"].items()
    )
    return "; ".join(listed) or "none within its range"


def _together(pairs: Sequence[PairRecord]) -> str:
    listed = (
        f"{pair['first']} {pair['first_value']:.3g} with {pair['second']} {pair['second_value']:.3g}"
        for pair in pairs[:PAIRS]
    )
    return "; ".join(listed) or f"none of the {PAIRED} of the widest swings"


def family_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of least watts among the judged designs with each choice, scenarios and limits across."""
    columns = [(scenario, limit) for scenario in summary["scenarios"] for limit in summary["limits"]]
    rows: list[tuple[str, ...]] = [("", *(named(scenario, limit) for scenario, limit in columns))]
    designs = {scenario: record["designs"] for scenario, record in summary["scenarios"].items()}
    square = all(each["rows"] == each["columns"] for record in designs.values() for each in record)
    for choice in CHOICES:
        if choice == "columns" and square:
            continue
        every = sorted({each[choice] for record in designs.values() for each in record})
        for value in every if len(every) > 1 else ():
            cells = [
                [each["watts"] for each in designs[scenario] if each[choice] == value and each["excess"] <= limit]
                for scenario, limit in columns
            ]
            name = f"{NAMES.get(choice, choice)} {value or 'assumed'}"
            rows.append((name, *(f"{min(watts) / 1e3:.3g}" if watts else "none" for watts in cells)))
    return rows


def comparison_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of searches beside random ones of as many losses."""
    rows: list[tuple[str, ...]] = [("seed", "losses", "search", "random")]
    for each in summary["comparison"]:
        values = f"{each['search']:.3f}", f"{each['random']:.3f}"
        rows.append((f"{each['seed']}", f"{each['evaluations']}", *values))
    return rows


def cost_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of what the search cost: windows that a model was run on, on one device each."""
    records = summary["scenarios"].values()
    windows = summary["windows"] * summary["keys"]
    designs, judged = sum(len(r["designs"]) for r in records), sum(len(r["judged"]) for r in records)
    # The last steps are the best designs, and the first rows of the others the first of them.
    steps = len(summary["waterfall"]) - len(summary["scenarios"].get(STEPS_ON, {}).get("judged", []))
    single = max(0, steps) + max(0, len(summary["masks"]) - 1) + max(0, len(summary["otherwise"]) - 1)
    devices, curves = len(summary["devices"]), summary["curves"]
    of_curves = sum(len(each["kl"]) for each in curves["models"].values()) * curves["windows"]
    tiled = sum(each["tiled"] is not None for r in records for each in r["judged"])
    confirming = judged * windows * len(summary["confirming_devices"]) + tiled * windows * devices
    found = {
        "searches": sum(len(r["trials"]) for r in records),
        "designs of fronts, turned to limits, and neighbours": designs * windows * devices,
        "steps, masks and other ranges and signs": single * windows * devices,
        "best designs, confirmed and tiled": confirming,
        "curves": of_curves,
        "comparison with random searches": sum(2 * each["evaluations"] for each in summary["comparison"]),
    }
    rows = [("", "windows"), *((name, f"{count:,}") for name, count in found.items())]
    return [*rows, ("all", f"{sum(found.values()):,}")]


def like_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of peak beside achieved, at the plug and at the facility: best designs and digital machines."""
    rows: list[tuple[str, ...]] = [("kW at 1 exaOPS", *(f"{basis}, {place}" for place in PLACES for basis in BASES))]
    for scenario, record in summary["scenarios"].items():
        for judged in record["judged"]:
            rows.append((named(scenario, judged["limit"]), *_like_cells(judged["achieved"])))
    rows += [(f"{each['title']}, {each['format']}", *_like_cells(each)) for each in summary["digital"]]
    return rows


def _like_cells(found: Comparison) -> list[str]:
    watts = found["watts_at_exaops"]
    return [kilowatts(watts[basis][place]) for place in PLACES for basis in BASES]


def mask_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of the best design with the mask of each technology."""
    rows: list[tuple[str, ...]] = [("mask", "kW", "loss over W8A8", "KL", "what it is")]
    for design in summary["masks"]:
        about = optics.MASK_TECHNOLOGIES[design["mask"]] if design["mask"] else "the scenario's own numbers"
        rows.append(
            (design["mask"] or "assumed", f"{design['watts'] / 1e3:.3g}", loss(design), f"{design['kl']:.3f}", about)
        )
    return rows


def otherwise_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of the best design with other ranges and encodings."""
    rows: list[tuple[str, ...]] = [("ranges", "inputs/weights", "kW", "loss over W8A8", "KL", "photons per MAC")]
    for design in summary["otherwise"]:
        watts, photons = f"{design['watts'] / 1e3:.3g}", f"{design['photons_per_mac']:.3g}"
        rows.append((design["ranges"], design["encoding"], watts, loss(design), f"{design['kl']:.3f}", photons))
    return rows


def step_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of the steps."""
    rows: list[tuple[str, ...]] = [("", "kW", "loss over W8A8", "as measured", "KL", "model")]
    for each in summary["waterfall"]:
        design = each["design"]
        measured = with_error(design["measured_excess"], design["measured_excess_stderr"])
        watts, kl = f"{design['watts'] / 1e3:.3g}", f"{design['kl']:.3f}"
        rows.append((each["step"], watts, loss(design), measured, kl, design["variant"]))
    return rows


def plain(scenario: str) -> str:
    """A scenario in words."""
    return scenario.replace("_", " ")


def named(scenario: str, limit: float) -> str:
    """A scenario and a limit in words, as rows and panels are named."""
    return f"{plain(scenario)}, {limit:g} nats"


def _watts(design: DesignRecord | None) -> str:
    return "none" if design is None else f"{design['watts'] / 1e3:.3g}"


def loss(design: DesignRecord) -> str:
    """Loss of a design over 8-bit digital [nats per token], with its standard error."""
    return with_error(design["excess"], design["excess_stderr"])


def with_error(value: float | None, error: float | None) -> str:
    """A value with its standard error, as far as there are any."""
    if value is None:
        return ""
    return f"{value:+.3f}" + ("" if error is None else f" ± {error:.3f}")
