"""Where the energy goes: a bill, line by line, for each of some machines."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from experiments.plotting import style
from optics.core.cost_component import CostComponent

KINDS: dict[str, str] = {
    CostComponent.LASER_LIGHT: "light",
    CostComponent.LASER_BIAS: "light",
    CostComponent.DAC: "converters",
    CostComponent.TIA: "converters",
    CostComponent.ADC: "converters",
    CostComponent.CALIBRATION: "converters",
    CostComponent.INPUT_MOVEMENT: "data movement",
    CostComponent.OUTPUT_MOVEMENT: "data movement",
    CostComponent.PARTIAL_SUMS: "data movement",
    CostComponent.WEIGHT_FETCH: "weights",
    CostComponent.MASK_WRITE: "weights",
    CostComponent.IDLE_AT_RELOAD: "weights",
    CostComponent.DIGITAL_PRODUCTS: "digital",
    "softmax": "digital",
    "norms": "digital",
    "activations": "digital",
    "rotary embedding": "digital",
    "element-wise": "digital",
    "KV cache": "data movement",
    "embedding": "data movement",
    CostComponent.HOST: "server",
    CostComponent.POWER_CONVERSION: "server",
}
COLOURS = {
    "light": style.ORANGE,
    "converters": style.BLUE,
    "data movement": style.SKY,
    "weights": style.PURPLE,
    "digital": style.GREEN,
    "server": style.GREY,
}
# A caption has room for longer words than an axis.
LABELS: dict[str, str] = {
    CostComponent.DIGITAL_PRODUCTS: "attention (digital)",
    CostComponent.CALIBRATION: "calibration duty",
}


# Characters of small print beside each panel, and its line's share of the figure's height.
NOTE_WIDTH, LINE_HEIGHT = 42, 0.024


class Line(NamedTuple):
    """A line of a bill [fJ/MAC]: its value, and the 5th and 95th percentile where they are known."""

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
    """Writes waterfall.png and .pdf: a panel for each machine; the caller sets the style.

    totals: the sums of the bills, where their percentiles are known: those of lines do not add. note: small print
    below the panels.
    """
    if not bills:
        return
    figure, panels = style.plt.subplots(
        1, len(bills), figsize=(2.8 + 2.5 * len(bills), 5.6), sharey=True, squeeze=False
    )
    names = [name for name in KINDS if any(name in bill for bill in bills.values())]
    for axes, (machine, bill) in zip(panels[0], bills.items(), strict=True):
        _panel(axes, machine, names, bill, target, (totals or {}).get(machine))
    panels[0, 0].invert_yaxis()
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    handles = [style.plt.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    # All inside the figure: what hangs over its edge moves the legend when the figure is cropped to what it holds.
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
    reach = 1.35 * max(total, target)
    for y, (start, value) in enumerate(zip([*starts, 0.0], [*values, total], strict=True)):
        line = bill.get(names[y]) if y < len(names) else whole
        end = start + value
        if line is not None and line.high is not None and line.low is not None:
            colour = "#222222" if y < len(names) else style.GREY
            axes.plot([start + line.low, start + line.high], [y, y], color=colour, lw=0.9, clip_on=True)
            end = min(max(end, start + line.high), 0.86 * reach)
        axes.text(end + 0.015 * reach, y, _short(value), va="center", fontsize=7.5, bbox=style.CLEARED)
    axes.axvline(target, color=style.VERMILION, lw=1, ls=(0, (3, 2)))
    axes.text(target, -0.9, f" target {target:g}", color=style.VERMILION, fontsize=7.5, va="center")
    axes.set_yticks(range(len(names) + 1), [*(LABELS.get(name, name) for name in names), "total"])
    axes.set_xlim(0, reach)
    axes.set_ylim(-1.4, len(names) + 0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("fJ/MAC")
    axes.set_title(machine.replace("_", " "))


def _short(value: float) -> str:
    return f"{value:.3g}" if value >= 0.01 else "<0.01" if value > 0 else "0"
