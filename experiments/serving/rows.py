"""Every single machine and every pair of machines on a workload, over batches."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import models
from experiments.serving.model import (
    CORNERS,
    DigitalSystem,
    Model,
    Pair,
    Range,
    Request,
    Served,
    Split,
    chips_needed,
    hand_over_joules,
    hand_over_seconds,
    machine,
    machine_of,
    precision_named,
    require_fit,
    serve,
    serve_pair,
    serve_split,
)
from experiments.serving.optical import OpticalSystem
from experiments.serving.records import RowRecord, range_record
from experiments.serving.workloads import ServingWorkload

BATCHES = tuple(2**power for power in range(12))
PREFERRED = ("fp8", "int8", "bfp8", "bf16", "int4", "fp4")
"""Precisions that models are served in, in order of preference: 8 bits where a machine has them."""
PARTS = ("prefill_j", "decode_j", "transfer_j", "idle_j")

AnyServer = DigitalSystem | OpticalSystem


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingRow:
    """One machine or pair at one batch. Rates are of one group of whole machines, energies in J per output token.

    Attributes:
        workload: name of the workload.
        prefill, decode: names of the systems; equal for a single machine.
        batch: sequences at once.
        chips: chips of one prefill and of one decode machine.
        machines: prefill and decode machines in the group.
        parts: energy by part, see `PARTS`.
        nameplate_watts: power that the supply of the group must be sized for [W].
        within_limits: whether the latency limits are met.
        split: whether decode is split within each token, attention on `prefill` and products on `decode`.
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
    within_limits: bool
    split: bool = False

    @property
    def name(self) -> str:
        """Name in figures and tables; a split decode is written GPU / LPU."""
        return self.decode if self.on_one_machine else f"{self.prefill} {'/' if self.split else '+'} {self.decode}"

    @property
    def on_one_machine(self) -> bool:
        """Whether one machine does prefill and decode."""
        return self.prefill == self.decode

    @property
    def group(self) -> str:
        """Machines x chips, as the table prints them."""
        sides = [f"{count} x {chips}" for count, chips in zip(self.machines, self.chips, strict=True)]
        return f"{self.chips[1]}" if self.on_one_machine else " + ".join(sides)

    def record(self) -> RowRecord:
        """Return the row as summary.json holds it."""
        return {
            "workload": self.workload,
            "prefill": self.prefill,
            "decode": self.decode,
            "batch": self.batch,
            "chips": self.chips,
            "machines": self.machines,
            "ttft_s": range_record(self.ttft_s),
            "tpot_s": range_record(self.tpot_s),
            "tokens_per_s": range_record(self.tokens_per_s),
            "j_per_token": range_record(self.j_per_token),
            "tokens_per_s_per_kw": range_record(self.tokens_per_s_per_kw),
            "parts": self.parts,
            "nameplate_watts": self.nameplate_watts,
            "kept": self.within_limits,
            "split": self.split,
        }


def precision_of(system: AnyServer) -> str:
    """Return the precision that a system serves in: 8 bits where it has them."""
    return next(name for name in PREFERRED if name in system.precisions)


def rows(
    workload: ServingWorkload,
    config: models.DecoderConfig,
    systems: Sequence[AnyServer],
    batches: Sequence[int] = BATCHES,
) -> list[ServingRow]:
    """Return the rows of all that fits: each system by itself, and each as the prefill machine of each other."""
    return [
        row
        for batch in batches
        for make in _attempts(workload, config, systems, batch)
        if (row := _unless_refused(make)) is not None
    ]


def best(rows: Sequence[ServingRow]) -> Iterator[ServingRow]:
    """Yield, for each machine or pair, the row within the limits of most tokens/s per kW, the best first."""
    best_by_name: dict[str, ServingRow] = {}
    for row in rows:
        known = best_by_name.get(row.name)
        if row.within_limits and (known is None or row.tokens_per_s_per_kw.nominal > known.tokens_per_s_per_kw.nominal):
            best_by_name[row.name] = row
    yield from sorted(best_by_name.values(), key=lambda row: -row.tokens_per_s_per_kw.nominal)


def serve_on_one(
    workload: ServingWorkload, config: models.DecoderConfig, system: AnyServer, batch: int, chips: int
) -> ServingRow:
    """Return the row of one machine of `chips` chips. Raises ValueError if model and batch do not fit."""
    model = Model(config, precision_named(precision_of(system)))
    machines = [machine_of(_key(system), chips, corner) for corner in CORNERS]
    require_fit(machines[0], model, workload.request, batch)
    served = [serve(each, model, workload.request, batch) for each in machines]
    watts = [each.nameplate_watts for each in machines]
    return _row(workload, (system, system), (chips, chips), (1, 1), served, watts)


def serve_on_pair(
    workload: ServingWorkload,
    config: models.DecoderConfig,
    systems: tuple[AnyServer, AnyServer],
    batch: int,
    chips: tuple[int, int],
    group: tuple[int, int] | None = None,
) -> ServingRow:
    """Return the row of a group of prefill and decode machines.

    Args:
        workload: requests and limits.
        config: shape of the model.
        systems: prefill and decode system.
        batch: sequences at once on each decode machine.
        chips: chips of one machine of each.
        group: machines of each, by default those of the least watts per request.

    Raises:
        ValueError: if model and batch do not fit.
    """
    prefill_model, model = (Model(config, precision_named(precision_of(system))) for system in systems)
    served, watts = [], []
    for corner in CORNERS:
        prefill, decode = (machine_of(_key(system), n, corner) for system, n in zip(systems, chips, strict=True))
        pair = Pair.of(prefill, decode, hand_over_joules(corner))
        served.append(serve_pair(pair, model, workload.request, batch, prefill_model, group))
        watts.append(served[-1].prefills * prefill.nameplate_watts + served[-1].decodes * decode.nameplate_watts)
    return _row(workload, systems, chips, (served[0].prefills, served[0].decodes), served, watts)


