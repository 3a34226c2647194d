"""The figures of serving: tokens per kW against latency, and where a token's joules go."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.plotting import style
from experiments.plotting.pareto import pareto
from experiments.plotting.style import BLUE, GREEN, GREY, VERMILION
from experiments.serving.rows import PARTS, Row, best
from experiments.serving.shift import Shift
from experiments.serving.workloads import ServingWorkload

BARS = 12
COLOURS = dict(zip(PARTS, (BLUE, VERMILION, GREEN, GREY), strict=True))
WORDS = dict(zip(PARTS, ("prefill", "decode", "transfer", "idle"), strict=True))
# Machines that are pointed out wherever they stand.
NAMED = ("b200", "groq", "cs3", "lp30", "galaxy", "optical_projected_2029")
NOTE_WIDTH = 85
"""Characters of small print below a panel."""

Found = Mapping[ServingWorkload, Sequence[Row]]


def draw(found: Found, shifts: Sequence[Shift], model: str, out: Path, note: str = "") -> None:
    """Writes serve and serve_joules as PNG and PDF, a panel a workload, and serve_shift, a panel a fleet.

    note: small print below the first two, what optical bills rest on.
    """
    with style.style():
        _grid(found, model, out, "serve", _latency, "Tokens per kW against latency", note)
        _grid(found, model, out, "serve_joules", _joules, "Where the joules of a token go", note)
        if shifts:
            _shift(shifts, model, out)


def _grid(found: Found, model: str, out: Path, name: str, panel, title: str, note: str) -> None:
    columns = 1 if len(found) == 1 else 2
    lines = -(-len(found) // columns)
    figure, axes = style.plt.subplots(lines, columns, figsize=(5.2 * columns, 4.0 * lines), squeeze=False)
    for each in axes.flat[len(found) :]:
        each.remove()
    for each, (workload, rows) in zip(axes.flat, found.items(), strict=False):
        panel(each, workload, rows)
    figure.suptitle(f"{title}: {model}", x=0.01, ha="left")
    figure.tight_layout()
    lines_of = (textwrap.fill(line, NOTE_WIDTH * columns) for line in note.splitlines())
    figure.text(0.01, 0.0, "\n".join(lines_of), fontsize=7, color="#555555", va="top")
    style.save(figure, out, name)


def _latency(axes: Axes, workload: ServingWorkload, rows: Sequence[Row]) -> None:
    """All rows as dots, the front of single machines and that of pairs as lines, some machines by name."""
    axes.set_title(workload.title, loc="left")
    axes.set(xscale="log", yscale="log", xlabel="time per output token [ms]", ylabel="tokens/s per kW of nameplate")
    if not rows:
        axes.text(0.5, 0.5, "nothing fits", transform=axes.transAxes, ha="center")
        return
    for kind, colour, paired in (("one machine", BLUE, False), ("a pair", VERMILION, True)):
        chosen = [row for row in rows if row.is_alone is not paired and row.ttft_s.nominal <= workload.ttft_limit]
        if not chosen:
            continue
        x, y = np.array([(1e3 * row.tpot_s.nominal, row.tokens_per_s_per_kw.nominal) for row in chosen]).T
        axes.plot(x, y, ".", ms=1.5 if paired else 3, color=colour, alpha=0.25 if paired else 0.6, mew=0, zorder=1)
        front = pareto(x, -y)
        axes.plot(x[front], y[front], color=colour, lw=1.5, label=kind, zorder=3)
    starts: list[tuple[str, float, float]] = []
    for name in NAMED:
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


def _name_lines(axes: Axes, starts: Sequence[tuple[str, float, float]]) -> None:
    """Names below the starts of their lines, each a line of text lower while it would lie on another."""
    renderer, taken = axes.figure.canvas.get_renderer(), []
    for name, x, y in sorted(starts, key=lambda start: start[1]):
        for row in range(len(starts)):
            text = axes.annotate(
                name, (x, y), (2, -8 - 9 * row), textcoords="offset points", fontsize=7, bbox=style.CLEARED
            )
            place = text.get_window_extent(renderer)
            if not any(place.overlaps(other) for other in taken):
                break
            text.remove()
        taken.append(place)


def _joules(axes: Axes, workload: ServingWorkload, rows: Sequence[Row]) -> None:
    """The leanest machines and pairs that keep the limits, each a bar of its parts, with the range of the whole."""
    axes.set_title(workload.title, loc="left")
    lean = sorted(best(rows), key=lambda row: row.j_per_token.nominal)
    singles = [row for row in lean if row.is_alone][: BARS // 2]
    pairs = [row for row in lean if not row.is_alone][: BARS - len(singles)]
    shown = sorted(singles + pairs, key=lambda row: row.j_per_token.nominal)
    if not shown:
        axes.text(0.5, 0.5, "nothing keeps the limits", transform=axes.transAxes, ha="center")
        return
    places, left = np.arange(len(shown)), np.zeros(len(shown))
    for part in PARTS:
        values = np.array([row.parts[part] for row in shown])
        axes.barh(places, values, left=left, color=COLOURS[part], label=WORDS[part], height=0.7)
        left += values
    low, high = np.array([(row.j_per_token.low, row.j_per_token.high) for row in shown]).T
    most = 2.2 * left.max()
    axes.errorbar(left, places, xerr=[left - low, np.minimum(high, most) - left], fmt="none", ecolor="#444444", lw=0.8)
    axes.set_yticks(places, [row.name for row in shown], fontsize=7.5)
    axes.set(xlim=(0, most), ylim=(len(shown) - 0.4, -0.6), xlabel="J per output token at the wall")
    axes.legend(loc="lower right", fontsize=7.5, frameon=True, framealpha=1, edgecolor="none")


def _shift(shifts: Sequence[Shift], model: str, out: Path) -> None:
    """For each fleet the share that is kept, by the workload that it was sized for and the one it is run on."""
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
            kept[place] = shift.kept
            each.text(*place[::-1], f"{shift.kept:.0%}", ha="center", va="center", fontsize=8)
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
