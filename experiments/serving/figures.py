"""Figures of serving: tokens per kW against latency, energy per token by part, and fleets after a shift."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from experiments.plotting import style
from experiments.plotting.pareto import pareto
from experiments.plotting.style import BLUE, GREEN, GREY, VERMILION
from experiments.serving.announced import Shown
from experiments.serving.rows import PARTS, ServingRow, best
from experiments.serving.shift import Shift
from experiments.serving.workloads import ServingWorkload

BARS = 12
COLOURS = dict(zip(PARTS, (BLUE, VERMILION, GREEN, GREY), strict=True))
PART_LABELS = dict(zip(PARTS, ("prefill", "decode", "transfer", "idle"), strict=True))
LABELLED = ("b200", "groq", "cs3", "lp30", "galaxy", "optical_projected_2029")
"""Machines whose Pareto front is drawn and named."""
NOTE_WIDTH = 85
"""Characters per line of small print below a panel."""

ShownByWorkload = Mapping[ServingWorkload, Sequence[Shown]]
RowsByWorkload = Mapping[ServingWorkload, Sequence[ServingRow]]


def draw(
    rows: RowsByWorkload,
    shifts: Sequence[Shift],
    model: str,
    out: Path,
    note: str = "",
    shown: ShownByWorkload = MappingProxyType({}),
) -> None:
    """Write serve and serve_joules as PNG and PDF, a panel per workload, and serve_shift, a panel per fleet.

    Args:
        rows: rows by workload.
        shifts: fleets on other workloads than theirs.
        model: name of the model.
        out: folder.
        note: small print below the first two figures, the basis of the optical bills.
        shown: announced pairs by workload, marked by letters in the first figure.
    """

    def latency(axes: Axes, workload: ServingWorkload, served: Sequence[ServingRow]) -> None:
        _latency(axes, workload, served)
        _mark_announced(axes, shown.get(workload, ()))

    with style.style():
        key = _announced_key(next(iter(shown.values()), ()))
        _grid(rows, model, out, "serve", latency, "Tokens per kW against latency", "\n".join(filter(None, (key, note))))
        _grid(rows, model, out, "serve_joules", _joules, "Where the joules of a token go", note)
        if shifts:
            _shift(shifts, model, out)


def _grid(
    rows_by_workload: RowsByWorkload,
    model: str,
    out: Path,
    name: str,
    panel: Callable[[Axes, ServingWorkload, Sequence[ServingRow]], None],
    title: str,
    note: str,
) -> None:
    columns = 1 if len(rows_by_workload) == 1 else 2
    lines = -(-len(rows_by_workload) // columns)
    figure, axes = style.plt.subplots(lines, columns, figsize=(5.2 * columns, 4.0 * lines), squeeze=False)
    for each in axes.flat[len(rows_by_workload) :]:
        each.remove()
    for each, (workload, rows) in zip(axes.flat, rows_by_workload.items(), strict=False):
        panel(each, workload, rows)
    figure.suptitle(f"{title}: {model}", x=0.01, ha="left")
    figure.tight_layout()
    paragraphs = (textwrap.fill(line, NOTE_WIDTH * columns) for line in note.splitlines())
    figure.text(0.01, 0.0, "\n".join(paragraphs), fontsize=7, color="#555555", va="top")
    style.save(figure, out, name)


def _latency(axes: Axes, workload: ServingWorkload, rows: Sequence[ServingRow]) -> None:
    """Draw all rows as dots, and as lines the fronts of single machines, of pairs, and of some named machines."""
    axes.set_title(workload.title, loc="left")
    axes.set(xscale="log", yscale="log", xlabel="time per output token [ms]", ylabel="tokens/s per kW of nameplate")
    if not rows:
        axes.text(0.5, 0.5, "nothing fits", transform=axes.transAxes, ha="center")
        return
    for kind, colour, paired in (("one machine", BLUE, False), ("a pair", VERMILION, True)):
        chosen = [row for row in rows if row.on_one_machine is not paired and row.ttft_s.nominal <= workload.ttft_limit]
        if not chosen:
            continue
        x, y = np.array([(1e3 * row.tpot_s.nominal, row.tokens_per_s_per_kw.nominal) for row in chosen]).T
        axes.plot(x, y, ".", ms=1.5 if paired else 3, color=colour, alpha=0.25 if paired else 0.6, mew=0, zorder=1)
        front = pareto(x, -y)
        axes.plot(x[front], y[front], color=colour, lw=1.5, label=kind, zorder=3)
    starts: list[tuple[str, float, float]] = []
    for name in LABELLED:
        own = [row for row in rows if row.name == name]
        if own:
            x, y = np.array([(1e3 * row.tpot_s.nominal, row.tokens_per_s_per_kw.nominal) for row in own]).T
            front = pareto(x, -y)
            x, y = x[front], y[front]
            axes.plot(x, y, "--", lw=1, color="#444444", zorder=2)
            starts.append((name, x[0], y[0]))
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        style.plain_log(axis, limits)
    _name_lines(axes, starts)
    if np.isfinite(workload.tpot_limit):
        axes.axvline(1e3 * workload.tpot_limit, color=GREY, lw=1)
        axes.text(
            1e3 * workload.tpot_limit, 0.02, " limit", transform=axes.get_xaxis_transform(), color="#555555", fontsize=7
        )
    axes.legend(loc="lower right", fontsize=7.5)


def _mark_announced(axes: Axes, shown: Sequence[Shown]) -> None:
    """Mark the configuration of each announced pair by its letter in `_announced_key`; those in one place share it."""
    letters: dict[tuple[float, float], str] = {}
    for letter, each in zip(ascii_uppercase, shown, strict=False):
        if each.row is not None:
            place = 1e3 * each.row.tpot_s.nominal, each.row.tokens_per_s_per_kw.nominal
            near = next((other for other in letters if np.ptp(np.log([place, other]), axis=0).max() < 0.2), place)
            letters[near] = letters.get(near, "") + letter
    for place, text in letters.items():
        axes.plot(*place, marker=f"${text}$", ms=7 * len(text), color="#111111", mew=0.3, ls="", zorder=4)


def _announced_key(shown: Sequence[Shown]) -> str:
    return "; ".join(f"{letter}: {each.title}" for letter, each in zip(ascii_uppercase, shown, strict=False))


def _name_lines(axes: Axes, starts: Sequence[tuple[str, float, float]]) -> None:
    """Write names below the starts of their lines, each lowered by a line of text while it overlaps another."""
    taken: list[Bbox] = []
    for name, x, y in sorted(starts, key=lambda start: start[1]):
        for row in range(len(starts)):
            text = axes.annotate(
                name, (x, y), (2, -8 - 9 * row), textcoords="offset points", fontsize=7, bbox=style.CLEARED
            )
            place = text.get_window_extent()
            if not any(place.overlaps(other) for other in taken):
                break
            text.remove()
        taken.append(place)


def _joules(axes: Axes, workload: ServingWorkload, rows: Sequence[ServingRow]) -> None:
    """Draw machines and pairs of least energy within the limits, a bar of parts each, with the range of the total."""
    axes.set_title(workload.title, loc="left")
    by_energy = sorted(best(rows), key=lambda row: row.j_per_token.nominal)
    singles = [row for row in by_energy if row.on_one_machine][: BARS // 2]
    pairs = [row for row in by_energy if not row.on_one_machine][: BARS - len(singles)]
    bars = sorted(singles + pairs, key=lambda row: row.j_per_token.nominal)
    if not bars:
        axes.text(0.5, 0.5, "nothing is within the limits", transform=axes.transAxes, ha="center")
        return
    places, left = np.arange(len(bars)), np.zeros(len(bars))
    for part in PARTS:
        values = np.array([row.parts[part] for row in bars])
        axes.barh(places, values, left=left, color=COLOURS[part], label=PART_LABELS[part], height=0.7)
        left += values
    low, high = np.array([(row.j_per_token.low, row.j_per_token.high) for row in bars]).T
    most = 2.2 * left.max()
    axes.errorbar(left, places, xerr=[left - low, np.minimum(high, most) - left], fmt="none", ecolor="#444444", lw=0.8)
    axes.set_yticks(places, [row.name for row in bars], fontsize=7.5)
    axes.set(xlim=(0, most), ylim=(len(bars) - 0.4, -0.6), xlabel="J per output token at the wall")
    axes.legend(loc="lower right", fontsize=7.5, frameon=True, framealpha=1, edgecolor="none")


def _shift(shifts: Sequence[Shift], model: str, out: Path) -> None:
    """Draw, for each fleet, the share kept by the workload that it was sized for and the one that it runs."""
    names = list(dict.fromkeys(shift.name for shift in shifts))
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    size = (2.6 * columns + 0.6, 2.5 * lines + 0.9)
    figure, axes = style.plt.subplots(lines, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
    for each in axes.flat[len(names) :]:
        each.remove()
    for each, name in zip(axes.flat, names, strict=False):
        own = [shift for shift in shifts if shift.name == name]
        loads = list(dict.fromkeys(shift.run_on for shift in shifts))
        kept = np.full((len(loads), len(loads)), np.nan)
        for shift in own:
            place = loads.index(shift.sized_for), loads.index(shift.run_on)
            kept[place] = shift.kept_share
            each.text(*place[::-1], f"{shift.kept_share:.0%}", ha="center", va="center", fontsize=8)
        each.imshow(kept, vmin=0, vmax=1.6, cmap="YlGnBu")
        each.grid(False)
        each.set_title(name, loc="left", fontsize=9)
        each.set_xticks(range(len(loads)), loads, rotation=35, ha="right", fontsize=7.5)
        each.set_yticks(range(len(loads)), loads, fontsize=7.5)
    figure.supxlabel("run on", fontsize=9)
    figure.supylabel("sized for", fontsize=9)
    figure.suptitle(f"Goodput that a fleet keeps when the mix shifts: {model}", x=0.01, ha="left")
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    style.save(figure, out, "serve_shift")
