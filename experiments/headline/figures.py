"""Figures of the headline: accuracy against energy, and the energy by component."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.common import billing
from experiments.common.workload import attention_in_words
from experiments.headline.records import HeadlineSummary, LightPoint, OpticalRow, optical_rows
from experiments.plotting import style, waterfall

FJ = 1e15
WORST_SHOWN = 4.0
MACHINES = {"b200": "B200", "h200": "H200", "h100": "H100"}


def draw(summary: HeadlineSummary, out: Path) -> None:
    """Write perplexity_energy and waterfall, each as PNG and PDF."""
    with style.style():
        _perplexity_energy(summary, out)
        rows = optical_rows(summary["rows"])
        waterfall.draw(
            f"Where the energy goes: {summary['model']}{attention_in_words(summary['attention'])}, per MAC at the plug",
            {row["name"]: {name: waterfall.Line(e * FJ) for name, e in row["components"].items()} for row in rows},
            summary["target"]["energy_per_mac_j"] * FJ,
            out,
            note=_bill_note(rows),
        )


def _perplexity_energy(summary: HeadlineSummary, out: Path) -> None:
    figure, axes = style.plt.subplots(figsize=(7.2, 4.4))
    rows = {row["name"]: row for row in summary["rows"]}
    target = summary["target"]["energy_per_mac_j"] * FJ
    axes.set(xscale="log", yscale="log", xlabel="energy per MAC at the plug [fJ]", ylabel="perplexity")
    axes.axhline(rows["digital_fp32"]["perplexity"], color=style.GREY, lw=1, ls=(0, (4, 3)))
    axes.axvline(target, color="#222222", lw=1)
    perplexities = [point["perplexity"] for point in (*summary["rows"], *summary["light_curve"]["points"])]
    best = min(perplexities)
    axes.set_ylim(best / 1.08, 1.25 * max(value for value in perplexities if value <= WORST_SHOWN * best))
    for colour, row in zip(style.SERIES, optical_rows(summary["rows"]), strict=False):
        _light_curve(axes, row, summary["light_curve"]["points"], colour)
    _digital_points(axes, summary, rows["digital_w8a8"]["perplexity"])
    style.plain_log(axes.xaxis, axes.get_xlim())
    style.plain_log(axes.yaxis, axes.get_ylim())
    axes.annotate(
        f"fp32: {rows['digital_fp32']['perplexity']:.2f}",
        (0.005, rows["digital_fp32"]["perplexity"]),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        color="#666666",
    )
    axes.annotate(
        f"{target:g} fJ/MAC: \n1 exaOPS in 10 kW ",
        (target, 0.99),
        xycoords=("data", "axes fraction"),
        va="top",
        ha="right",
        fontsize=8,
    )
    attention = attention_in_words(summary["attention"]).removeprefix(", ")
    title = f"{summary['model']} on {summary['text']}, {summary['windows']} x {summary['window_tokens']} tokens"
    axes.set_title(f"{title},\n{attention}" if attention else title)
    style.note(
        axes,
        -0.17,
        "Large markers: all windows; small ones: other light levels (effective bits), paired difference on "
        f"{summary['light_curve']['windows']} windows.\n"
        "Filled: all products, digital ones included; open: those done with light alone.\n"
        "Digital machines: at the wall, at the utilisation they reach; B200 at FP4, though drawn at W8A8's perplexity."
        + "".join(f"\n{line}" for line in [_bill_note(optical_rows(summary["rows"]))] if line),
    )
    style.save(figure, out, "perplexity_energy")


def _bill_note(rows: Sequence[OpticalRow]) -> str:
    """Basis of the first bill; each core has its own mean drive in summary.json."""
    return billing.small_print(rows[0]["bill_rests_on"]) if rows else ""


def _light_curve(axes: Axes, row: OpticalRow, points: Sequence[LightPoint], colour: str) -> None:
    """Draw a preset at all its light levels, by its whole bill and by the core alone."""
    own = [point for point in points if point["name"] == row["name"]]
    levels: list[LightPoint | OpticalRow] = [*own, row]
    for whole_bill in (True, False):
        curve = sorted((_femtojoules(point, whole_bill), point["perplexity"]) for point in levels)
        x, y = zip(*curve, strict=True)
        face = colour if whole_bill else "white"
        axes.plot(x, y, color=colour, lw=1.4 if whole_bill else 0.9, ls="-" if whole_bill else ":")
        axes.plot(x, y, "o", ms=3.5, mfc=face, mec=colour)
        axes.plot(_femtojoules(row, whole_bill), row["perplexity"], "o", ms=9, mfc=face, mec=colour, mew=1.5)
    for point in own:
        axes.annotate(
            f"{point['effective_bits']:g} b",
            (point["energy_per_mac_j"] * FJ, point["perplexity"]),
            xytext=(5, 3),
            textcoords="offset points",
            annotation_clip=True,
            fontsize=7,
            color=colour,
        )
    inside = [point for point in levels if point is row or point["perplexity"] <= axes.get_ylim()[1]]
    top = max(inside, key=lambda point: point["perplexity"])
    axes.annotate(
        row["name"].replace("_", " "),
        (top["energy_per_mac_j"] * FJ, top["perplexity"]),
        xytext=(0, 12),
        textcoords="offset points",
        ha="center",
        color=colour,
        fontsize=8.5,
        fontweight="bold",
        bbox=style.CLEARED,
        zorder=5,
    )


def _femtojoules(point: LightPoint | OpticalRow, whole_bill: bool) -> float:
    return (point["energy_per_mac_j"] if whole_bill else point["energy_per_mac_on_core_j"]) * FJ


def _digital_points(axes: Axes, summary: HeadlineSummary, perplexity: float) -> None:
    middles = []
    for machine in MACHINES:
        energy = summary["digital_machines"][machine]
        x, low, high = energy["energy_per_mac_j"] * FJ, energy["low"] * FJ, energy["high"] * FJ
        axes.errorbar(x, perplexity, xerr=[[x - low], [high - x]], fmt="s", ms=5, color="#222222", lw=0.8)
        middles.append(x)
    axes.annotate(
        "W8A8 on\n" + ", ".join(MACHINES.values()),
        (np.exp(np.mean(np.log(middles))), perplexity),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
    )
