"""The benchmark as a figure: the ratio of each case, its quartiles, and where the digital product stands."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plotting


def draw(summary: dict[str, Any], out: Path) -> None:
    """Writes bench.png and bench.pdf: a line a case, a mark for each number of threads."""
    rows = summary["rows"]
    names = list(dict.fromkeys(row["case"] for row in rows))
    threads = sorted({row["threads"] for row in rows})
    with plotting.style():
        figure, axes = plotting.plt.subplots(figsize=(7.2, 1.2 + 0.2 * len(names)))
        for number, count in enumerate(threads):
            chosen = [row for row in rows if row["threads"] == count]
            places = np.array([names.index(row["case"]) for row in chosen]) + 0.14 * (2 * number - len(threads) + 1)
            low, middle, high = np.array([row["ratio_quartiles"] for row in chosen]).T
            colour = plotting.SERIES[number % len(plotting.SERIES)]
            axes.errorbar(
                middle, places, xerr=[middle - low, high - middle], fmt="o", ms=4, lw=1, color=colour, ecolor=colour
            )
            axes.text(
                middle[0], places[0] - 0.55, f"{count} thread{'s' if count > 1 else ''}", color=colour, ha="center",
                va="bottom" if number == 0 else "top",
            )  # fmt: skip
        axes.axvline(1, color=plotting.GREY, lw=1)
        axes.text(1, -0.6, " digital", color=plotting.GREY, ha="left", va="bottom")
        axes.set_xscale("log")
        ends = np.array([row["ratio_quartiles"] for row in rows])
        limits = (min(0.9, ends.min() * 0.95), max(2.0, ends.max() * 1.1))
        axes.set_xlim(limits)
        plotting.plain_log(axes.xaxis, limits)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.2, -1.2)
        axes.set_xlabel("time, emulated / digital float32 (median and quartiles)")
        axes.set_title(f"What emulation costs: {summary['preset']}, {summary['machine']['cpu']}", loc="left")
        plotting.save(figure, out, "bench")
