"""What one token of a large language model costs, by component, from shapes alone."""

import dataclasses
from pathlib import Path
from typing import Any

import optics
from experiments.common import basis, reporting
from experiments.common.candidates import load_core
from experiments.common.options import check_folder, check_integer
from experiments.common.workload import Workload, shapes_named


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bill:
    """The bill of one token, prefill and decode, component by component; no weights are read."""

    preset: str = "projected_2029"
    """Optical preset or device."""
    core: Path | None = None
    """A core of your own instead, .toml or .json."""
    shapes: tuple[str, ...] = ("llama-3.1-8b", "llama-3.1-70b")
    """Models by name; their shapes alone are used."""
    context: int = 8192
    """Tokens of the prompt, and those before a decoded token."""
    batch: int = 1
    """Sequences at once; in decode the masks are loaded for so many vectors."""
    out: Path = Path("runs/bill")
    """Folder for summary.json."""


def main(options: Bill) -> dict[str, Any]:
    """Prices the models, prints the table and writes summary.json."""
    check_folder("out", options.out)
    check_integer("batch", options.batch, 1)
    core = load_core(options.preset, options.core)
    summary = {
        "core": options.preset if options.core is None else str(options.core),
        "context": options.context,
        "batch": options.batch,
        "bills": bills(core, options.shapes, options.context, options.batch),
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _show(summary, options.out)
    return summary


def bills(
    core: optics.TensorCore, shapes: tuple[str, ...], context: int, batch: int, measured_on: str = ""
) -> list[dict[str, Any]]:
    """The bill of one token of each model, in prefill and in decode.

    measured_on: what the core's mean drive was measured on, if it was (see `basis.with_mean_drive`).
    """
    found = []
    for name in shapes:
        for phase in ("prefill", "decode"):
            workload = Workload(config=shapes_named(name), phase=phase, context=context, batch=batch)
            bill = workload.price(core)
            found.append(
                {
                    "model": name,
                    "phase": phase,
                    "joules_per_token": float(bill.total) / workload.tokens,
                    "fj_per_mac": float(bill.per_mac) * 1e15,
                    "macs_per_token": bill.macs / workload.tokens,
                    "components_j": {line: float(e) / workload.tokens for line, e in bill.components.items()},
                    "omitted": list(bill.omitted),
                    "bill_rests_on": basis.statements(bill, measured_on),
                }
            )
    return found


def _show(summary: dict[str, Any], out: Path) -> None:
    found = summary["bills"]
    print(f"\nOne token on {summary['core']}, {summary['context']} tokens of context, batch {summary['batch']}; mJ")
    rows = [("", *(f"{bill['model']} {bill['phase']}" for bill in found))]
    rows += [
        (line, *(f"{bill['components_j'][line] * 1e3:.4g}" for bill in found)) for line in found[0]["components_j"]
    ]
    rows.append(("total", *(f"{bill['joules_per_token'] * 1e3:.4g}" for bill in found)))
    rows.append(("fJ/MAC", *(f"{bill['fj_per_mac']:.4g}" for bill in found)))
    print(reporting.table(rows))
    print(
        "In decode the masks are loaded anew for each batch of single vectors; a machine with cores enough to hold all "
        "weights at once would save weight fetch, mask write and idle at reload."
    )
    for phase in ("prefill", "decode"):
        first = next(bill for bill in found if bill["phase"] == phase)
        print(f"{phase.capitalize()}: {'; '.join(first['bill_rests_on'])}.")
    print(f"Not in the bill: {'; '.join(found[0]['omitted'])}.\nWritten: {out}/summary.json")
