"""Figures of points: fronts of accuracy and energy, scatters along sampled axes, and categories with intervals."""

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.plotting import style
from experiments.plotting.pareto import pareto
from experiments.sweeps.definition.axes import SAMPLED
from experiments.sweeps.plots import labels, lines
from experiments.sweeps.plots.labels import Axis
from experiments.sweeps.plots.view import View
from experiments.sweeps.subjects.metrics import better_first

INK = "#222222"
ALIKE = 1e-3
PARTS = 8
"""Number of parts of the points along a sampled axis, each of which has its median drawn."""
SPOTS = np.array([(-8, -8), (-11, 0), (0, -11), (-8, 8), (8, -8), (8, 8), (11, 0), (0, 11)])
"""Offsets of a letter from its point [points], first those on the free side of a front of which less is better."""


def front(view: View, accuracy: str, energy: str) -> Figure:
    """Draw all points by energy and accuracy, and their Pareto front, with letters at its ends and its knee."""
    x, y = view.means(energy), view.means(accuracy)
    cost, merit = view.metric(energy), view.metric(accuracy)
    joules = x * view.scale(energy)  # of which steps are taken, whatever the prefix
    best = pareto(_coarse(better_first(cost, joules)), better_first(merit, y))
    letters = dict(
        zip("abc", _marked(x[best], np.log(y[best]) if lines.logarithmic(merit, y) else y[best]), strict=False)
    )
    beside = f"line: the {len(best)} of {np.sum(np.isfinite(y))} points that none beats in both"
    foot = [view.small_print([accuracy, energy], more=[beside])]
    for letter, place in letters.items():
        which = "" if place in (0, len(best) - 1) else ", the knee"
        foot.append(f"{letter}{which}: {_stated(view, best[place])}")
    title = view.title(f"{merit.label} and {cost.label}")
    figure, (axes,) = lines.sheet([""], title, "\n".join(foot), wide=5.8, high=4.2)
    _scaled(axes.xaxis, x)
    if not lines.metric_scaled(axes.yaxis, merit, y):
        axes.margins(y=0.08)
    _points(figure, axes, view.axis("by"), view, x, y)
    axes.plot(x[best], y[best], drawstyle="steps-post", color=INK, lw=1.1, zorder=2)
    axes.plot(x[best], y[best], "o", ms=7, mfc="none", mec=INK, mew=0.9, zorder=4)
    axes.set(xlabel=labels.metric_label(cost), ylabel=lines.upright(labels.metric_label(merit)))
    figure.draw_without_rendering()
    positions = axes.transData.transform(np.column_stack([x, y]))
    signs = np.array([better_first(each, np.ones(())) for each in (cost, merit)])
    for letter, place in letters.items():
        _letter(axes, letter, best[place], positions, SPOTS * signs)
    return figure


def scatter(view: View, metric: str) -> Figure:
    """Draw a metric against each sampled axis, or against x, with the median of each eighth of the points."""
    x = view.axis("x")
    along = [x] if x is not None else _drawn_along(view)
    values = view.means(metric)
    distinct = min(len(np.unique(view.flat(axis)[np.isfinite(values)])) for axis in along)
    median = distinct >= 4 * PARTS
    more = ["line: median of each eighth of the points"] if median else []
    foot, title = view.small_print([metric], more=more), view.title(view.metric(metric).label)
    figure, sheets = lines.sheet([""] * len(along), title, foot, together="y")
    lines.metric_scaled(sheets[0].yaxis, view.metric(metric), values)
    for axes, axis in zip(sheets, along, strict=True):
        at = view.flat(axis).astype(float)
        lines.scaled(axes.xaxis, axis)
        _points(figure, axes, view.axis("by"), view, at, values, key=axes is sheets[-1])
        if median:
            parts = np.array_split(np.argsort(at)[np.isfinite(values[np.argsort(at)])], PARTS)
            middle = [(np.median(at[part]), np.median(values[part])) for part in parts]
            axes.plot(*zip(*middle, strict=True), color=INK, lw=1.2, zorder=4)
        axes.set_xlabel(axis.label)
        if lines.in_first_column(axes):
            axes.set_ylabel(lines.upright(labels.metric_label(view.metric(metric))))
    return figure


