"""Figure of the scaling: KL against light for each model, the law in the size, and all predictions against measurement."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.plotting import labels, style
from experiments.scaling.fit import predicted
from experiments.scaling.laws import DECIDES, QUANTITIES, at_level, by_size, law_of, tested
from experiments.scaling.records import ModelRow, ScalingSummary

MARKERS = "osD^vP*X"
COLOURS = {"predicts": style.GREEN, "too wide": style.GREY, "misses": style.VERMILION}


def draw(summary: ScalingSummary, out: Path) -> None:
    """Write scaling as PNG and PDF."""
    with style.style():
        figure, panels = style.plt.subplots(1, 3, figsize=(12.6, 4.2), width_ratios=(1.1, 1.1, 1.0))
        figure.subplots_adjust(wspace=0.3, right=0.99, left=0.05, top=0.84, bottom=0.27)
        _light(panels[0], summary)
        _law(panels[1], summary)
        _predictions(panels[2], summary)
        style.title(
            figure,
            f"Tiny models against {tested(summary['rows'])['name']} on {summary['core']}, {summary['text']}",
        )
        style.save(figure, out, "scaling")


def _light(axes: Axes, summary: ScalingSummary) -> None:
    """Draw KL against photons per MAC, means over the seeds of a size."""
    axes.set(xscale="log", yscale="log", xlabel="launched photons per MAC", ylabel="KL [nats per token]")
    groups = [(f"{width}x{layers}", rows) for (width, layers), rows in by_size(summary["rows"]).items()]
    groups += [(row["name"], [row]) for row in summary["rows"] if row["group"] != "tiny"]
    heights: list[float] = []
    for number, (name, rows) in enumerate(groups):
        kl = [
            float(np.exp(np.mean([np.log(at_level(row, level)["kl"]) for row in rows]))) for level in summary["photons"]
        ]
        heights += kl
        axes.plot(
            summary["photons"],
            kl,
            color=_colour(number, rows[0]),
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            lw=1.8 if rows[0]["group"] == "tested" else 1.2,
            ls="--" if rows[0]["group"] == "other" else "-",
            label=name,
        )
    axes.set_xlim(summary["photons"][0] / 1.2, summary["photons"][-1] * 1.2)
    axes.set_ylim(min(heights) / 1.3, max(heights) * 1.3)
    style.plain_log(axes.xaxis, axes.get_xlim())
    style.plain_log(axes.yaxis, axes.get_ylim())
    axes.set_title("a  Loss against light")
    labels.legend_below(axes, height=-0.2, ncols=3)


def _colour(number: int, row: ModelRow) -> str:
    return "black" if row["group"] == "tested" else style.SERIES[number % len(style.SERIES)]


def _law(axes: Axes, summary: ScalingSummary) -> None:
    """Draw the law that decides, with its interval, and every model."""
    name, sizes = DECIDES
    rows, reference = summary["rows"], summary["reference"]
    law = law_of(rows, name, sizes, reference)
    parameters = np.array([row["parameters"] for row in rows], float)
    along = np.geomspace(parameters.min() / 1.5, parameters.max() * 2, 80)
    found = [predicted(law, [each]) for each in along]
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel=f"KL at {reference:,.0f} photons per MAC")
    axes.fill_between(along, [p.low for p in found], [p.high for p in found], color=style.BLUE, alpha=0.15, lw=0)
    axes.plot(along, [p.value for p in found], color=style.BLUE, lw=1.2)
    values = [QUANTITIES[name](row, reference) for row in rows]
    errors = [at_level(row, reference)["kl_stderr"] or 0.0 for row in rows]
    for row, value, error in zip(rows, values, errors, strict=True):
        colour = style.BLUE if row["group"] == "tiny" else "black"
        axes.errorbar(row["parameters"], value, yerr=error, fmt="o", ms=4, color=colour, elinewidth=0.8)
    axes.set_xlim(along[0], along[-1])
    # The interval may span many decades where the law fails, and the models would be one dot.
    low = max(min(p.low for p in found), min(values) / 20)
    high = min(max(p.high for p in found), max(values) * 20)
    axes.set_ylim(low / 1.2, high * 1.2)
    style.plain_log(axes.yaxis, axes.get_ylim())
    for row, value in zip(rows, values, strict=True):
        if row["group"] != "tiny":
            labels.beside(
                axes, row["name"], (row["parameters"], value), ("left", "above left", "below left", "above"), fontsize=8
            )
    labels.beside(
        axes,
        "tiny models, law and 95 % interval",
        (float(parameters.min()), values[int(np.argmin(parameters))]),
        ("above right", "below right", "above"),
        fontsize=8,
        color=style.BLUE,
    )
    axes.set_title("b  The law that decides")


def _predictions(axes: Axes, summary: ScalingSummary) -> None:
    """Draw the interval of each law over the measurement, a row for each quantity and set of sizes."""
    fits = summary["fits"]
    axes.set(xscale="log", xlabel="predicted over measured")
    for height, fit in enumerate(fits):
        low, middle, high = (fit[end] / fit["measured"] for end in ("low", "predicted", "high"))
        axes.plot([low, high], [-height, -height], color=COLOURS[fit["verdict"]], lw=2)
        axes.plot(middle, -height, "o", ms=4, color=COLOURS[fit["verdict"]])
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks([-height for height in range(len(fits))])
    axes.set_yticklabels([f"{_short(fit['quantity'])}: {' and '.join(fit['sizes'])}" for fit in fits], fontsize=6.5)
    axes.set_ylim(0.8 - len(fits) - 0.4, 0.6)
    axes.set_xlim(1e-2, 1e2)
    style.plain_log(axes.xaxis, axes.get_xlim())
    axes.set_title("c  Every law")


def _short(quantity: str) -> str:
    names = dict(zip(QUANTITIES, ("KL", "KL per byte", "KL, equal power", "KL over noise"), strict=True))
    return names[quantity]
