"""Pairs that makers have announced, by name on every workload, against Tenstorrent's Galaxy Blackhole alone.

Each has the row of most tokens/s per kW within the latency limits. Where no batch is within them it has the row that
exceeds them by the smallest factor, and says so.
"""

import dataclasses
import tomllib
from collections.abc import Iterable, Sequence
from importlib.resources import files

from experiments.serving.model import SYSTEMS, Range
from experiments.serving.records import AnnouncedRecord, range_record
from experiments.serving.rows import ServingRow
from experiments.serving.workloads import ServingWorkload

REFERENCE = "galaxy"
OPTICAL = "Optical prefill + "


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnouncedPair:
    """Two systems that a maker has announced as a pair.

    Attributes:
        title: the pair as tables name it, "A + B".
        prefill, decode: names of the systems.
        split: whether decode is announced as split within each token.
        source: who announced it.
    """

    title: str
    prefill: str
    decode: str
    split: bool
    source: str


def _read() -> tuple[AnnouncedPair, ...]:
    text = (files("experiments.serving") / "announced.toml").read_text(encoding="utf-8")
    return tuple(AnnouncedPair(**table) for table in tomllib.loads(text).values())


PAIRS = _read()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """An announced pair, or the reference, on a workload.

    Attributes:
        title: as tables name it.
        source: who announced it; empty where nobody did.
        row: its row; None where it serves no batch.
        over_reference: its tokens/s per kW over those of the reference alone, ranges taken as independent; None where
            one of the two serves no batch.
    """

    title: str
    source: str
    row: ServingRow | None
    over_reference: Range | None

    def record(self) -> AnnouncedRecord:
        """Return it as summary.json holds it."""
        return {
            "title": self.title,
            "source": self.source,
            "row": None if self.row is None else self.row.record(),
            "over_galaxy": None if self.over_reference is None else range_record(self.over_reference),
        }


def announced(workload: ServingWorkload, rows: Sequence[ServingRow], optical: Iterable[str]) -> list[Shown]:
    """Return the announced pairs, optical prefill beside the decode machine of each, and the reference alone.

    Args:
        workload: the workload of the rows.
        rows: all rows.
        optical: names of the optical servers; the best of them stands for optical prefill.
    """
    engines = set(optical)
    reference = _chosen(workload, [row for row in rows if row.on_one_machine and row.decode == REFERENCE])
    found = [
        (
            pair.title,
            pair.source,
            [row for row in rows if (row.prefill, row.decode, row.split) == (pair.prefill, pair.decode, pair.split)],
        )
        for pair in PAIRS
    ]
    if engines:
        found += [
            (
                OPTICAL + pair.title.partition(" + ")[2],
                "",
                [row for row in rows if row.prefill in engines and row.decode == pair.decode],
            )
            for pair in PAIRS
        ]
    shown = [_shown(title, source, _chosen(workload, own), reference) for title, source, own in found]
    return [*shown, _shown(SYSTEMS[REFERENCE].title, "", reference, reference)]


def _shown(title: str, source: str, row: ServingRow | None, reference: ServingRow | None) -> Shown:
    factor = None
    if row is not None and reference is not None:
        factor = Range(1.0, 1.0, 1.0) if row is reference else row.tokens_per_s_per_kw / reference.tokens_per_s_per_kw
    return Shown(title=title, source=source, row=row, over_reference=factor)


def _chosen(workload: ServingWorkload, rows: Sequence[ServingRow]) -> ServingRow | None:
    """The row of most tokens/s per kW within the limits, else the one that exceeds them least."""
    within = [row for row in rows if row.within_limits]
    if within:
        return max(within, key=lambda row: row.tokens_per_s_per_kw.nominal)
    return min(rows, key=lambda row: _excess(workload, row), default=None)


def _excess(workload: ServingWorkload, row: ServingRow) -> float:
    return max(row.ttft_s.nominal / workload.ttft_limit, row.tpot_s.nominal / workload.tpot_limit)
