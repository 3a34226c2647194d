"""Every machine alone and every pair of machines on a workload, over batches."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.serving.model import (
    CORNERS,
    DigitalSystem,
    Model,
    Pair,
    Range,
    Request,
    Served,
    Shape,
    Split,
    chips_needed,
    hand_over_joules,
    hand_over_seconds,
    machine_of,
    precision_named,
    require_fit,
    serve,
    serve_pair,
    serve_split,
)
from experiments.serving.optical import OpticalSystem
from experiments.serving.workloads import ServingWorkload

BATCHES = tuple(2**power for power in range(12))
# Precisions that models are served in, those preferred first: 8 bits where a machine has them.
PREFERRED = ("fp8", "int8", "bfp8", "bf16", "int4", "fp4")
PARTS = ("prefill_j", "decode_j", "transfer_j", "idle_j")

AnyServer = DigitalSystem | OpticalSystem


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One machine or pair at one batch. Rates are of one group of whole machines; joules per output token.

    `chips` are those of one prefill and one decode machine, `machines` how many the group has of each; of a machine
    alone both name the same. split: decode is split inside each token, attention on the prefill machine and products on
    the other, written GPU / LPU. `nameplate_watts` is what the group's supply must be laid out for, `kept` whether the
    latency limits are.
    """

    workload: str
    prefill: str
    decode: str
    batch: int
    chips: tuple[int, int]
    machines: tuple[int, int]
    ttft_s: Range
    tpot_s: Range
    tokens_per_s: Range
    j_per_token: Range
    tokens_per_s_per_kw: Range
    parts: dict[str, float]
    nameplate_watts: float
    kept: bool
    split: bool = False

    @property
    def name(self) -> str:
        """As figures and tables have it."""
        return self.decode if self.is_alone else f"{self.prefill} {'/' if self.split else '+'} {self.decode}"

    @property
    def is_alone(self) -> bool:
        """Whether one machine does both."""
        return self.prefill == self.decode

    @property
    def group(self) -> str:
        """Machines x chips."""
        sides = [f"{count} x {chips}" for count, chips in zip(self.machines, self.chips, strict=True)]
        return f"{self.chips[1]}" if self.is_alone else " + ".join(sides)

    def as_dict(self) -> dict[str, Any]:
        """As summary.json has it."""
        return dataclasses.asdict(self)


def precision_of(system: AnyServer) -> str:
    """The precision that a system serves in: 8 bits where it has them."""
    return next(name for name in PREFERRED if name in system.precisions)


def rows(
    workload: ServingWorkload, shape: Shape, systems: Sequence[AnyServer], batches: Sequence[int] = BATCHES
) -> list[Row]:
    """All that fits: each system alone, and each as the prefill machine of each other."""
    found = []
    for batch in batches:
        for decode in systems:
            found += _attempt(lambda decode=decode, batch=batch: _alone(workload, shape, decode, batch))
            for prefill in systems:
                if _splits(prefill, decode):
                    found += _attempt(lambda p=prefill, d=decode, batch=batch: _split(workload, shape, p, d, batch))
                if prefill is not decode:
                    found += _attempt(lambda p=prefill, d=decode, batch=batch: _paired(workload, shape, p, d, batch))
    return found


def best(found: Sequence[Row]) -> Iterator[Row]:
    """Of each machine or pair the row of the most tokens/s per kW that keeps the limits, the best first."""
    kept: dict[str, Row] = {}
    for row in found:
        now = kept.get(row.name)
        if row.kept and (now is None or row.tokens_per_s_per_kw.nominal > now.tokens_per_s_per_kw.nominal):
            kept[row.name] = row
    yield from sorted(kept.values(), key=lambda row: -row.tokens_per_s_per_kw.nominal)


def _attempt(row: Callable[[], Row]) -> list[Row]:
    """The row, unless the model or the batch does not fit such machines."""
    try:
        return [row()]
    except ValueError:
        return []


def _of(system: AnyServer) -> str | OpticalSystem:
    """As `predict` takes it: a digital system by name, since its machines are kept by name."""
    return system.name if isinstance(system, DigitalSystem) else system


def _chips(system: AnyServer, model: Model, request: Request, batch: int) -> int:
    """Chips of one machine: as few as hold the batch, but not more than share a fast link, unless the model needs it.

    Raises ValueError if the batch does not fit then.
    """
    domain = max(int(system.fields["system_chips"].value), chips_needed(_of(system), model, request))
    chips = min(chips_needed(_of(system), model, request, batch), domain)
    require_fit(machine_of(_of(system), chips), model, request, batch)
    return chips


def _alone(workload: ServingWorkload, shape: Shape, system: AnyServer, batch: int) -> Row:
    model = Model(shape, precision_named(precision_of(system)))
    workload.request.check(model)
    return alone(workload, shape, system, batch, _chips(system, model, workload.request, batch))


