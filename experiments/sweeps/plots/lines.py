"""Line figures, and the sheet, scales and colours that all figures of sweeps share."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from experiments.plotting import style
from experiments.sweeps.plots import labels
from experiments.sweeps.plots.labels import Axis
from experiments.sweeps.plots.view import View
from experiments.sweeps.subjects.metrics import Metric

COLUMNS = 4
DECADES = 30
"""The ratio of largest to smallest value above which a metric that may span decades is drawn on a log axis."""
MARKERS = ("o", "s", "D", "^", "v", "P")
ORDERED = ListedColormap(style.plt.get_cmap("viridis")(np.linspace(0.0, 0.88, 256)))
"""Viridis without its bright end, which is too pale for a line on white."""
SMALL = 7.5
LINE = 0.13
"""Height of a line of small print [inches]."""
WORDY = 28
"""Characters of a value's text beyond which it is in a legend below: beside the panels it would leave them no room."""


def sheet(
    titles: Sequence[str], title: str, foot: str, together: str = "xy", wide: float = 5.4, high: float = 3.7
) -> tuple[Figure, list[Axes]]:
    """Return (a figure, its panels), with a panel for each title, at most four in a row, and small print below.

    Args:
        titles: of the panels.
        title: of the figure.
        foot: small print.
        together: the axes that the panels share, of x and y.
        wide: width of a single panel [inches].
        high: height of a single panel [inches].
    """
    rows = math.ceil(len(titles) / COLUMNS)
    columns = math.ceil(len(titles) / rows)
    if len(titles) > 1:
        wide, high = 1.3 + 2.45 * columns, 1.2 + 2.3 * rows
    note = [line for part in foot.splitlines() for line in textwrap.wrap(part, int((wide - 0.8) * 18))]
    heading = textwrap.wrap(title, int(wide * 11.5))
    # More than two lines of small print or one of the title would be cut, or squeeze the panels.
    room = LINE * max(len(note) - 2, 0) + 0.17 * (len(heading) - 1)
    figure = style.plt.figure(figsize=(wide, high + room), layout="constrained")
    heights = [*[(high - 1.0) / rows] * rows, LINE * len(note) + 0.01]
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=heights)
    panels: list[Axes] = []
    for number, text in enumerate(titles):
        first = panels[0] if panels else None
        axes = figure.add_subplot(
            grid[divmod(number, columns)],
            sharex=first if "x" in together else None,
            sharey=first if "y" in together else None,
        )
        axes.set_title(text, fontsize=8.5, fontweight="normal")
        axes.tick_params(
            labelbottom="x" not in together or number + columns >= len(titles),
            labelleft="y" not in together or number % columns == 0,
        )
        panels.append(axes)
    below = figure.add_subplot(grid[rows, :])
    below.axis("off")
    style.note(below, 1.0, "\n".join(note))
    # Its row has its height already, and its width must not make the panels narrower.
    below.texts[-1].set_in_layout(False)
    figure.suptitle("\n".join(heading), x=0.01, ha="left", fontweight="bold", fontsize=9.5, linespacing=1.3)
    return figure, panels


def outer_labels(panels: Sequence[Axes], x: str, y: str) -> None:
    """Label the axes of the panels at the edges of the sheet."""
    for axes in panels:
        if in_first_column(axes):
            axes.set_ylabel(upright(y))
        if axes.xaxis.get_tick_params()["labelbottom"]:
            axes.set_xlabel(x)


def in_first_column(axes: Axes) -> bool:
    """Return whether a panel is in the first column of its sheet."""
    place = axes.get_subplotspec()
    return place is not None and place.is_first_col()


def upright(label: str) -> str:
    """Return a label beside a panel, in lines no longer than the panel is high."""
    return textwrap.fill(label, 40)


def scaled(scale: Any, axis: Axis, margin: float = 0.03, narrow: bool = False) -> None:
    """Set spacing, limits and ticks of the x or y axis of a panel for an axis of the sweep; few ticks if `narrow`."""
    values = np.array(axis.ordered, float)
    ends = np.log(values[[0, -1]]) if axis.log else values[[0, -1]]
    ends = ends + np.array([-margin, margin]) * (ends[1] - ends[0])
    # Slightly wider, since rounding would otherwise leave out a tick at the end.
    low, high = np.exp(ends + np.array([-1e-9, 1e-9])) if axis.log else ends
    which = scale.axis_name
    if axis.log:
        getattr(scale.axes, f"set_{which}scale")("log")
    getattr(scale.axes, f"set_{which}lim")(low, high)
    if axis.log:
        log_ticks(scale, (low, high), narrow)
    at = np.log(values) if axis.log else values
    if (
        len(values) <= (6 if narrow else 8)
        and np.diff(at).min() > (at[-1] - at[0]) / 11
        and all(map(_short, values / axis.scale))
    ):
        scale.set_ticks(values)
    scale.set_major_formatter(FuncFormatter(lambda value, _: written(value / axis.scale)))


