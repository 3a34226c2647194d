"""Figure of the validation: predicted against published tokens/s and joules per token."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.plotting import style
from experiments.plotting.style import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from experiments.serving.validate.comparison import Comparison
from experiments.serving.validate.published import Published

SERIES = {
    "TensorRT-LLM": (BLUE, "o"),
    "4 to 8 GPUs": (BLUE, "P"),
    "mixtures": (GREY, "h"),
    "MLPerf": (VERMILION, "s"),
    "ML.ENERGY": (GREEN, "^"),
    "LLM-Inference-Bench": (ORANGE, "D"),
    "single stream": (PURPLE, "v"),
}
BAND = 1.15


def draw(comparisons: Mapping[Published, Comparison], out: Path) -> None:
    """Write accelerators.png and accelerators.pdf."""
    with style.style():
        figure, (rate, energy) = style.plt.subplots(1, 2, figsize=(9.0, 4.4))
        _panel(rate, comparisons, "tokens_per_s", "output tokens/s")
        _panel(energy, comparisons, "j_per_token", "J per output token")
        rate.set_title("Tokens per second")
        energy.set_title("Joules per token")
        rate.legend(loc="upper left", fontsize=7.5, handletextpad=0.3)
        style.note(
            rate,
            -0.17,
            "Filled: held out of the fit. Hollow: in the fit. Crosses: set apart (speculative decoding, tuned for "
            "power, bound by a latency limit, targets). Band: 15 %.",
        )
        style.save(figure, out, "accelerators")


def _panel(axes: Axes, comparisons: Mapping[Published, Comparison], name: str, unit: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel=f"published [{unit}]", ylabel=f"predicted [{unit}]")
    values: list[float] = []
    for group, (colour, marker) in SERIES.items():
        label = group
        for row, comparison in comparisons.items():
            published = getattr(row, name)
            if row.group != group or published is None:
                continue
            predicted = getattr(comparison, name)
            values += [published, predicted]
            filled = colour if row.use == "test" else "white"
            symbol = "x" if row.use == "apart" else marker
            axes.plot(published, predicted, symbol, ms=4.5, mew=1, mec=colour, mfc=filled, ls="none")
        axes.plot([], [], marker, ms=4.5, mec=colour, mfc=colour, ls="none", label=label)
    limits = min(values) / 1.5, max(values) * 1.5
    line = np.array(limits)
    axes.fill_between(line, line / BAND, line * BAND, color=GREY, alpha=0.25, lw=0, zorder=0)
    axes.plot(line, line, color=GREY, lw=1, zorder=0)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        style.plain_log(axis, limits)
