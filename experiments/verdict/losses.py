"""Losses of designs on a language model, and what a loss over 8-bit digital follows from them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

import optics
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.paired import digital_cases, losses_by_window
from experiments.evaluation.records import Evaluation, EvaluationCase
from experiments.verdict.space import Design, Space, attention_of
from experiments.verdict.variants import Variant

RESAMPLES = 400
LEAST_DESIGNS = 4
"""Of a prepared or trained model, for a line of its own; with fewer it has the slope of the model as it is."""


class Windows(NamedTuple):
    """Windows of a text [windows, tokens], and how often each is repeated under other noise."""

    tokens: np.ndarray
    keys: int = 1

    @property
    def repeated(self) -> np.ndarray:
        """Every window under every noise; the key of the noise follows from the number."""
        return np.tile(self.tokens, (self.keys, 1))


class Losses:
    """Measures losses of designs against the digital model as it is, in float32.

    Args:
        space: of the scenario.
        evaluator: what runs the models.
        windows: that are scored.
        device: serial number of the device.
    """

    def __init__(self, space: Space, evaluator: Evaluator, windows: Windows, device: int = 0):
        self.space, self.evaluator, self.windows, self.device = space, evaluator, windows, device

    def of(self, designs: Mapping[str, Design], variant: Variant, scale: float = 1.0) -> dict[str, Evaluation]:
        """Return the evaluations of designs by name.

        Args:
            designs: by name.
            variant: the model and how the core is set for it.
            scale: of the rows and columns of the cores, at the same light for each pixel.
        """
        tokens = self.windows.repeated
        cases = [self._case(name, design, variant, len(tokens), scale) for name, design in designs.items()]
        return self.evaluator.measure(variant.checkpoint, tokens, cases, variant.name, keep_bar=False)

    def kl(self, design: Design, variant: Variant) -> float:
        """Return the KL of one design [nats per token]."""
        found = self.of({"design": design}, variant)["design"]
        return float(np.mean([window["kl"] for window in found.windows]))

    def digital(self) -> dict[str, Evaluation]:
        """Return the evaluations of the model as it is, in float32 and in 8-bit integers."""
        tokens = self.windows.repeated
        cases = digital_cases(len(tokens))
        return self.evaluator.measure(self.evaluator.reference, tokens, cases, "digital", keep_bar=False)

    def _case(self, name: str, design: Design, variant: Variant, windows: int, scale: float) -> EvaluationCase:
        layers: int = variant.checkpoint.config.layers
        core = scaled(self.space.core(design.structure, design.knobs), scale)
        # No more tiles than the model's sums have are joined. Designs that differ in no more share a compiled program.
        core = dataclasses.replace(core, accumulate=min(core.accumulate, -(-variant.longest_sum // core.rows)))
        machine = self.space.placed(core, design.structure, variant.setting, layers)
        return EvaluationCase(
            name=name,
            core=machine.replace({"device": self.device}),
            windows=windows,
            attention=attention_of(design.structure),
            chosen_by=self.space.base(design.structure),
        )


def scaled(core: optics.TensorCore, scale: float) -> optics.TensorCore:
    """Return a core of so many times the rows and columns, with the same light on each pixel."""
    if scale == 1.0:
        return core
    rows, columns = (max(1, round(scale * size)) for size in (core.rows, core.columns))
    return core.replace({"rows": rows, "columns": columns, "source.power": core.source.power * columns / core.columns})


class Measured(NamedTuple):
    """A measured design: losses by window [windows], draws of the noise averaged; `model` of the variant."""

    design: Design
    variant: str
    model: str
    delta_nll: np.ndarray
    kl: np.ndarray

    @classmethod
    def of(
        cls, design: Design, variant: str, model: str, found: Evaluation, exact: Evaluation, keys: int
    ) -> "Measured":
        """Return that of an evaluation."""
        delta, kl = (values.reshape(keys, -1).mean(axis=0) for values in losses_by_window(found, exact))
        return cls(design, variant, model, delta, kl)


class Excess(NamedTuple):
    """Loss over 8-bit digital [nats per token], its standard error over windows, and as measured without a line."""

    value: float
    stderr: float
    measured: float
    measured_stderr: float | None


class OverDigital:
    """Places the loss of designs over that of 8-bit digital by their KL.

    Delta NLL moves with KL along a line and is far noisier. So the line of each model, NLL - NLL_fp32 = a + b KL, is
    fitted over all designs that were measured with it, and a design's loss is that of the line at its KL. That of 8-bit
    digital is placed by the line of the model as it is, through the origin. Errors are those of a bootstrap over
    windows of text, in which lines are fitted anew.

    Args:
        measured: all designs, those with the model as it is among them.
        as_it_is: the name of that model.
        w8a8: of the digital model in 8-bit integers.
        seed: of the bootstrap.
    """

    def __init__(self, measured: Sequence[Measured], as_it_is: str, w8a8: Measured, seed: int):
        self.measured, self.as_it_is, self.w8a8 = list(measured), as_it_is, w8a8
        count = len(w8a8.kl)
        draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
        self.samples = np.concatenate([np.arange(count)[None], draws])

    def excess(self, at: Measured) -> Excess:
        """Return the loss of a measured design over 8-bit digital."""
        values = np.array([self._placed(at, rows) for rows in self.samples])
        direct = at.delta_nll - self.w8a8.delta_nll
        error = float(np.std(direct, ddof=1) / np.sqrt(len(direct))) if len(direct) > 1 else None
        return Excess(float(values[0]), float(np.std(values[1:])), float(np.mean(direct)), error)

    def _placed(self, at: Measured, rows: np.ndarray) -> float:
        slope, offset = self._line(at.model, rows)
        base = self._line(self.as_it_is, rows)[0]
        return offset + slope * float(np.mean(at.kl[rows])) - base * float(np.mean(self.w8a8.kl[rows]))

    def _line(self, model: str, rows: np.ndarray) -> tuple[float, float]:
        """Slope and offset of the line of a model."""
        of_model = [each for each in self.measured if each.model == model]
        kl = np.array([np.mean(each.kl[rows]) for each in of_model])
        delta = np.array([np.mean(each.delta_nll[rows]) for each in of_model])
        if model == self.as_it_is:
            return float(np.sum(kl * delta) / np.sum(kl**2)), 0.0
        if len(of_model) < LEAST_DESIGNS:
            slope = self._line(self.as_it_is, rows)[0]
            return slope, float(np.mean(delta - slope * kl))
        slope, offset = np.polyfit(kl, delta, 1)
        return float(slope), float(offset)
