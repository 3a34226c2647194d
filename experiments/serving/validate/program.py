"""`otc accelerators`: validation of the model of digital machines against published rows, in and out of the fit."""

import dataclasses
import shutil
from importlib.resources import files
from pathlib import Path

import models
from experiments.common import reporting
from experiments.serving.model.system import CALIBRATION
from experiments.serving.validate import figure, report
from experiments.serving.validate.calibration import as_toml, fit, fitted
from experiments.serving.validate.comparison import compare
from experiments.serving.validate.crossvalidation import by_rows, by_system_and_model, cross_validate
from experiments.serving.validate.published import PUBLISHED
from experiments.serving.validate.records import ValidationSummary


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceleratorsOptions:
    """Digital accelerators: tokens/s and joules per token, predicted against published, and the fit behind them."""

    refit: bool = False
    """Fit again to the rows whose use is fit, and write the values that the package uses (calibration.toml)."""
    cross_validate: bool = True
    """Also fit without each system and model, and without every fifth row, and predict those."""
    out: Path = Path("runs/accelerators")
    """Folder for summary.json, accelerators.md and the figure."""
    docs: Path | None = None
    """Folder for copies of accelerators.md and accelerators.png, such as docs."""


def main(options: AcceleratorsOptions) -> ValidationSummary:
    """Compare all rows, print the medians, write the table of rows, summary.json and the figure."""
    calibration = CALIBRATION
    if options.refit:
        calibration = fit([row for row in PUBLISHED if row.use == "fit"], models.CONFIGS)
        Path(str(files("experiments.serving.model") / "calibration.toml")).write_text(
            as_toml(calibration), encoding="utf-8"
        )
    by_fit = {"shipped": {row: compare(row, models.CONFIGS, calibration) for row in PUBLISHED}}
    if options.cross_validate:
        by_fit["by_system_and_model"] = cross_validate(PUBLISHED, models.CONFIGS, by_system_and_model)
        by_fit["by_rows"] = cross_validate(PUBLISHED, models.CONFIGS, by_rows)
    inside = {row: report.inside_range(row, calibration) for row in PUBLISHED}
    summary: ValidationSummary = {
        "medians": report.medians(by_fit),
        "inside_range": report.inside_share(inside),
        "calibration": {name: dataclasses.asdict(constant) for name, constant in fitted(calibration).items()},
        "rows": [report.row_record(row, by_fit, inside[row]) for row in PUBLISHED],
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(by_fit["shipped"], options.out)
    page = options.out / "accelerators.md"
    page.write_text(report.page(summary), encoding="utf-8")
    _print_report(summary, options)
    return summary


def _print_report(summary: ValidationSummary, options: AcceleratorsOptions) -> None:
    print(reporting.table(report.median_rows(summary["medians"])))
    share = summary["inside_range"]
    shares = f"{share['tokens_per_s']:.0%} in tokens/s, {share['j_per_token']:.0%} in J/token"
    print(f"\nHeld-out rows inside the predicted range: {shares}")
    written = [f"{options.out}/summary.json, accelerators.md, accelerators.png/.pdf"]
    if options.docs:
        for name in ("accelerators.md", "accelerators.png"):
            shutil.copyfile(options.out / name, options.docs / name)
        written.append(f"{options.docs}/accelerators.md, accelerators.png")
    if options.refit:
        written.append("calibration.toml")
    print(f"Written: {'; '.join(written)}")
