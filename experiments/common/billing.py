"""Bills as programs report them: per token of a model, and with the statements that each bill rests on."""

import textwrap
from collections.abc import Sequence
from typing import Literal, TypedDict

import optics
from experiments.common.workload import Attention, Workload, shapes_named
from optics.core.by_site import Machine, MachineT
from optics.energy.basis import DRIVE_ASSUMED, RESIDENCY

PHASES: tuple[Literal["prefill", "decode"], ...] = ("prefill", "decode")


class TokenBill(TypedDict):
    """Bill of one token of a model in one phase, as summary.json states it; `components_j` in J by component.

    vectors_per_expert: vectors that a load of one expert serves; None without experts.
    """

    model: str
    phase: str
    joules_per_token: float
    fj_per_mac: float
    macs_per_token: float
    vectors_per_expert: float | None
    components_j: dict[str, float]
    omitted: list[str]
    bill_rests_on: list[str]


def token_bills(
    core: Machine,
    shapes: Sequence[str],
    context: int,
    batch: int,
    measured_on: str = "",
    attention: Attention = "digital",
) -> list[TokenBill]:
    """Price one token of each model on a core, in prefill and in decode.

    Args:
        core: what the products with weights run on.
        shapes: names of models in `models.CONFIGS`.
        context: tokens of the prompt, and tokens before a decoded one.
        batch: sequences at once.
        measured_on: the function that the core's mean drive was measured on, where `with_mean_drive` set it.
        attention: where attention runs.

    Returns:
        The bills, model by model.
    """
    bills: list[TokenBill] = []
    for name in shapes:
        for phase in PHASES:
            workload = Workload(
                config=shapes_named(name), phase=phase, context=context, batch=batch, attention=attention
            )
            bill = workload.price(core)
            bills.append(
                {
                    "model": name,
                    "phase": phase,
                    "joules_per_token": float(bill.total) / workload.tokens,
                    "fj_per_mac": float(bill.per_mac) * 1e15,
                    "macs_per_token": float(bill.macs) / workload.tokens,
                    "vectors_per_expert": _per_expert(workload, bill),
                    "components_j": {line: float(e) / workload.tokens for line, e in bill.components.items()},
                    "omitted": list(bill.omitted),
                    "bill_rests_on": statements(bill, measured_on),
                }
            )
    return bills


def _per_expert(workload: Workload, bill: optics.Bill) -> float | None:
    served = bill.vectors_per_load
    return None if served is None else workload.vectors_per_expert(float(served))


def billed_drive(bill: optics.Bill) -> float:
    """Return the mean drive that the light of a bill is priced for.

    Raises:
        ValueError: if no product of the bill runs on a core with light.
    """
    if bill.mean_drive is None:
        raise ValueError("no product of the bill runs on light, so it has no mean drive")
    return float(bill.mean_drive)


def with_mean_drive(core: MachineT, mean_drive: float) -> MachineT:
    """Return `core` billed for a mean drive that was measured on another function, at sites without readings."""
    changed = core.replace({"source.mean_drive": mean_drive})
    assert isinstance(changed, type(core))
    return changed


def statements(bill: optics.Bill, measured_on: str = "") -> list[str]:
    """Return what a bill rests on. measured_on: the function that its mean drive was measured on, if it was."""
    if not measured_on:
        return list(bill.basis)
    return [text.replace(DRIVE_ASSUMED, f"mean drive of full scale, measured on {measured_on}") for text in bill.basis]


def small_print(statements: Sequence[str], width: int = 110) -> str:
    """Wrap statements of a bill into the note of a figure; the table states how long weights stay on the mask."""
    return textwrap.fill("Bill, " + "; ".join(text for text in statements if RESIDENCY not in text) + ".", width)
