"""Report of the verdict on the terminal: tables, and sentences made from the computed numbers."""

from collections.abc import Mapping
from pathlib import Path

import optics
from experiments.common import reporting
from experiments.comparison.records import BASES, PLACES, Comparison
from experiments.comparison.report import kilowatts, three
from experiments.verdict.records import DesignRecord, JudgedRecord, ScenarioRecord, VerdictSummary

DECIDING = 5


def print_report(summary: VerdictSummary, out: Path) -> None:
    """Print the best designs, the steps to them, what decides them, and the verdict."""
    devices = ", ".join(map(str, summary["devices"]))
    print(
        f"\n{summary['shapes']} at 1 exaOPS; {summary['model']} on {summary['text']}, {summary['windows']} x "
        f"{summary['window_tokens']} tokens, {summary['keys']} draw(s) of the noise, devices {devices}; designs of "
        f"{summary['search']['structures']} structures, {summary['search']['evaluations']} losses for each model and "
        f"scenario measured on {summary['search']['text']}"
    )
    if summary["tiled"]:
        print(f"All losses are of sums of as many row tiles as those of {summary['shapes']}, on smaller cores.")
    if summary["changes"]:
        searched = "searched anew" if summary["searched_again"] else "as searched at the constants before"
        print(f"Changed: {', '.join(summary['changes'])}; designs {searched}.")
    w8a8, windows = summary["curves"]["w8a8"], summary["curves"]["windows"]
    print(
        f"Digital W8A8 of the model as it is loses {_with_error(w8a8['delta_nll'], w8a8['delta_nll_stderr'])} nats "
        f"over float32 on {windows} further windows, on which the delta NLL that belongs to a KL is measured."
    )
    print("\nkW of the cheapest design within a loss over 8-bit digital:")
    print(reporting.table(best_rows(summary)))
    print("\nThe best designs:")
    print(reporting.table(design_rows(summary)))
    for scenario, record in summary["scenarios"].items():
        for judged in record["judged"][:1]:
            print(f"\nWhat decides {scenario} within {judged['limit']:g} nats, Sobol total index of ln(watts):")
            print(reporting.deciding(judged["energy"], DECIDING))
    if summary["waterfall"]:
        print("\nFrom the first verdict to the best design, projected 2029:")
        print(reporting.table(step_rows(summary)))
    if summary["masks"]:
        print("\nThe first of the best designs of projected 2029 with the mask of each technology:")
        print(reporting.table(mask_rows(summary)))
    if summary["otherwise"]:
        print("\nThe same design with other ranges of its ADCs and other signs, at light for the same precision:")
        print(reporting.table(otherwise_rows(summary)))
    print("\nLike beside like: peak and achieved, at the plug and at the facility:")
    print(reporting.table(like_rows(summary)))
    for each in summary["comparison"]:
        print(
            f"Search against a random one of {each['evaluations']} evaluations, seed {each['seed']}: mean of "
            f"ln W + KL / s {each['search']:.3f} against {each['random']:.3f}."
        )
    print("\nVerdict: " + " ".join(sentences(summary)))
    steps = ", verdict_steps.png/.pdf" if summary["waterfall"] else ""
    judged = any(record["judged"] for record in summary["scenarios"].values())
    bills = ", waterfall.png/.pdf, designs/*.toml" if judged else ""
    print(f"Written: {out}/summary.json, verdict_front.png/.pdf{steps}{bills}")


def best_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of least watts: scenarios and limits down, models across."""
    names = list(dict.fromkeys(each["variant"] for r in summary["scenarios"].values() for each in r["best"]))
    rows: list[tuple[str, ...]] = [("", *names)]
    for scenario, record in summary["scenarios"].items():
        for limit in summary["limits"]:
            found = {each["variant"]: each["design"] for each in record["best"] if each["limit"] == limit}
            rows.append((f"{_plain(scenario)}, {limit:g} nats", *(_watts(found.get(name)) for name in names)))
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
                    f"{_plain(scenario)}, {judged['limit']:g} nats",
                    f"{watts['nominal'] / 1e3:.3g}",
                    f"{three(watts['p05'] / 1e3)} to {three(watts['p95'] / 1e3)}",
                    f"{judged['energy']['probability_of_closing']:.0%}",
                    _loss(design),
                    _with_error(design["measured_excess"], design["measured_excess_stderr"]),
                    _loss(judged["confirmed"]),
                    "" if judged["tiled"] is None else _loss(judged["tiled"]),
                    f"{design['kl']:.3f}",
                    design["variant"],
                    design["structure"],
                    *(f"{design[knob]:.2f}" for knob in ("light_bits", "enob", "dac_enob")),
                    f"{design['clock'] / 1e9:.2g}",
                    f"{design['loading']:.3g}",
                )
            )
    return rows


def like_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of peak beside achieved, at the plug and at the facility: best designs and digital machines."""
    rows: list[tuple[str, ...]] = [("kW at 1 exaOPS", *(f"{basis}, {place}" for place in PLACES for basis in BASES))]
    for scenario, record in summary["scenarios"].items():
        for judged in record["judged"]:
            rows.append((f"{_plain(scenario)}, {judged['limit']:g} nats", *_like_cells(judged["achieved"])))
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
            (design["mask"] or "assumed", f"{design['watts'] / 1e3:.3g}", _loss(design), f"{design['kl']:.3f}", about)
        )
    return rows


