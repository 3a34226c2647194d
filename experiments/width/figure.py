"""Figure of the width program: needs of random matrices, of layers, and of the model's predictions."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from experiments.plotting import labels, style
from experiments.plotting.style import BLUE, CLEARED, VERMILION
from experiments.width.records import LayerNeeds, WidthSummary

LAWS = {"flat": 0.0, "1/N": -1.0}
"""Exponents of N."""
LAW_COLOUR = "#777777"
LABEL_DISTANCE = 1.17
"""Least ratio of the heights of two labels, one above the other."""


def draw(summary: WidthSummary, out: Path) -> None:
    """Write width as PNG and PDF."""
    colours: dict[str, str] = dict(zip(summary["layers"], itertools.cycle((*style.SERIES, "#444444")), strict=False))
    with style.style():
        figure, panels = style.plt.subplots(1, 3, figsize=(11.4, 4.0), width_ratios=(1.25, 1.3, 1.1))
        figure.subplots_adjust(wspace=0.28)
        for axes in panels:
            axes.set(xscale="log", yscale="log", xlabel="width N of the product [inputs]")
            axes.set_ylabel("photons per MAC, detected")
        _random(panels[0], summary, colours)
        _layers(panels[1], summary, colours)
        _predictions(panels[2], summary, colours)
        for axes in panels:
            style.plain_log(axes.xaxis, axes.get_xlim())
            style.plain_log(axes.yaxis, axes.get_ylim())
        panels[0].text(
            0,
            -0.19,
            f"{summary['model']} on {summary['text']}, shot noise alone; every point is measured by emulation. Lines: "
            "geometric means, in b over the layers, of products with a\n"
            "random part of their inputs; dots in b: each layer with all of its inputs, beside their N. c: one kind of "
            "product on light, all others exact; bars: standard error\n"
            f"over {summary['windows']} windows of {summary['window_tokens']} tokens.",
            transform=panels[0].transAxes,
            fontsize=7,
            color="#555555",
            va="top",
        )
        style.save(figure, out, "width")


def geometric_mean(needs: ArrayLike) -> np.ndarray:
    """Return the geometric mean over the first axis."""
    return np.exp(np.mean(np.log(needs), axis=0))


def _random(axes: Axes, summary: WidthSummary, colours: dict[str, str]) -> None:
    """Draw random matrices with the law that holds for each series, and the layers of the model between them."""
    named: list[tuple[str, tuple[float, float], str]] = []
    for series, colour, law in (("random signs", BLUE, "flat"), ("one sign", VERMILION, "1/N")):
        rows = sorted((row for row in summary["random"] if row["series"] == series), key=lambda row: row["width"])
        widths = np.array([row["width"] for row in rows])
        needs = [float(geometric_mean(row["detected"])) for row in rows]
        _law(axes, law, (widths[0] / 1.6, widths[-1] * 2.2), (widths[0], needs[0]))
        axes.plot(widths, needs, "o-", color=colour, ms=4)
        slope = summary["slopes"][f"random matrices, {series}"]
        text = f"{series}\nslope {slope['slope']:+.3f} ± {slope['stderr']:.3f}".replace("-", "\u2212")
        middle = (len(rows) - 1) // 2
        named.append((text, (widths[middle], needs[middle]), colour))
    for kind, of in summary["layers"].items():
        mean = geometric_mean(of["detected"])[-1]
        axes.plot(of["widths"][-1], mean, "o", ms=4, color=colours[kind], mec="white", mew=0.5, zorder=4)
    axes.set_xlim(right=axes.get_xlim()[1] * 3)
    axes.set_ylim(top=axes.get_ylim()[1] * 3)
    at = max(of["widths"][-1] for of in summary["layers"].values()), mean
    labels.beside(axes, "layers, see b", at, ("right", "below right", "left"), fontsize=8, color=LAW_COLOUR)
    for text, at, colour in named:
        labels.beside(axes, text, at, ("above", "above right", "below left", "below"), fontsize=8.5, color=colour)
    axes.set_title(f"a  Random matrices at {summary['snr_db']:g} dB")


def _layers(axes: Axes, summary: WidthSummary, colours: dict[str, str]) -> None:
    """Draw the needs of the layers of each kind, with all inputs and with parts of them."""
    layers = summary["layers"]
    ends: dict[int, dict[str, float]] = {}
    for kind, of in layers.items():
        curve = geometric_mean(of["detected"])
        axes.plot(of["widths"], curve, "-", color=colours[kind])
        ends.setdefault(of["widths"][-1], {})[kind] = curve[-1]
    for width, means in ends.items():
        for place, (kind, _) in enumerate(sorted(means.items(), key=lambda item: item[1])):
            needs = np.array(layers[kind]["detected"])[:, -1]
            aside = np.full(len(needs), width * 1.045 ** (place + 1))
            axes.plot(aside, needs, "o", ms=2.2, mew=0, color=colours[kind], alpha=0.5)
        x = width * 1.045 ** (len(means) + 1.5)
        passing = [_height(of, x * 1.2) for of in layers.values() if of["widths"][-1] > x]
        _label(axes, x, means, colours, passing=passing)
    span = min(of["widths"][0] for of in layers.values()), max(ends)
    start = span[0], 1.25 * max(geometric_mean(of["detected"])[0] for of in layers.values())
    for law in LAWS:
        _law(axes, law, span, start)
    axes.set_xlim(span[0] / 1.2, span[1] * 2.2)
    axes.set_title(f"b  Layers of the model at {summary['snr_db']:g} dB")


def _height(of: LayerNeeds, x: float) -> float:
    """Height of a kind's curve at a width within it."""
    return float(np.exp(np.interp(np.log(x), np.log(of["widths"]), np.log(geometric_mean(of["detected"])))))


