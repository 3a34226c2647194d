"""Waterfall charts of bills: energy per MAC, line by line, a panel per machine."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from experiments.plotting import style

KINDS = {
    "laser light": "light",
    "laser bias": "light",
    "DAC": "converters",
    "TIA": "converters",
    "ADC": "converters",
    "calibration": "converters",
    "input movement": "data movement",
    "patch movement": "data movement",
    "output movement": "data movement",
    "partial sums": "data movement",
    "weight fetch": "weights",
    "mask write": "weights",
    "idle at reload": "weights",
    "digital products": "digital",
    "softmax": "digital",
    "norms": "digital",
    "activations": "digital",
    "rotary embedding": "digital",
    "element-wise": "digital",
    "KV cache": "data movement",
    "embedding": "data movement",
    "host, network, fans": "server",
    "power conversion": "server",
}
COLOURS = {
    "light": style.ORANGE,
    "converters": style.BLUE,
    "data movement": style.SKY,
    "weights": style.PURPLE,
    "digital": style.GREEN,
    "server": style.GREY,
}
# Names on the axis that differ from the lines of the bill.
LABELS = {"calibration": "calibration duty"}

# Characters of small print per panel, and the height of a line of it as a share of the figure.
NOTE_WIDTH, LINE_HEIGHT = 42, 0.024
REACH, BARS_END = 1.75, 0.68
"""End of the axis over the larger of total and target, and the share of it beyond which a range ends in an arrow."""


class Line(NamedTuple):
    """A line of a bill [fJ/MAC]: its value, and its 5th and 95th percentile where they are known."""

    value: float
    low: float | None = None
    high: float | None = None


def draw(
    title: str,
    bills: Mapping[str, Mapping[str, Line]],
    target: float,
    out: Path,
    totals: Mapping[str, Line] | None = None,
    note: str = "",
) -> None:
    """Write waterfall.png and waterfall.pdf, in the style that the caller has set.

    Args:
        title: of the figure.
        bills: lines by name, for each machine. Nothing is drawn where there is none.
        target: marked by a vertical line [fJ/MAC].
        out: folder of the files.
        totals: sums of the bills where their percentiles are known, since percentiles of lines do not add.
        note: small print below the panels.
    """
    if not bills:
        return
    width = 2.8 + 2.5 * len(bills)
    figure, panels = style.plt.subplots(1, len(bills), figsize=(width, 5.6), sharey=True, squeeze=False)
    names = [name for name in KINDS if any(name in bill for bill in bills.values())]
    for axes, (machine, bill) in zip(panels[0], bills.items(), strict=True):
        _panel(axes, machine, names, bill, target, (totals or {}).get(machine))
    panels[0, 0].invert_yaxis()
    style.title(figure, title)
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    # Text that reaches over the edge would move the legend when the figure is cropped to its contents.
    lines = textwrap.wrap(note, NOTE_WIDTH * (1 + len(bills)))
    foot = LINE_HEIGHT * len(lines)
    figure.text(0.01, 0.0, "\n".join(lines), fontsize=7, color="#555555", va="bottom")
    columns = len(COLOURS) if len(bills) > 1 else len(COLOURS) // 2
    figure.legend(handles, COLOURS, loc="lower center", bbox_to_anchor=(0.5, foot), ncols=columns, fontsize=8)
    figure.tight_layout(rect=(0, foot + LINE_HEIGHT * (1 + len(COLOURS) / columns), 1, 1))
    style.save(figure, out, "waterfall")


def _panel(
    axes: Axes, machine: str, names: list[str], bill: Mapping[str, Line], target: float, whole: Line | None
) -> None:
    values = np.array([bill[name].value if name in bill else 0.0 for name in names])
    starts = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    total = values.sum()
    axes.barh(range(len(names)), values, left=starts, color=[COLOURS[KINDS[name]] for name in names], height=0.7)
    axes.barh(len(names), total, color="#222222", height=0.7)
    reach = REACH * max(total, target)
    for y, (start, value) in enumerate(zip([*starts, 0.0], [*values, total], strict=True)):
        line = bill.get(names[y]) if y < len(names) else whole
        end, text = start + value, _short(value)
        if line is not None and line.high is not None and line.low is not None:
            colour = "#222222" if y < len(names) else style.GREY
            high = start + line.high
            if high > BARS_END * reach:
                # One tail of many times the total would leave no room for the bars.
                text += f", to {_short(line.high)}"
                high = BARS_END * reach
                axes.plot(high, y, ">", ms=3, color=colour, zorder=3)
            axes.plot([start + line.low, high], [y, y], color=colour, lw=0.9)
            end = max(end, high)
        axes.text(end + 0.02 * reach, y, text, va="center", fontsize=7.5, bbox=style.CLEARED)
    axes.axvline(target, color=style.VERMILION, lw=1, ls=(0, (3, 2)))
    axes.text(target, -0.9, f" target {target:g}", color=style.VERMILION, fontsize=7.5, va="center")
    axes.set_yticks(range(len(names) + 1), [*(LABELS.get(name, name) for name in names), "total"])
    axes.set_xlim(0, reach)
    axes.set_ylim(-1.4, len(names) + 0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("fJ/MAC")
    axes.set_title(machine.replace("_", " "))


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else "<0.01" if value > 0 else "0"
