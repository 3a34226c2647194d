"""`otc adapt`: how much of a language model's loss on light is gone once the model is prepared for light.

Each method is run over light levels. Its curve is read where it has the launched photons, the peak source power and the
watts of the unprepared model: preparation changes the mean drive of the sources, so that the three differ.
"""

from pathlib import Path

import models
import optics
from experiments.adapt import figure, report
from experiments.adapt.adapting import Adapting
from experiments.adapt.options import AdaptOptions
from experiments.adapt.records import AdaptSummary
from experiments.common import reporting
from experiments.common.candidates import load_core
from experiments.evaluation.measure import Evaluator
from models.equivalent.changes import check_decoder
from optics.core.by_site import Machine

CORE = "core.toml"
DESIGN = "design.toml"


def main(options: AdaptOptions) -> AdaptSummary:
    """Run all methods, print the tables, write summary.json, the figure and the best model, return the summary."""
    options.check()
    core = load_core(options.preset, options.core)
    checkpoint, windows = options.load()
    check_decoder(checkpoint)
    with Evaluator(checkpoint, options.seed, options.out / "results.sqlite") as evaluator:
        rows, best = Adapting(options, core, checkpoint, windows, evaluator).run()
    summary: AdaptSummary = {
        **options.described(),
        "core": str(options.core or options.preset),
        "attention": options.attention,
        "calibrated_on": options.calibrate_on,
        "calibration_windows": options.calibration_windows,
        "keys": options.keys,
        "devices": list(options.devices),
        "shapes": options.shapes,
        "kl": options.kl,
        "rows": rows,
        "best": best.name,
        "versions": reporting.versions(),
    }
    if options.save:
        folder = options.out / "model"
        models.save(best.checkpoint, folder, overwrite=True)
        machine = best.setting.machine(core)
        summary["saved"], summary["machine"] = str(folder), _saved(machine, options.out)
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary


def _saved(machine: Machine, out: Path) -> str:
    """Write a core or a design and return the name of its file."""
    if isinstance(machine, optics.CoresBySite):
        return optics.save_by_site(machine, out / DESIGN)[0].name
    optics.serialise.save(machine, out / CORE)
    return CORE