def _predictions(axes: Axes, summary: WidthSummary, colours: dict[str, str]) -> None:
    """Draw the need of each kind of product for the same loss of the whole model."""
    groups: dict[int, dict[str, float]] = {}
    for kind, of in summary["predictions"].items():
        groups.setdefault(of["width"], {})[kind] = of["detected"]
        error = of["relative_stderr"]
        bars = None if error is None else of["detected"] * np.array([[1 - np.exp(-error)], [np.exp(error) - 1]])
        axes.errorbar(of["width"], of["detected"], yerr=bars, fmt="o", ms=5, color=colours[kind], elinewidth=1)
    for width, ends in groups.items():
        _label(axes, width / 1.1, ends, colours, ha="right")
    span = min(groups), max(groups)
    start = span[0], float(geometric_mean(list(groups[span[0]].values())))
    for law in LAWS if span[0] < span[1] else ():
        _law(axes, law, span, start)
    axes.set_xlim(span[0] / 1.6, span[1] * 1.7)
    axes.set_title(f"c  Predictions at KL {summary['kl']:g}")


def _law(axes: Axes, name: str, span: tuple[float, float], through: tuple[float, float]) -> None:
    heights = through[1] * (np.array(span) / through[0]) ** LAWS[name]
    axes.plot(span, heights, color="#aaaaaa", lw=1, ls=(0, (4, 3)), zorder=1)
    axes.annotate(
        name,
        (span[1], heights[1]),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=LAW_COLOUR,
    )


def _label(
    axes: Axes,
    x: float,
    ends: Mapping[str, float],
    colours: Mapping[str, str],
    *,
    ha: str = "left",
    passing: Sequence[float] = (),
) -> None:
    """Write names near the ends of their curves, none over another or over a curve at one of the `passing` heights."""
    height = 0.0
    for kind, value in sorted(ends.items(), key=lambda end: end[1]):
        height = max(value, height * LABEL_DISTANCE)
        for curve in sorted(passing):
            if curve / LABEL_DISTANCE < height < curve * LABEL_DISTANCE:
                height = curve * LABEL_DISTANCE
        axes.text(x, height, kind, color=colours[kind], fontsize=8, ha=ha, va="center", bbox=CLEARED, zorder=5)
