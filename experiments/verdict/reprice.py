"""`otc reprice`: the designs of a verdict priced anew at other constants, at the losses that it measured."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict, cast

import tyro

from experiments.common import reporting, verdict
from experiments.common.options import check_folder, check_power_of_two
from experiments.common.verdict import EnergyVerdict
from experiments.evaluation.measure import describe_core
from experiments.plotting import style
from experiments.verdict.prices import Prices, check_changes
from experiments.verdict.records import cheapest, design_of, model_of, pair_records
from experiments.verdict.report import figures, tables, text
from experiments.verdict.report.records import DesignRecord, PairRecord, ScenarioRecord, VerdictSummary
from experiments.verdict.space import Design, Space

NEEDED = ("shapes", "limits", "scenarios", "target_watts", "changes", "model", "text", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepriceOptions:
    """The designs of a verdict at other constants, at the losses that it measured; no model is loaded or run."""

    verdict: Annotated[Path, tyro.conf.Positional] = Path("docs/verdict/summary.json")
    """summary.json of `otc verdict`."""
    set: tuple[str, ...] = ()
    """Constants to change, as of `otc target`."""
    scenarios: tuple[str, ...] = ("projected_2029",)
    """Scenarios of the verdict that are priced."""
    draws: int = 4096
    """Draws of all constants, a power of two."""
    sobol_draws: int = 256
    """Draws for the Sobol indices, a power of two."""
    out: Path = Path("runs/reprice")
    """Folder for summary.json and the figure."""

    def load(self) -> VerdictSummary:
        """Return the summary of the verdict.

        Raises:
            ValueError: for a file that is no summary of the verdict, and an option out of range; the message names it.
        """
        check_folder("out", self.out)
        if not self.scenarios:
            raise ValueError("scenarios is empty; at least one is needed")
        if not self.verdict.is_file():
            raise ValueError(f"verdict = {self.verdict} is no file; it must be the summary.json of otc verdict")
        try:
            found: Any = json.loads(self.verdict.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"verdict = {self.verdict} is no JSON: {error}") from None
        missing = [name for name in NEEDED if not isinstance(found, dict) or name not in found]
        if missing:
            raise ValueError(
                f"verdict = {self.verdict} has no {missing[0]}; it must be the summary.json of otc verdict"
            )
        summary = cast(VerdictSummary, found)
        for scenario in self.scenarios:
            if scenario not in summary["scenarios"]:
                had = ", ".join(summary["scenarios"])
                raise ValueError(f"scenarios = {scenario} must be among those of the verdict: {had}")
            models = summary["scenarios"][scenario]["variants"].values()
            if not all("rotation_seed" in model for model in models):
                raise ValueError(f"verdict = {self.verdict} is of an earlier version, without the drives of its models")
            check_changes(self.set, scenario, self.scenarios)
        for name in ("draws", "sobol_draws"):
            check_power_of_two(name, getattr(self, name))
        return summary


class RepricedRecord(TypedDict):
    """The cheapest design within a limit at the changed constants.

    watts_before, probability_before: of the design that was cheapest at the constants of the verdict. run_anew: whether
    the change touches the core of the design beyond its price, or the operand of attention on the mask, so that the
    loss may be another. pairs: see `optics.Uncertainty.break_even_pairs`.
    """

    scenario: str
    limit: float
    watts_before: float | None
    probability_before: float | None
    design: DesignRecord
    energy: EnergyVerdict
    pairs: list[PairRecord]
    run_anew: bool


class RepriceSummary(TypedDict):
    """The content of summary.json."""

    verdict: str
    shapes: str
    changes: list[str]
    target_watts: float
    judged: list[RepricedRecord]
    none_within: list[str]
    versions: dict[str, str]


def main(options: RepriceOptions) -> RepriceSummary:
    """Price the designs, print the best within each limit and what decides them, write summary.json and the figure."""
    before = options.load()
    judged: list[RepricedRecord] = []
    none_within: list[str] = []
    for scenario in options.scenarios:
        prices = _Repriced(options, before, scenario)
        for limit in before["limits"]:
            found = prices.judged(limit)
            judged += [found] if found is not None else []
            none_within += [tables.named(scenario, limit)] if found is None else []
    summary: RepriceSummary = {
        "verdict": str(options.verdict),
        "shapes": before["shapes"],
        "changes": list(options.set),
        "target_watts": before["target_watts"],
        "judged": judged,
        "none_within": none_within,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    named = {_named(each): each["energy"] for each in judged}
    if named:
        with style.style():
            title = (
                f"Where the energy goes at the changed constants: {summary['shapes']}; per MAC at the plug, 5 to 95 %"
            )
            figures.energy(title, named, summary["target_watts"], options.out)
    _print_report(summary, options.out)
    return summary


class _Repriced:
    """The designs of one scenario at the changed constants."""

    def __init__(self, options: RepriceOptions, before: VerdictSummary, scenario: str):
        self.options, self.scenario, self.seed = options, scenario, before["seed"]
        self.record: ScenarioRecord = before["scenarios"][scenario]
        self.before = Prices(Space(scenario, tuple(before["changes"])), before["shapes"], "")
        # Changes of the verdict hold, unless they are changed again.
        self.space = Space(scenario, (*before["changes"], *options.set))
        self.prices = Prices(self.space, before["shapes"], f"{before['model']}, first window of {before['text']}")
        self.models = {name: model_of(name, each) for name, each in self.record["variants"].items()}
        self.priced = [(self._watts(each), each) for each in self.record["designs"]]

    def _watts(self, record: DesignRecord) -> float:
        return float(self.prices.bill(*design_of(record), self.models[record["variant"]]).watts_at())

    def judged(self, limit: float) -> RepricedRecord | None:
        """The cheapest design within a limit; None where none is."""
        best = cheapest(self.priced, limit)
        if best is None:
            return None
        options, (watts, record) = self.options, best
        design, model = design_of(record), self.models[record["variant"]]
        candidate, workload = self.prices.candidate(design, model), self.prices.workload(design, model)
        energy = verdict.energy(candidate, workload, options.draws, options.sobol_draws, self.seed)
        bill = candidate.priced(workload, candidate.core)
        energy["bill_rests_on"] = self.prices.bills(design.structure).statements(bill)
        was = [each for each in self.record["judged"] if each["limit"] == limit]
        photons = model.drives.photons_per_mac(self.space.core(*design), model.setting)
        return {
            "scenario": self.scenario,
            "limit": limit,
            "watts_before": was[0]["design"]["watts"] if was else None,
            "probability_before": was[0]["energy"]["probability_of_closing"] if was else None,
            "design": {**record, "watts": watts, "photons_per_mac": photons},
            "energy": energy,
            "pairs": pair_records(candidate, workload, energy),
            "run_anew": self._touched(design),
        }

    def _touched(self, design: Design) -> bool:
        """Whether a run of the design would be another than the one of the verdict."""
        structure = design.structure
        same = [describe_core(each.space.core(*design)) for each in (self.before, self.prices)]
        # Where each site chooses its operand by itself, it does by the price of the core as the scenario has it.
        places = [each.attention(structure) for each in (self.before, self.prices)]
        by_itself = "light" in places
        bases = [describe_core(each.space.base(structure), price=by_itself) for each in (self.before, self.prices)]
        return same[0] != same[1] or places[0] != places[1] or bases[0] != bases[1]


def _print_report(summary: RepriceSummary, out: Path) -> None:
    changes = ", ".join(summary["changes"]) or "nothing changed"
    print(f"\n{summary['shapes']} at 1 exaOPS, designs of {summary['verdict']}; {changes}")
    print(reporting.table(rows(summary["judged"])))
    for each in summary["none_within"]:
        print(f"No design that was measured is within {each}.")
    for each in summary["judged"]:
        text.print_deciding(_named(each), each["energy"], summary["target_watts"], each["pairs"])
    touched = [_named(each) for each in summary["judged"] if each["run_anew"]]
    if touched:
        print(
            f"\nThe change touches what the cores of these compute, and their losses are those of before: "
            f"{'; '.join(touched)}. `otc verdict --set` in the folder of a run measures them anew."
        )
    print(
        "The designs are those of the search at the constants of the verdict; one at the new constants may find better."
    )
    print(f"Written: {out}/summary.json{', waterfall.png/.pdf' if summary['judged'] else ''}")


def rows(judged: Sequence[RepricedRecord]) -> list[tuple[str, ...]]:
    """Return the table of the best designs, before and after the change."""
    found = [("", "kW before", "kW", "5 to 95 %", "closed before", "closes", "loss over W8A8", "model", "structure")]
    for each in judged:
        design, watts = each["design"], each["energy"]["watts_at_exaops"]
        was, closed = each["watts_before"], each["probability_before"]
        found.append(
            (
                _named(each),
                "" if was is None else reporting.kilowatts(was),
                reporting.kilowatts(watts["nominal"]),
                f"{reporting.kilowatts(watts['p05'])} to {reporting.kilowatts(watts['p95'])}",
                "" if closed is None else f"{closed:.0%}",
                f"{each['energy']['probability_of_closing']:.0%}",
                tables.loss(design),
                design["variant"],
                design["structure"],
            )
        )
    return found


def _named(each: Mapping[str, Any]) -> str:
    return tables.named(each["scenario"], each["limit"])
