"""`otc bill`: energy of one token of a large language model, by component, from shapes alone."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from experiments.common import reporting
from experiments.common.billing import PHASES, TokenBill, token_bills
from experiments.common.candidates import load_machine, mask_in_words
from experiments.common.options import check_folder, check_integer
from experiments.common.workload import Attention


@dataclasses.dataclass(frozen=True, kw_only=True)
class BillOptions:
    """The bill of one token, prefill and decode, component by component; no weights are read."""

    preset: str = "projected_2029"
    """Optical preset or device."""
    core: Path | None = None
    """A core of your own instead, .toml or .json."""
    cores: Path | None = None
    """A design with a core for each site instead, .toml (docs/guide/cores.md)."""
    mask: str | None = None
    """Technology of the weight mask in place of that of the preset, which is then a scenario (docs/guide/cores.md)."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    shapes: tuple[str, ...] = ("llama-3.1-8b", "llama-3.1-70b")
    """Models by name; their shapes alone are used."""
    context: int = 8192
    """Tokens of the prompt, and tokens before a decoded one."""
    batch: int = 1
    """Sequences at once; in decode each load of the masks serves this many vectors."""
    out: Path = Path("runs/bill")
    """Folder for summary.json."""


class BillSummary(TypedDict):
    """The content of summary.json."""

    core: str
    mask: str | None
    attention: str
    context: int
    batch: int
    bills: list[TokenBill]
    versions: dict[str, str]


def main(options: BillOptions) -> BillSummary:
    """Price the models, print the table and write summary.json."""
    check_folder("out", options.out)
    check_integer("batch", options.batch, 1)
    core = load_machine(options.preset, options.core, options.cores, options.mask)
    own = options.cores or options.core
    summary: BillSummary = {
        "core": options.preset if own is None else str(own),
        "mask": options.mask,
        "attention": options.attention,
        "context": options.context,
        "batch": options.batch,
        "bills": token_bills(core, options.shapes, options.context, options.batch, attention=options.attention),
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _print_report(summary, options.out)
    return summary


def _print_report(summary: BillSummary, out: Path) -> None:
    bills = summary["bills"]
    print(
        f"\nOne token on {summary['core']}{mask_in_words(summary['mask'])}, {summary['context']} tokens of context, "
        f"batch {summary['batch']}, attention {summary['attention']}; mJ"
    )
    print(reporting.table(_table(bills)))
    print(
        "In decode the masks are loaded anew for each batch of single vectors; a machine with cores enough to hold all "
        "weights at once would save weight fetch, mask write and idle at reload."
    )
    for bill in bills:
        if bill["vectors_per_expert"] is not None:
            print(
                f"{bill['model']}, {bill['phase']}: a load of an expert serves {bill['vectors_per_expert']:g} vectors, "
                "routed evenly."
            )
    for phase in PHASES:
        first = next(bill for bill in bills if bill["phase"] == phase)
        print(f"{phase.capitalize()}: {'; '.join(first['bill_rests_on'])}.")
    print(f"Not in the bill: {'; '.join(bills[0]['omitted'])}.\nWritten: {out}/summary.json")


def _table(bills: Sequence[TokenBill]) -> list[tuple[str, ...]]:
    """Rows of the table, header first: a column for each bill."""
    return [
        ("", *(f"{bill['model']} {bill['phase']}" for bill in bills)),
        *(
            (component, *(f"{bill['components_j'][component] * 1e3:.4g}" for bill in bills))
            for component in bills[0]["components_j"]
        ),
        ("total", *(f"{bill['joules_per_token'] * 1e3:.4g}" for bill in bills)),
        ("fJ/MAC", *(f"{bill['fj_per_mac']:.4g}" for bill in bills)),
    ]
