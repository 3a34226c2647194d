"""Figure of the map: watts over light and ENOB, for sizes and clocks, with lines of equal loss and the 10 kW line."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D

from experiments.common import billing
from experiments.common.candidates import mask_in_words
from experiments.common.verdict import TARGET_WATTS
from experiments.plotting import labels, style
from experiments.target.design_space import DesignSpace
from experiments.target.records import AccuracyMap, Descent, TargetSummary

POINTS = 61
LOSSES = (0.01, 0.05, 0.1, 0.2, 0.5)
TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000)
BOUNDARIES = {"model": (style.VERMILION, "the whole model"), "core": (style.ORANGE, "products on light alone")}
LINES = {"as they are": ("#111111", "-"), "calibrated away": ("#111111", (0, (2, 2)))}


def draw(summary: TargetSummary, accuracy: AccuracyMap, space: DesignSpace, out: Path) -> None:
    """Write map.png and map.pdf: a row per size of core, a column per clock."""
    sizes, clocks = space.axes.sizes, space.axes.clocks
    figure, panels = style.plt.subplots(
        len(sizes),
        len(clocks),
        figsize=(1.6 + 2.9 * len(clocks), 1.5 + 2.7 * len(sizes)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    bits = np.linspace(space.axes.light_bits[0], space.axes.light_bits[-1], POINTS)
    enob = np.linspace(space.axes.enob[0], space.axes.enob[-1], POINTS)
    fields = {
        (size, clock): space.watts(size, *np.meshgrid(bits, enob), np.full((POINTS, POINTS), clock))
        for size in sizes
        for clock in clocks
    }
    ends = np.log10([f(field["model"]) / 1e3 for field in fields.values() for f in (np.min, np.max)])
    levels = np.linspace(ends.min(), ends.max(), 14)
    for row, size in zip(panels, sizes, strict=True):
        photons = space.photons(size, bits)
        for axes, clock in zip(row, clocks, strict=True):
            shades = _panel(axes, space, size, (photons, bits, enob), fields[size, clock], levels)
            axes.set_title(f"{size} rows, {clock / 1e9:g} GHz", fontsize=9)
            axes.set(xlim=(photons[0], photons[-1]), ylim=(enob[0], enob[-1]))
        if summary["descent"] and size == sizes[0]:
            _path(row, clocks, summary["descent"])
    for axes in panels[-1]:
        axes.set_xlabel("photons per MAC launched")
        style.plain_log(axes.xaxis, axes.get_xlim())
    for axes in panels[:, 0]:
        axes.set_ylabel("ENOB of the ADC")
    bar = figure.colorbar(shades, ax=panels, shrink=0.7, label="kW at 1 exaOPS")
    ticks = [t for t in TICKS if ends.min() <= np.log10(t) <= ends.max()]
    if len(ticks) < 2:
        ticks = [float(f"{10**level:.3g}") for level in levels[1:-1:4]]
    bar.set_ticks([float(np.log10(t)) for t in ticks], labels=[f"{t:g}" for t in ticks])
    style.title(
        figure,
        f"{accuracy['scenario'].replace('_', ' ')}{mask_in_words(summary['mask'])}: watts of {summary['shapes']}, "
        f"{summary['workload']}, and the loss of {summary['model']}",
        9.5,
    )
    crossing = {
        name
        for field in fields.values()
        for name, watts in field.items()
        if np.min(watts) < TARGET_WATTS < np.max(watts)
    }
    statements = next(iter(summary["scenarios"].values()))["bill_rests_on"]
    absent = [words for name, (_, words) in BOUNDARIES.items() if name not in crossing]
    small_print = [f"{TARGET_WATTS / 1e3:g} kW is nowhere on this map for {' and '.join(absent)}."] * bool(absent)
    width = int(14 * figure.get_figwidth())
    lines = [line for text in (*small_print, billing.small_print(statements)) for line in textwrap.wrap(text, width)]
    # The small print is the legend's title: a separate text would overlap the legend, which moves as it is cropped.
    figure.legend(
        handles=_legend(summary["descent"], crossing),
        loc="outside lower center",
        ncols=1 if len(clocks) == 1 else 3,
        fontsize=7.5,
        title="\n".join(lines),
        title_fontsize=7,
    )
    figure.draw_without_rendering()
    for axes in panels.flat:
        labels.thin(axes)
    style.save(figure, out, "map")


def _panel(
    axes: Axes,
    space: DesignSpace,
    size: int,
    grid: tuple[np.ndarray, np.ndarray, np.ndarray],
    watts: dict[str, np.ndarray],
    levels: np.ndarray,
) -> QuadContourSet:
    photons, bits, enob = grid
    shades = axes.contourf(photons, enob, np.log10(watts["model"] / 1e3), levels=levels, cmap="cividis_r", alpha=0.75)
    axes.set_xscale("log")
    for name, (colour, _) in BOUNDARIES.items():
        axes.contour(photons, enob, watts[name] / 1e3, levels=[TARGET_WATTS / 1e3], colors=[colour], linewidths=2.2)
    for how, (colour, dashes) in LINES.items():
        delta = space.delta_nll(size, how, *np.meshgrid(bits, enob))
        lines = axes.contour(photons, enob, delta, levels=LOSSES, colors=[colour], linewidths=0.9, linestyles=[dashes])
        labels.of_contours(axes, lines, fmt=lambda level: f"{level:g}")
    return shades


def _path(row: Sequence[Axes], clocks: Sequence[float], descent: Descent) -> None:
    """Draw the descent in the panel of the clock at which it ends."""
    path = descent["path"]
    axes = row[int(np.argmin(np.abs(np.log(np.array(clocks) / descent["best"]["clock"]))))]
    axes.plot([p["photons_per_mac"] for p in path], [p["enob"] for p in path], "-", color="white", lw=2.6)
    axes.plot([p["photons_per_mac"] for p in path], [p["enob"] for p in path], ".-", color=style.BLUE, lw=1.2, ms=4)
    best = descent["best"]
    axes.plot(best["photons_per_mac"], best["enob"], "*", ms=10, color=style.BLUE, mec="white", mew=0.6, zorder=6)


def _legend(descent: Descent | None, crossing: set[str]) -> list[Line2D]:
    """Handles of the legend. crossing: the bills ("model", "core") that cross 10 kW on the map."""
    handles = [
        Line2D([], [], color=colour, lw=2.2, label=f"{TARGET_WATTS / 1e3:g} kW, {words}; closes to its left")
        for name, (colour, words) in BOUNDARIES.items()
        if name in crossing
    ]
    handles += [
        Line2D([], [], color=colour, lw=0.9, ls=dashes, label=f"delta NLL, imperfections {how}")
        for how, (colour, dashes) in LINES.items()
    ]
    if descent:
        handles.append(Line2D([], [], color=style.BLUE, marker="*", lw=1.2, label="descent, and its best"))
    return handles
