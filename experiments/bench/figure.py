"""Figure of the benchmark: the ratio of each case to the digital work, with quartiles."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from experiments.bench.records import BenchRow, BenchSummary
from experiments.plotting import style

DOT: dict[str, Any] = {"fmt": "o", "ms": 4, "mew": 1}
TICK: dict[str, Any] = {"fmt": "|", "ms": 9, "mew": 1.6}
NAME_WIDTH = 40
"""Characters per line of the name of a work."""
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
            1,
            len(threads),
            sharey=True,
            squeeze=False,
            figsize=(3.2 + 4 * len(threads), 1.9 + 0.26 * len(works)),
            layout="constrained",
        )
        for axes, count in zip(panels[0], threads, strict=True):
            chosen = [row for row in rows if row["threads"] == count]
            _panel(axes, chosen, works, f"{summary['preset']}, {count} thread{'s' if count > 1 else ''}")
        panels[0][0].set_yticks(range(len(works)), [textwrap.fill(work, NAME_WIDTH) for work in works], fontsize=8)
        keys = {label: key for axes in panels[0] for key, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(keys.values(), keys, loc="outside lower center", ncols=len(keys), fontsize=style.SMALL)
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
        axes.errorbar(
            middle, places, xerr=[middle - low, high - middle], lw=1, color=colour, ecolor=colour, label=way, **mark
        )
    axes.axvline(1, color=style.GREY, lw=1, label="digital float32")
    axes.set_xscale("log")
    axes.set_xlim(limits)
    style.plain_log(axes.xaxis, limits)
    axes.set_ylim(len(works) - 0.4, -0.6)
    axes.set_xlabel("time, emulated / digital float32\n(median and quartiles)")
    axes.set_title(title, loc="left")