def metric_scaled(scale: Any, metric: Metric, values: np.ndarray) -> bool:
    """Set the scale of a metric, logarithmic where its values span decades, and return whether it is."""
    low, high = np.nanmin(values), np.nanmax(values)
    if not logarithmic(metric, values):
        return False
    limits = (low / (high / low) ** 0.05, high * (high / low) ** 0.05)
    getattr(scale.axes, f"set_{scale.axis_name}scale")("log")
    getattr(scale.axes, f"set_{scale.axis_name}lim")(*limits)
    log_ticks(scale, limits)
    return True


def log_ticks(scale: Any, limits: tuple[float, float], narrow: bool = False) -> None:
    """Set ticks of a logarithmic axis: evenly spaced ones where round ones are too few, decades if it is `narrow`."""
    style.plain_log(scale, limits)
    within = [tick for tick in scale.get_ticklocs() if limits[0] <= tick <= limits[1]]
    if len(within) < 3:
        scale.set_ticks([tick for tick in MaxNLocator(5).tick_values(*limits) if limits[0] <= tick <= limits[1]])
    elif narrow and len(decades := [tick for tick in within if np.isclose(np.log10(tick) % 1, (0, 1)).any()]) > 2:
        scale.set_ticks(decades)
    scale.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    scale.set_minor_formatter(NullFormatter())


def logarithmic(metric: Metric, values: np.ndarray) -> bool:
    """Return whether values of a metric are drawn on a logarithmic axis."""
    low, high = np.nanmin(values), np.nanmax(values)
    return metric.logarithmic and low > 0 and high > DECADES * low


def written(value: float) -> str:
    """Return a number as a tick label, with powers of ten typeset."""
    mantissa, _, power = labels.number(value).replace("-", "−").partition("e")
    if not power:
        return mantissa
    return rf"$10^{{{power}}}$" if mantissa == "1" else rf"${mantissa}\times10^{{{power}}}$"


def colours(axis: Axis | None) -> list[Any]:
    """Return a colour for each value: distinct ones, or shades from dark to bright where there are many values."""
    if axis is None:
        return [style.SERIES[0]]
    count = len(axis.values)
    if count <= len(style.SERIES):
        return list(style.SERIES[:count])
    shades = shading(axis)
    if axis.numeric:
        return [ORDERED(shades(value)) for value in axis.ordered]
    return [ORDERED(share) for share in np.linspace(0, 1, count)]


def shading(axis: Axis) -> Normalize:
    """Return the normalisation of an axis to shades."""
    if not axis.numeric:
        return Normalize(0, 1)
    return (LogNorm if axis.log else Normalize)(min(axis.values), max(axis.values))


def colour_bar(figure: Figure, panels: Sequence[Axes], axis: Axis) -> None:
    """Add the colour bar of an axis."""
    bar = figure.colorbar(ScalarMappable(shading(axis), ORDERED), ax=list(panels), label=upright(axis.label), pad=0.02)
    bar.ax.grid(False)
    scaled(bar.ax.yaxis, axis, margin=0.0)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())


def lines(view: View, metric: str) -> Figure:
    """Draw a metric along x, with a line for each value of `by` and a panel for each value of `panel`."""
    x, by, panels = view.required("x"), view.axis("by"), view.panels()
    mean, half = view.cut(metric, ("x", "by", "panel"))
    foot = view.small_print([metric], "band")
    title = view.title(view.metric(metric).label)
    figure, sheets = sheet([text for text, _ in panels], title, foot)
    for axes in sheets:
        scaled(axes.xaxis, x, narrow=len(sheets) > 1)
    log = metric_scaled(sheets[0].yaxis, view.metric(metric), mean)
    hues = colours(by)
    for axes, (_, place) in zip(sheets, panels, strict=True):
        for number, hue in enumerate(hues):
            _line(axes, np.array(x.ordered, float), mean[:, number, place], half[:, number, place], hue, number)
    if log:
        sheets[0].set_ylim(*_limits(mean, half))
    outer_labels(sheets, x.label, labels.metric_label(view.metric(metric)))
    if by is not None:
        _label_lines(figure, sheets, by, hues, mean[:, :, panels[0][1]])
    return figure


