"""Maps: one metric over two axes, filled, with labelled contours, and a panel for each value of a third axis."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter
from scipy.interpolate import RegularGridInterpolator

from experiments.plotting import labels as place
from experiments.plotting import style
from experiments.sweeps.plots import labels, lines
from experiments.sweeps.plots.labels import Axis
from experiments.sweeps.plots.view import View
from experiments.sweeps.subjects.metrics import Metric

FINE = 8
"""Steps drawn between two values of an axis."""
SHADES = 24
MOST_DOTS = 400
FLAT = 1e-6
PALE = 0.25


def map(view: View, metric: str) -> Figure:
    """Draw a metric over x and y; grey and hatched where it is not computed yet."""
    x, y = view.required("x"), view.required("y")
    mean, _ = view.cut(metric, ("y", "x", "panel"))
    described = view.metric(metric)
    panels = [(text, place) for text, place in view.panels() if np.any(np.isfinite(mean[:, :, place]))]
    dotted = mean[:, :, 0].size <= MOST_DOTS
    more = ["dots: points computed"] if dotted else []
    more += ["hatched: not computed yet"] if np.any(np.isnan(mean)) else []
    more += ["panels without any point left out"] if len(panels) < len(view.panels()) else []
    foot = view.small_print([metric], more=more)
    figure, sheets = lines.sheet([text for text, _ in panels], view.title(described.label), foot)
    field = mean[:, :, [place for _, place in panels]]
    norm, levels = _norm(described, field), _levels(described, field)
    for number, axes in enumerate(sheets):
        axes.patch.set(facecolor="#ececec", hatch="////", edgecolor="#bdbdbd", linewidth=0)
        lines.scaled(axes.xaxis, x, margin=0.0, narrow=len(sheets) > 1)
        lines.scaled(axes.yaxis, y, margin=0.0)
        _fill(axes, x, y, field[:, :, number], norm, levels, _colour_map(described))
        if dotted:
            _dots(axes, x, y, field[:, :, number])
    lines.outer_labels(sheets, x.label, y.label)
    _bar(figure, sheets, described, norm, levels)
    figure.draw_without_rendering()
    for axes in sheets:
        place.thin(axes)
    return figure


def _fill(axes: Axes, x: Axis, y: Axis, field: np.ndarray, norm: Normalize, levels: np.ndarray, shades: Any) -> None:
    axes.grid(False)
    fine_x, fine_y, fine = _refined(x, y, field, log=isinstance(norm, LogNorm))
    if np.any(np.isfinite(fine)):
        fill = axes.contourf(fine_x, fine_y, fine, levels=_steps(norm), norm=norm, cmap=shades, extend="both")
        # Without edges of their own colour, the shades have white seams in vector formats.
        fill.set_edgecolor("face")
        inside = [level for level in levels if np.nanmin(fine) < level < np.nanmax(fine)]
        if inside:
            _contours(axes, fine_x, fine_y, fine, inside)


def _dots(axes: Axes, x: Axis, y: Axis, field: np.ndarray) -> None:
    at_y, at_x = np.nonzero(np.isfinite(field))
    axes.plot(
        np.array(x.ordered)[at_x], np.array(y.ordered)[at_y], ".", ms=2.2, color="#333333", alpha=0.55, clip_on=False
    )


def _contours(axes: Axes, x: np.ndarray, y: np.ndarray, field: np.ndarray, levels: list[float]) -> None:
    drawn = axes.contour(x, y, field, levels=levels, colors="#111111", linewidths=0.8, linestyles="-")
    place.of_contours(axes, drawn, fmt=lines.written)


def _refined(x: Axis, y: Axis, field: np.ndarray, log: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, field) on a finer grid, interpolated linearly on the scales of the axes and of the shades."""
    ways = [np.log if axis.log else np.asarray for axis in (y, x)]
    grid = [way(np.array(axis.ordered, float)) for way, axis in zip(ways, (y, x), strict=True)]
    fine = [np.interp(np.arange(0, len(g) - 1 + 1e-9, 1 / FINE), np.arange(len(g)), g) for g in grid]
    refined = RegularGridInterpolator(grid, np.log(field) if log else field)(tuple(np.meshgrid(*fine, indexing="ij")))
    back_y, back_x = (np.exp(f) if axis.log else f for f, axis in zip(fine, (y, x), strict=True))
    return back_x, back_y, np.exp(refined) if log else refined


def _norm(metric: Metric, values: np.ndarray) -> Normalize:
    low, high = np.nanmin(values), np.nanmax(values)
    if lines.logarithmic(metric, values):
        return LogNorm(low, high)
    if high - low <= FLAT * abs(high):
        spread = FLAT * max(abs(high), 1e-30)
        return Normalize(low - spread, high + spread)
    return Normalize(low, high)


def _steps(norm: Normalize) -> np.ndarray:
    return norm.inverse(np.linspace(0, 1, SHADES + 1))


def _levels(metric: Metric, values: np.ndarray) -> np.ndarray:
    """Round values for the contours, some six to nine."""
    low, high = np.nanmin(values), np.nanmax(values)
    if high - low <= FLAT * abs(high):
        return np.array([])
    if not lines.logarithmic(metric, values):
        ticks = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    else:
        decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        steps = next(s for most, s in ((2.5, (1, 2, 5)), (5, (1, 3)), (np.inf, (1,))) if np.log10(high / low) < most)
        ticks = np.array([step * 10.0**decade for decade in decades for step in steps])
    return ticks[(ticks > low) & (ticks < high)]


def _colour_map(metric: Metric) -> ListedColormap:
    """Cividis, blended with white so that contours show; better values are brighter."""
    name = "cividis_r" if metric.better == "less" else "cividis"
    shades = style.plt.get_cmap(name)(np.linspace(0, 1, 256))
    return ListedColormap(PALE + (1 - PALE) * shades)


def _bar(figure: Figure, sheets: list[Axes], metric: Metric, norm: Normalize, levels: np.ndarray) -> None:
    shades = style.plt.cm.ScalarMappable(norm, _colour_map(metric))
    bar = figure.colorbar(shades, ax=sheets, label=lines.upright(labels.metric_label(metric)), pad=0.02)
    bar.ax.grid(False)
    ticks = levels.tolist() or [float(norm.inverse(0.5))]
    bar.ax.yaxis.set_major_locator(FixedLocator(ticks))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: lines.written(value)))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.ax.minorticks_off()
