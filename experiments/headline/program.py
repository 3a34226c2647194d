"""`otc headline`: accuracy and energy of a language model, digital and optical, from the same cores in one run."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import models
import optics
from electronics.digital import measured
from experiments.common import reporting
from experiments.common.candidates import assumptions, check_design, masked_preset
from experiments.common.text_options import TextOptions
from experiments.common.workload import Attention
from experiments.evaluation.measure import measure
from experiments.evaluation.paired import digital_cases
from experiments.evaluation.records import EvaluationCase
from experiments.headline import figures, report
from experiments.headline.records import HeadlineSummary, MeasuredRunRecord, Target
from experiments.headline.rows import ModelPricer, digital_row, light_point, optical_row
from optics.core.by_site import Machine
from optics.energy.bill import OMITTED

LIGHT_WINDOWS = 4
TARGET: Target = {"energy_per_mac_j": 20e-15, "watts": 10e3, "ops_per_s": optics.EXAOPS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadlineOptions(TextOptions):
    """A real language model on real text, digital against optical presets: accuracy and energy in one paired run."""

    presets: tuple[str, ...] = ("today", "projected_2029", "physical_limit")
    """Optical presets or devices to run beside fp32 and W8A8: today, projected_2029, lumai_tetra, ... (README)."""
    cores: Path | None = None
    """A design with a core for each site, .toml, as one more row (docs/guide/cores.md)."""
    mask: str | None = None
    """Technology of the weight mask of the presets, which are then scenarios (docs/guide/cores.md)."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    effective_bits: float = 7.0
    """Bits against the product's own rms that size the light of the presets."""
    light: tuple[float, ...] = (6.0, 8.0)
    """More effective bits, for the curve of accuracy against light, on the first four windows; may be empty."""
    out: Path = Path("runs/headline")
    """Folder for summary.json, the figures, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        for bits in (self.effective_bits, *self.light):
            if not 1 <= bits <= 12:
                raise ValueError(f"effective bits = {bits} must be between 1 and 12")


def main(options: HeadlineOptions) -> HeadlineSummary:
    """Run the comparison, print the table, write summary.json and the figures, and return the summary."""
    options.check()
    cores: dict[str, Machine] = {
        name: masked_preset(name, options.mask, options.effective_bits) for name in dict.fromkeys(options.presets)
    }
    if options.cores is not None:
        cores[options.cores.name] = optics.load_by_site(options.cores)
    checkpoint, windows = options.load()
    summary = _summary(options, checkpoint, windows, cores)
    reporting.write(summary, options.out)
    figures.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary


def _summary(
    options: HeadlineOptions,
    checkpoint: models.Checkpoint,
    windows: np.ndarray,
    cores: Mapping[str, Machine],
) -> HeadlineSummary:
    lights = {
        f"{name} at {bits:g} bits": (name, bits, masked_preset(name, options.mask, bits))
        for name in options.presets
        for bits in options.light
        if name != "ideal" and name not in optics.DEVICES and bits != options.effective_bits
    }
    light_windows = min(LIGHT_WINDOWS, options.windows)
    cases = [
        *digital_cases(options.windows),
        *(
            EvaluationCase(name=name, core=core, windows=options.windows, observed=True, attention=options.attention)
            for name, core in cores.items()
        ),
        *(
            EvaluationCase(name=name, core=core, windows=light_windows, attention=options.attention)
            for name, (_, _, core) in lights.items()
        ),
    ]
    measured_on = f"{options.model_name}, first window of {options.text}"
    pricer = ModelPricer(checkpoint, options.window_tokens, measured_on, options.attention)
    for machine in cores.values():
        check_design(machine, (pricer.workload, pricer.large))
    results = measure(checkpoint, windows, cases, options.seed, options.out / "results.sqlite")
    exact = results["digital_fp32"]
    rows = [
        digital_row("digital_fp32", exact, exact, pricer.digital("h100_bf16")),
        digital_row("digital_w8a8", results["digital_w8a8"], exact, pricer.digital("h200")),
        *(optical_row(name, results[name], exact, pricer.optical(core, results[name])) for name, core in cores.items()),
    ]
    points = [
        light_point(name, bits, results[key], exact, pricer.optical(core, results[name]))
        for key, (name, bits, core) in lights.items()
    ]
    return {
        **options.described(),
        "effective_bits": options.effective_bits,
        "mask": options.mask,
        "attention": options.attention,
        "target": TARGET,
        "rows": rows,
        "light_curve": {"windows": light_windows, "points": points},
        "digital_machines": {
            name: {"energy_per_mac_j": c.value, "low": c.low, "high": c.high, "mark": c.mark, "source": c.source}
            for name, c in measured.ENERGY_PER_MAC.items()
        },
        "measured_runs": [MeasuredRunRecord(**dataclasses.asdict(run)) for run in measured.MEASURED_RUNS],
        "assumptions": {
            name: [str(c) for c in assumptions(name, options.mask)] for name in options.presets if name != "ideal"
        },
        "omitted_from_bill": list(OMITTED),
        "versions": reporting.versions(),
    }