def _line(axes: Axes, x: np.ndarray, mean: np.ndarray, half: np.ndarray, hue: Any, number: int) -> None:
    low, high = mean - half, mean + half
    if axes.get_yscale() == "log":
        low = np.where(low > 0, low, np.nanmin(mean) / 1e3 if np.any(np.isfinite(mean)) else 1.0)
    axes.fill_between(x, low, high, color=hue, alpha=0.2, lw=0, zorder=2)
    axes.plot(x, mean, color=hue, marker=MARKERS[number % len(MARKERS)], ms=3.6, mec="white", mew=0.4, zorder=3)


def _limits(mean: np.ndarray, half: np.ndarray) -> tuple[float, float]:
    """Limits of a logarithmic axis that hold the bands, except where a band reaches zero."""
    low, high = np.where(np.isfinite(half), mean - half, mean), np.where(np.isfinite(half), mean + half, mean)
    least, most = max(np.nanmin(low), np.nanmin(mean) / 3), np.nanmax(high)
    return least / (most / least) ** 0.04, most * (most / least) ** 0.04


def _label_lines(figure: Figure, sheets: Sequence[Axes], by: Axis, hues: Sequence[Any], mean: np.ndarray) -> None:
    """Label the lines at their ends where there is room, else by a legend beside the panels."""
    if len(sheets) == 1 and not wordy(by) and (places := _ends(sheets[0], mean)) is not None:
        axes = sheets[0]
        for value, hue, (end, at) in zip(by.ordered, hues, places, strict=True):
            axes.annotate(
                by.stated(value, named=False),
                (1.0, end),
                xytext=(1.025, at),
                xycoords="axes fraction",
                textcoords="axes fraction",
                color=hue,
                fontsize=8,
                va="center",
            )
        axes.text(
            1.025, max(at for _, at in places) + 0.05, textwrap.fill(by.text, WORDY), transform=axes.transAxes,
            fontsize=SMALL, va="bottom",
        )  # fmt: skip
    elif by.numeric and len(by.values) > len(style.SERIES):
        colour_bar(figure, sheets, by)
    else:
        legend(figure, by, hues, MARKERS, "-")


def wordy(axis: Axis) -> bool:
    """Whether the values of an axis take long texts, as those of several fields that change together."""
    return max(len(axis.stated(value, named=False)) for value in axis.ordered) > WORDY


def legend(figure: Figure, by: Axis, hues: Sequence[Any], markers: Sequence[str], ls: str) -> None:
    """Add the legend of the colours beside the panels, or below them where its texts are long."""
    keys = [
        Line2D(
            [], [], color=hue, marker=markers[number % len(markers)], ls=ls, ms=4, label=by.stated(value, named=False)
        )
        for number, (value, hue) in enumerate(zip(by.ordered, hues, strict=True))
    ]
    if wordy(by):
        wide, high = figure.get_size_inches()
        figure.set_size_inches(wide, high + LINE * (len(keys) + 3))
        place, title = "outside lower left", textwrap.fill(by.text, int(wide * 14))
    else:
        place, title = "outside right center", textwrap.fill(by.text, 18)
    figure.legend(handles=keys, title=title, loc=place, fontsize=8, title_fontsize=SMALL)


def _ends(axes: Axes, mean: np.ndarray) -> list[tuple[float, float]] | None:
    """(height of each line's end, height of its label) as shares of the panel; None where they are too close."""
    last = [line[np.isfinite(line)][-1:] for line in mean.T]
    if any(not len(end) for end in last) or not np.all(np.isfinite(mean[-1])):
        return None
    shown = axes.transData.transform([(axes.get_xlim()[1], end[0]) for end in last])
    heights = axes.transAxes.inverted().transform(shown)[:, 1]
    gap = 0.055
    order = np.argsort(heights)
    spread = heights[order].copy()
    for _ in range(50):
        for low in range(len(spread) - 1):
            if (lack := gap - (spread[low + 1] - spread[low])) > 0:
                spread[low] -= lack / 2
                spread[low + 1] += lack / 2
    if np.max(np.abs(spread - heights[order])) > 1.2 * gap:
        return None
    placed = np.empty_like(spread)
    placed[order] = spread
    return list(zip(heights.tolist(), placed.tolist(), strict=True))


def _short(value: float) -> bool:
    """Whether a number is exact in a few characters."""
    return math.isclose(float(f"{value:.2g}"), value) or (float(value).is_integer() and abs(value) < 1e4)
