"""Losses of designs on a language model, and what a loss over 8-bit digital follows from them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

import optics
from experiments.common.workload import Attention
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.paired import averaged_by_window, digital_cases, joined
from experiments.evaluation.records import Evaluation, EvaluationCase
from experiments.verdict.space import Design, Space, Structure
from experiments.verdict.variants import Variant

RESAMPLES = 400
MOST_KL = 0.4
"""KL [nats per token] up to which designs count for the curve of a model."""
LEAST_DESIGNS = 3
"""So many for a curve of a model's own; with fewer it has that of the model as it is."""


class Windows(NamedTuple):
    """Windows of a text [windows, tokens], and how often each is repeated under other noise."""

    tokens: np.ndarray
    keys: int = 1

    @property
    def repeated(self) -> np.ndarray:
        """Every window under every noise; the key of the noise follows from the number."""
        return np.tile(self.tokens, (self.keys, 1))


@dataclasses.dataclass(frozen=True)
class Losses:
    """Measures losses of designs against the digital model as it is, in float32.

    Attributes:
        space: of the scenario.
        attention: where attention runs in the designs of a structure.
        evaluator: what runs the models.
        windows: that are scored.
        calibrating: on which ranges of ADCs are found, on the device itself, where a structure has them fixed.
        devices: serial numbers of the devices; the windows of one follow those of the one before.
        scale: of the rows and columns of all cores, at the same light for each pixel.
    """

    space: Space
    attention: Callable[[Structure], Attention]
    evaluator: Evaluator
    windows: Windows
    calibrating: Windows
    devices: tuple[int, ...] = (0,)
    scale: float = 1.0

    def of(self, designs: Mapping[str, Design], variant: Variant) -> dict[str, Evaluation]:
        """Return the evaluations of designs by name, on all devices.

        Args:
            designs: by name.
            variant: the model and how the core is set for it.
        """
        tokens = self.windows.repeated
        cases = [
            self._case(f"{name} on {device}", design, variant, len(tokens), device)
            for name, design in designs.items()
            for device in self.devices
        ]
        found = self.evaluator.measure(variant.checkpoint, tokens, cases, variant.name, keep_bar=False)
        return {name: joined([found[f"{name} on {device}"] for device in self.devices]) for name in designs}

    def kl(self, design: Design, variant: Variant) -> float:
        """Return the KL of one design [nats per token]."""
        found = self.of({"design": design}, variant)["design"]
        return float(np.mean([window["kl"] for window in found.windows]))

    def digital(self) -> dict[str, Evaluation]:
        """Return the evaluations of the model as it is, in float32 and in 8-bit integers."""
        tokens = self.windows.repeated
        cases = digital_cases(len(tokens))
        return self.evaluator.measure(self.evaluator.reference, tokens, cases, "digital", keep_bar=False)

    def exact(self, variant: Variant) -> Evaluation:
        """Return the evaluation of a model in float32: a model that was trained differs from the one as it is."""
        tokens = self.windows.repeated
        case = EvaluationCase(name="exact", core=None, windows=len(tokens))
        return self.evaluator.measure(variant.checkpoint, tokens, [case], variant.name, keep_bar=False)["exact"]

    def _case(self, name: str, design: Design, variant: Variant, windows: int, device: int) -> EvaluationCase:
        core = scaled(self.space.core(design.structure, design.knobs), self.scale)
        # No more tiles than the model's sums have are joined. Designs that differ in no more share a compiled program.
        core = dataclasses.replace(core, accumulate=min(core.accumulate, -(-variant.longest_sum // core.rows)))
        machine = self.space.placed(core, design.structure, variant.setting, variant.heads)
        return EvaluationCase(
            name=name,
            core=machine.replace({"device": device}),
            windows=windows,
            attention=self.attention(design.structure),
            chosen_by=self.space.base(design.structure),
            ranged_on=self.calibrating.tokens if design.structure.ranges == "fixed" else None,
        )


def scaled(core: optics.TensorCore, scale: float) -> optics.TensorCore:
    """Return a core of so many times the rows and columns, whose sums have the same ratios of signal and noise.

    Each pixel has the same light. Shot noise of a sum has a variance in proportion to its terms, so the variance of the
    amplifier's noise is made smaller by the factor, as are its capacitance and full well.
    """
    if scale == 1.0:
        return core
    rows, columns = (max(1, round(scale * size)) for size in (core.rows, core.columns))
    share = rows / core.rows
    return core.replace(
        {
            "rows": rows,
            "columns": columns,
            "source.power": core.source.power * columns / core.columns,
            "tia.noise_density": core.tia.noise_density * share**0.5,
            "tia.feedback_conductance": core.tia.feedback_conductance * share,
            "tia.integration_capacitance": core.tia.integration_capacitance * share,
            "tia.full_well": core.tia.full_well * share,
        }
    )


class Measured(NamedTuple):
    """A measured design: losses by window [windows], the mean over devices and draws; `model` of the variant."""

    design: Design
    variant: str
    model: str
    delta_nll: np.ndarray
    kl: np.ndarray

    @classmethod
    def of(
        cls, design: Design, variant: str, model: str, found: Evaluation, exact: Evaluation, keys: int
    ) -> "Measured":
        """Return that of an evaluation, `exact` on the same windows and one device."""
        devices = len(found.windows) // len(exact.windows)
        return cls(design, variant, model, *averaged_by_window(found, exact, devices * keys))


class Excess(NamedTuple):
    """Loss over 8-bit digital [nats per token], its standard error over windows, and as measured without a curve.

    Errors are None for one window; what is measured without a curve is None on other windows than those of the curves.
    """

    value: float
    stderr: float | None
    measured: float | None
    measured_stderr: float | None


class OverDigital:
    """Places the loss of designs over that of 8-bit digital by their KL.

    Delta NLL rises with KL along a curve and is far noisier. That of each model starts at the model itself in float32,
    (KL_0, D_0), which is (0, 0) unless it was trained:

        D = D_0 + a x + b x^2,   x = KL - KL_0,   a, b >= 0,

    by least squares over its designs of a KL up to `MOST_KL`. A design's loss is that of the curve at its KL, and 8-bit
    digital, of the model as it is, lies on the curve of that model. Beyond `MOST_KL` the loss is the delta NLL itself.
    Errors are those of a bootstrap over windows, with curves fitted anew, times sqrt(n / (n - 1)) for n windows.

    A straight line (b = 0), fitted on one device, placed a design of SmolLM2 of KL 0.14 at 0.045 nats, where three
    devices lose 0.025 on average, and the preset of projected_2029, of KL 0.24, at 0.098, where they lose 0.157.

    Args:
        measured: all designs, those with the model as it is among them.
        exact: each model in float32, by its name.
        as_it_is: the name of the model as it is.
        w8a8: that model in 8-bit integers.
        seed: of the bootstrap.
    """

    def __init__(
        self,
        measured: Sequence[Measured],
        exact: Mapping[str, Measured],
        as_it_is: str,
        w8a8: Measured,
        seed: int,
    ):
        self.measured, self.exact, self.as_it_is, self.w8a8 = list(measured), dict(exact), as_it_is, w8a8
        count = len(w8a8.kl)
        draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
        self.samples = np.concatenate([np.arange(count)[None], draws])
        of_base = self._fitted(as_it_is)
        self.curves = {model: of_base if model == as_it_is else self._fitted(model, of_base) for model in exact}

    def excess(self, at: Measured) -> Excess:
        """Return the loss of a measured design over 8-bit digital; it need not be on the windows of the curves."""
        count, own = len(at.kl), len(self.w8a8.kl)
        values = self._placed(at)
        direct = at.delta_nll - self.w8a8.delta_nll if count == own else None
        single = own < 2 or count < 2
        spread = None if single else float(np.std(values[1:])) * (own / (own - 1)) ** 0.5
        return Excess(
            float(values[0]),
            spread,
            None if direct is None else float(np.mean(direct)),
            None if direct is None or single else float(np.std(direct, ddof=1) / np.sqrt(count)),
        )

    def value(self, at: Measured) -> float:
        """Return that loss alone, without the bootstrap of its error."""
        return float(self._placed(at)[0])

    def _placed(self, at: Measured) -> np.ndarray:
        """Return that loss as measured, and in each sample of the bootstrap, [samples]."""
        start, same = self.exact[at.model], len(at.kl) == len(self.w8a8.kl)
        kl, own = ((self._means(each) if same else np.mean(each)) for each in (at.kl, at.delta_nll))
        if np.mean(at.kl) <= MOST_KL:
            own = self._means(start.delta_nll) + _at(self.curves[at.model], kl - self._means(start.kl))
        return own - _at(self.curves[self.as_it_is], self._means(self.w8a8.kl))

    def _fitted(self, model: str, otherwise: np.ndarray | None = None) -> np.ndarray:
        """Return (a, b) of a model in each sample, [samples, 2]; `otherwise` where too few designs have such a KL."""
        own = [each for each in self.measured if each.model == model]
        near = [each for each in own if float(np.mean(each.kl)) <= MOST_KL]
        if len(near) < LEAST_DESIGNS and otherwise is not None:
            return otherwise
        start = self.exact[model]
        chosen = near if len(near) >= LEAST_DESIGNS else own
        x = np.stack([self._means(each.kl - start.kl) for each in chosen], axis=-1)
        y = np.stack([self._means(each.delta_nll - start.delta_nll) for each in chosen], axis=-1)
        return np.array([nnls(np.stack([one, one**2], axis=-1), other)[0] for one, other in zip(x, y, strict=True)])

    def _means(self, windows: np.ndarray) -> np.ndarray:
        """Return the mean over the windows of each sample, [samples]."""
        return windows[self.samples].mean(axis=1)


def _at(curves: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a x + b x^2 for curves [samples, 2]."""
    return curves[:, 0] * x + curves[:, 1] * x**2
