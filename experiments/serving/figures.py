"""Figures of serving: tokens per kW against latency, energy per token by part, and fleets after a shift."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from types import MappingProxyType

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from experiments.plotting import labels, style
from experiments.plotting.pareto import pareto
from experiments.plotting.style import BLUE, GREEN, GREY, VERMILION
from experiments.serving.announced import Shown
from experiments.serving.rows import PARTS, ServingRow, best
from experiments.serving.shift import Shift
from experiments.serving.workloads import ServingWorkload

BARS = 12
LEAST_BAR = 0.005
"""Share of the axis below which a bar is too short to be seen, and is told by its number."""
COLOURS = dict(zip(PARTS, (BLUE, VERMILION, GREEN, GREY), strict=True))
PART_LABELS = dict(zip(PARTS, ("prefill", "decode", "transfer", "idle"), strict=True))
LABELLED = ("b200", "groq", "cs3", "lp30", "galaxy", "optical_projected_2029")
"""Machines whose Pareto front is drawn and named."""
KINDS = (("one machine", BLUE, False), ("a pair", VERMILION, True))
"""Name, colour, and whether it is a pair."""
BEYOND = "its range goes on"
MARKS = 20
"""Pairs whose best batch is marked."""
SHADES = ListedColormap(style.plt.get_cmap("YlGnBu")(np.linspace(0, 0.6, 256)))
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
        key = _announced_key(list(shown.values()))
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
    figure, axes = style.plt.subplots(lines, columns, figsize=(5.2 * columns, 4.0 * lines + 0.3), squeeze=False)
    for each in axes.flat[len(rows_by_workload) :]:
        each.remove()
    drawn = list(zip(axes.flat, rows_by_workload.items(), strict=False))
    for each, (workload, rows) in drawn:
        panel(each, workload, rows)
    style.title(figure, f"{title}: {model}")
    # One legend for all panels, below them, since any corner of a panel may hold data.
    entries = {text: key for each, _ in drawn for key, text in zip(*each.get_legend_handles_labels(), strict=True)}
    entries = dict(sorted(entries.items(), key=lambda entry: entry[0] == BEYOND))
    foot = 0.3 / figure.get_figheight()
    figure.tight_layout(rect=(0, foot, 1, 1))
    wide = 3 if columns == 1 and len(entries) > 4 else 5
    if entries:
        figure.legend(entries.values(), entries, loc="upper center", bbox_to_anchor=(0.5, foot), ncols=wide,
                      fontsize=style.SMALL, borderaxespad=0)  # fmt: skip
    below = foot - 0.2 * (1 + (len(entries) - 1) // wide) / figure.get_figheight() if entries else foot
    paragraphs = (textwrap.fill(line, NOTE_WIDTH * columns) for line in note.splitlines())
    figure.text(0.01, below - 0.005, "\n".join(paragraphs), fontsize=7, color="#555555", va="top")
    if name == "serve":
        # Names go where nothing is drawn, which is known once the panels have their final size.
        for each, (workload, rows) in drawn:
            _name(each, workload, rows)
    style.save(figure, out, name)


def _latency(axes: Axes, workload: ServingWorkload, rows: Sequence[ServingRow]) -> None:
    """Draw the fronts of single machines, of pairs, and of some named machines, and the best batch of each machine."""
    axes.set_title(workload.title, loc="left")
    axes.set(xscale="log", yscale="log", xlabel="time per output token [ms]", ylabel="tokens/s per kW of nameplate")
    if not rows:
        axes.text(0.5, 0.5, "nothing fits", transform=axes.transAxes, ha="center")
        return
    for kind, colour, paired in KINDS:
        chosen = [row for row in rows if row.on_one_machine is not paired and row.ttft_s.nominal <= workload.ttft_limit]
        if chosen:
            front = _front(chosen)
            axes.plot(*np.array(front).T, color=colour, lw=1.6, label=f"{kind}: front of all", zorder=3)
    # The best of each single machine, and as many pairs: all batches of all pairs are thousands of points.
    ranked = list(best(rows))
    for kind, colour, paired in KINDS:
        shown = [row for row in ranked if row.on_one_machine is not paired][:MARKS]
        if shown:
            label = f"{kind}: each at its best batch" + (f", the {MARKS} best" if paired else "")
            axes.plot(*np.array([_place(row) for row in shown]).T, "^" if paired else "o", ms=4, color=colour,
                      mec="white", mew=0.4, alpha=0.8, label=label, zorder=2)  # fmt: skip
    for number, own in enumerate(_named(rows).values()):
        axes.plot(*np.array(_front(own)).T, "--", lw=1, color="#444444", zorder=2,
                  label="a named machine, by batch" if not number else None)  # fmt: skip
    if np.isfinite(workload.tpot_limit):
        axes.axvline(1e3 * workload.tpot_limit, color=GREY, lw=1)
    # Room for names at either side.
    axes.set_xlim(axes.get_xlim()[0] / 1.25, axes.get_xlim()[1] * 1.6)
    axes.set_ylim(axes.get_ylim()[0] / 1.6, axes.get_ylim()[1] * 1.6)
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        style.plain_log(axis, limits)


def _mark_announced(axes: Axes, shown: Sequence[Shown]) -> None:
    """Mark the configuration of each announced pair by its letter in `_announced_key`; those in one place share it."""
    letters: dict[tuple[float, float], str] = {}
    for letter, each in zip(ascii_uppercase, shown, strict=False):
        if each.row is not None:
            place = 1e3 * each.row.tpot_s.nominal, each.row.tokens_per_s_per_kw.nominal
            near = next((other for other in letters if np.ptp(np.log([place, other]), axis=0).max() < 0.2), place)
            letters[near] = letters.get(near, "") + letter
    for place, text in letters.items():
        axes.plot(*place, marker=f"${text}$", ms=7 * len(text), color="#111111", mew=0.3, ls="", zorder=4,
                  path_effects=[patheffects.withStroke(linewidth=2, foreground="white")])  # fmt: skip


def _announced_key(shown: Sequence[Sequence[Shown]]) -> str:
    """The letters of the pairs that are on any of the workloads, in words."""
    by_pair = zip(ascii_uppercase, zip(*shown, strict=True), strict=False)
    return "; ".join(f"{letter}: {pair[0].title}" for letter, pair in by_pair if any(each.row for each in pair))


def _name(axes: Axes, workload: ServingWorkload, rows: Sequence[ServingRow]) -> None:
    """Name the best machine, the best pair, the named machines' lines and the limit."""
    if not rows:
        return
    ranked = list(best(rows))
    for _, colour, paired in KINDS:
        for row in [row for row in ranked if row.on_one_machine is not paired][:1]:
            axes.plot(*_place(row), "*", ms=11, color=colour, mec="white", mew=0.6, zorder=6)
            labels.beside(axes, f"best: {row.name}", _place(row), color=colour, fontsize=7, fontweight="bold",
                          bbox=style.CLEARED, zorder=7)  # fmt: skip
    below = ("below", "below right", "below left", "right", "left")
    for name, own in _named(rows).items():
        labels.beside(axes, name, _front(own)[0], below, leader=True, fontsize=7, bbox=style.CLEARED, zorder=5)
    if np.isfinite(workload.tpot_limit):
        at = 1e3 * workload.tpot_limit, 0.0
        labels.beside(axes, "limit", at, ("above right", "above left"), axes.get_xaxis_transform(), color="#555555",
                      fontsize=7)  # fmt: skip


