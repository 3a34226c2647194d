"""Report of `otc workloads`: the bills, the comparison, and what it rests on."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.workload import attention_in_words
from experiments.serving.optical.machine import TOKENS_PER_PASS
from experiments.serving.records import RangeRecord
from experiments.workloads.records import Comparison, Verdict, WorkloadRow, WorkloadsSummary
from experiments.workloads.rows import LIGHT

WIDTH = 130


def print_report(summary: WorkloadsSummary, out: Path) -> None:
    """Print both tables, the verdicts and the notes."""
    rows = summary["rows"]
    attention = attention_in_words(summary["attention"])
    print(f"\nOn {summary['core']}{attention}, at the plug; mJ per token, text or image, 5th to 95th percentile")
    print(reporting.table([_BILL_HEADER, *map(_bill_cells, rows)]))
    names = list(summary["machines"])
    print("\nmJ of the optical server, its idle share, mJ of digital machines, and light over digital (low to high)")
    print(reporting.table([_header(names), *(_cells(row, names) for row in rows)]))
    print("? cannot be told apart   * the core's bill over a digital machine at work: not like beside like")
    for name, title in summary["machines"].items():
        print(textwrap.fill(verdict_sentence(rows, name, title), WIDTH))
    for note in summary["notes"]:
        print(textwrap.fill(note, WIDTH))
    print(f"Not in the bill: {'; '.join(summary['omitted'])}.\nWritten to {out}: summary.json, workloads.png/.pdf")


def verdict_sentence(rows: Sequence[WorkloadRow], machine: str, title: str) -> str:
    """State on which workloads light needs less energy than a machine, by kind of comparison.

    Args:
        rows: the workloads.
        machine: short name.
        title: full name.
    """
    parts = []
    for like, words in ((True, "like beside like"), (False, "by the core's bill alone")):
        found = [(row["title"], c) for row in rows if (c := row["against"][machine]) is not None and c["like"] is like]
        if found:
            parts.append(f"{words}, of {len(found)}: {'; '.join(_count(found, verdict) for verdict in _SHORT)}")
    return f"Against {title}, {'. '.join(parts) or 'no workload can be compared'}."


def _count(found: Sequence[tuple[str, Comparison]], verdict: Verdict) -> str:
    """How many workloads have a verdict, and which, unless they cannot be told apart."""
    titles = [title for title, comparison in found if comparison["verdict"] == verdict]
    if verdict == "cannot be told apart":
        return f"{len(titles)} cannot be told apart"
    return f"{len(titles)} need less with {_NAMED[verdict]}" + (f" ({'; '.join(titles)})" if titles else "")


def notes(rows: Sequence[WorkloadRow], vectors_per_load: float, core_waits: str) -> list[str]:
    """Return what the comparison rests on.

    Args:
        rows: the workloads.
        vectors_per_load: of the core.
        core_waits: name of the core.
    """
    found = [
        f"Bill: {core_waits} keeps a mask for {vectors_per_load:,.0f} vectors, or for all of a batch where these are "
        "fewer; in decode for the sequences of the batch. It waits for the loads of masks and for nothing else.",
    ]
    if any(row["served"] for row in rows):
        found.append(
            "Like beside like: language models on both sides in the model of `otc serve`, at the rates they reach, one "
            "phase at a time, with the idle draw while memory, attention or loads are waited for. A load of a mask "
            f"serves up to {TOKENS_PER_PASS:,} tokens there. The ranges have all constants at their best or at their "
            "worst, and each cost of the core at its 5th or 95th percentile: outer bounds."
        )
    unlike = [row for row in rows if any(each and not each["like"] for each in row["against"].values())]
    if any(row["phase"] is None for row in unlike):
        found.append(
            "Not like beside like: networks without a serving model. Their digital energies are MACs times the energy "
            "per MAC of published prefill of language models (H200 at FP8, B200 at FP4), whatever utilisation these "
            "networks reach there."
        )
    if any(row["phase"] is not None for row in unlike):
        found.append(
            "Not like beside like: the core's bill of language models, since the optical server has attention on "
            "digital units, or refuses. The digital side is at the rate that it reaches."
        )
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, why in row["refused"].items():
            if why not in (each for (of, each) in reasons if of == name):
                reasons[name, why] = []
            reasons[name, why].append(row["title"])
    for (name, why), titles in reasons.items():
        if name != LIGHT or "attention" not in why:
            found.append(f"No figure of {name}: {why} ({', '.join(titles)}).")
    found.append("Accuracy is not compared: digital machines serve in 8 bits, and nobody ran these models on the core.")
    return found


_BILL_HEADER = (
    "",
    "per",
    "mJ",
    "range",
    "fJ/MAC",
    "kW at 1 exaOPS",
    "MACs on light",
    "vectors per load",
    "utilisation",
    "most of the bill",
)


def _bill_cells(row: WorkloadRow) -> tuple[str, ...]:
    bill = row["bill"]
    return (
        row["title"],
        row["item"],
        three(bill["joules"]["nominal"] * 1e3),
        f"{three(bill['joules']['low'] * 1e3)} to {three(bill['joules']['high'] * 1e3)}",
        three(bill["fj_per_mac"]),
        three(bill["watts_at_exaops"] / 1e3),
        f"{bill['light_share']:.0%}",
        vectors(row),
        f"{bill['utilisation']:.1%}",
        f"{bill['dominant']} {bill['dominant_share']:.0%}",
    )


def vectors(row: WorkloadRow) -> str:
    """Write the vectors that a load serves, and in brackets those of the site with the fewest."""
    bill = row["bill"]
    most, least = bill["vectors_per_load"], bill["least_vectors_per_load"]
    return f"{most:,.0f}" if most == least else f"{most:,.0f} ({least:,.4g})"


def _header(names: Sequence[str]) -> tuple[str, ...]:
    return ("", "light", "idle", *(cell for name in names for cell in (name, f"light/{name}", "less energy")))


def _cells(row: WorkloadRow, names: Sequence[str]) -> tuple[str, ...]:
    server = row["served"]
    cells = [row["title"], "-", "-"]
    if server is not None:
        cells[1:] = [three(server["joules"]["nominal"] * 1e3), f"{server['idle_share']:.0%}"]
    for name in names:
        found = row["against"][name]
        if found is None:
            cells += ["-", "-", "-"]
        else:
            cells += [three(found["joules"]["nominal"] * 1e3), in_range(found["ratio"]), in_short(found)]
    return tuple(cells)


_SHORT: Mapping[Verdict, str] = {"light": "light", "digital": "digital", "cannot be told apart": "?"}
_NAMED: Mapping[Verdict, str] = {"light": "light", "digital": "the digital machine"}


def in_short(found: Comparison) -> str:
    """Write a verdict in a word, and a star where it is not of like beside like."""
    return f"{_SHORT[found['verdict']]}{'' if found['like'] else ' *'}"


def in_range(values: RangeRecord) -> str:
    """Write a number with its range."""
    return f"{values['nominal']:.2g} ({values['low']:.2g} to {values['high']:.2g})"


def three(value: float) -> str:
    """Write a number to three digits, those before the point all stated."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.3g}".rstrip(".")
