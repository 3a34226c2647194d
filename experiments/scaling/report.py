"""Report of the scaling on the terminal."""

from pathlib import Path

import numpy as np

from experiments.common import reporting
from experiments.scaling.laws import at_level
from experiments.scaling.records import FitRecord, ModelRow, ScalingSummary

SITES = (("mean_drive", "Mean drive", ".3f"), ("crest_factor", "Crest factor", ".1f"), ("rho", "rho", ".3f"))


def print_report(summary: ScalingSummary, out: Path) -> None:
    """Print losses, what the light sees, laws and the statement."""
    rows = summary["rows"]
    print(
        f"\nOn {summary['core']}, {summary['text']}, windows of {summary['window_tokens']} tokens; tiny models of "
        f"bytes trained on {summary['trained_on']} to {summary['target_loss']:g} nats per byte"
    )
    print(reporting.table(model_rows(summary)))
    print(
        f"KL in nats per token, at so many photons per MAC and at the core's own source power. SNR: signal over error, "
        f"mean over sites, at {summary['reference']:,.0f} photons. Exponent: d ln KL / d ln noise over the levels."
    )
    if summary["seed_spread"] is not None:
        print(f"Standard deviation of ln KL over seeds of one size: {summary['seed_spread']:.2f}.")
    print("\nDelta NLL [nats per token]:")
    print(reporting.table([("", *(f"at {level:,.0f}" for level in summary["photons"])), *map(_delta_cells, rows)]))
    kinds = list(dict.fromkeys(kind for row in rows for kind in row["sites"]))
    for name, title, form in SITES:
        print(f"\n{title} by kind of site, medians over layers:")
        print(reporting.table([("", *kinds), *(_site_cells(row, kinds, name, form) for row in rows)]))
    print(f"\nLaws of the tiny models at {summary['reference']:,.0f} photons per MAC, and what they predict:")
    print(reporting.table(law_rows(summary)))
    print(f"\n{summary['statement']}")
    print(f"Written: {out}/summary.json, scaling.png/.pdf, models/")


def model_rows(summary: ScalingSummary) -> list[tuple[str, ...]]:
    """Return sizes and losses, a row per model, the header first."""
    levels = (f"KL at {level:,.0f}" for level in summary["photons"])
    sizes = ("parameters", "width", "layers", "steps", "NLL")
    header = ("", *sizes, *levels, "KL at own power", "drive", "SNR dB", "exponent")
    return [header, *(_cells(row, summary["reference"]) for row in summary["rows"])]


def law_rows(summary: ScalingSummary) -> list[tuple[str, ...]]:
    """Return the laws of the tiny models, what they predict and what is measured, the header first."""
    header = ("", "in", "exponents", "predicted", "95 %", "measured", "ratio", "")
    return [header, *map(_fit_cells, summary["fits"])]


def _cells(row: ModelRow, reference: float) -> tuple[str, ...]:
    training = row["training"]
    return (
        row["name"],
        f"{row['parameters']:,}",
        str(row["width"]),
        str(row["layers"]),
        "-" if training is None else str(training["steps"]),
        f"{row['digital_nll']:.3f}",
        *(with_error(point["kl"], point["kl_stderr"]) for point in row["points"]),
        with_error(row["own"]["kl"], row["own"]["kl_stderr"]),
        f"{row['mean_drive']:.3f}",
        snr_db(row, reference),
        "-" if row["exponent"] is None else f"{row['exponent']:.2f}",
    )


def _delta_cells(row: ModelRow) -> tuple[str, ...]:
    return (row["name"], *(with_error(each["delta_nll"], each["delta_nll_stderr"]) for each in row["points"]))


def _site_cells(row: ModelRow, kinds: list[str], name: str, form: str) -> tuple[str, ...]:
    values = [row["sites"].get(kind, {}).get(name) for kind in kinds]
    return (row["name"], *("-" if value is None else format(value, form) for value in values))


def _fit_cells(fit: FitRecord) -> tuple[str, ...]:
    return (
        fit["quantity"],
        " and ".join(fit["sizes"]),
        exponents(fit),
        f"{fit['predicted']:.3g}",
        f"{fit['low']:.2g} to {fit['high']:.2g}",
        f"{fit['measured']:.3g}",
        f"{fit['ratio']:.2g}",
        fit["verdict"],
    )


def exponents(fit: FitRecord) -> str:
    """Return the exponents of a law with their standard errors."""
    pairs = zip(fit["exponents"], fit["stderrs"], strict=True)
    return ", ".join(f"{value:+.2f} ± {error:.2f}" for value, error in pairs)


def snr_db(row: ModelRow, reference: float) -> str:
    """Return the signal over the mean error of a model at a light level [dB], or nothing on an exact core."""
    noise = at_level(row, reference)["noise"]
    return f"{-10 * np.log10(noise):.1f}" if noise > 0 else "-"


def with_error(value: float, error: float | None) -> str:
    """Return a loss with its standard error, to the second digit of the latter."""
    if error is None or error <= 0:
        return f"{value:.3g}"
    places = min(max(1 - int(np.floor(np.log10(error))), 0), 6)
    return f"{value:.{places}f} ± {error:.{places}f}"