def _named(rows: Sequence[ServingRow]) -> dict[str, list[ServingRow]]:
    """Rows of each of the machines of LABELLED that are among the rows."""
    named = {name: [row for row in rows if row.name == name] for name in LABELLED}
    return {name: own for name, own in named.items() if own}


def _place(row: ServingRow) -> tuple[float, float]:
    """(time per output token [ms], tokens/s per kW)."""
    return 1e3 * row.tpot_s.nominal, row.tokens_per_s_per_kw.nominal


def _front(rows: Sequence[ServingRow]) -> list[tuple[float, float]]:
    """Places of the rows that no other row beats in both, by rising time."""
    x, y = np.array([_place(row) for row in rows]).T
    return [(float(x[place]), float(y[place])) for place in pareto(x, -y)]


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
    end = np.minimum(high, 0.97 * most)
    axes.errorbar(left, places, xerr=[left - low, end - left], fmt="none", ecolor="#444444", lw=0.8)
    for place, total in zip(places, left, strict=True):
        if total < LEAST_BAR * most:
            axes.text(0.01 * most, float(place), f"{total:.2g}", va="center", fontsize=7, zorder=4)
    beyond = high > end
    if beyond.any():
        axes.plot(end[beyond], places[beyond], ">", ms=4, color="#444444", label=BEYOND)
    axes.set_yticks(places, [row.name for row in bars], fontsize=7.5)
    axes.set(xlim=(0, most), ylim=(len(bars) - 0.4, -0.6), xlabel="J per output token at the wall")


def _shift(shifts: Sequence[Shift], model: str, out: Path) -> None:
    """Draw, for each fleet, the share kept by the workload that it was sized for and the one that it runs."""
    names = list(dict.fromkeys(shift.name for shift in shifts))
    loads = list(dict.fromkeys(shift.run_on for shift in shifts))
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = style.plt.figure(figsize=(2.6 * columns + 1.6, 2.7 * lines + 0.9), layout="constrained")
    grid = figure.add_gridspec(lines, columns)
    panels: list[Axes] = []
    for number, name in enumerate(names):
        each = figure.add_subplot(grid[divmod(number, columns)])
        kept = np.full((len(loads), len(loads)), np.nan)
        for shift in (shift for shift in shifts if shift.name == name):
            place = loads.index(shift.sized_for), loads.index(shift.run_on)
            kept[place] = 100 * shift.kept_share
            each.text(place[1], place[0], f"{shift.kept_share:.0%}", ha="center", va="center", fontsize=8)
        # Above its half the map is too dark for black figures; a share above 100 % is drawn as 100 %.
        shades = each.imshow(kept, vmin=0, vmax=100, cmap=SHADES)
        each.grid(False)
        each.set_title(textwrap.fill(name, 24), loc="left", fontsize=9)
        last, first = number + columns >= len(names), number % columns == 0
        each.set_xticks(range(len(loads)), loads if last else [], rotation=35, ha="right", fontsize=7.5)
        each.set_yticks(range(len(loads)), loads if first else [], fontsize=7.5)
        each.set(xlabel="run on" if last else "", ylabel="sized for" if first else "")
        panels.append(each)
    bar = figure.colorbar(shades, ax=panels, label="share kept of the goodput of a fleet sized for it [%]", shrink=0.8)
    bar.ax.grid(False)
    style.title(figure, f"Goodput that a fleet keeps when the mix shifts: {model}")
    style.save(figure, out, "serve_shift")
