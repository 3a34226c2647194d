"""Figure: energy with light over without, a panel for each digital machine, a row for each workload."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.common.workload import attention_in_words
from experiments.plotting import style
from experiments.workloads.records import Comparison, Verdict, WorkloadRow, WorkloadsSummary

COLOURS: Mapping[Verdict, str] = {
    "light": style.GREEN,
    "digital": style.VERMILION,
    "cannot be told apart": style.GREY,
}
NAMES: Mapping[Verdict, str] = {
    "light": "light needs less energy",
    "digital": "digital needs less energy",
    "cannot be told apart": "cannot be told apart",
}
ROW, PANEL = 0.185, 2.35
"""Height of a row and width of a panel [inches]."""
SOLID, DOTTED = "-", (0, (1, 0.8))
"""Lines of comparisons that are like beside like, and that are not."""
MARGIN = 1.6
"""Factor between the ends of the data and the frame."""


def draw(summary: WorkloadsSummary, out: Path) -> None:
    """Write workloads as PNG and PDF."""
    names = list(summary["machines"])
    lines = _lines(summary["rows"])
    with style.style():
        figure, panels = style.plt.subplots(
            1,
            len(names),
            figsize=(2.3 + PANEL * max(len(names), 2), 1.5 + ROW * len(lines)),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        limits = _limits(summary["rows"])
        for axes, name in zip(panels[0], names, strict=True):
            _panel(axes, lines, name, limits)
            axes.set_title(_broken(summary["machines"][name]), fontsize=8.5)
        _label_rows(panels[0][0], lines)
        attention = attention_in_words(summary["attention"])
        style.title(figure, f"Where light pays: energy on {summary['core']}{attention}, over that of digital machines")
        figure.tight_layout(w_pad=1.5)
        figure.legend(
            handles=_handles(summary["rows"]),
            loc="upper left",
            bbox_to_anchor=(0.01, 0.0),
            ncols=2,
            fontsize=style.SMALL,
        )
        style.save(figure, out, "workloads")


def _lines(rows: Sequence[WorkloadRow]) -> list[WorkloadRow | str]:
    """Rows from top to bottom, each group below its name."""
    lines: list[WorkloadRow | str] = []
    for row in rows:
        if row["group"] not in lines:
            lines.append(row["group"])
        lines.append(row)
    return lines


def _limits(rows: Sequence[WorkloadRow]) -> tuple[float, float]:
    found = [each for row in rows for each in row["against"].values() if each is not None]
    ends = [end for each in found for end in (each["ratio"]["low"], each["ratio"]["high"], _bill(each))]
    return min([0.5, *ends]) / MARGIN, max([2.0, *ends]) * MARGIN


def _bill(found: Comparison) -> float:
    return found["bill_ratio"]["nominal"]


def _panel(axes: Axes, lines: Sequence[WorkloadRow | str], name: str, limits: tuple[float, float]) -> None:
    axes.set(xscale="log", xlim=limits, ylim=(len(lines) - 0.4, -0.6))
    style.plain_log(axes.xaxis, limits)
    axes.tick_params(axis="x", labelsize=style.SMALL)
    axes.axvspan(limits[0], 1.0, color=style.GREEN, alpha=0.08, lw=0)
    axes.axvline(1.0, color="#222222", lw=1)
    axes.set_xlabel("light / digital", fontsize=style.SMALL)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for height, row in enumerate(lines):
        if isinstance(row, str):
            continue
        found = row["against"][name]
        if found is None:
            axes.text(
                0.03, height, "no figure", transform=axes.get_yaxis_transform(), fontsize=7, color=style.GREY,
                va="center",
            )  # fmt: skip
            continue
        colour, ratio = COLOURS[found["verdict"]], found["ratio"]
        dashes, filled = (SOLID, colour) if found["like"] else (DOTTED, "white")
        ends = [ratio["low"], ratio["high"]]
        # Other caps reach half a width beyond the range, and over the line at 1.
        axes.plot(ends, [height, height], color=colour, lw=1.6, ls=dashes, solid_capstyle="butt")
        axes.plot(ratio["nominal"], height, "o", ms=4.5, color=colour, mfc=filled)
        if found["like"]:
            axes.plot(_bill(found), height, "|", ms=6, mew=1.1, color=style.BLUE)


def _label_rows(axes: Axes, lines: Sequence[WorkloadRow | str]) -> None:
    axes.set_yticks(range(len(lines)), [row if isinstance(row, str) else row["title"] for row in lines])
    axes.tick_params(axis="y", labelsize=style.SMALL)
    for label, row in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if isinstance(row, str) else "normal")


def _handles(rows: Sequence[WorkloadRow]) -> list[Line2D]:
    found = [each for row in rows for each in row["against"].values() if each is not None]
    handles = [
        Line2D([], [], color=COLOURS[verdict], lw=1.6, marker="o", ms=4.5, label=NAMES[verdict])
        for verdict in COLOURS
        if any(each["verdict"] == verdict for each in found)
    ]
    if any(not each["like"] for each in found):
        label = "the core's bill alone: not like beside like"
        handles.append(Line2D([], [], color="#555555", lw=1.6, ls=DOTTED, marker="o", ms=4.5, mfc="white", label=label))
    if any(each["like"] for each in found):
        label = "with a core that never waits (its bill)"
        handles.append(Line2D([], [], color=style.BLUE, marker="|", ms=6, mew=1.1, lw=0, label=label))
    return handles


def _broken(title: str) -> str:
    """A title of a panel in lines no longer than it is wide."""
    words, lines = title.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 20:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
