"""Figure of the drift: each figure of merit over time, a curve for each interval between calibrations."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.drift.records import DriftSummary
from experiments.plotting import style

MINUTE = 60.0


def draw(summary: DriftSummary, out: Path) -> None:
    """Write drift as PNG and PDF."""
    names = list(summary["intervals"][0]["figures"])
    with style.style():
        figure, panels = style.plt.subplots(1, len(names), figsize=(1.2 + 3.4 * len(names), 3.8), squeeze=False)
        for axes, name in zip(panels[0], names, strict=True):
            _panel(axes, summary, name)
        style.title(
            figure,
            f"{summary['function']} on {summary['core']}, {summary['rows']} x {summary['columns']}; "
            f"rms drift in an hour: sources {summary['source_rate'] * 60:.2%}, "
            f"receivers {summary['receiver_rate'] * 60:.2%}",
            9,
        )
        handles, labels = panels[0][0].get_legend_handles_labels()
        ncols = min(len(labels), 2 if len(names) == 1 else 4)
        figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=ncols, frameon=False)
        figure.tight_layout(rect=(0, 0, 1, 0.98))
        style.save(figure, out, "drift")


def _panel(axes: Axes, summary: DriftSummary, name: str) -> None:
    minutes = np.array(summary["times"]) / MINUTE
    found = summary["intervals"][0]["figures"][name]
    for number, row in enumerate(summary["intervals"]):
        values = row["figures"][name]
        mean, error = np.array(values["mean"]), np.array(values["stderr"])
        colour = style.SERIES[number % len(style.SERIES)]
        axes.fill_between(minutes, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
        axes.plot(minutes, mean, color=colour, lw=1.4, label=_label(row["interval"], summary["times"][-1]))
    # A label of label and unit in one line is longer than the axes are high.
    axes.set_ylabel(f"{found['label']}\n[{found['unit']}]" if found["unit"] != "1" else found["label"])
    if name in summary["exact"]:
        axes.axhline(summary["exact"][name], color=style.GREY, lw=1, ls=(0, (4, 3)), label="exact arithmetic")
    axes.set(xlabel="time [min]", xlim=(minutes[0], minutes[-1]))


def _label(interval: float, last: float) -> str:
    if interval > last:
        return "calibrated at the start"
    return f"every {interval / MINUTE:g} min" if interval >= MINUTE else f"every {interval:g} s"
