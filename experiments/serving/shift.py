"""Goodput of a fleet that was sized for one workload and is run on another.

A fleet is many groups of whole machines. Chips per machine, and the numbers of prefill and decode machines in a group,
are fixed when it is built; only the batch follows the workload.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import models
from experiments.serving.records import ShiftRecord
from experiments.serving.rows import AnyServer, ServingRow, best, serve_on_one, serve_on_pair
from experiments.serving.workloads import ServingWorkload

FLEETS_PER_WORKLOAD = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """A fleet sized for one workload and run on another.

    kept_share: tokens/s within the limits per kW of nameplate, over those of the same machines sized for the workload;
    0 where no batch meets the limits.
    """

    name: str
    on_one_machine: bool
    sized_for: str
    run_on: str
    kept_share: float

    def record(self) -> ShiftRecord:
        """Return the shift as summary.json holds it."""
        return {
            "name": self.name,
            "is_alone": self.on_one_machine,
            "sized_for": self.sized_for,
            "run_on": self.run_on,
            "kept": self.kept_share,
        }


def shifts(
    by_workload: Mapping[ServingWorkload, Sequence[ServingRow]],
    config: models.DecoderConfig,
    systems: Sequence[AnyServer],
) -> list[Shift]:
    """Return the best single machine and the best pair of each workload, sized for each and run on each."""
    ranked = {
        workload: {row.name: row for row in best(rows) if not row.split} for workload, rows in by_workload.items()
    }
    if len(ranked) < 2:
        return []
    by_system = {system.name: system for system in systems}
    batches = sorted({row.batch for rows in by_workload.values() for row in rows})
    return [
        _shift(sized, workload, own[name], config, by_system, batches)
        for name in _fleets(ranked)
        for sized in (by_name[name] for by_name in ranked.values() if name in by_name)
        for workload, own in ranked.items()
        if name in own
    ]


def worst(shifts: Sequence[Shift]) -> list[Shift]:
    """Return the shift of each fleet that costs most."""
    names = dict.fromkeys(shift.name for shift in shifts)
    return [min((s for s in shifts if s.name == name), key=lambda shift: shift.kept_share) for name in names]


def sentences(shifts: Sequence[Shift]) -> list[str]:
    """State the mean share that single machines and pairs keep after a shift to another workload."""
    texts = []
    for on_one_machine, kind in ((True, "single machines"), (False, "pairs")):
        shares = [s.kept_share for s in shifts if s.on_one_machine is on_one_machine and s.sized_for != s.run_on]
        if shares:
            texts.append(f"After a shift the {kind} shown keep {sum(shares) / len(shares):.0%} on average.")
    return texts


def _fleets(ranked: Mapping[ServingWorkload, Mapping[str, ServingRow]]) -> list[str]:
    """Names of the best single machines and the best pairs of all workloads, single machines first."""
    single: list[str] = []
    pairs: list[str] = []
    for by_name in ranked.values():
        single += [row.name for row in by_name.values() if row.on_one_machine][:FLEETS_PER_WORKLOAD]
        pairs += [row.name for row in by_name.values() if not row.on_one_machine][:FLEETS_PER_WORKLOAD]
    return list(dict.fromkeys(single + pairs))


def _shift(
    sized: ServingRow,
    workload: ServingWorkload,
    own: ServingRow,
    config: models.DecoderConfig,
    by_system: Mapping[str, AnyServer],
    batches: Sequence[int],
) -> Shift:
    systems = by_system[sized.prefill], by_system[sized.decode]
    rates = [rate for batch in batches if (rate := _rate(sized, systems, workload, config, batch)) is not None]
    return Shift(
        name=sized.name,
        on_one_machine=sized.on_one_machine,
        sized_for=sized.workload,
        run_on=workload.name,
        kept_share=max(rates, default=0.0) / own.tokens_per_s_per_kw.nominal,
    )


def _rate(
    sized: ServingRow,
    systems: tuple[AnyServer, AnyServer],
    workload: ServingWorkload,
    config: models.DecoderConfig,
    batch: int,
) -> float | None:
    """Tokens/s per kW of the sized group on a workload; None if it does not fit or misses a limit."""
    try:
        if sized.on_one_machine:
            row = serve_on_one(workload, config, systems[1], batch, sized.chips[1])
        else:
            row = serve_on_pair(workload, config, systems, batch, sized.chips, sized.machines)
    except ValueError:
        return None
    return row.tokens_per_s_per_kw.nominal if row.within_limits else None
