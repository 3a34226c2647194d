"""Rows of the table: a workload on light, on each digital machine, and which needs less energy."""

from collections.abc import Sequence

from electronics.digital.measured import ENERGY_PER_MAC
from experiments.common.workload import Workload
from experiments.serving.model import DigitalSystem, Range
from experiments.serving.records import RangeRecord, range_record
from experiments.serving.rows import precision_of
from experiments.workloads.light import Servers, light_bill
from experiments.workloads.records import Comparison, ServedRecord, Verdict, WorkloadRow
from experiments.workloads.served import served
from experiments.workloads.tasks import Task

LIGHT = "light"


def row_of(task: Task, servers: Servers, systems: Sequence[DigitalSystem], draws: int) -> WorkloadRow:
    """Return the row of a workload.

    Args:
        task: the workload.
        servers: of the core.
        systems: digital machines.
        draws: draws over the ranges of the core's constants.
    """
    bill = light_bill(servers.candidate, task, draws)
    refused: dict[str, str] = {}
    server = _server(task, servers, refused)
    against: dict[str, Comparison | None] = {}
    for system in systems:
        digital = _digital(task, system, bill["macs"], refused)
        against[system.name] = None if digital is None else _comparison(bill["joules"], server, *digital)
    work = task.work
    language = isinstance(work, Workload)
    return {
        "title": task.title,
        "group": task.group,
        "item": task.item,
        "model": task.model,
        "phase": work.phase if language else None,
        "context": work.context if language else None,
        "batch": work.batch if language else task.items,
        "bill": bill,
        "served": server,
        "against": against,
        "refused": refused,
    }


def _server(task: Task, servers: Servers, refused: dict[str, str]) -> ServedRecord | None:
    if not isinstance(task.work, Workload):
        return None
    if task.work.attention != "digital":
        refused[LIGHT] = "the optical server of the serving model computes attention on digital units"
        return None
    try:
        found = served(servers.of(task.work.config), task.work)
    except ValueError as error:
        refused[LIGHT] = str(error)
        return None
    return {"joules": range_record(found.joules), "idle_share": found.idle_share, "chips": found.chips}


def _digital(
    task: Task, system: DigitalSystem, macs: float, refused: dict[str, str]
) -> tuple[Range, str, int | None] | None:
    """(joules per item, what they are of, chips) of a digital machine; None where it has no figure."""
    if isinstance(task.work, Workload):
        try:
            found = served(system, task.work)
        except ValueError as error:
            refused[system.name] = str(error)
            return None
        return found.joules, f"serving model, {precision_of(system)}", found.chips
    if system.name not in ENERGY_PER_MAC:
        refused[system.name] = "no published energy per MAC"
        return None
    per_mac = ENERGY_PER_MAC[system.name]
    joules = Range(per_mac.value * macs, per_mac.low * macs, per_mac.high * macs)
    return joules, f"energy per MAC, {per_mac.source}", None


def _comparison(
    bill: RangeRecord, server: ServedRecord | None, digital: Range, basis: str, chips: int | None
) -> Comparison:
    bill_ratio = Range(**bill) / digital
    like = server is not None and chips is not None
    ratio = Range(**server["joules"]) / digital if server is not None and like else bill_ratio
    return {
        "joules": range_record(digital),
        "basis": basis,
        "chips": chips,
        "bill_ratio": range_record(bill_ratio),
        "ratio": range_record(ratio),
        "like": like,
        "verdict": verdict_of(ratio),
    }


def verdict_of(ratio: Range) -> Verdict:
    """Return which side needs less energy: light where all of the ratio's range is below 1, digital where above."""
    if ratio.high < 1.0:
        return "light"
    return "digital" if ratio.low > 1.0 else "cannot be told apart"
