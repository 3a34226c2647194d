"""One machine on a workload: watts at 1 exaOPS at peak and as it is run, at the plug and at the facility."""

import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import optics
from electronics import Constant
from experiments.common.billing import statements
from experiments.common.candidates import DRIVE
from experiments.common.workload import Workload, attention_in_words
from experiments.comparison import digital, optical
from experiments.comparison.records import Comparison, Interval, Place
from experiments.comparison.schedule import SCHEDULE, check, schedule_at
from experiments.serving.accuracy import NOT_MEASURED, RECORDED, Accuracy
from experiments.serving.model import CORNERS, Corner, DigitalSystem
from optics.core.by_site import Machine
from optics.presets.presets import DESIGN_BITS

OMITTED_DIGITAL = (
    "requests that wait for a batch: prompts are read one after the other",
    "power above the nameplate, and idle machines of a fleet",
)


def achieved(
    machine: Machine | DigitalSystem,
    workload: Workload,
    *,
    name: str = "",
    precision: str | None = None,
    constants: Mapping[str, Constant] = SCHEDULE,
    digital_ops: float | None = None,
) -> Comparison:
    """Compare a machine: peak beside achieved, at the plug and at the facility.

    Peak: of cores, products on light alone with every tile full, masks never reloaded and no pause; of digital
    machines, the maker's dense peak over the power of the server. Achieved: of cores, the bill of the workload and
    what the cores draw while they wait; of digital machines, the joules of `otc serve`'s prefill with the idle draw.
    Ranges are over the schedule for cores, whose numbers stay nominal (`otc target` draws them), and over the system's
    own constants for digital machines. At the facility both are multiplied by the same PUE.

    Args:
        machine: a core, a design with a core for each site, or a digital system.
        workload: a prefill.
        name: as tables name it; of a preset its name, which finds its accuracy.
        precision: format of a digital system, by default one of 8 bits where it has one.
        constants: the schedule.
        digital_ops: operations/s of the digital units beside cores of 1 exaOPS at full rate, see `optical`.

    Raises:
        ValueError: for a workload that is no prefill, a schedule out of range, a format that the system lacks, a
            prompt that does not fit, and a machine on which nothing runs.
    """
    if workload.phase != "prefill":
        raise ValueError(f"phase = {workload.phase!r} must be 'prefill': machines are compared on prompts")
    if digital_ops is not None and not digital_ops > 0:
        raise ValueError(f"digital_ops = {digital_ops} must be above 0 operations/s")
    check(constants)
    if isinstance(machine, DigitalSystem):
        return _digital(machine, workload, precision or digital.formats_of(machine)[0], constants)
    return _optical(machine, workload, name, constants, digital_ops)


def tops_per_watt(watts: Interval) -> Interval:
    """Return operations per joule / 1e12 of watts at 1 exaOPS."""
    ends = {"nominal": watts["nominal"], "low": watts["high"], "high": watts["low"]}
    return {"nominal": 1e6 / ends["nominal"], "low": 1e6 / ends["low"], "high": 1e6 / ends["high"]}


def _optical(
    machine: Machine, workload: Workload, name: str, constants: Mapping[str, Constant], digital_ops: float | None
) -> Comparison:
    bill = workload.price(machine)
    found = optical.achieved_over_corners(machine, workload, constants, digital_ops)
    peak = optical.peak_watts(machine, workload)
    loss = _known_loss(machine, workload, name)
    return {
        "name": name,
        "title": name.replace("_", " "),
        "kind": "optical",
        "format": "light" + attention_in_words(workload.attention),
        "watts_at_exaops": {
            "peak": _at_both(constants, lambda corner: peak),
            "achieved": _at_both(constants, lambda corner: found[corner].watts),
        },
        "utilisation": _over(lambda corner: found[corner].utilisation),
        "chips": found["nominal"].cores,
        "bill_watts_at_exaops": float(bill.watts_at()),
        "published_watts_at_exaops": None,
        "waits_w": {
            cause: _over(lambda corner, cause=cause: found[corner].waits[cause]) for cause in found["nominal"].waits
        },
        "digital_ops": found["nominal"].digital_ops,
        "delta_nll": None if loss is None else loss.delta_nll,
        "accuracy": NOT_MEASURED if loss is None else f"{loss} nats/token on {loss.model}, {loss.source}",
        "rests_on": statements(bill),
        "omitted": [*(text for text in bill.omitted if "PUE" not in text), *optical.STANDING],
    }


def _known_loss(machine: Machine, workload: Workload, name: str) -> Accuracy | None:
    """The recorded loss of a preset; the mean drive that it is billed for changes no loss."""
    loss = RECORDED.get(name)
    if loss is None or workload.attention != "digital" or loss.effective_bits != DESIGN_BITS:
        return None
    preset = optics.preset(name)
    drive = {DRIVE: float(preset.source.mean_drive)}
    return loss if machine.replace(drive) == preset.replace(drive) else None


def _digital(
    system: DigitalSystem, workload: Workload, precision: str, constants: Mapping[str, Constant]
) -> Comparison:
    found = digital.achieved_over_corners(system, workload, precision)
    known = _ACCURACY[precision]
    return {
        "name": system.name,
        "title": system.title,
        "kind": "digital",
        "format": digital.format_title(system, precision),
        "watts_at_exaops": {
            "peak": _at_both(constants, lambda corner: digital.peak_watts(system, precision, corner)),
            "achieved": _at_both(constants, lambda corner: found[corner].watts),
        },
        "utilisation": _over(lambda corner: found[corner].utilisation),
        "chips": found["nominal"].chips,
        "bill_watts_at_exaops": None,
        "published_watts_at_exaops": digital.published_watts(system, precision),
        "waits_w": {},
        "digital_ops": None,
        "delta_nll": known.get("delta_nll"),
        "accuracy": known["words"],
        "rests_on": [f"assumed: {field}" for field, constant in system.fields.items() if constant.mark == "assumed"],
        "omitted": list(OMITTED_DIGITAL),
    }


def _at_both(constants: Mapping[str, Constant], watts: Callable[[Corner], float]) -> dict[Place, Interval]:
    """Watts at the plug, and at the facility, whose ends are those of watts and of PUE together."""
    return {
        "plug": _over(watts),
        "facility": _over(lambda corner: watts(corner) * schedule_at(corner, constants).pue),
    }


def _over(value: Callable[[Corner], float]) -> Interval:
    values = [float(value(corner)) for corner in CORNERS]
    return {"nominal": values[0], "low": min(values), "high": max(values)}


_ACCURACY: Mapping[str, dict[str, Any]] = tomllib.loads(
    (files("experiments.comparison") / "accuracy.toml").read_text(encoding="utf-8")
)