def otherwise_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of the best design with other ranges and encodings."""
    rows: list[tuple[str, ...]] = [("ranges", "inputs/weights", "kW", "loss over W8A8", "KL", "photons per MAC")]
    for design in summary["otherwise"]:
        watts, photons = f"{design['watts'] / 1e3:.3g}", f"{design['photons_per_mac']:.3g}"
        rows.append((design["ranges"], design["encoding"], watts, _loss(design), f"{design['kl']:.3f}", photons))
    return rows


def step_rows(summary: VerdictSummary) -> list[tuple[str, ...]]:
    """Return the table of the steps."""
    rows: list[tuple[str, ...]] = [("", "kW", "loss over W8A8", "as measured", "KL", "model")]
    for each in summary["waterfall"]:
        design = each["design"]
        measured = _with_error(design["measured_excess"], design["measured_excess_stderr"])
        watts, kl = f"{design['watts'] / 1e3:.3g}", f"{design['kl']:.3f}"
        rows.append((each["step"], watts, _loss(design), measured, kl, design["variant"]))
    return rows


def announce(scenario: str, best: Mapping[float, str], which: str = "") -> None:
    """Print the best design within each limit, before its distribution over the constants and other windows."""
    for limit, design in best.items():
        print(f"{_plain(scenario)} within {limit:g} nats{which}: {design}", flush=True)


def sentences(summary: VerdictSummary) -> list[str]:
    """Return the verdict on each scenario."""
    return [_on_scenario(name, record, summary) for name, record in summary["scenarios"].items()]


def _on_scenario(name: str, record: ScenarioRecord, summary: VerdictSummary) -> str:
    target = summary["target_watts"]
    if not record["judged"]:
        limits = ", ".join(f"{limit:g}" for limit in summary["limits"])
        return f"No design of {_plain(name)} comes within {limits} nats of 8-bit digital."
    texts = []
    for judged in record["judged"]:
        energy, design = judged["energy"], judged["design"]
        watts = energy["watts_at_exaops"]
        closes = watts["nominal"] <= target
        text = (
            f"{_plain(name)} within {judged['limit']:g} nats: {watts['nominal'] / 1e3:.3g} kW (5 to 95 %: "
            f"{three(watts['p05'] / 1e3)} to {three(watts['p95'] / 1e3)}), which {'meets' if closes else 'misses'} "
            f"{target / 1e3:g} kW, {'as it does' if closes else 'and meets it'} in "
            f"{energy['probability_of_closing']:.0%} of the draws"
        )
        if not closes:
            text += "; " + _what_would_close(energy["break_even"], judged)
        text += f"; on other windows and devices the loss is {_loss(judged['confirmed'])}"
        if judged["tiled"] is not None:
            text += f", with as many tiles to a sum as {summary['shapes']} {_loss(judged['tiled'])}"
        texts.append(f"{text}, on the model {design['variant']}.")
    return " ".join(texts)


def _what_would_close(break_even: Mapping[str, float], judged: JudgedRecord) -> str:
    if break_even:
        listed = ", ".join(f"{field} at {value:.3g}" for field, value in list(break_even.items())[:3])
        return f"alone would close it: {listed}"
    if judged["pairs"]:
        pair = judged["pairs"][0]
        return (
            f"no single constant closes it; {pair['first']} at {pair['first_value']:.3g} with {pair['second']} at "
            f"{pair['second_value']:.3g} would"
        )
    return "no single constant closes it, and no pair of those with the widest swings"


def _plain(scenario: str) -> str:
    return scenario.replace("_", " ")


def _watts(design: DesignRecord | None) -> str:
    return "none" if design is None else f"{design['watts'] / 1e3:.3g}"


def _loss(design: DesignRecord) -> str:
    return _with_error(design["excess"], design["excess_stderr"])


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return f"{value:+.3f}" + ("" if error is None else f" ± {error:.3f}")
