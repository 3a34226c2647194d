"""What the width program shows: its figure, and its tables and words on the screen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from experiments.common import reporting
from experiments.plotting import style
from experiments.plotting.style import BLUE, CLEARED, VERMILION

# Exponents of N.
LAWS = {"flat": 0.0, "1/N": -1.0}
QUIET = "#777777"
# Least ratio of the heights of two labels, one above the other.
APART = 1.17


def draw(summary: dict[str, Any], out: Path) -> None:
    """Writes width as PNG and PDF."""
    colours = dict(zip(summary["layers"], (*style.SERIES, "#444444"), strict=True))
    with style.style():
        figure, panels = style.plt.subplots(1, 3, figsize=(10.4, 4.0), width_ratios=(1.2, 1.3, 1.0))
        figure.subplots_adjust(wspace=0.2)
        for axes in panels:
            axes.set(xscale="log", yscale="log", xlabel="width N of the product [inputs]")
        panels[0].set_ylabel("photons per MAC, detected")
        _random(panels[0], summary, colours)
        _layers(panels[1], summary, colours)
        _predictions(panels[2], summary, colours)
        for axes in panels:
            _few_ticks(axes)
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


def geometric_mean(needs: Sequence[Any]) -> Any:
    """Over the first axis."""
    return np.exp(np.mean(np.log(needs), axis=0))


def show(summary: dict[str, Any], out: Path) -> None:
    """Prints what the kinds, the random matrices and the slopes came to, and which law that is."""
    layers, predictions, slopes = summary["layers"], summary["predictions"], summary["slopes"]
    loss, divergence = f"at {summary['snr_db']:g} dB", f"at KL {summary['kl']:g}"
    print(
        f"\n{summary['model']} on {summary['text']}, {summary['windows']} x {summary['window_tokens']} tokens; "
        "shot noise alone, lossless optics; photons per MAC:"
    )
    rows = [("", "N", f"{loss}, detected", "10 to 90 %", "launched", "signs shuffled", f"{divergence}, detected", "")]
    for kind, of in layers.items():
        needs, error = np.array(of["detected"])[:, -1], predictions[kind]["relative_stderr"]
        rows.append(
            (
                kind,
                f"{of['widths'][-1]}",
                f"{geometric_mean(needs):.3g}",
                "{:.3g} to {:.3g}".format(*np.percentile(needs, (10, 90))),
                f"{geometric_mean(of['launched']):.3g}",
                f"{geometric_mean(of['signs_shuffled'])[-1]:.3g}",
                f"{predictions[kind]['detected']:.3g}",
                "" if error is None else f"± {100 * error:.0f} %",
            )
        )
    print(reporting.table(rows))
    rows = [(f"{loss}, detected", *(f"{width}" for width in sorted({row["width"] for row in summary["random"]})))]
    for series in dict.fromkeys(row["series"] for row in summary["random"]):
        means = {row["width"]: geometric_mean(row["detected"]) for row in summary["random"] if row["series"] == series}
        rows.append((f"random matrices, {series}", *(f"{means[width]:.3g}" for width in sorted(means))))
    print("\n" + reporting.table(rows))
    rows = [("d ln(photons per MAC) / d ln N", "slope", "", "points", "", "signs shuffled", "")]
    for name, of in slopes.items():
        cells = [f"{of['slope']:+.3f}", f"± {of['stderr']:.3f}", f"{of['points']}", of["verdict"], "", ""]
        if "shuffled_slope" in of:
            cells[-2:] = f"{of['shuffled_slope']:+.3f}", f"± {of['shuffled_stderr']:.3f}"
        rows.append((name, *cells))
    print("\n" + reporting.table(rows))
    print(_in_words(layers, slopes))
    print(f"Written: {out}/summary.json, width.png/.pdf")


def _in_words(layers: dict[str, dict[str, Any]], slopes: dict[str, dict[str, Any]]) -> str:
    by_width: dict[int, list[str]] = {}
    by_verdict: dict[str, list[str]] = {}
    for kind, of in layers.items():
        by_width.setdefault(of["widths"][-1], []).append(kind)
        by_verdict.setdefault(slopes[f"within layers, {kind}"]["verdict"], []).append(kind)
    gains = {
        kind: geometric_mean(of["signs_shuffled"])[-1] / geometric_mean(of["detected"])[-1]
        for kind, of in layers.items()
    }
    whole = slopes["within layers"]
    least, most = min(gains, key=gains.get), max(gains, key=gains.get)
    between = "; ".join(f"{width}: {', '.join(kinds)}" for width, kinds in by_width.items())
    within = "; ".join(f"{verdict} ({', '.join(kinds)})" for verdict, kinds in by_verdict.items())
    return (
        f"Between layers, width goes with kind ({between}), so what a kind needs passes for width.\n"
        f"Within layers, 1/16 to all of the inputs: {within}.\n"
        f"With signs shuffled the slope within layers is {whole['shuffled_slope']:+.3f} ± "
        f"{whole['shuffled_stderr']:.3f}: so much comes of the sizes of the terms alone.\n"
        f"Agreement among the terms divides the light by {gains[least]:.2f} ({least}) to {gains[most]:.2f} ({most}) at "
        "full N; if it were complete, 1/N would hold."
    )


def _random(axes: Axes, summary: dict[str, Any], colours: dict[str, str]) -> None:
    """Both laws where they must hold, and where the layers of the model stand between them."""
    for series, colour, law in (("random signs", BLUE, "flat"), ("one sign", VERMILION, "1/N")):
        rows = sorted((row for row in summary["random"] if row["series"] == series), key=lambda row: row["width"])
        widths = np.array([row["width"] for row in rows])
        needs = [geometric_mean(row["detected"]) for row in rows]
        _law(axes, law, (widths[0] / 1.6, widths[-1] * 2.2), (widths[0], needs[0]))
        axes.plot(widths, needs, "o-", color=colour, ms=4)
        found = summary["slopes"][f"random matrices, {series}"]
        middle = (len(rows) - 1) // 2
        axes.annotate(
            f"{series}\nslope {found['slope']:+.3f} ± {found['stderr']:.3f}".replace("-", "\u2212"),
            (widths[middle], needs[middle]),
            xytext=(0, 7) if law == "flat" else (9, 5),
            textcoords="offset points",
            ha="center" if law == "flat" else "left",
            va="bottom",
            fontsize=8.5,
            color=colour,
        )
    for kind, of in summary["layers"].items():
        mean = geometric_mean(of["detected"])[-1]
        axes.plot(of["widths"][-1], mean, "o", ms=4, color=colours[kind], mec="white", mew=0.5, zorder=4)
    axes.annotate(
        "layers, see b",
        (max(of["widths"][-1] for of in summary["layers"].values()), mean),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=QUIET,
    )
    axes.set_xlim(right=axes.get_xlim()[1] * 3)
    axes.set_ylim(top=axes.get_ylim()[1] * 3)
    axes.set_title(f"a  Random matrices at {summary['snr_db']:g} dB")


def _layers(axes: Axes, summary: dict[str, Any], colours: dict[str, str]) -> None:
    """What the layers of each kind need, with all their inputs and with parts of them."""
    layers = summary["layers"]
    ends: dict[int, dict[str, float]] = {}
    for kind, of in layers.items():
        means = geometric_mean(of["detected"])
        axes.plot(of["widths"], means, "-", color=colours[kind])
        ends.setdefault(of["widths"][-1], {})[kind] = means[-1]
    for width, found in ends.items():
        for place, kind in enumerate(sorted(found, key=found.get)):
            needs = np.array(layers[kind]["detected"])[:, -1]
            aside = np.full(len(needs), width * 1.045 ** (place + 1))
            axes.plot(aside, needs, "o", ms=2.2, mew=0, color=colours[kind], alpha=0.5)
        x = width * 1.045 ** (len(found) + 1.5)
        passing = [_height(of, x * 1.2) for of in layers.values() if of["widths"][-1] > x]
        _label(axes, x, found, colours, passing=passing)
    span = min(of["widths"][0] for of in layers.values()), max(ends)
    start = span[0], 1.25 * max(geometric_mean(of["detected"])[0] for of in layers.values())
    for law in LAWS:
        _law(axes, law, span, start)
    axes.set_xlim(span[0] / 1.2, span[1] * 2.2)
    axes.set_title(f"b  Layers of the model at {summary['snr_db']:g} dB")


def _height(of: dict[str, Any], x: float) -> float:
    """Of a kind's curve at a width within it."""
    return float(np.exp(np.interp(np.log(x), np.log(of["widths"]), np.log(geometric_mean(of["detected"])))))


