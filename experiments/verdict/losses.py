"""Losses of designs on a language model, and what a loss over 8-bit digital follows from them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

import models
import optics
from experiments.common.workload import Attention
from experiments.evaluation.compiled_programs import forget_if_too_many
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.paired import averaged_by_window, digital_cases, joined, losses_by_window, standard_error
from experiments.evaluation.records import Evaluation, EvaluationCase, Windows
from experiments.verdict.space import FIRST, ON, Design, Space, Structure
from experiments.verdict.variants import Variant

RESAMPLES = 400
LADDER: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("physical_limit", {"light_bits": 9.0, "enob": 10.0, "dac_enob": 9.0}),
    ("physical_limit", {}),
    (ON, {"light_bits": 8.0}),
    (ON, {}),
    (ON, {"light_bits": 6.0}),
)
"""Cores on which the curve of a model is measured: scenarios, and what differs from their knobs."""
ATTENTION_ON_LIGHT = Design(dataclasses.replace(FIRST, attention="light"), Space(ON).scenario_knobs(FIRST))
"""What is compared with the curve, whose cores leave attention digital."""


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
        cases = [
            self._case(f"{name} on {device}", design, variant, device)
            for name, design in designs.items()
            for device in self.devices
        ]
        # Designs of many structures are as many programs.
        forget_if_too_many()
        found = self._evaluated(variant.checkpoint, cases, variant.name)
        return {name: joined([found[f"{name} on {device}"] for device in self.devices]) for name in designs}

    def kl(self, design: Design, variant: Variant) -> float:
        """Return the KL of one design [nats per token]."""
        found = self.of({"design": design}, variant)["design"]
        return float(np.mean([window["kl"] for window in found.windows]))

    def digital(self) -> dict[str, Evaluation]:
        """Return the evaluations of the model as it is, in float32 and in 8-bit integers."""
        return self._evaluated(self.evaluator.reference, digital_cases(len(self.windows.repeated)), "digital")

    def curve(self, variant: Variant) -> "Curve":
        """Return the losses of a model in float32 and on the cores of the ladder, each window on one device in turn.

        Beside them those of `ATTENTION_ON_LIGHT`.

        Args:
            variant: the model and how the core is set for it.
        """
        tokens, count = self.windows.tokens, len(self.devices)
        parts, integers = list[np.ndarray](), list[np.ndarray]()
        for turn, device in enumerate(self.devices[: len(tokens)]):
            own = dataclasses.replace(self, windows=Windows(tokens[turn::count]), devices=(device,), scale=1.0)
            digital = own.digital()
            found = [own._exact(variant)]
            for scenario, design in (*_ladder(), (ON, ATTENTION_ON_LIGHT)):
                found += dataclasses.replace(own, space=Space(scenario)).of({scenario: design}, variant).values()
            exact = digital["digital_fp32"]
            parts.append(np.array([losses_by_window(each, exact) for each in found]))
            integers.append(losses_by_window(digital["digital_w8a8"], exact)[0])
        delta_nll, kl = np.concatenate(parts, axis=-1).swapaxes(0, 1)
        order = [0, *(1 + np.argsort(kl[1:-1].mean(axis=1)))]
        return Curve(kl[order], delta_nll[order], np.concatenate(integers), np.stack([kl[-1], delta_nll[-1]]))

    def _exact(self, variant: Variant) -> Evaluation:
        """The evaluation of a model in float32: one that was trained differs from the model as it is."""
        case = EvaluationCase(name="exact", core=None, windows=len(self.windows.repeated))
        return self._evaluated(variant.checkpoint, [case], variant.name)["exact"]

    def _evaluated(
        self, checkpoint: models.Checkpoint, cases: Sequence[EvaluationCase], label: str
    ) -> dict[str, Evaluation]:
        tokens, first = self.windows.repeated, self.windows.first
        return self.evaluator.measure(checkpoint, tokens, cases, label, keep_bar=False, numbered_from=first)

    def _case(self, name: str, design: Design, variant: Variant, device: int) -> EvaluationCase:
        core = scaled(self.space.core(design.structure, design.knobs), self.scale)
        # No more tiles than the model's sums have are joined. Designs that differ in no more share a compiled program.
        core = dataclasses.replace(core, accumulate=min(core.accumulate, -(-variant.longest_sum // core.rows)))
        machine = self.space.placed(core, design.structure, variant.setting, variant.heads)
        return EvaluationCase(
            name=name,
            core=machine.replace({"device": device}),
            windows=len(self.windows.repeated),
            attention=self.attention(design.structure),
            chosen_by=self.space.base(design.structure),
            ranged_on=self.calibrating.tokens if design.structure.ranges == "fixed" else None,
        )


def _ladder() -> list[tuple[str, Design]]:
    return [
        (scenario, Design(FIRST, {**Space(scenario).scenario_knobs(FIRST), **changes})) for scenario, changes in LADDER
    ]


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
    """A measured design: losses by window [windows], the mean over devices and draws.

    Attributes:
        design: the design.
        variant: the model and how the core is set for it.
        model: of the variant.
        delta_nll, kl: over the model as it is in float32 [nats per token].
        w8a8: delta NLL of the model as it is in 8-bit integers, on the same windows.
    """

    design: Design
    variant: str
    model: str
    delta_nll: np.ndarray
    kl: np.ndarray
    w8a8: np.ndarray

    @classmethod
    def of(
        cls,
        design: Design,
        variant: str,
        model: str,
        found: Evaluation,
        exact: Evaluation,
        integers: Evaluation,
        keys: int,
    ) -> "Measured":
        """Return that of an evaluation; `exact` and `integers` of the model as it is on the same windows, once."""
        devices = len(found.windows) // len(exact.windows)
        delta_nll, kl = averaged_by_window(found, exact, devices * keys)
        return cls(design, variant, model, delta_nll, kl, averaged_by_window(integers, exact, keys)[0])


class Excess(NamedTuple):
    """Loss over 8-bit digital [nats per token], placed by KL, and as measured on the design's own windows.

    Standard errors are over windows, and None for one window.
    """

    value: float
    stderr: float | None
    measured: float
    measured_stderr: float | None


class Curve(NamedTuple):
    """Losses of a model on windows, over the model as it is in float32 [nats per token].

    Attributes:
        kl, delta_nll: of the model in float32 first, then on cores by rising KL [points, windows].
        w8a8: delta NLL of the model as it is in 8-bit integers, on the same windows [windows].
        attention_on_light: KL and delta NLL of the model on `ATTENTION_ON_LIGHT` [2, windows].
    """

    kl: np.ndarray
    delta_nll: np.ndarray
    w8a8: np.ndarray
    attention_on_light: np.ndarray


class Departure(NamedTuple):
    """How far the delta NLL of a model with attention on light lies above its curve at its KL [nats per token]."""

    kl: float
    value: float
    stderr: float | None


class OverDigital:
    """Places the loss of designs over that of 8-bit digital by their KL.

    Of a change dz of the logits delta NLL is KL and a term E_p[dz] - dz_y of the first order, which is near 0 on
    average over texts that the model predicts as well as it says. On 1,024 tokens it is as large as the limits. So the
    delta NLL of a design is read at its KL off the curve of its model, measured on more windows: straight lines between
    the model in float32 and the cores of `LADDER`. Beyond the last of these the loss is that measured on the design's
    windows. The delta NLL of the model as it is in 8-bit integers is that of the windows of the curve.

    Errors are those of a bootstrap over the windows of the curve and over those of the design, drawn apart.

    Args:
        curves: by model.
        seed: of the bootstrap.
    """

    def __init__(self, curves: Mapping[str, Curve], seed: int):
        self.curves, self.seed = dict(curves), seed
        self.w8a8 = next(iter(curves.values())).w8a8
        (self._digital,) = _resampled(self.w8a8[None], [seed, 0])
        self._knots = {
            model: (_resampled(curve.kl, [seed, 0]), _resampled(curve.delta_nll, [seed, 0]))
            for model, curve in curves.items()
        }

    def excess(self, at: Measured) -> Excess:
        """Return the loss of a measured design over 8-bit digital."""
        values, direct = self._placed(at), at.delta_nll - at.w8a8
        spread = None if min(len(at.kl), len(self.w8a8)) < 2 else float(np.std(values[1:]))
        return Excess(float(values[0]), spread, float(direct.mean()), standard_error(direct))

    def value(self, at: Measured) -> float:
        """Return that loss alone."""
        return float(self._placed(at)[0])

    def departure(self, model: str) -> Departure:
        """Return how far a model with attention on light lies above its curve, the windows of both drawn together."""
        kl, delta_nll = _resampled(self.curves[model].attention_on_light, [self.seed, 0])
        above = delta_nll - self._read(model, kl)
        return Departure(float(kl[0]), float(above[0]), float(np.std(above[1:])) if len(self.w8a8) > 1 else None)

    def _placed(self, at: Measured) -> np.ndarray:
        """Return that loss as it is, and in each sample of the bootstrap, [1 + samples]."""
        kl, direct = _resampled(np.stack([at.kl, at.delta_nll - at.w8a8]), [self.seed, 1])
        if kl[0] > self._knots[at.model][0][-1, 0]:
            return direct
        return self._read(at.model, kl) - self._digital

    def _read(self, model: str, kl: np.ndarray) -> np.ndarray:
        """Return the delta NLL of the curve of a model at KL, of each sample in its own, [1 + samples]."""
        x, y = self._knots[model]
        after = np.clip(np.sum(x <= kl, axis=0), 1, len(x) - 1)
        (x_0, x_1), (y_0, y_1) = ((z[after - 1, range(len(kl))], z[after, range(len(kl))]) for z in (x, y))
        return y_0 + (y_1 - y_0) * (kl - x_0) / (x_1 - x_0)


def _resampled(values: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Return the means over windows of values [rows, windows], and of windows drawn anew, [rows, 1 + samples].

    The mean of n values drawn from n varies by sqrt((n - 1) / n) of a standard error, so its distance is made larger by
    as much.
    """
    count = values.shape[1]
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    mean, wider = values.mean(axis=1, keepdims=True), (count / max(count - 1, 1)) ** 0.5
    return np.concatenate([mean, mean + wider * (values[:, drawn].mean(axis=-1) - mean)], axis=1)
