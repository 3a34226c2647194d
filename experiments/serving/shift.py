"""What a fleet keeps of its goodput when it was sized for one workload and is run on another.

A fleet is many groups of whole machines: their chips and the number of prefill to decode machines are settled when it
is built. Afterwards only the batch may follow the workload.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.serving.model import Shape
from experiments.serving.rows import AnyServer, Row, alone, best, paired
from experiments.serving.workloads import ServingWorkload

FLEETS_PER_WORKLOAD = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
    """One fleet on one workload. kept: tokens/s within the limits per kW of nameplate, over those of the same machines
    sized for it; 0 where it cannot serve it within the limits at all."""

    name: str
    is_alone: bool
    sized_for: str
    run_on: str
    kept: float

    def as_dict(self) -> dict[str, Any]:
        """As summary.json has it."""
        return dataclasses.asdict(self)


def shifts(found: Mapping[ServingWorkload, Sequence[Row]], shape: Shape, systems: Sequence[AnyServer]) -> list[Shift]:
    """The best single machine and the best pair of each workload, sized for each and run on each."""
    ranked = {workload: {row.name: row for row in best(rows) if not row.split} for workload, rows in found.items()}
    if len(ranked) < 2:
        return []
    by_system = {system.name: system for system in systems}
    batches = sorted({row.batch for rows in found.values() for row in rows})
    return [
        _shift(sized, workload, own[name], shape, by_system, batches)
        for name in _fleets(ranked)
        for sized in (by_name[name] for by_name in ranked.values() if name in by_name)
        for workload, own in ranked.items()
        if name in own
    ]


def worst(found: Sequence[Shift]) -> list[Shift]:
    """Of each fleet the shift that costs most."""
    names = dict.fromkeys(shift.name for shift in found)
    return [min((s for s in found if s.name == name), key=lambda shift: shift.kept) for name in names]


def sentences(found: Sequence[Shift]) -> list[str]:
    """What a shift costs single machines and pairs, on average over the shifts of a fleet to another workload."""
    said = []
    for single, words in ((True, "single machines"), (False, "pairs")):
        moved = [s.kept for s in found if s.is_alone is single and s.sized_for != s.run_on]
        if moved:
            said.append(f"After a shift the {words} shown keep {sum(moved) / len(moved):.0%} on average.")
    return said


def _fleets(ranked: Mapping[ServingWorkload, Mapping[str, Row]]) -> list[str]:
    """Names of the best single machines and the best pairs of all workloads, single machines first."""
    chosen = {True: [], False: []}
    for by_name in ranked.values():
        for single in chosen:
            chosen[single] += [row.name for row in by_name.values() if row.is_alone is single][:FLEETS_PER_WORKLOAD]
    return list(dict.fromkeys(chosen[True] + chosen[False]))


def _shift(
    sized: Row,
    workload: ServingWorkload,
    own: Row,
    shape: Shape,
    by_system: Mapping[str, AnyServer],
    batches: Sequence[int],
) -> Shift:
    systems = by_system[sized.prefill], by_system[sized.decode]
    rates = [rate for batch in batches if (rate := _rate(sized, systems, workload, shape, batch)) is not None]
    return Shift(
        name=sized.name,
        is_alone=sized.is_alone,
        sized_for=sized.workload,
        run_on=workload.name,
        kept=max(rates, default=0.0) / own.tokens_per_s_per_kw.nominal,
    )


def _rate(
    sized: Row, systems: tuple[AnyServer, AnyServer], workload: ServingWorkload, shape: Shape, batch: int
) -> float | None:
    """Tokens/s per kW of the sized group on a workload; None where it does not fit or is late."""
    try:
        if sized.is_alone:
            row = alone(workload, shape, systems[1], batch, sized.chips[1])
        else:
            row = paired(workload, shape, systems, batch, sized.chips, sized.machines)
    except ValueError:
        return None
    return row.tokens_per_s_per_kw.nominal if row.kept else None
