"""Figure of the benchmark: the ratio of each case to the digital work, with quartiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments.bench.records import BenchRow, BenchSummary
from experiments.plotting import style

DOT: dict[str, Any] = {"fmt": "o", "ms": 4, "mew": 1}
TICK: dict[str, Any] = {"fmt": "|", "ms": 9, "mew": 1.6}
WAYS = {
    "float32": (style.BLUE, DOT),
    "bfloat16": (style.VERMILION, DOT),
    "floor": (style.GREY, TICK),
    "bare": (style.GREEN, TICK),
}


def draw(summary: BenchSummary, out: Path) -> None:
    """Write bench.png and bench.pdf: a line per work, a mark per way of doing it, a panel per number of threads."""
    rows = summary["rows"]
    works = list(dict.fromkeys(row["work"] for row in rows))
    threads = sorted({row["threads"] for row in rows})
    with style.style():
        figure, panels = style.plt.subplots(
            1, len(threads), sharey=True, squeeze=False, figsize=(3.2 + 4 * len(threads), 1.4 + 0.26 * len(works))
        )
        for axes, count in zip(panels[0], threads, strict=True):
            chosen = [row for row in rows if row["threads"] == count]
            _panel(axes, chosen, works, f"{summary['preset']}, {count} thread{'s' if count > 1 else ''}")
        panels[0][0].set_yticks(range(len(works)), works)
        style.save(figure, out, "bench")


def _panel(axes: Axes, rows: Sequence[BenchRow], works: Sequence[str], title: str) -> None:
    ends = np.array([row["ratio_quartiles"] for row in rows])
    limits = (min(0.9, ends.min() * 0.93), max(2.0, ends.max() * 1.1))
    for way, (colour, mark) in WAYS.items():
        of_way = [row for row in rows if row["way"] == way]
        if not of_way:
            continue
        places = np.array([works.index(row["work"]) for row in of_way])
        low, middle, high = np.array([row["ratio_quartiles"] for row in of_way]).T
        axes.errorbar(middle, places, xerr=[middle - low, high - middle], lw=1, color=colour, ecolor=colour, **mark)
    # Names stand above the panel, since the marks may overlap.
    for place, (way, (colour, _)) in zip((0.42, 0.62, 0.86, 1.0), WAYS.items(), strict=True):
        if any(row["way"] == way for row in rows):
            axes.text(place, 1.02, way, color=colour, ha="right", va="bottom", transform=axes.transAxes)
    axes.axvline(1, color=style.GREY, lw=1)
    axes.text(1, len(works) - 0.55, " digital", color=style.GREY, ha="left", va="bottom")
    axes.set_xscale("log")
    axes.set_xlim(limits)
    style.plain_log(axes.xaxis, limits)
    axes.set_ylim(len(works) - 0.4, -0.6)
    axes.set_xlabel("time, emulated / digital float32\n(median and quartiles)")
    axes.set_title(title, loc="left", pad=18)
