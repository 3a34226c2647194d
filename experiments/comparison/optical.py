"""Optical cores at peak and as they are run: the bill, and the power that they draw while they wait."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import optics
from electronics import Constant
from experiments.common.workload import Workload
from experiments.comparison.schedule import Schedule, schedule_at
from experiments.serving.model import CORNERS, Corner
from optics.core.by_site import CoresBySite, Machine, cores_by_name
from optics.core.cost_component import CostComponent
from optics.core.tensor_core import TensorCore
from optics.energy.waiting import Standby, at_plug, drain_share, idle_watts, waiting, waiting_time

LOADS = "loads of masks that a batch does not fill"
DIGITAL = "cores while digital arithmetic runs"
DRAIN = "cores at the ends of a batch"
RELOADED = (CostComponent.WEIGHT_FETCH, CostComponent.MASK_WRITE, CostComponent.IDLE_AT_RELOAD)
STANDING = (
    "static power of the digital units and of main memory while they wait",
    "lasers in front of modulators that stay on: sources are taken to be dark while cores wait",
)


class Achieved(NamedTuple):
    """A machine that runs a workload over and over.

    Attributes:
        watts: W at 1 exaOPS at the plug.
        waits: of these, what the bill leaves out, by cause [W].
        utilisation: operations on light over those of its cores in the same time with every tile full and no pause.
        cores: cores that 1 exaOPS takes.
        digital_ops: operations/s of the digital units beside cores of 1 exaOPS at full rate, given or as needed.
    """

    watts: float
    waits: dict[str, float]
    utilisation: float
    cores: float
    digital_ops: float


def peak_watts(machine: Machine, workload: Workload) -> float:
    """Watts at 1 exaOPS at the plug of products on light alone: every tile full, masks never reloaded, no pause.

    The cores of a design are taken in the numbers that keep all of them busy on the workload.
    """
    watts = rate = 0.0
    for core, seconds in zip(_kinds(machine), _seconds(machine, workload.price(machine)), strict=True):
        # All row tiles whose charges one conversion takes.
        rows = core.rows * core.accumulate
        costs = core.cost(rows=rows, columns=core.columns, vectors=1.0, resident=True)
        joules = sum(float(energy) for line, energy in costs.items() if line not in RELOADED)
        symbol = core.encoding.symbols / float(core.clock)
        watts += seconds * joules / (core.accumulate * symbol)
        rate += seconds * 2 * core.rows * core.columns / symbol
    return watts * float(at_plug(machine)) * optics.EXAOPS / rate


def achieved_watts(
    machine: Machine, workload: Workload, schedule: Schedule, digital_ops: float | None = None
) -> Achieved:
    """Watts at 1 exaOPS at the plug of a machine that runs a workload: its bill, and its cores while they wait.

    Args:
        machine: the core or design.
        workload: a prefill.
        schedule: how it is run.
        digital_ops: operations/s of the digital units beside cores of 1 exaOPS at full rate; None: as many as take as
            long as the cores take, so that cores never wait where both run side by side.
    """
    bill = workload.price(machine)
    last = _with_ends(machine, workload, schedule.packed)
    ended = workload.price(last, chosen_by=machine)
    seconds, rates = _seconds(machine, ended), [_full_rate(core) for core in _kinds(machine)]
    busy = sum(s * rate for s, rate in zip(seconds, rates, strict=True)) / optics.EXAOPS
    operations = 2 * float(ended.macs - ended.optical_macs) + sum(workload.operations.values())
    units = operations / busy if digital_ops is None else digital_ops
    other = operations / units if operations else 0.0
    paused = float(waiting_time(busy, other, schedule.overlap)) / busy
    around = optics.system(last, ended, weights=workload.weights_on(machine))
    drained = float(drain_share(_stages(workload, float(around.passes)), _units(workload, schedule)))
    idle = sum(
        s * float(idle_watts(core, schedule.converters)) for s, core in zip(seconds, _kinds(machine), strict=True)
    )
    idle *= float(at_plug(machine))
    held = waiting(
        last,
        workload.sites_on(machine),
        Standby(schedule.converters, schedule.unused),
        experts_per_token=workload.experts_per_token,
    )
    joules = {
        LOADS: float(ended.total) - float(bill.total),
        **{str(line): float(energy) for line, energy in held.items()},
        DIGITAL: paused * idle,
        DRAIN: drained * idle,
    }
    per_call = optics.EXAOPS / 2 / float(bill.macs)
    waits = {cause: energy * per_call for cause, energy in joules.items()}
    stretched = 1 + paused + drained
    cores = float(around.cores) * stretched
    reached = 2 * float(ended.optical_macs) / (busy * optics.EXAOPS * stretched)
    return Achieved(float(bill.watts_at()) + sum(waits.values()), waits, reached, cores, units)


def achieved_over_corners(
    machine: Machine, workload: Workload, constants: Mapping[str, Constant], digital_ops: float | None = None
) -> dict[Corner, Achieved]:
    """Return `achieved_watts` at the nominal schedule and at its ends; the numbers of the cores are nominal."""
    return {
        corner: achieved_watts(machine, workload, schedule_at(corner, constants), digital_ops) for corner in CORNERS
    }


def _with_ends(machine: Machine, workload: Workload, packed: float) -> Machine:
    """The machine with the vectors that its loads serve on average, where a batch ends within its last load.

    A batch of v vectors takes ceil(v / L) loads for L vectors each instead of v / L; of the difference other prompts
    fill the share `packed`.
    """

    def ended(core: TensorCore) -> TensorCore:
        loads = workload.tokens / float(core.vectors_per_load)
        # A number of vectors in float32 may be a last bit off a multiple.
        whole = math.ceil(loads * (1 - 1e-6))
        served = workload.tokens / (loads + (1 - packed) * (max(whole, loads) - loads))
        return core.replace({"vectors_per_load": max(served, 1.0)})

    return machine.each(ended) if isinstance(machine, CoresBySite) else ended(machine)


def _kinds(machine: Machine) -> list[TensorCore]:
    return list(cores_by_name(machine).values())


def _seconds(machine: Machine, bill: optics.Bill) -> list[float]:
    """Core seconds of a call by kind of core."""
    spent = bill.seconds_by_core if isinstance(machine, CoresBySite) else (bill.core_seconds,)
    return [float(each) for each in spent]


def _full_rate(core: TensorCore) -> float:
    return 2 * core.rows * core.columns * float(core.clock) / core.encoding.symbols


def _stages(workload: Workload, passes: float) -> int:
    """Layers that stand on cores at the same time, where all masks are written `passes` times to hold the model."""
    return max(1, math.ceil(workload.config.layers / max(passes, 1.0)))


def _units(workload: Workload, schedule: Schedule) -> float:
    """Times that a layer hands over vectors in a batch."""
    return max(1.0, workload.tokens / schedule.chunk)
