"""The assumptions behind a bill, as tables, summaries and figures state them: drive, attention and vectors per load."""

import textwrap
from collections.abc import Sequence

import optics
from optics.energy.bill import DRIVE_ASSUMED, RESIDENCY


def with_mean_drive(core: optics.TensorCore, mean_drive: float) -> optics.TensorCore:
    """Return `core` billed, where no diagnostics are given, for a mean drive measured on another function."""
    return core.replace({"source.mean_drive": mean_drive})


def statements(bill: optics.Bill, measured_on: str = "") -> list[str]:
    """Return the statements of a bill.

    Args:
        bill: the bill.
        measured_on: the function that the core's mean drive was measured on; empty where the bill's own words hold.
    """
    if not measured_on:
        return list(bill.basis)
    return [text.replace(DRIVE_ASSUMED, f"mean drive of full scale, measured on {measured_on}") for text in bill.basis]


def small_print(statements: Sequence[str], width: int = 110) -> str:
    """Return the statements as the note of a figure, in lines of at most `width` characters.

    How long weights stay on the mask is left to the table.
    """
    return textwrap.fill("Bill, " + "; ".join(text for text in statements if RESIDENCY not in text) + ".", width)
