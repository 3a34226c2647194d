"""Figure of the scaling: KL against light for each model, the law that decides, and every law against measurement."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.plotting import labels, style
from experiments.scaling.fit import predicted
from experiments.scaling.laws import DECIDES, QUANTITIES, at_level, by_size, law_of, tested
from experiments.scaling.records import ModelRow, ScalingSummary

MARKERS = "osD^vP*X"
LEAST = 1e-3
"""Of predicted over measured, below which an interval leaves the panel; its inverse above."""
COLOURS = {"predicts": style.GREEN, "too wide": style.GREY, "misses": style.VERMILION}


def draw(summary: ScalingSummary, out: Path) -> None:
    """Write scaling as PNG and PDF."""
    with style.style():
        figure, panels = style.plt.subplots(1, 3, figsize=(12.6, 4.2), width_ratios=(1.1, 1.1, 1.0))
        _light(panels[0], summary)
        _law(panels[1], summary)
        _predictions(panels[2], summary)
        style.title(
            figure,
            f"Tiny models against {tested(summary['rows'])['name']} on {summary['core']}, {summary['text']}",
        )
        handles, names = panels[0].get_legend_handles_labels()
        more, verdicts = panels[2].get_legend_handles_labels()
        below = {"loc": "upper left", "frameon": False, "fontsize": style.SMALL}
        figure.legend(handles, names, bbox_to_anchor=(0.0, 0.02), ncols=len(names), **below)
        figure.legend(more, verdicts, bbox_to_anchor=(0.72, 0.02), ncols=len(verdicts), **below)
        figure.tight_layout(rect=(0, 0, 1, 0.98))
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
    low = max(min(p.low for p in found), min(values) / 10)
    high = min(max(p.high for p in found), max(values) * 10)
    axes.set_ylim(min(low / 1.2, min(values) / 1.6), max(high * 1.2, max(values) * 1.6))
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
    ends = [[fit[end] / fit["measured"] for end in ("low", "predicted", "high")] for fit in fits]
    limits = max(min(map(min, ends)) / 1.5, LEAST), min(max(map(max, ends)) * 1.5, 1 / LEAST)
    axes.set_xlim(min(limits[0], 0.5), max(limits[1], 2))
    for height, (fit, (low, middle, high)) in enumerate(zip(fits, ends, strict=True)):
        colour = COLOURS[fit["verdict"]]
        within = np.clip([low, high], *axes.get_xlim())
        axes.plot(within, [-height, -height], color=colour, lw=2)
        axes.plot(np.clip(middle, *axes.get_xlim()), -height, "o", ms=4, color=colour)
        for end, marker, beyond in ((within[0], "<", low < within[0]), (within[1], ">", high > within[1])):
            if beyond:
                axes.plot(end, -height, marker, ms=5, color=colour, clip_on=False)
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks([-height for height in range(len(fits))])
    axes.set_yticklabels([f"{_short(fit['quantity'])}: {' and '.join(fit['sizes'])}" for fit in fits], fontsize=6.5)
    axes.set_ylim(0.4 - len(fits), 0.6)
    for verdict in dict.fromkeys(fit["verdict"] for fit in fits):
        axes.plot([], [], color=COLOURS[verdict], lw=2, label=verdict)
    first, last = axes.get_xlim()
    style.plain_log(axes.xaxis, (first, last))
    if last > 100 * first:
        # Labels of threes touch on so narrow a panel.
        axes.set_xticks(10.0 ** np.arange(np.ceil(np.log10(first)), np.floor(np.log10(last)) + 1))
    axes.set_title("c  Every law")


def _short(quantity: str) -> str:
    names = dict(zip(QUANTITIES, ("KL", "KL per byte", "KL, equal power", "KL over noise"), strict=True))
    return names[quantity]
