"""`otc adapt`: how much of a language model's loss on light is gone once the model is prepared for light.

Each method is run over light levels. Its curve is read where it has the launched photons, the peak source power and the
watts of the unprepared model: preparation changes the mean drive of the sources, so that the three differ.
"""

import dataclasses
import math
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import models
import optics
from experiments.adapt import figure, report
from experiments.adapt.methods import Prepared, parsed, prepare
from experiments.adapt.records import AdaptSummary, MethodRow
from experiments.adapt.rows import Bills, Measured, method_row
from experiments.common import reporting
from experiments.common.candidates import load_core
from experiments.common.options import check_integer, check_seed
from experiments.common.text_options import TextOptions, check_context, load_model
from experiments.common.workload import Attention, check_attention, shapes_named
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.records import Evaluation, EvaluationCase
from models.equivalent.changes import check_decoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptOptions(TextOptions):
    """A language model on light as it is, and prepared for light by methods that leave its function as it is."""

    windows: int = 4
    """Windows of the text that are scored."""
    window_tokens: int = 256
    """Tokens in a window."""
    preset: str = "projected_2029"
    """Preset or device."""
    core: Path | None = None
    """A core of your own, a .toml or .json file, instead of the preset."""
    attention: Attention = "digital"
    """Where attention runs; on light the cheaper operand stands on the mask, or the one named."""
    methods: tuple[str, ...] = (
        "fold",
        "fold+rescale",
        "rotate-down",
        "rotate-down+rescale",
        "rotate-residual+rotate-values+rotate-down",
        "rotate-residual+rotate-values+rotate-down+rescale",
    )
    """Methods, each a sequence of the steps fold, rescale, rotate-residual, rotate-values and rotate-down."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the rotations; a method with one is run for each."""
    trained: tuple[Path, ...] = ()
    """Models of the same vocabulary that were trained, folders, each as one more row against the digital model."""
    light: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Light levels, factors on the source power of the core; 1 must be among them."""
    keys: int = 1
    """Draws of the noise of each window."""
    devices: tuple[int, ...] = (0,)
    """Serial numbers of the devices whose fixed imperfections are drawn."""
    calibrate_on: str = "wikipedia_5"
    """Text on which inputs are measured and exponents are searched; another than the one that is scored."""
    calibration_windows: int = 1
    """Windows of that text."""
    shapes: str = "llama-3.1-70b"
    """Shapes of the model whose watts at 1 exaOPS are stated, billed at the mean drive measured here."""
    kl: float = 0.05
    """KL [nats per token] for which the watts of each method are stated."""
    save: bool = True
    """Save the best model that was not trained, and the core, in the folder `out`."""
    out: Path = Path("runs/adapt")
    """Folder for summary.json, the figure, the best model, and the results from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        super().check()
        check_integer("keys", self.keys, 1)
        check_integer("calibration_windows", self.calibration_windows, 1)
        for name in ("seeds", "devices"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} is empty; at least one number is needed")
            for value in values:
                check_seed(name, value)
        if not all(0 < factor <= 1e6 for factor in self.light) or sorted(set(self.light)) != list(self.light):
            raise ValueError(f"light = {self.light} must be factors above 0 that rise, at most 1e6")
        if 1.0 not in self.light:
            raise ValueError(f"light = {self.light} must have 1 among its factors, the core's own light")
        if not 0 < self.kl < 100:
            raise ValueError(f"kl = {self.kl} must be above 0 and below 100 nats per token")
        models.check_text(self.calibrate_on)
        shapes_named(self.shapes)
        check_attention(self.attention)
        parsed(self.methods, self.seeds)
        for folder in self.trained:
            check_context(folder, "window_tokens", self.window_tokens)


def main(options: AdaptOptions) -> AdaptSummary:
    """Run all methods, print the tables, write summary.json, the figure and the best model, return the summary."""
    options.check()
    core = load_core(options.preset, options.core)
    checkpoint, windows = options.load()
    check_decoder(checkpoint)
    with Evaluator(checkpoint, options.seed, options.out / "results.sqlite") as evaluator:
        rows, best = _Adapting(options, core, checkpoint, windows, evaluator).run()
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
        optics.serialise.save(core, options.out / "core.toml")
        summary["saved"] = str(folder)
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary


class _Best(NamedTuple):
    """The model that was not trained of least watts at equal loss, or else of least loss at equal watts."""

    name: str
    checkpoint: models.Checkpoint
    rank: tuple[float, float]


