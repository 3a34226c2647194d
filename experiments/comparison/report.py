"""Report of `otc compare` on the terminal."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.verdict import TARGET_WATTS
from experiments.common.workload import attention_in_words
from experiments.comparison.achieved import tops_per_watt
from experiments.comparison.records import BASES, PLACES, Accounting, Basis, Claim, CompareSummary, Comparison, Interval


def print_report(summary: CompareSummary, out: Path) -> None:
    """Print the tables of watts and of operations per joule, what waiting costs, accuracies, claims and the verdict."""
    rows = summary["rows"]
    print(
        f"\nPrefill of {summary['model']}, prompts of {summary['context']} tokens, {summary['batch']} at once"
        f"{attention_in_words(summary['attention'])}.\nkW at 1 exaOPS: nominal (low to high)"
    )
    header = ("", "format", *(f"{basis}, {place}" for place in PLACES for basis in BASES))
    print(reporting.table([(*header, "utilisation"), *((*_cells(row, kilowatts), _share(row)) for row in rows)]))
    for row in rows:
        if row["published_watts_at_exaops"] is not None:
            print(f"{_named(row)}: {kilowatts(row['published_watts_at_exaops'])} kW at the plug by published runs.")
    print("\nTOPS/W")
    print(reporting.table([header, *(_cells(row, _tops) for row in rows)]))
    optical = [row for row in rows if row["kind"] == "optical"]
    if optical:
        print("\nOptical cores, kW at 1 exaOPS at the plug: the bill, and what waiting adds to it")
        print(reporting.table(_waits(optical)))
        chosen = "as fast as keeps the cores busy" if summary["digital_ops"] is None else "as given"
        units = ", ".join(f"{row['title']} {row['digital_ops']:.2g}" for row in optical)
        print(f"Digital units beside cores of 1 exaOPS, {chosen}, operations/s: {units}.")
    print("\nAccuracy:")
    for text in dict.fromkeys(f"{_named(row)}: {row['accuracy']}" for row in rows):
        print(f"  {text}")
    for constant in summary["schedule"].values():
        print(f"{constant['name']} = {constant['value']:g} ({constant['low']:g} to {constant['high']:g}), "
              f"{constant['mark']}: {constant['source']}.")  # fmt: skip
    for row in optical[:1]:
        print(f"Not in it: {'; '.join(row['omitted'])}.")
    for claim in summary["claims"]:
        print("\n" + claim_in_words(claim))
    for sentence in verdicts(rows):
        print(sentence)
    print(f"Written: {out}/summary.json, compare.png/.pdf")


def kilowatts(watts: Interval) -> str:
    """Return watts in kW, with their range where there is one."""
    low, high = watts["low"] / 1e3, watts["high"] / 1e3
    middle = three(watts["nominal"] / 1e3)
    return middle if low == high else f"{middle} ({three(low)} to {three(high)})"


def three(value: float) -> str:
    """Return a number to three digits, those before the point all stated."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")


def claim_in_words(claim: Claim) -> str:
    """State a claim of a facility, the accountings that give it, and the nearest one of whole racks."""
    found = [claim["accountings"][number] for number in claim["reproduced_by"]]
    racks = [each for each in claim["accountings"] if each["watts_of"].startswith("rack")]
    best = max(racks, key=lambda each: each["tops_per_watt"])
    said = f"{claim['source']}. Within {claim['within']:.0%} of it come"
    by = "; ".join(_accounted(each) for each in found) or "none of the accountings"
    return f"{said}: {by}. With whole racks at most {_accounted(best)}."


def verdicts(rows: Sequence[Comparison]) -> Iterator[str]:
    """Yield a sentence for peak and one for achieved: each optical row at the facility beside the best digital one."""
    digital = [row for row in rows if row["kind"] == "digital"]
    for basis in BASES:

        def watts(row: Comparison, basis: Basis = basis) -> float:
            return row["watts_at_exaops"][basis]["facility"]["nominal"]

        parts = [f"{row['title']} {three(watts(row) / 1e3)} kW" for row in rows if row["kind"] == "optical"]
        if digital:
            best = min(digital, key=watts)
            parts.append(f"the best digital machine, {_named(best)}, {three(watts(best) / 1e3)} kW")
        yield f"{basis.capitalize()} at the facility, beside {TARGET_WATTS / 1e3:g} kW: {'; '.join(parts)}."


def _accounted(each: Accounting) -> str:
    return (
        f"{each['tops_per_watt']:.1f} TOPS/W ({each['rate']} of {each['peak_ops'] / 1e15:g} POPS, {each['watts_of']}: "
        f"{each['chip_watts']:,.0f} W a chip, PUE {each['pue']:g})"
    )


def _cells(row: Comparison, cell: Callable[[Interval], str]) -> tuple[str, ...]:
    watts = row["watts_at_exaops"]
    return (row["title"], row["format"], *(cell(watts[basis][place]) for place in PLACES for basis in BASES))


def _tops(watts: Interval) -> str:
    return f"{tops_per_watt(watts)['nominal']:.3g}"


def _share(row: Comparison) -> str:
    return f"{row['utilisation']['nominal']:.0%}"


def _named(row: Comparison) -> str:
    return f"{row['title']}, {row['format']}"


def _waits(optical: Sequence[Comparison]) -> list[tuple[str, ...]]:
    causes = list(optical[0]["waits_w"])
    bills = ("bill", *(three((row["bill_watts_at_exaops"] or 0.0) / 1e3) for row in optical))
    lines = [(cause, *(kilowatts(row["waits_w"][cause]) for row in optical)) for cause in causes]
    total = ("achieved", *(kilowatts(row["watts_at_exaops"]["achieved"]["plug"]) for row in optical))
    return [("", *(row["title"] for row in optical)), bills, *lines, total]