def _attempts(
    workload: ServingWorkload, config: models.DecoderConfig, systems: Sequence[AnyServer], batch: int
) -> Iterator[Callable[[], ServingRow]]:
    for decode in systems:
        yield partial(_one, workload, config, decode, batch)
        for prefill in systems:
            if isinstance(prefill, DigitalSystem) and isinstance(decode, DigitalSystem) and _splits(prefill, decode):
                yield partial(_split, workload, config, prefill, decode, batch)
            if prefill is not decode:
                yield partial(_pair, workload, config, prefill, decode, batch)


def _unless_refused(make: Callable[[], ServingRow]) -> ServingRow | None:
    """Return the row, or None if model or batch do not fit the machines."""
    try:
        return make()
    except ValueError:
        return None


def _key(system: AnyServer) -> str | OpticalSystem:
    """The system as `predict` takes it: a digital one by name, since its machines are cached by name."""
    return system.name if isinstance(system, DigitalSystem) else system


def _chips(system: AnyServer, model: Model, request: Request, batch: int) -> int:
    """Chips of one machine: as few as hold the batch, and no more than share a fast link unless the model needs them.

    Raises ValueError if the batch does not fit then.
    """
    domain = max(int(system.fields["system_chips"].value), chips_needed(_key(system), model, request))
    chips = min(chips_needed(_key(system), model, request, batch), domain)
    require_fit(machine_of(_key(system), chips), model, request, batch)
    return chips


def _one(workload: ServingWorkload, config: models.DecoderConfig, system: AnyServer, batch: int) -> ServingRow:
    model = Model(config, precision_named(precision_of(system)))
    workload.request.check(model)
    return serve_on_one(workload, config, system, batch, _chips(system, model, workload.request, batch))


def _pair(
    workload: ServingWorkload, config: models.DecoderConfig, prefill: AnyServer, decode: AnyServer, batch: int
) -> ServingRow:
    prefill_model = Model(config, precision_named(precision_of(prefill)))
    model = Model(config, precision_named(precision_of(decode)))
    workload.request.check(model)
    chips = _chips(prefill, prefill_model, workload.request, 1), _chips(decode, model, workload.request, batch)
    return serve_on_pair(workload, config, (prefill, decode), batch, chips)


def _splits(prefill: DigitalSystem, decode: DigitalSystem) -> bool:
    """Whether decode can be split: the first machine has memory for keys and values, the second has none."""
    return "memory_bytes" in prefill.fields and "memory_bytes" not in decode.fields


def _split(
    workload: ServingWorkload, config: models.DecoderConfig, prefill: DigitalSystem, decode: DigitalSystem, batch: int
) -> ServingRow:
    """Return the row of `batch` sequences in all, in two batches that take turns where there are two sequences.

    The attention machine is at least all GPUs that share a fast link, as a rack of GPUs stands beside a rack of LPUs.
    """
    attention_model, model = (Model(config, precision_named(precision_of(system))) for system in (prefill, decode))
    workload.request.check(model)
    domain = int(prefill.fields["system_chips"].value)
    gpus = max(domain, _chips(prefill, attention_model, workload.request, batch))
    chips = gpus, chips_needed(decode.name, model, Request(prompt=1, output=1))
    in_flight = min(2, batch)
    served, watts = [], []
    for corner in CORNERS:
        gpu, lpu = machine(prefill.name, chips[0], corner), machine(decode.name, chips[1], corner)
        split = Split(
            attention=gpu,
            products=lpu,
            link_bandwidth=min(gpu.hand_over_bandwidth, lpu.hand_over_bandwidth),
            link_seconds=hand_over_seconds(corner),
            link_joules=hand_over_joules(corner),
        )
        served.append(serve_split(split, model, workload.request, batch // in_flight, attention_model, in_flight))
        watts.append(gpu.nameplate_watts + lpu.nameplate_watts)
    return dataclasses.replace(_row(workload, (prefill, decode), chips, (1, 1), served, watts), split=True)


def _row(
    workload: ServingWorkload,
    systems: tuple[AnyServer, AnyServer],
    chips: tuple[int, int],
    machines: tuple[int, int],
    served: Sequence[Served],
    watts: Sequence[float],
) -> ServingRow:
    """Return the row of a group served at all corners, the nominal one first."""
    nominal = served[0]
    per_kw = tuple(1e3 * each.tokens_per_s / most for each, most in zip(served, watts, strict=True))
    return ServingRow(
        workload=workload.name,
        prefill=systems[0].name,
        decode=systems[1].name,
        batch=nominal.batch,
        chips=chips,
        machines=machines,
        ttft_s=Range.over(tuple(each.ttft_s for each in served)),
        tpot_s=Range.over(tuple(each.tpot_s for each in served)),
        tokens_per_s=Range.over(tuple(each.tokens_per_s for each in served)),
        j_per_token=Range.over(tuple(each.j_per_token for each in served)),
        tokens_per_s_per_kw=Range.over(per_kw),
        parts={
            "prefill_j": nominal.prefill_j,
            "decode_j": nominal.decode_j,
            "transfer_j": nominal.transfer_j,
            "idle_j": nominal.idle_j,
        },
        nameplate_watts=watts[0],
        within_limits=workload.met_by(nominal.ttft_s, nominal.tpot_s),
    )
