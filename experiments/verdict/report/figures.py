"""Figures of the verdict: designs in watts and loss, the steps to the best one, and where its energy goes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.common import billing
from experiments.common.verdict import EnergyVerdict, Interval
from experiments.plotting import labels, style, waterfall
from experiments.plotting.pareto import pareto
from experiments.verdict.report import tables
from experiments.verdict.report.records import DesignRecord, ScenarioRecord, VerdictSummary
from optics import EXAOPS

MARKERS = {"digital": "o", "half": "D", "most": "P", "light": "s"}
MOST_LOSS = 0.4
"""Loss at the top of the frame, unless a limit is near it or beyond."""
LEAST_LOSS = -0.06
FAR = 3
"""A target beyond so many times the watts of a panel is named at its edge."""


def draw(summary: VerdictSummary, out: Path) -> None:
    """Write verdict_front, verdict_steps and waterfall, each as PNG and PDF."""
    with style.style():
        _front(summary, out)
        if summary["waterfall"]:
            _steps(summary, out)
        _energy(summary, out)


def _front(summary: VerdictSummary, out: Path) -> None:
    scenarios = summary["scenarios"]
    figure, panels = style.plt.subplots(
        1, len(scenarios), figsize=(1.6 + 3.6 * len(scenarios), 4.4), sharey=True, squeeze=False
    )
    names = list(dict.fromkeys(name for record in scenarios.values() for name in record["variants"]))
    colours = dict(zip(names, style.SERIES, strict=False))
    panel_of = zip(panels[0], scenarios.items(), strict=True)
    with_target = [_front_panel(axes, *named, summary, colours) for axes, named in panel_of]
    panels[0, 0].set_ylabel("loss over 8-bit digital [nats/token]")
    style.title(figure, f"Designs on held-out text, and watts of the prefill of {summary['shapes']} at 1 exaOPS")
    drawn = {each["attention"] for record in scenarios.values() for each in record["designs"]}
    handles = [
        *(Line2D([], [], color=colours[name], lw=1.4, label=f"model {name}") for name in names),
        *(
            Line2D([], [], color="#555555", marker=marker, mfc="none", ls="none", ms=4.5, label=f"attention {place}")
            for place, marker in MARKERS.items()
            if place in drawn
        ),
        Line2D([], [], color="#222222", marker="*", ms=9, lw=0.9, label="best within a limit, 5 to 95 %"),
    ]
    if any(with_target):
        target = f"target, {summary['target_watts'] / 1e3:g} kW"
        handles.append(Line2D([], [], color=style.VERMILION, lw=1, ls=(0, (3, 2)), label=target))
    columns = min(len(handles), 4 if len(scenarios) > 1 else 2)
    rows = -(-len(handles) // columns)
    figure.legend(handles=handles, loc="lower center", ncols=columns, fontsize=8)
    figure.tight_layout(rect=(0, 0.055 * rows, 1, 0.98))
    style.save(figure, out, "verdict_front")


def _front_panel(
    axes: Axes, name: str, record: ScenarioRecord, summary: VerdictSummary, colours: Mapping[str, str]
) -> bool:
    """Draw the designs of a scenario; return whether the line of the target is in the panel."""
    shown = [each for each in record["designs"] if each["variant"] in colours]
    watts = [each["watts"] / 1e3 for each in shown]
    intervals = [judged["energy"]["watts_at_exaops"] for judged in record["judged"]]
    target = summary["target_watts"] / 1e3
    ends = [*watts, *(i[end] / 1e3 for i in intervals for end in ("p05", "p95"))]
    # A line far beyond the designs would leave half of the panel empty.
    beyond = target > FAR * max(ends)
    if not beyond:
        ends.append(target)
    # A tail of many times the designs would leave no room for them.
    limits = min(ends) / 1.3, min(max(ends), 6 * max(watts)) * 1.3
    most = max(MOST_LOSS, 1.2 * max(summary["limits"]))
    axes.set(xscale="log", xlim=limits, ylim=(LEAST_LOSS, most), xlabel="kW at 1 exaOPS")
    style.plain_log(axes.xaxis, limits)
    for limit in summary["limits"]:
        axes.axhline(limit, color=style.GREY, lw=0.8, ls=(0, (4, 3)), zorder=1)
        axes.text(
            0.99, limit, f"{limit:g}", transform=axes.get_yaxis_transform(), fontsize=7, color="#555555", ha="right",
            va="bottom",
        )  # fmt: skip
    if beyond:
        axes.text(
            0.98, 0.97, f"target {target:g} kW, beyond \u2192", transform=axes.transAxes, fontsize=7.5,
            color=style.VERMILION, ha="right", va="top",
        )  # fmt: skip
    else:
        axes.axvline(target, color=style.VERMILION, lw=1, ls=(0, (3, 2)), zorder=1)
    for variant, colour in colours.items():
        own = [each for each in shown if each["variant"] == variant]
        _of_variant(axes, own, colour, most)
    for judged, interval in zip(record["judged"], intervals, strict=True):
        at = max(judged["design"]["excess"], LEAST_LOSS)
        right = min(interval["p95"] / 1e3, limits[1])
        axes.plot([interval["p05"] / 1e3, right], [at, at], color="#222222", lw=0.9, zorder=4)
        if interval["p95"] / 1e3 > limits[1]:
            axes.plot(limits[1], at, ">", color="#222222", ms=4, clip_on=False, zorder=5)
        axes.plot(interval["nominal"] / 1e3, at, "*", color="#222222", ms=10, clip_on=False, zorder=5)
    axes.set_title(tables.plain(name))
    return not beyond


def _of_variant(axes: Axes, designs: list[DesignRecord], colour: str, most: float) -> None:
    if not designs:
        return
    x, y = np.array([each["watts"] / 1e3 for each in designs]), np.array([each["excess"] for each in designs])
    for place, marker in MARKERS.items():
        at = [number for number, each in enumerate(designs) if each["attention"] == place and y[number] <= most]
        axes.plot(x[at], y[at], marker, color=colour, ms=4.5, mfc="none", zorder=3)
    for watts in x[y < LEAST_LOSS]:
        axes.plot(watts, LEAST_LOSS, "v", color=colour, ms=5, clip_on=False, zorder=3)
    best = pareto(x, y)
    axes.plot(x[best], y[best], color=colour, lw=1.2, zorder=2)
    labels.mark_leaving(axes, list(x[best]), list(y[best]), color=colour, ms=5)


def _steps(summary: VerdictSummary, out: Path) -> None:
    steps = summary["waterfall"]
    figure, (watts, loss) = style.plt.subplots(
        1, 2, figsize=(9.2, 1.7 + 0.38 * len(steps)), sharey=True, width_ratios=(3, 2)
    )
    places = np.arange(len(steps))
    values = [each["design"]["watts"] / 1e3 for each in steps]
    target = summary["target_watts"] / 1e3
    watts.barh(places, values, color=style.SKY, height=0.62)
    reach = 1.16 * max(*values, target)
    for place, value in zip(places, values, strict=True):
        # At the foot of the bar, off the line of the target.
        watts.text(0.01 * reach, place, f"{value:.3g}", va="center", fontsize=8)
    watts.axvline(target, color=style.VERMILION, lw=1, ls=(0, (3, 2)))
    watts.text(target, -0.75, f" target {target:g} kW", color=style.VERMILION, fontsize=7.5, va="center")
    watts.set(xlim=(0, reach), ylim=(len(steps) - 0.4, -1.1), xlabel="kW at 1 exaOPS")
    watts.set_yticks(places, [each["step"] for each in steps])
    designs = [each["design"] for each in steps]
    loss.errorbar(
        [each["excess"] for each in designs], places, xerr=[each["excess_stderr"] or 0.0 for each in designs], fmt="o",
        color=style.BLUE, ms=4.5, lw=1,
    )  # fmt: skip
    for limit in summary["limits"]:
        loss.axvline(limit, color=style.GREY, lw=0.8, ls=(0, (4, 3)))
        loss.text(limit, -0.75, f" {limit:g}", color="#555555", fontsize=7.5, va="center")
    loss.axvline(0, color="#222222", lw=0.8)
    loss.set(xlabel="loss over 8-bit digital [nats/token]")
    loss.xaxis.set_major_locator(MaxNLocator(5))
    for axes in (watts, loss):
        axes.grid(axis="y", visible=False)
    style.title(figure, f"From the first verdict on projected 2029 to the best design: {summary['shapes']}")
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    style.save(figure, out, "verdict_steps")


def _energy(summary: VerdictSummary, out: Path) -> None:
    judged = {
        tables.named(name, record["judged"][0]["limit"]): record["judged"][0]["energy"]
        for name, record in summary["scenarios"].items()
        if record["judged"]
    }
    title = f"Where the energy of the best designs goes: {summary['shapes']}; per MAC at the plug, 5 to 95 %"
    energy(title, judged, summary["target_watts"], out)


def energy(title: str, judged: Mapping[str, EnergyVerdict], target: float, out: Path) -> None:
    """Write waterfall.png and .pdf, the bills of designs; nothing where there are none.

    Args:
        title: of the figure.
        judged: by name.
        target: in watts at 1 exaOPS.
        out: folder.
    """
    if not judged:
        return
    waterfall.draw(
        title,
        {
            name: {
                line: waterfall.Line(values["nominal"], values["p05"], values["p95"])
                for line, values in each["components"].items()
            }
            for name, each in judged.items()
        },
        target / EXAOPS * 2e15,
        out,
        {name: _total(each["watts_at_exaops"]) for name, each in judged.items()},
        note=billing.small_print(next(iter(judged.values()))["bill_rests_on"]),
    )


def _total(watts: Interval) -> waterfall.Line:
    """fJ/MAC of watts at 1 exaOPS."""
    return waterfall.Line(*(watts[name] / EXAOPS * 2e15 for name in ("nominal", "p05", "p95")))