def dots(view: View, metric: str) -> Figure:
    """Draw a metric with its interval by category, down the panel; colours for `by`, a panel per value of `panel`."""
    x, by, panels = view.required("x"), view.axis("by"), view.panels()
    mean, half = view.cut(metric, ("x", "by", "panel"))
    hues = lines.colours(by)
    high = 1.3 + 0.28 * len(x.values) * max(1, 0.55 * len(hues))
    foot, title = view.small_print([metric], "bar"), view.title(view.metric(metric).label)
    figure, sheets = lines.sheet([text for text, _ in panels], title, foot, high=max(high, 2.2))
    sheets[0].set_ylim(len(x.values) - 0.5, -0.5)
    lines.metric_scaled(sheets[0].xaxis, view.metric(metric), mean)
    offsets = (np.arange(len(hues)) - (len(hues) - 1) / 2) * 0.6 / len(hues)
    for axes, (_, place) in zip(sheets, panels, strict=True):
        for number, (hue, offset) in enumerate(zip(hues, offsets, strict=True)):
            at, bar = np.arange(len(x.values)) + offset, np.nan_to_num(half[:, number, place])
            marker = lines.MARKERS[number % len(lines.MARKERS)]
            axes.errorbar(mean[:, number, place], at, xerr=bar, fmt=marker, ms=5, color=hue, lw=1.2, capsize=2)
        axes.set_yticks(range(len(x.values)), [x.stated(value, named=False) for value in x.ordered])
        axes.grid(False, axis="y")
    lines.outer_labels(sheets, labels.metric_label(view.metric(metric)), x.label)
    if by is not None:
        lines.legend(figure, by, hues, lines.MARKERS, "")
    return figure


def _coarse(energy: np.ndarray) -> np.ndarray:
    """Energies in relative steps of ALIKE, so that smaller savings do not count."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sign(energy) * np.round(np.log(np.abs(energy)) / ALIKE)


def knee(x: np.ndarray, y: np.ndarray) -> int:
    """Place of the point of a front that lies farthest from the straight line between its ends."""
    x, y = ((v - v[0]) / (v[-1] - v[0]) for v in (x, y))
    return int(np.argmax(np.abs(x - y)))


def _points(figure: Figure, axes: Axes, by: Axis | None, view: View, x: Any, y: Any, key: bool = True) -> None:
    """Draw all points, coloured by an axis, with the legend of the colours."""
    look = {"s": 20, "edgecolors": "white", "linewidths": 0.4, "zorder": 3}
    if by is None:
        axes.scatter(x, y, color=style.BLUE, **look)
    elif by.numeric and len(by.values) > len(lines.MARKERS):
        axes.scatter(x, y, c=view.flat(by), cmap=lines.ORDERED, norm=lines.shading(by), **look)
        if key:
            lines.colour_bar(figure, figure.axes[:-1], by)
    else:
        hues, of = lines.colours(by), view.flat(by)
        for number, (value, hue) in enumerate(zip(by.ordered, hues, strict=True)):
            marker = lines.MARKERS[number % len(lines.MARKERS)]
            axes.scatter(x[of == value], y[of == value], color=hue, marker=marker, **look)
        if key:
            lines.legend(figure, by, hues, lines.MARKERS, "")


def _scaled(scale: Any, values: np.ndarray) -> None:
    """Set the logarithmic scale of an energy."""
    low, high = np.nanmin(values), np.nanmax(values)
    limits = (low / (high / low) ** 0.08 / 1.01, high * (high / low) ** 0.08 * 1.01)
    scale.axes.set_xscale("log")
    scale.axes.set_xlim(*limits)
    lines.log_ticks(scale, limits)


def _marked(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Places on a front of its ends and its knee, in order."""
    inner = {knee(np.log(x), y)} if len(x) > 2 else set()
    return sorted({0, len(x) - 1} | inner)


def _letter(axes: Axes, letter: str, point: int, positions: np.ndarray, spots: np.ndarray) -> None:
    """Write a letter beside a point, on the side where it is farthest from the others."""
    scale = axes.figure.dpi / 72
    others = np.delete(positions, point, axis=0)
    others = others[np.all(np.isfinite(others), axis=1)]
    # More than a letter's width of room counts as that, so the first of such places is taken.
    places = positions[point] + spots * scale
    # A letter across an axis is hardly read: half of one is some 5 points wide.
    inside = axes.get_window_extent().padded(-5 * scale)
    room = [
        min(np.hypot(*(others - place).T).min(initial=np.inf), 8 * scale) * inside.contains(*place) for place in places
    ]
    axes.annotate(
        letter,
        tuple(axes.transData.inverted().transform(positions[point])),
        xytext=spots[int(np.argmax(room))],
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=9,
        fontweight="bold",
        zorder=6,
        path_effects=[patheffects.withStroke(linewidth=2.2, foreground="white")],
    )


def _stated(view: View, point: int) -> str:
    """The values of all axes at a point, in words."""
    axes = [axis for axis in _all(view) if len(axis.values) > 1]
    return ", ".join(axis.stated(view.flat(axis)[point]) for axis in axes)


def _all(view: View) -> list[Axis]:
    """Every axis of a sample, and one for each other dimension."""
    axes = []
    for number, dimension in enumerate(view.results.dimensions):
        names = dimension["axes"] if dimension["name"] == SAMPLED else [None]
        axes += [labels.axis_of(view.results, number, name) for name in names]
    return axes


def _drawn_along(view: View) -> list[Axis]:
    """The sampled axes; in a sweep without any, its axes of numbers."""
    sampled = [axis for axis in _all(view) if view.results.dimensions[axis.dimension]["name"] == SAMPLED]
    return sampled or [axis for axis in _all(view) if axis.numeric and len(axis.values) > 1]
