"""Figures of the headline: accuracy against energy, and the energy by component."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments.common import billing
from experiments.common.candidates import mask_in_words
from experiments.common.workload import attention_in_words
from experiments.headline.records import HeadlineSummary, LightPoint, OpticalRow, optical_rows
from experiments.plotting import labels, style, waterfall

FJ = 1e15
WORST_SHOWN = 4.0
MACHINES = {"b200": "B200", "h200": "H200", "h100": "H100"}


def draw(summary: HeadlineSummary, out: Path) -> None:
    """Write perplexity_energy and waterfall, each as PNG and PDF."""
    with style.style():
        _perplexity_energy(summary, out)
        rows = optical_rows(summary["rows"])
        waterfall.draw(
            f"Where the energy goes: {summary['model']}{_machine_in_words(summary)}, per MAC at the plug",
            {row["name"]: {name: waterfall.Line(e * FJ) for name, e in row["components"].items()} for row in rows},
            summary["target"]["energy_per_mac_j"] * FJ,
            out,
            note=_bill_note(rows),
        )


def _machine_in_words(summary: HeadlineSummary) -> str:
    """The mask and the attention of all presets, where they are not the usual."""
    return mask_in_words(summary["mask"]) + attention_in_words(summary["attention"])


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
    # Room for names at either side of the curves.
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.6, high * 1.6)
    style.plain_log(axes.xaxis, axes.get_xlim())
    style.plain_log(axes.yaxis, axes.get_ylim())
    leaving = _names(axes, summary, target)
    machine = _machine_in_words(summary).removeprefix(", ")
    title = f"{summary['model']} on {summary['text']}, {summary['windows']} x {summary['window_tokens']} tokens"
    axes.set_title(f"{title},\n{machine}" if machine else title)
    style.note(
        axes,
        -0.17,
        "Large markers: all windows, bars: standard error of the paired difference; small ones: other light\n"
        f"levels (effective bits), of {summary['light_curve']['windows']} windows."
        f"{' Triangles: curves that go on beyond the frame.' if leaving else ''}\n"
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
    for whole_bill in (True, False):
        x, y = _curve(row, points, whole_bill)
        face = colour if whole_bill else "white"
        axes.plot(x, y, color=colour, lw=1.4 if whole_bill else 0.9, ls="-" if whole_bill else ":")
        axes.plot(x, y, "o", ms=3.5, mfc=face, mec=colour)
        at = _femtojoules(row, whole_bill), row["perplexity"]
        axes.plot(*at, "o", ms=9, mfc=face, mec=colour, mew=1.5)
        if row["delta_nll_stderr"] is not None:
            error = row["perplexity"] * np.expm1([[-row["delta_nll_stderr"]], [row["delta_nll_stderr"]]])
            axes.errorbar(*at, yerr=np.abs(error), fmt="none", ecolor="#222222", elinewidth=0.8, capsize=2, zorder=4)


def _names(axes: Axes, summary: HeadlineSummary, target: float) -> bool:
    """Mark the curves that leave the frame, name all curves, points and lines, and return whether a curve leaves it."""
    low, high = axes.get_ylim()
    points, leaving = summary["light_curve"]["points"], False
    rows = {row["name"]: row for row in summary["rows"]}
    drawn = list(zip(style.SERIES, optical_rows(summary["rows"]), strict=False))
    for colour, row in drawn:
        for whole_bill in (True, False):
            face = colour if whole_bill else "white"
            found = labels.mark_leaving(axes, *_curve(row, points, whole_bill), ms=6, mfc=face, mec=colour)
            leaving = leaving or bool(found)
    for colour, row in drawn:
        look = {"color": colour, "zorder": 5}
        beyond = row["perplexity"] > high
        # A core whose own perplexity is above the frame is named at the frame.
        at = _femtojoules(row, whole_bill=True), min(row["perplexity"], high)
        name = row["name"].replace("_", " ") + (f": {row['perplexity']:.3g}" if beyond else "")
        sides = ("right", "above right", "below left", "left", "above", "below")
        labels.beside(axes, name, at, sides, fontsize=8.5, fontweight="bold", **look)
        for point in points:
            if point["name"] == row["name"] and low < point["perplexity"] < high:
                at = _femtojoules(point, whole_bill=True), point["perplexity"]
                text = f"{point['effective_bits']:g} b"
                labels.beside(axes, text, at, ("above right", "right", "above", "below", "left"), fontsize=7, **look)
    exact = rows["digital_fp32"]["perplexity"]
    labels.beside(axes, f"fp32: {exact:.2f}", (1.0, exact), ("below left", "above left"),
                  ("axes fraction", "data"), color="#666666")  # fmt: skip
    labels.beside(axes, f"{target:g} fJ/MAC:\n1 exaOPS in 10 kW", (target, 1.0), ("below left", "below right"),
                  ("data", "axes fraction"), fontsize=8)  # fmt: skip
    energies = [summary["digital_machines"][machine]["energy_per_mac_j"] * FJ for machine in MACHINES]
    at = float(np.exp(np.mean(np.log(energies)))), rows["digital_w8a8"]["perplexity"]
    labels.beside(axes, "W8A8 on\n" + ", ".join(MACHINES.values()), at, ("above", "below", "above left"), fontsize=7.5)
    return leaving


def _curve(
    row: OpticalRow, points: Sequence[LightPoint], whole_bill: bool
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(energies [fJ/MAC], perplexities) of a preset at all its light levels, by rising energy."""
    levels: list[LightPoint | OpticalRow] = [*(point for point in points if point["name"] == row["name"]), row]
    x, y = zip(*sorted((_femtojoules(point, whole_bill), point["perplexity"]) for point in levels), strict=True)
    return x, y


def _femtojoules(point: LightPoint | OpticalRow, whole_bill: bool) -> float:
    return (point["energy_per_mac_j"] if whole_bill else point["energy_per_mac_on_core_j"]) * FJ


def _digital_points(axes: Axes, summary: HeadlineSummary, perplexity: float) -> None:
    for machine in MACHINES:
        energy = summary["digital_machines"][machine]
        x, low, high = energy["energy_per_mac_j"] * FJ, energy["low"] * FJ, energy["high"] * FJ
        axes.errorbar(x, perplexity, xerr=[[x - low], [high - x]], fmt="s", ms=5, color="#222222", lw=0.8)
