"""A table of the products of a function: where each runs, what share of the MACs it has, and why it is digital."""

import dataclasses
from collections.abc import Sequence

from optics.interpreter import notices
from optics.interpreter.plan import Site

TITLES = ("site", "primitive", "vectors x rows x columns", "times", "MACs", "share", "runs on", "reason")


@dataclasses.dataclass(frozen=True)
class ReportRow:
    """One site. share: its share of all MACs; reason: why it is digital, "" on the core; note: what else holds."""

    site: Site
    share: float
    reason: str
    note: str

    @property
    def runs_on(self) -> str:
        """ "core" or "digital"."""
        return "core" if self.site.optical else "digital"

    def cells(self) -> tuple[str, ...]:
        """The row of the table, under `TITLES`."""
        site = self.site
        counted = site.reason not in notices.UNCOUNTED
        shape = f"{site.vectors} x {site.rows} x {site.columns}" if counted else "-"
        times, macs, share = f"{site.matrices * site.executions}", f"{site.macs:.3g}", f"{self.share:.1%}"
        if not counted:
            times = macs = share = "?"
        return site.name, site.kind, shape, times, macs, share, self.runs_on, self.reason


@dataclasses.dataclass(frozen=True)
class Report:
    """The products of a function, in the order of `optics.trace`. Prints as a table."""

    rows: tuple[ReportRow, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call: one step of a `while`, all branches of a `cond`."""
        return sum(row.site.macs for row in self.rows)

    @property
    def core_share(self) -> float:
        """Share of the MACs on the core."""
        return sum(row.share for row in self.rows if row.site.optical)

    @property
    def missed_share(self) -> float:
        """Share that is digital for a reason other than the policy, of the MACs with weights or what may be weights."""
        return notices.missed_share([row.site for row in self.rows])

    @property
    def notes(self) -> tuple[str, ...]:
        """What the counts assume, and which sites cannot be loaded."""
        return tuple(f"{row.site.name}: {row.note}" for row in self.rows if row.note)

    def __str__(self) -> str:
        total = (
            "total",
            "",
            "",
            "",
            f"{self.macs:.3g}",
            "100.0%" if self.macs else "-",
            f"{self.core_share:.1%} core",
            "",
        )
        lines = [TITLES, *(row.cells() for row in self.rows), total]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*table, *self.notes])


def report(sites: Sequence[Site]) -> Report:
    """Tabulate the sites that `optics.trace` found.

    Args:
        sites: the products of a function.

    Returns:
        A `Report`, with a `ReportRow` for each site. An unknown primitive that takes weights is a row without MACs.
    """
    macs = max(1, sum(site.macs for site in sites))
    return Report(tuple(ReportRow(site, site.macs / macs, notices.why(site), _note(site)) for site in sites))


def _note(site: Site) -> str:
    notes = []
    if not site.bounded:
        notes.append("in a `while`, whose number of steps is unknown; one step is counted")
    if site.conditional:
        notes.append("in a branch of a `cond`; all branches are counted")
    if site.experts > 1:
        notes.append(f"each vector passes one of {site.experts} experts")
    if site.optical and site.stationary and site.selected:
        notes.append("data choose its weights, so `optics.load` does not keep them on the mask")
    if site.reason in notices.UNCOUNTED:
        notes.append("products inside this primitive are neither emulated nor counted")
    return "; ".join(notes)
