"""The model of digital accelerators against every published row, in the fit and held out of it."""

import dataclasses
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import models
from experiments.common import reporting
from experiments.serving.model.system import CALIBRATION
from experiments.serving.validate import figure, report
from experiments.serving.validate.calibration import as_toml, fit, fitted
from experiments.serving.validate.comparison import compare
from experiments.serving.validate.crossvalidation import by_rows, by_system_and_model, cross_validate
from experiments.serving.validate.published import PUBLISHED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accelerators:
    """Digital accelerators: tokens/s and joules per token, predicted against published; fits them anew on request."""

    refit: bool = False
    """Fit again to the rows marked for it, and write the values that the package uses (calibration.toml)."""
    cross_validate: bool = True
    """Also fit without each system and model, and without every fifth row, and predict those."""
    out: Path = Path("runs/accelerators")
    """Folder for summary.json, accelerators.md and the figure."""
    docs: Path | None = None
    """Folder that gets copies of accelerators.md and accelerators.png, such as docs."""


def main(options: Accelerators) -> dict[str, Any]:
    """Compares all rows, prints the medians, writes the table of rows, summary.json and the figure."""
    calibration = CALIBRATION
    if options.refit:
        calibration = fit([row for row in PUBLISHED if row.use == "fit"], models.CONFIGS)
        Path(str(files("experiments.serving.model") / "calibration.toml")).write_text(
            as_toml(calibration), encoding="utf-8"
        )
    found = {"shipped": {row: compare(row, models.CONFIGS, calibration) for row in PUBLISHED}}
    if options.cross_validate:
        found["by_system_and_model"] = cross_validate(PUBLISHED, models.CONFIGS, by_system_and_model)
        found["by_rows"] = cross_validate(PUBLISHED, models.CONFIGS, by_rows)
    inside = {row: report.inside(row, calibration) for row in PUBLISHED}
    summary = {
        "medians": report.medians(found),
        "inside_range": report.share_inside(inside),
        "calibration": {name: dataclasses.asdict(constant) for name, constant in fitted(calibration).items()},
        "rows": [report.row_summary(row, found, inside) for row in PUBLISHED],
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(found["shipped"], options.out)
    page = options.out / "accelerators.md"
    page.write_text(report.page(summary), encoding="utf-8")
    _show(summary, options)
    return summary


def _show(summary: dict[str, Any], options: Accelerators) -> None:
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
