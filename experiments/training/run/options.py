"""Options of a run of training."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import optax

from experiments.common.options import check_integer, check_seed, short_repr
from experiments.training.method.trainable import Trainable
from optics.analysis.inverse import Knob

MOST_STEPS = 10**7
SMALL_LOSS = 0.01
"""A start below it counts as this: a distillation may start from 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a function is trained.

    Attributes:
        trainable: which parameters.
        steps: number of steps.
        batch: examples in a step.
        accumulate: micro-batches in a step, one after the other; they divide `batch`.
        rate: highest rate of AdamW.
        warmup: steps while the rate rises; a tenth of all unless given.
        final_rate: at the end of half a cosine, over `rate`.
        weight_decay: of AdamW, on matrices on the mask.
        gradient_norm: longer gradients are scaled to it; None for none.
        clip_sigmas: after each step, weights on the mask are clipped to so many standard deviations of their column;
            None for none. Büchel et al., arXiv 2505.09663, take 2.5.
        device: "fixed" variation of the core's own device, or "redrawn" in each step.
        seed: of noise, order of the data and low-rank factors.
        device_seed: of the devices that are redrawn; `seed` unless given.
        optimiser: of optax, in place of AdamW and its schedule.
        knobs: numbers of the core that are trained too, with their bounds, by the names of axes of sweeps.
        knob_rate: of Adam on them, in units of the logistic variable behind each.
        price: loss per unit of ln(watts at 1 exaOPS).
        held_out_every: steps between evaluations on data held out.
        held_out_keys: draws of the noise in each of them.
        patience: evaluations in a row without a better one after which the run ends; None for no end before `steps`.
        checkpoint_every: steps between checkpoints.
        divergence: a loss above so many times that of the start (or `SMALL_LOSS`), or not finite, ends the run.
        divergent_steps: in a row with such a loss.
        least_snr: of the starting point [dB], below which no site may be in all.
    """

    trainable: Trainable = dataclasses.field(default_factory=Trainable)
    steps: int = 200
    batch: int = 32
    accumulate: int = 1
    rate: float = 1e-3
    warmup: int | None = None
    final_rate: float = 0.05
    weight_decay: float = 0.0
    gradient_norm: float | None = 1.0
    clip_sigmas: float | None = None
    device: Literal["fixed", "redrawn"] = "fixed"
    seed: int = 0
    device_seed: int | None = None
    optimiser: optax.GradientTransformation | None = None
    knobs: Mapping[str, Knob] = dataclasses.field(default_factory=dict)
    knob_rate: float = 0.05
    price: float = 0.0
    held_out_every: int = 20
    held_out_keys: int = 1
    patience: int | None = None
    checkpoint_every: int = 50
    divergence: float = 10.0
    divergent_steps: int = 5
    least_snr: float = 0.0

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        if not isinstance(self.trainable, Trainable):
            raise ValueError(f"trainable = {short_repr(self.trainable)} must be a training.Trainable")
        self.trainable.check()
        for name in ("steps", "batch", "accumulate", "held_out_every", "held_out_keys", "checkpoint_every"):
            check_integer(name, getattr(self, name), 1, MOST_STEPS)
        check_integer("divergent_steps", self.divergent_steps, 1, MOST_STEPS)
        if self.patience is not None:
            check_integer("patience", self.patience, 1, MOST_STEPS)
        if self.warmup is not None:
            check_integer("warmup", self.warmup, 0, self.steps)
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate = {self.accumulate} must divide batch = {self.batch}")
        check_seed("seed", self.seed)
        if self.device_seed is not None:
            check_seed("device_seed", self.device_seed)
        for name in ("rate", "knob_rate", "divergence"):
            _check_number(name, getattr(self, name), 0, above=True)
        for name in ("weight_decay", "price"):
            _check_number(name, getattr(self, name), 0)
        for name in ("gradient_norm", "clip_sigmas"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), 0, above=True)
        _check_number("final_rate", self.final_rate, 0, most=1)
        _check_number("least_snr", self.least_snr, -200)
        if self.device not in ("fixed", "redrawn"):
            raise ValueError(f"device = {short_repr(self.device)} must be 'fixed' or 'redrawn'")
        if self.price and not self.knobs:
            raise ValueError(f"price = {self.price}: watts have no gradient in weights, so name knobs that are trained")

    def describe(self) -> dict[str, Any]:
        """Return the options as the manifest of a run states them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        trainable = self.trainable
        return plain | {
            "trainable": {
                "kind": trainable.kind,
                **({"rank": trainable.rank, "alpha": trainable.alpha} if trainable.kind == "lora" else {}),
            },
            "optimiser": "AdamW" if self.optimiser is None else "of the caller",
            "knobs": {name: list(knob) for name, knob in self.knobs.items()},
        }


def _check_number(name: str, value: Any, least: float, *, above: bool = False, most: float = math.inf) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < least or value > most or (above and value == least):
        bounds = f"{'above' if above else 'at least'} {least:g}" + (
            "" if most == math.inf else f" and at most {most:g}"
        )
        raise ValueError(f"{name} = {short_repr(value)} must be a number {bounds}")
