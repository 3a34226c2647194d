"""`otc gain`: perplexity against the gain before the ADC, with adaptive block floating point (ABFP).

On tiles of 128 rows whose output range covers every possible sum, 8 output bits lose the small sums of a trained model.
Gain before the converter, which clips the few large sums, recovers most of the loss. Basumallik et al. 2022, arXiv
2205.06287.
"""

import dataclasses
import math
from pathlib import Path
from typing import TypedDict

import numpy as np

import optics
from experiments.common import reporting
from experiments.common.text_options import TextDescription, TextOptions
from experiments.evaluation.measure import measure
from experiments.evaluation.records import Evaluation, EvaluationCase
from experiments.plotting import labels, style
from experiments.plotting.style import BLUE, GREY, VERMILION

ROUNDING = ("dac_rounding", "weight_rounding", "adc_rounding", "adc_clipping")
SERIES = {"rounding alone": ROUNDING, "with noise of one step": (*ROUNDING, "adc_noise")}
WORST_DRAWN = 1e4
"""Perplexity at the top of the frame, through which curves beyond it leave."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GainOptions(TextOptions):
    """Perplexity against the gain before the ADC, on narrow tiles with block floating point (ABFP)."""

    windows: int = 2
    """Windows of the text that are scored."""
    window_tokens: int = 256
    """Tokens in a window."""
    gains: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    """Gains to run."""
    tile: int = 128
    """Rows of a tile, each with its own scales."""
    bits: int = 8
    """Bits of inputs, weights and outputs, sign included."""
    out: Path = Path("runs/gain")
    """Folder for summary.json, the figure, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        if not self.gains or min(self.gains) <= 0:
            raise ValueError(f"gains = {self.gains} must be numbers above 0, at least one")
        if self.tile < 1:
            raise ValueError(f"tile = {self.tile} must be at least 1 row")
        if not 2 <= self.bits <= 16:
            raise ValueError(f"bits = {self.bits} must be between 2 and 16")


class GainRow(TypedDict):
    """Perplexity at one gain, and the loss over fp32 [nats per token]."""

    series: str
    gain: float
    perplexity: float
    delta_nll: float


class GainSummary(TextDescription):
    """The content of summary.json."""

    tile: int
    bits: int
    fp32_perplexity: float
    rows: list[GainRow]
    versions: dict[str, str]


def main(options: GainOptions) -> GainSummary:
    """Run every gain with and without noise, print the table, write summary.json and the figure."""
    options.check()
    cores = {(name, gain): _core(options, effects, gain) for name, effects in SERIES.items() for gain in options.gains}
    checkpoint, windows = options.load()
    cases = [EvaluationCase(name="fp32", core=None, windows=options.windows)]
    cases += [
        EvaluationCase(name=f"{name}, gain {gain:g}", core=core, windows=options.windows)
        for (name, gain), core in cores.items()
    ]
    results = measure(checkpoint, windows, cases, options.seed, options.out / "results.sqlite")
    exact = _nll(results["fp32"])
    rows: list[GainRow] = [
        {"series": name, "gain": gain, "perplexity": _perplexity(nll), "delta_nll": float(np.mean(nll - exact))}
        for name, gain in cores
        for nll in [_nll(results[f"{name}, gain {gain:g}"])]
    ]
    summary: GainSummary = {
        **options.described(),
        "tile": options.tile,
        "bits": options.bits,
        "fp32_perplexity": _perplexity(exact),
        "rows": rows,
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    _draw(summary, options.out)
    _print_report(summary, options.out)
    return summary


def _core(options: GainOptions, effects: tuple[str, ...], gain: float) -> optics.TensorCore:
    """Return a core with ABFP's numerics: symmetric codes of `bits`, sign included, and a range of `tile` products."""
    magnitude = options.bits - 1
    return optics.today(rows=options.tile, columns=2048).replace(
        {
            "effects": optics.Effects.only(*effects),
            "encoding.scales": "tile",
            "adc.span": "rows",
            "adc.gain": gain,
            "dac.bits": magnitude,
            "dac.enob": magnitude,
            "mask.bits": magnitude,
            "adc.bits": options.bits,
            # Noise uniform over a step has the variance of the rounding: together they cost half a bit.
            "adc.enob": max(1.0, math.log2(2**options.bits - 2) - 0.5),
        }
    )


def _nll(result: Evaluation) -> np.ndarray:
    return np.array([window["nll"] for window in result.windows])


def _perplexity(nll: np.ndarray) -> float:
    return math.exp(np.mean(nll))


def _print_report(summary: GainSummary, out: Path) -> None:
    print(
        f"\n{summary['model']} on {summary['text']}, {summary['windows']} x {summary['window_tokens']} tokens; "
        f"tiles of {summary['tile']} rows, {summary['bits']} bits in, weights and out; "
        f"fp32 {summary['fp32_perplexity']:.2f}"
    )
    cells = [
        (r["series"], f"{r['gain']:g}", f"{r['perplexity']:.4g}", f"{r['delta_nll']:+.3f}") for r in summary["rows"]
    ]
    print(reporting.table([("", "gain", "perplexity", "delta NLL"), *cells]))
    print(f"Written: {out}/summary.json, gain.png/.pdf")


def _draw(summary: GainSummary, out: Path) -> None:
    with style.style():
        figure, axes = style.plt.subplots(figsize=(5.6, 3.8))
        axes.set(xscale="log", yscale="log", xlabel="gain before the ADC", ylabel="perplexity")
        floor = summary["fp32_perplexity"]
        axes.axhline(floor, color=GREY, lw=1, ls=(0, (4, 3)))
        axes.annotate(f" fp32 {floor:.1f}", (0, floor), xycoords=("axes fraction", "data"), va="bottom")
        gains = sorted({row["gain"] for row in summary["rows"]})
        axes.set(xlim=(gains[0] / 1.2, 1.2 * gains[-1]), ylim=(floor * 0.75, WORST_DRAWN))
        for name, colour in zip(SERIES, (BLUE, VERMILION), strict=True):
            points = [(row["gain"], row["perplexity"]) for row in summary["rows"] if row["series"] == name]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, ms=5, label=name)
            labels.mark_leaving(axes, *zip(*points, strict=True), color=colour, ms=6)
            if all(value > WORST_DRAWN for _, value in points):
                axes.plot(
                    [gain for gain, _ in points], [WORST_DRAWN] * len(points), "^", color=colour, ms=6, clip_on=False
                )
        axes.set_xticks(gains)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.minorticks_off()
        axes.set_title(f"{summary['model']}, tiles of {summary['tile']} rows, {summary['bits']}-bit output")
        style.note(
            axes,
            -0.2,
            f"{summary['windows']} x {summary['window_tokens']} tokens of {summary['text']}. "
            "Triangles: the curve goes on above the frame.",
        )
        labels.legend_below(axes, -0.3)
        style.save(figure, out, "gain")
