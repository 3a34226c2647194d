"""Report of the width program on the terminal: tables, slopes, and the law that each slope agrees with."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.common import reporting
from experiments.width.figure import geometric_mean
from experiments.width.records import JudgedSlope, LayerNeeds, WidthSummary


def print_report(summary: WidthSummary, out: Path) -> None:
    """Print the needs of the layers and of random matrices, the slopes, and the law that each slope agrees with."""
    layers, predictions, slopes = summary["layers"], summary["predictions"], summary["slopes"]
    loss, divergence = f"at {summary['snr_db']:g} dB", f"at KL {summary['kl']:g}"
    print(
        f"\n{summary['model']} on {summary['text']}, {summary['windows']} x {summary['window_tokens']} tokens; "
        "shot noise alone, lossless optics; photons per MAC:"
    )
    rows: list[tuple[str, ...]] = [
        ("", "N", f"{loss}, detected", "10 to 90 %", "launched", "signs shuffled", f"{divergence}, detected", "")
    ]
    for kind, of in layers.items():
        needs, error = np.array(of["detected"])[:, -1], predictions[kind]["relative_stderr"]
        rows.append(
            (
                kind,
                f"{of['widths'][-1]}",
                f"{geometric_mean(needs):.3g}",
                "{:.3g} to {:.3g}".format(*np.percentile(needs, (10, 90))),
                f"{geometric_mean(of['launched']):.3g}",
                f"{geometric_mean(of['signs_shuffled'])[-1]:.3g}",
                f"{predictions[kind]['detected']:.3g}",
                "" if error is None else f"± {100 * error:.0f} %",
            )
        )
    print(reporting.table(rows))
    rows = [(f"{loss}, detected", *(f"{width}" for width in sorted({row["width"] for row in summary["random"]})))]
    for series in dict.fromkeys(row["series"] for row in summary["random"]):
        means = {row["width"]: geometric_mean(row["detected"]) for row in summary["random"] if row["series"] == series}
        rows.append((f"random matrices, {series}", *(f"{means[width]:.3g}" for width in sorted(means))))
    print("\n" + reporting.table(rows))
    rows = [("d ln(photons per MAC) / d ln N", "slope", "", "points", "", "signs shuffled", "")]
    for name, of in slopes.items():
        cells = [f"{of['slope']:+.3f}", f"± {of['stderr']:.3f}", f"{of['points']}", of["verdict"], "", ""]
        if "shuffled_slope" in of and "shuffled_stderr" in of:
            cells[-2:] = f"{of['shuffled_slope']:+.3f}", f"± {of['shuffled_stderr']:.3f}"
        rows.append((name, *cells))
    print("\n" + reporting.table(rows))
    print(_in_words(layers, slopes))
    print(f"Written: {out}/summary.json, width.png/.pdf")


def _in_words(layers: Mapping[str, LayerNeeds], slopes: Mapping[str, JudgedSlope]) -> str:
    by_width: dict[int, list[str]] = {}
    by_verdict: dict[str, list[str]] = {}
    for kind, of in layers.items():
        by_width.setdefault(of["widths"][-1], []).append(kind)
        by_verdict.setdefault(slopes[f"within layers, {kind}"]["verdict"], []).append(kind)
    gains = {
        kind: geometric_mean(of["signs_shuffled"])[-1] / geometric_mean(of["detected"])[-1]
        for kind, of in layers.items()
    }
    within_layers = slopes["within layers"]
    assert "shuffled_slope" in within_layers and "shuffled_stderr" in within_layers
    shuffled_slope, shuffled_stderr = within_layers["shuffled_slope"], within_layers["shuffled_stderr"]
    least, most = (pick(gains.items(), key=lambda item: item[1])[0] for pick in (min, max))
    between = "; ".join(f"{width}: {', '.join(kinds)}" for width, kinds in by_width.items())
    within = "; ".join(f"{verdict} ({', '.join(kinds)})" for verdict, kinds in by_verdict.items())
    return (
        f"Between layers, width goes with kind ({between}), so what a kind needs passes for width.\n"
        f"Within layers, 1/16 to all of the inputs: {within}.\n"
        f"With signs shuffled the slope within layers is {shuffled_slope:+.3f} ± "
        f"{shuffled_stderr:.3f}: so much comes of the sizes of the terms alone.\n"
        f"Agreement among the terms divides the light by {gains[least]:.2f} ({least}) to {gains[most]:.2f} ({most}) at "
        "full N; if it were complete, 1/N would hold."
    )