def alone(workload: ServingWorkload, shape: Shape, system: AnyServer, batch: int, chips: int) -> Row:
    """One machine of so many chips. Raises ValueError for what does not fit."""
    model = Model(shape, precision_named(precision_of(system)))
    machines = [machine_of(_of(system), chips, corner) for corner in CORNERS]
    require_fit(machines[0], model, workload.request, batch)
    served = [serve(each, model, workload.request, batch) for each in machines]
    watts = [each.nameplate_watts for each in machines]
    return _row(workload, (system, system), (chips, chips), (1, 1), served, watts)


def _paired(workload: ServingWorkload, shape: Shape, prefill: AnyServer, decode: AnyServer, batch: int) -> Row:
    read_as = Model(shape, precision_named(precision_of(prefill)))
    model = Model(shape, precision_named(precision_of(decode)))
    workload.request.check(model)
    chips = _chips(prefill, read_as, workload.request, 1), _chips(decode, model, workload.request, batch)
    return paired(workload, shape, (prefill, decode), batch, chips)


def paired(
    workload: ServingWorkload,
    shape: Shape,
    systems: tuple[AnyServer, AnyServer],
    batch: int,
    chips: tuple[int, int],
    group: tuple[int, int] | None = None,
) -> Row:
    """So many machines (prefill, decode) of so many chips, matched unless given. Raises ValueError as `alone`."""
    read_as, model = (Model(shape, precision_named(precision_of(system))) for system in systems)
    served, watts = [], []
    for corner in CORNERS:
        reader, writer = (machine_of(_of(system), n, corner) for system, n in zip(systems, chips, strict=True))
        pair = Pair.of(reader, writer, hand_over_joules(corner))
        served.append(serve_pair(pair, model, workload.request, batch, read_as, group))
        watts.append(served[-1].prefills * reader.nameplate_watts + served[-1].decodes * writer.nameplate_watts)
    return _row(workload, systems, chips, (served[0].prefills, served[0].decodes), served, watts)


def _splits(prefill: AnyServer, decode: AnyServer) -> bool:
    """Whether the first keeps the keys and values of the second: a machine with memory, and one without."""
    digital = isinstance(prefill, DigitalSystem) and isinstance(decode, DigitalSystem)
    return digital and "memory_bytes" in prefill.fields and "memory_bytes" not in decode.fields


def _split(workload: ServingWorkload, shape: Shape, prefill: DigitalSystem, decode: DigitalSystem, batch: int) -> Row:
    """Of `batch` sequences in all, in two batches that take turns where there is more than one.

    The GPUs are all that share a fast link, as a rack of them stands beside a rack of LPUs.
    """
    read_as, model = (Model(shape, precision_named(precision_of(system))) for system in (prefill, decode))
    workload.request.check(model)
    domain = int(prefill.fields["system_chips"].value)
    gpus = max(domain, _chips(prefill, read_as, workload.request, batch))
    chips = gpus, chips_needed(decode.name, model, Request(prompt=1, output=1))
    in_flight = min(2, batch)
    served, watts = [], []
    for corner in CORNERS:
        gpu, lpu = (machine_of(_of(system), n, corner) for system, n in zip((prefill, decode), chips, strict=True))
        split = Split(
            attention=gpu,
            products=lpu,
            link_bandwidth=min(gpu.hand_over_bandwidth, lpu.hand_over_bandwidth),
            link_seconds=hand_over_seconds(corner),
            link_joules=hand_over_joules(corner),
        )
        served.append(serve_split(split, model, workload.request, batch // in_flight, read_as, in_flight))
        watts.append(gpu.nameplate_watts + lpu.nameplate_watts)
    return dataclasses.replace(_row(workload, (prefill, decode), chips, (1, 1), served, watts), split=True)


def _row(
    workload: ServingWorkload,
    systems: tuple[AnyServer, AnyServer],
    chips: tuple[int, int],
    machines: tuple[int, int],
    served: Sequence[Served],
    watts: Sequence[float],
) -> Row:
    def over(name: str) -> Range:
        return Range.over(tuple(getattr(each, name) for each in served))

    nominal = served[0]
    return Row(
        workload=workload.name,
        prefill=systems[0].name,
        decode=systems[1].name,
        batch=nominal.batch,
        chips=chips,
        machines=machines,
        **{name: over(name) for name in ("ttft_s", "tpot_s", "tokens_per_s", "j_per_token")},
        tokens_per_s_per_kw=Range.over(
            tuple(1e3 * each.tokens_per_s / most for each, most in zip(served, watts, strict=True))
        ),
        parts={name: getattr(nominal, name) for name in PARTS},
        nameplate_watts=watts[0],
        kept=workload.met_by(nominal.ttft_s, nominal.tpot_s),
    )