def _predictions(axes: Axes, summary: dict[str, Any], colours: dict[str, str]) -> None:
    """What each kind of product needs for the same loss of the whole model."""
    groups: dict[int, dict[str, float]] = {}
    for kind, of in summary["predictions"].items():
        groups.setdefault(of["width"], {})[kind] = of["detected"]
        error = of["relative_stderr"]
        bars = None if error is None else of["detected"] * np.array([[1 - np.exp(-error)], [np.exp(error) - 1]])
        axes.errorbar(of["width"], of["detected"], yerr=bars, fmt="o", ms=5, color=colours[kind], elinewidth=1)
    for width, ends in groups.items():
        _label(axes, width / 1.1, ends, colours, ha="right")
    span = min(groups), max(groups)
    start = span[0], geometric_mean(list(groups[span[0]].values()))
    for law in LAWS:
        _law(axes, law, span, start)
    axes.set_xlim(span[0] / 1.6, span[1] * 1.7)
    axes.set_title(f"c  Its predictions at KL {summary['kl']:g}")


def _law(axes: Axes, name: str, span: tuple[float, float], through: tuple[float, float]) -> None:
    heights = through[1] * (np.array(span) / through[0]) ** LAWS[name]
    axes.plot(span, heights, color="#aaaaaa", lw=1, ls=(0, (4, 3)), zorder=1)
    axes.annotate(
        name, (span[1], heights[1]), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8, color=QUIET
    )


def _label(
    axes: Axes,
    x: float,
    ends: dict[str, float],
    colours: dict[str, str],
    *,
    ha: str = "left",
    passing: Sequence[float] = (),
) -> None:
    """Names at heights near those of their curves, none on another or on a curve that passes at one of the heights."""
    height = 0.0
    for kind, value in sorted(ends.items(), key=lambda end: end[1]):
        height = max(value, height * APART)
        for curve in sorted(passing):
            if curve / APART < height < curve * APART:
                height = curve * APART
        axes.text(x, height, kind, color=colours[kind], fontsize=8, ha=ha, va="center", bbox=CLEARED, zorder=5)


def _few_ticks(axes: Axes) -> None:
    """Plain numbers along a narrow panel, where those of `plotting.plain_log` would touch."""
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if high / low < 30 else (1, 3) if high / low < 300 else (1,))
    )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
