"""Figures of the target: energy by component, sensitivities, the map, and the Pareto front."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from experiments.common import billing
from experiments.common.candidates import mask_in_words
from experiments.common.verdict import Interval
from experiments.plotting import labels, style, waterfall
from experiments.target import map_figure
from experiments.target.design_space import IMPERFECTIONS, DesignSpace
from experiments.target.records import AccuracyMap, ScenarioVerdict, TargetSummary
from optics import EXAOPS

BARS = 10
MACHINES = {"b200": "B200", "h200": "H200"}
COLOURS = dict(zip(IMPERFECTIONS, (style.BLUE, style.GREEN), strict=True))


def draw(summary: TargetSummary, space: DesignSpace | None, out: Path) -> None:
    """Write waterfall, tornado and, where there is a map, map and pareto, each as PNG and PDF."""
    billed = f"{summary['shapes']}, {summary['workload']}{mask_in_words(summary['mask'])}"
    with style.style():
        waterfall.draw(
            f"Where the energy goes: {billed}; per MAC at the plug, 5 to 95 %",
            {
                name: {
                    line: waterfall.Line(values["nominal"], values["p05"], values["p95"])
                    for line, values in scenario["components"].items()
                }
                for name, scenario in summary["scenarios"].items()
            },
            summary["target"]["fj_per_mac"],
            out,
            {name: _total(scenario["watts_at_exaops"]) for name, scenario in summary["scenarios"].items()},
            note=_bill_note(summary),
        )
        _tornado(summary, out)
        if space is not None and summary["map"] is not None:
            map_figure.draw(summary, summary["map"], space, out)
            _pareto(summary, summary["map"], out)


def _bill_note(summary: TargetSummary) -> str:
    """Basis of the bill of the first scenario; each has its own mean drive in summary.json."""
    return billing.small_print(next(iter(summary["scenarios"].values()))["bill_rests_on"])


def _total(watts: Interval) -> waterfall.Line:
    """fJ/MAC of watts at 1 exaOPS."""
    return waterfall.Line(*(watts[name] / EXAOPS * 2e15 for name in ("nominal", "p05", "p95")))


def _tornado(summary: TargetSummary, out: Path) -> None:
    scenarios = summary["scenarios"]
    figure, panels = style.plt.subplots(1, len(scenarios), figsize=(1.4 + 4.1 * len(scenarios), 4.6), squeeze=False)
    for axes, (name, scenario) in zip(panels[0], scenarios.items(), strict=True):
        _tornado_panel(axes, name, scenario, summary["target"]["watts"])
    style.title(
        figure,
        f"What decides the watts{mask_in_words(summary['mask'])}: each constant alone at the ends of its range; S, its "
        "Sobol total index of ln(watts); *\u00a0assumed",
    )
    handles = [
        Patch(color=style.SKY, label="at its low end"),
        Patch(color=style.VERMILION, label="at its high end"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=2, fontsize=8)
    figure.tight_layout(rect=(0, 0.05, 1, 0.97), w_pad=3.0)
    style.save(figure, out, "tornado")


def _tornado_panel(axes: Axes, name: str, scenario: ScenarioVerdict, target: float) -> None:
    nominal = scenario["watts_at_exaops"]["nominal"] / 1e3
    fields = list(scenario["tornado"])[:BARS]
    swings = [(scenario["tornado"][field]["low"] / 1e3, scenario["tornado"][field]["high"] / 1e3) for field in fields]
    for y, (low, high) in enumerate(swings):
        for end, colour in ((low, style.SKY), (high, style.VERMILION)):
            axes.barh(y, end - nominal, left=nominal, color=colour, height=0.65)
        index = scenario["sobol"][fields[y]]["total"]
        axes.text(
            1.01, y, f"{index:.2f}", transform=axes.get_yaxis_transform(), va="center", fontsize=7.5, color="#444444"
        )
    axes.text(1.01, -1.1, "S", transform=axes.get_yaxis_transform(), va="center", fontsize=8, fontweight="bold")
    axes.set(xscale="log", xlabel="kW at 1 exaOPS", ylim=(len(fields) - 0.4, -1.5))
    ends = [nominal, target / 1e3, *np.ravel(swings)]
    axes.set_xlim(min(ends) / 1.15, max(ends) * 1.15)
    axes.axvline(nominal, color="#222222", lw=0.8)
    axes.axvline(target / 1e3, color=style.VERMILION, lw=1, ls=(0, (3, 2)))
    side = "left" if target / 1e3 < nominal else "right"
    axes.text(target / 1e3, -1.1, f" {target / 1e3:g} kW ", color=style.VERMILION, fontsize=7.5, va="center", ha=side)
    marks = ["*" if scenario["constants"][field]["mark"] == "assumed" else "" for field in fields]
    axes.set_yticks(range(len(fields)), [f"{f}{mark}" for f, mark in zip(fields, marks, strict=True)], fontsize=7.5)
    axes.grid(axis="y", visible=False)
    style.plain_log(axes.xaxis, axes.get_xlim())
    axes.set_title(f"{name.replace('_', ' ')}: {nominal:.3g} kW")


def _pareto(summary: TargetSummary, accuracy: AccuracyMap, out: Path) -> None:
    figure, axes = style.plt.subplots(figsize=(7.2, 4.6))
    scale = accuracy["nll_per_kl"]
    axes.set(xscale="log", yscale="log", xlabel="kW at 1 exaOPS", ylabel="delta NLL [nats/token], from KL")
    for how, colour in COLOURS.items():
        points = [p for p in accuracy["points"] if p["imperfections"] == how]
        for size, marker in zip(accuracy["axes"]["sizes"], "os^D", strict=False):
            at = [p for p in points if p["size"] == size]
            axes.plot(
                [p["watts"] / 1e3 for p in at],
                [scale * p["kl"] for p in at],
                marker,
                ms=3.5,
                color=colour,
                alpha=0.55,
                label=f"{size} rows" if how == next(iter(IMPERFECTIONS)) else None,
            )
        best = accuracy["fronts"][how]
        axes.plot([p["watts"] / 1e3 for p in best], [scale * p["kl"] for p in best], color=colour, lw=1.6)
    stars = {
        name.replace("_", " "): (each["watts_at_exaops"]["nominal"] / 1e3, scale * each["kl"])
        for name, each in summary["scenarios"].items()
    }
    for at in stars.values():
        axes.plot(*at, "*", ms=11, color="#222222", zorder=5)
    target = summary["target"]["watts"] / 1e3
    axes.axvline(target, color=style.VERMILION, lw=1, ls=(0, (3, 2)))
    _w8a8(axes, summary, scale)
    # Room for names at the ends of the curves.
    axes.set_xlim(axes.get_xlim()[0] / 1.5, axes.get_xlim()[1] * 1.5)
    style.plain_log(axes.xaxis, axes.get_xlim())
    style.plain_log(axes.yaxis, axes.get_ylim())
    _names(axes, summary, accuracy, stars)
    labels.legend_below(axes, -0.15, handletextpad=0.2)
    axes.set_title("Watts against accuracy, from the same cores")
    style.note(
        axes,
        -0.22,
        f"Watts: {summary['shapes']}, {summary['workload']}{mask_in_words(summary['mask'])}. "
        f"Accuracy: {summary['model']}.\n"
        "Lines: Pareto fronts at the scenario's own clock; stars: the scenarios as they are.\n"
        "Digital machines at the utilisation they reach; B200 at FP4, though drawn at the loss of W8A8.\n"
        + _bill_note(summary),
    )
    style.save(figure, out, "pareto")


def _names(axes: Axes, summary: TargetSummary, accuracy: AccuracyMap, stars: Mapping[str, tuple[float, float]]) -> None:
    """Name the target, the digital machines, the scenarios and the fronts, off what is drawn."""
    scale, target = accuracy["nll_per_kl"], summary["target"]["watts"] / 1e3
    top, level = ("data", "axes fraction"), scale * summary["digital"]["digital_w8a8"]["kl"]
    labels.beside(axes, f"{target:g} kW", (target, 1.0), ("below left", "below right"), top, fontsize=8,
                  color=style.VERMILION)  # fmt: skip
    for machine, name in MACHINES.items():
        at = summary["digital_watts"][machine] / 1e3, level
        labels.beside(axes, name, at, ("below", "below right", "below left", "above"), fontsize=style.SMALL)
    right = ("axes fraction", "data")
    labels.beside(axes, "digital W8A8", (1.0, level), ("above left", "below left"), right, fontsize=8)
    for name, at in stars.items():
        labels.beside(axes, name, at, fontsize=8)
    for how, colour in COLOURS.items():
        end = accuracy["fronts"][how][-1]
        text = f"{accuracy['scenario'].replace('_', ' ')},\nimperfections {how}"
        at = end["watts"] / 1e3, scale * end["kl"]
        sides = ("right", "below right", "above right", "below", "below left")
        labels.beside(axes, text, at, sides, color=colour, fontsize=8)


def _w8a8(axes: Axes, summary: TargetSummary, scale: float) -> None:
    level = scale * summary["digital"]["digital_w8a8"]["kl"]
    axes.axhline(level, color=style.GREY, lw=0.8, ls=(0, (4, 3)))
    watts = [summary["digital_watts"][name] / 1e3 for name in MACHINES]
    axes.plot(watts, [level] * len(watts), "s", ms=5, color="#222222")
    axes.set_ylim(min(axes.get_ylim()[0], level / 1.6), None)
