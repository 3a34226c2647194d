"""What a bill rests on, as tables, summaries and figures state it: which drive, which attention, which loads."""

import textwrap
from collections.abc import Sequence

import optics
from optics.energy.bill import DRIVE_ASSUMED, RESIDENCY


def lent(core: optics.TensorCore, mean_drive: float) -> optics.TensorCore:
    """`core` billed, wherever no readings are given, for a mean drive that was measured on another function."""
    return core.replace({"source.mean_drive": mean_drive})


def stated(bill: optics.Bill, measured_on: str = "") -> list[str]:
    """The statements of a bill. measured_on: the function whose mean drive the core was lent, if it was."""
    if not measured_on:
        return list(bill.basis)
    return [text.replace(DRIVE_ASSUMED, f"mean drive of full scale, measured on {measured_on}") for text in bill.basis]


def small_print(statements: Sequence[str], width: int = 110) -> str:
    """The statements as a figure's note, in lines of so many characters; how long weights stay is left to the table."""
    return textwrap.fill("Bill, " + "; ".join(text for text in statements if RESIDENCY not in text) + ".", width)