class _Adapting:
    """The runs of all methods on one core and one text."""

    def __init__(
        self,
        options: AdaptOptions,
        core: optics.TensorCore,
        checkpoint: models.Checkpoint,
        windows: np.ndarray,
        evaluator: Evaluator,
    ):
        self.options, self.core, self.checkpoint, self.evaluator = options, core, checkpoint, evaluator
        self.windows = np.tile(windows, (options.keys, 1))
        text = models.load_text(options.calibrate_on)
        self.sample = models.windows(
            checkpoint.tokenizer.encode(text), options.calibration_windows, options.window_tokens
        )
        self.bills = Bills(options.shapes, options.attention, f"{options.model_name}, first window of {options.text}")

    def run(self) -> tuple[list[MethodRow], _Best]:
        """Return the rows of all methods and of all trained models, and the best of the methods."""
        options, rows = self.options, list[MethodRow]()
        best: _Best | None = None
        for method in parsed(options.methods, options.seeds):
            made = prepare(method, self.checkpoint, self.sample, self.search_loss)
            row = self.row(method.name, made, rows[0] if rows else None, trained=False)
            rows.append(row)
            found = _Best(method.name, made.checkpoint, _rank(row))
            best = found if best is None or found.rank < best.rank else best
        for folder in options.trained:
            made = Prepared(load_model(folder, options.stream), {}, 0)
            check_vocabulary(folder, made.checkpoint, self.checkpoint)
            rows.append(self.row(folder.name, made, rows[0], trained=True))
        assert best is not None
        return rows, best

    def search_loss(self, checkpoint: models.Checkpoint) -> float:
        """KL of a model on the core, on the windows that calibrate."""
        case = EvaluationCase(name="search", core=self.core, windows=len(self.sample), attention=self.options.attention)
        found = self.evaluator.measure(checkpoint, self.sample, [case], "exponents", keep_bar=False)["search"]
        return float(np.mean([window["kl"] for window in found.windows]))

    def row(self, name: str, made: Prepared, unprepared: MethodRow | None, trained: bool) -> MethodRow:
        """Return the row of a model: digital, and at all light levels on all devices."""
        options, checkpoint = self.options, made.checkpoint
        count = len(self.windows)
        cores = {
            (light, device): optics.with_source_power(self.core, self.core.source.power * light).replace(
                {"device": device}
            )
            for light in options.light
            for device in options.devices
        }
        cases = [EvaluationCase(name="digital", core=None, windows=count)]
        cases += [
            EvaluationCase(
                name=f"{light:g} x light, device {device}",
                core=core,
                windows=count,
                observed=light == 1.0 and device == options.devices[0],
                attention=options.attention,
            )
            for (light, device), core in cores.items()
        ]
        results = self.evaluator.measure(checkpoint, self.windows, cases, name)
        by_light = {
            light: [results[f"{light:g} x light, device {device}"] for device in options.devices]
            for light in options.light
        }
        measured = Measured(results["digital"], self.exact, by_light, options.keys)
        difference = None if trained else self.digital_difference(checkpoint)
        return method_row(name, made, measured, self.core, self.bills, unprepared, trained, difference, options.kl)

    def digital_difference(self, checkpoint: models.Checkpoint) -> float:
        """Largest difference of float32 logits from those of the model as it is, relative to the largest of them."""
        tokens = jnp.asarray(self.windows[:1])
        found = checkpoint.forward(checkpoint.params, tokens)
        return float(jnp.max(jnp.abs(found - self.expected)) / jnp.max(jnp.abs(self.expected)))

    @cached_property
    def exact(self) -> Evaluation:
        """The evaluation of the model as it is, in float32."""
        case = EvaluationCase(name="digital", core=None, windows=len(self.windows))
        return self.evaluator.measure(self.checkpoint, self.windows, [case], "as it is", keep_bar=False)["digital"]

    @cached_property
    def expected(self) -> jax.Array:
        """Float32 logits of the model as it is on the first window."""
        return self.checkpoint.forward(self.checkpoint.params, jnp.asarray(self.windows[:1]))


def _rank(row: MethodRow) -> tuple[float, float]:
    """Least is best: watts at equal loss, where the curve reaches it; then loss at equal watts."""
    found = row["against_unprepared"]["watts_at_exaops"]
    return (found["equal_kl"] or math.inf, math.inf if found["kl"] is None else found["kl"])


def check_vocabulary(folder: Path, trained: models.Checkpoint, checkpoint: models.Checkpoint) -> None:
    """Raise ValueError where a trained model cannot be compared with the one that it was trained from."""
    if trained.config.vocabulary != checkpoint.config.vocabulary:
        raise ValueError(
            f"{folder} has a vocabulary of {trained.config.vocabulary} tokens, and {checkpoint.source} one of "
            f"{checkpoint.config.vocabulary}: logits over the same tokens are needed"
        )
