"""Report of the verdict on the terminal: tables, and sentences made from the computed numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.verdict import EnergyVerdict
from experiments.comparison.report import three
from experiments.verdict.report import tables
from experiments.verdict.report.records import PairRecord, ScenarioRecord, VerdictSummary


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
    lost = tables.with_error(w8a8["delta_nll"], w8a8["delta_nll_stderr"])
    print(
        f"Digital W8A8 of the model as it is loses {lost} nats "
        f"over float32 on {windows} further windows, on which the delta NLL that belongs to a KL is measured."
    )
    above = ", ".join(
        f"{tables.with_error(at['delta_nll'], at['delta_nll_stderr'])} at KL {at['kl']:.2f} ({model})"
        for model, at in ((model, each["attention_on_light"]) for model, each in summary["curves"]["models"].items())
    )
    print(f"That is with digital attention; with attention on light the preset of 2029 loses more by {above}.")
    print("\nkW of the cheapest design within a loss over 8-bit digital:")
    print(reporting.table(tables.best_rows(summary)))
    print("\nThe best designs:")
    print(reporting.table(tables.design_rows(summary)))
    families = tables.family_rows(summary)
    if families[1:]:
        print("\nkW of the cheapest design that was judged with each choice, all else free:")
        print(reporting.table(families))
    for scenario, record in summary["scenarios"].items():
        for judged in record["judged"]:
            named = tables.named(scenario, judged["limit"])
            print_deciding(named, judged["energy"], summary["target_watts"], judged["pairs"])
    if summary["waterfall"]:
        print("\nFrom the first verdict to the best design, projected 2029:")
        print(reporting.table(tables.step_rows(summary)))
    if summary["masks"]:
        print("\nThe first of the best designs of projected 2029 with the mask of each technology:")
        print(reporting.table(tables.mask_rows(summary)))
    if summary["otherwise"]:
        print("\nThe same design with other ranges of its ADCs and other signs, at light for the same precision:")
        print(reporting.table(tables.otherwise_rows(summary)))
    print("\nLike beside like: peak and achieved, at the plug and at the facility:")
    print(reporting.table(tables.like_rows(summary)))
    if summary["comparison"]:
        print("\nSearch against a random one of as many losses, mean of ln W + KL / s over trade-offs s:")
        print(reporting.table(tables.comparison_rows(summary)))
    print("\nWhat the search cost, as windows that a model was run on:")
    print(reporting.table(tables.cost_rows(summary)))
    print("\nVerdict: " + " ".join(sentences(summary)))
    steps = ", verdict_steps.png/.pdf" if summary["waterfall"] else ""
    judged = any(record["judged"] for record in summary["scenarios"].values())
    bills = ", waterfall.png/.pdf, designs/*.toml" if judged else ""
    print(f"Written: {out}/summary.json, verdict_front.png/.pdf{steps}{bills}")


def print_deciding(named: str, energy: EnergyVerdict, target: float, pairs: Sequence[PairRecord]) -> None:
    """Print what decides the watts of a design, and what would close the target; arguments as of `closing`."""
    print(f"\nWhat decides {named}, Sobol total index of ln(watts):")
    print(reporting.deciding(energy, tables.DECIDING))
    print(closing(energy, target, pairs))


def announce(scenario: str, best: Mapping[float, str], which: str = "") -> None:
    """Print the best design within each limit, before its distribution over the constants and other windows."""
    for limit, design in best.items():
        print(f"{tables.plain(scenario)} within {limit:g} nats{which}: {design}", flush=True)


def sentences(summary: VerdictSummary) -> list[str]:
    """Return the verdict on each scenario."""
    return [_on_scenario(name, record, summary) for name, record in summary["scenarios"].items()]


def _on_scenario(name: str, record: ScenarioRecord, summary: VerdictSummary) -> str:
    target = summary["target_watts"]
    if not record["judged"]:
        limits = ", ".join(f"{limit:g}" for limit in summary["limits"])
        return f"No design of {tables.plain(name)} comes within {limits} nats of 8-bit digital."
    texts = []
    for judged in record["judged"]:
        energy, design = judged["energy"], judged["design"]
        watts = energy["watts_at_exaops"]
        closes = watts["nominal"] <= target
        text = (
            f"{tables.plain(name)} within {judged['limit']:g} nats: {watts['nominal'] / 1e3:.3g} kW (5 to 95 %: "
            f"{three(watts['p05'] / 1e3)} to {three(watts['p95'] / 1e3)}), which {'meets' if closes else 'misses'} "
            f"{target / 1e3:g} kW, {'as it does' if closes else 'and meets it'} in "
            f"{energy['probability_of_closing']:.0%} of the draws"
        )
        if not closes:
            text += f"; {_what_would_close(energy['break_even'], judged['pairs'])}"
        text += f"; on other windows and devices the loss is {tables.loss(judged['confirmed'])}"
        if judged["tiled"] is not None:
            text += f", with as many tiles to a sum as {summary['shapes']} {tables.loss(judged['tiled'])}"
        texts.append(f"{text}, on the model {design['variant']}.")
    return " ".join(texts)


def closing(energy: EnergyVerdict, target: float, pairs: Sequence[PairRecord]) -> str:
    """Return the sentence on what would close the target, or else what it could bear.

    Args:
        energy: of a design.
        target: in watts.
        pairs: of constants that close it together.
    """
    if energy["watts_at_exaops"]["nominal"] <= target:
        listed = ", ".join(f"{field} is {value:.3g}" for field, value in energy["break_even"].items())
        until = f"alone until {listed}" if listed else "at any value of each constant alone within its range"
        return f"It meets {target / 1e3:g} kW, {until}."
    said = _what_would_close(energy["break_even"], pairs, len(energy["break_even"]))
    return f"{said[0].upper()}{said[1:]}."


def _what_would_close(break_even: Mapping[str, float], pairs: Sequence[PairRecord], most: int = 3) -> str:
    if break_even:
        listed = ", ".join(f"{field} at {value:.3g}" for field, value in list(break_even.items())[:most])
        return f"alone would close it: {listed}"
    if pairs:
        pair = pairs[0]
        return (
            f"no single constant closes it; {pair['first']} at {pair['first_value']:.3g} with {pair['second']} at "
            f"{pair['second_value']:.3g} would"
        )
    return "no single constant closes it, and no pair of those with the widest swings"
