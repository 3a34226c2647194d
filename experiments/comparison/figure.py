"""Figure of `otc compare`: kW at 1 exaOPS of each machine, peak and achieved, at the plug and at the facility."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes

from experiments.common.verdict import TARGET_WATTS
from experiments.common.workload import attention_in_words
from experiments.comparison.records import BASES, PLACES, CompareSummary, Comparison, Place
from experiments.plotting import style
from experiments.plotting.style import BLUE, GREY, VERMILION

COLOURS = {"optical": VERMILION, "digital": BLUE}
TITLES = {"plug": "at the plug", "facility": "at the facility"}
FILLED = {"peak": "white", "achieved": None}
NOTE = (
    "Bars: of optical cores over the schedule (overlap with digital arithmetic, what stays powered, ends of batches), "
    "their numbers nominal; of digital machines over the constants of each; at the facility over PUE too. In brackets: "
    "loss on SmolLM2-135M in nats per token, where measured."
)
ROW = 0.27
"""Height of a row [inches]."""
FOOT, HEAD = 1.2, 0.75
"""Height of labels and notes below the panels, and of titles above [inches]."""


def draw(summary: CompareSummary, out: Path) -> None:
    """Write compare.png and compare.pdf into the folder."""
    rows = summary["rows"]
    height = ROW * len(rows) + FOOT + HEAD
    with style.style():
        figure, panels = style.plt.subplots(1, 2, figsize=(9.2, height), sharex=True, sharey=True, squeeze=False)
        for axes, place in zip(panels[0], PLACES, strict=True):
            _panel(axes, rows, place)
        _stated(panels[0, 1], summary)
        first = panels[0, 0]
        first.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=style.SMALL)
        first.set_ylim(len(rows) - 0.4, -0.6)
        low, high = _limits(rows)
        for axes in panels[0]:
            axes.set(xscale="log", xlim=(low, high), xlabel="kW at 1 exaOPS")
            style.plain_log(axes.xaxis, (low, high))
        style.title(
            figure,
            f"Peak beside peak, achieved beside achieved: prefill of {summary['model']}, {summary['context']:,} tokens"
            + attention_in_words(summary["attention"]),
        )
        figure.tight_layout(rect=(0, (FOOT - 0.6) / height, 1, 1))
        handles, names = panels[0, 1].get_legend_handles_labels()
        figure.legend(handles, names, loc="lower left", bbox_to_anchor=(0.01, 0.38 / height), ncols=len(names),
                      fontsize=style.SMALL, borderaxespad=0)  # fmt: skip
        figure.text(0.01, 0.32 / height, textwrap.fill(NOTE, 170), fontsize=7, color="#555555", va="top")
        style.save(figure, out, "compare")


def _panel(axes: Axes, rows: list[Comparison], place: Place) -> None:
    axes.set_title(TITLES[place], loc="left")
    axes.axvline(TARGET_WATTS / 1e3, color=GREY, lw=1, ls=(0, (4, 3)), label="10 kW")
    shown: set[tuple[str, str]] = set()
    for height, row in enumerate(rows):
        colour = COLOURS[row["kind"]]
        for basis, offset in zip(BASES, (-0.14, 0.14), strict=True):
            watts = row["watts_at_exaops"][basis][place]
            ends = [watts["low"] / 1e3, watts["high"] / 1e3]
            axes.plot(ends, [height + offset] * 2, color=colour, lw=1.2, alpha=0.6)
            label = None if (row["kind"], basis) in shown else f"{row['kind']}, {basis}"
            shown.add((row["kind"], basis))
            axes.plot(
                watts["nominal"] / 1e3,
                height + offset,
                "o",
                ms=5,
                color=colour,
                mfc=FILLED[basis] or colour,
                label=label,
            )
    axes.grid(visible=True, axis="y", color="#eeeeee", lw=0.6)
    axes.set_axisbelow(True)


def _stated(axes: Axes, summary: CompareSummary) -> None:
    """Mark what makers state of whole facilities."""
    for number, claim in enumerate(summary["claims"]):
        for height, row in enumerate(summary["rows"]):
            if (row["name"], row["format"]) == (claim["system"], claim["format"]):
                axes.plot(
                    1e3 / claim["tops_per_watt"], height - 0.14, "D", ms=4.5, color=BLUE, mfc="white",
                    label="" if number else "stated by its maker",
                )  # fmt: skip


def _label(row: Comparison) -> str:
    loss = "" if row["delta_nll"] is None else f" [{row['delta_nll']:.3f}]"
    return f"{row['title'].partition(',')[0]}, {row['format']}{loss}"


def _limits(rows: list[Comparison]) -> tuple[float, float]:
    """Limits of the axis [kW], which hold the target and the ends of all bars."""
    intervals = [row["watts_at_exaops"][basis][place] for row in rows for basis in BASES for place in PLACES]
    low = min(TARGET_WATTS, *(each["low"] for each in intervals)) / 1e3
    high = max(TARGET_WATTS, *(each["high"] for each in intervals)) / 1e3
    return low / 1.3, high * 1.3
