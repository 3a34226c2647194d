"""A real language model on real text: digital against light, accuracy and energy from the same cores in one run."""

import dataclasses
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import models
import optics
from electronics import IntegerCore, accelerators
from experiments import headline_figures, headline_report
from experiments.headline_rows import Bills, light_point, row
from experiments.ledger import Ledger
from experiments.measure import Case, measure

LIGHT_WINDOWS = 4
TARGET = {"energy_per_mac_j": 20e-15, "watts": 10e3, "ops_per_s": optics.EXAOPS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Headline:
    """A real language model on real text, digital against optical presets: accuracy and energy in one paired run."""

    text: str = "owt_5"
    """Evaluation text: owt_5, wikipedia_5, or the path of a UTF-8 file."""
    model: Path | None = None
    """A GGUF file of Llama architecture; without it SmolLM2-135M-Instruct is fetched."""
    windows: int = 8
    """Windows of the text that are scored."""
    window_tokens: int = 512
    """Tokens in a window."""
    presets: tuple[str, ...] = ("today", "projected_2029", "physical_limit")
    """Optical presets to run beside fp32 and W8A8: today, projected_2029, physical_limit, ideal."""
    effective_bits: float = 7.0
    """Bits against the product's own rms that size the light of the presets."""
    light: tuple[float, ...] = (6.0, 8.0)
    """More effective bits, for the curve of accuracy against light, on the first four windows; may be empty."""
    seed: int = 0
    """Seed of the noise."""
    out: Path = Path("runs/headline")
    """Folder for summary.json, the figures, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raises ValueError for a value that cannot be, naming it and what is allowed."""
        if self.windows < 1:
            raise ValueError(f"windows = {self.windows} must be at least 1")
        if self.window_tokens < 2:
            raise ValueError(f"window_tokens = {self.window_tokens} must be at least 2: the first token is not scored")
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"out = {self.out} must be a folder, and is a file")
        for bits in (self.effective_bits, *self.light):
            if not 1 <= bits <= 12:
                raise ValueError(f"effective bits = {bits} must be between 1 and 12")


def main(options: Headline) -> dict[str, Any]:
    """Runs the comparison, prints the table, writes summary.json and the figures, and returns the summary."""
    options.check()
    cores = {name: _core(name, options.effective_bits) for name in dict.fromkeys(options.presets)}
    text = models.load_text(options.text)
    checkpoint = models.load_gguf(models.fetch_model() if options.model is None else options.model)
    windows = models.windows(checkpoint.tokenizer.encode(text), options.windows, options.window_tokens)
    summary = _summary(options, checkpoint, windows, cores)
    headline_report.write(summary, options.out)
    headline_figures.draw(summary, options.out)
    headline_report.show(summary, options.out)
    return summary


def _core(name: str, effective_bits: float) -> optics.TensorCore:
    return optics.preset(name) if name == "ideal" else optics.preset(name, effective_bits=effective_bits)


def _summary(options: Headline, checkpoint: models.Checkpoint, windows, cores) -> dict[str, Any]:
    w8a8 = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=accelerators.ENERGY_PER_MAC["h200"].value)
    lights = {
        f"{name} at {bits:g} bits": (name, bits, _core(name, bits))
        for name in cores
        for bits in options.light
        if name != "ideal" and bits != options.effective_bits
    }
    light_windows = min(LIGHT_WINDOWS, options.windows)
    cases = [
        Case(name="digital_fp32", core=None, windows=options.windows),
        Case(name="digital_w8a8", core=w8a8, windows=options.windows),
        *(Case(name=name, core=core, windows=options.windows, observed=True) for name, core in cores.items()),
        *(Case(name=name, core=core, windows=light_windows) for name, (_, _, core) in lights.items()),
    ]
    ledger = Ledger(options.out / "results.sqlite")
    results = measure(checkpoint, windows, cases, options.seed, ledger)
    ledger.close()

    bills = Bills(checkpoint, options.window_tokens)
    exact = results["digital_fp32"]
    rows = [
        row("digital_fp32", exact, exact, bills.digital("h100_bf16")),
        row("digital_w8a8", results["digital_w8a8"], exact, bills.digital("h200")),
        *(row(name, results[name], exact, bills.optical(core, results[name])) for name, core in cores.items()),
    ]
    points = [
        light_point(name, bits, results[key], exact, bills.optical(core, results[name]))
        for key, (name, bits, core) in lights.items()
    ]
    return {
        "text": options.text,
        "model": str(options.model or "SmolLM2-135M-Instruct"),
        "windows": options.windows,
        "window_tokens": options.window_tokens,
        "seed": options.seed,
        "effective_bits": options.effective_bits,
        "target": TARGET,
        "rows": rows,
        "light_curve": {"windows": light_windows, "points": points},
        "digital_machines": {
            name: {"energy_per_mac_j": c.value, "low": c.low, "high": c.high, "mark": c.mark, "source": c.source}
            for name, c in accelerators.ENERGY_PER_MAC.items()
        },
        "measured_runs": [dataclasses.asdict(run) for run in accelerators.MEASURED_RUNS],
        "assumptions": {name: [str(c) for c in optics.assumptions(name)] for name in cores if name != "ideal"},
        "omitted_from_bill": list(optics.OMITTED),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("optical-tensor-core", "jax", "jaxlib", "numpy")},
    }
