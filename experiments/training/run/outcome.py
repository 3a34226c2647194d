"""What a run ends with: its best state and its curves, or a loss that diverged."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from experiments.training.run.options import SMALL_LOSS, Options

Figures = dict[str, float]


class DivergedError(ValueError):
    """The loss left the range of the start.

    Attributes:
        step: number of the step.
        best_step: of the state that is kept.
    """

    def __init__(self, message: str, step: int, best_step: int):
        super().__init__(message)
        self.step, self.best_step = step, best_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a run ended with.

    Attributes:
        params: the best parameters, in the form of those that training started from.
        core: the core, with its trained numbers at their best.
        figures: at the best step, on data held out where there are some, else of the steps.
        at_start: the same before the first step.
        best_step: number of steps that the best state has taken.
        steps: number of steps taken.
        losses: of each step, on its batch.
        held_out: (steps taken, figures) of each evaluation.
        stopped: "steps" or "patience".
        snr: by site name, of the starting point [dB].
        drives: mean drive by site name, of the starting point.
        seconds_per_step: of the steps taken in this process, without the first; NaN for fewer than two.
    """

    params: Any
    core: Any
    figures: Figures
    at_start: Figures
    best_step: int
    steps: int
    losses: list[float]
    held_out: list[tuple[int, Figures]]
    stopped: str
    snr: dict[str, float]
    drives: dict[str, float]
    seconds_per_step: float


def check_loss(loss: float, note: Mapping[str, Any], options: Options, rate: float, kept: str) -> int:
    """Return the number of steps in a row, this one included, whose loss is far above that of the start.

    Args:
        loss: of this step.
        note: where the run is: its losses, its step, the best one, and the number up to the last step.
        options: of the run.
        rate: of AdamW in this step.
        kept: where the best state is, to follow its name; empty where it is nowhere.

    Raises:
        DivergedError: if there are too many, or the loss is not finite.
    """
    first = max(note["losses"][0] if note["losses"] else loss, SMALL_LOSS)
    high = note["high"] + 1 if not loss <= options.divergence * first else 0
    if math.isfinite(loss) and high < options.divergent_steps:
        return high
    step, best = note["step"], note["best_step"]
    rated = f"at a rate of {rate:.3g}" if options.optimiser is None else "with the caller's optimiser"
    how = "no longer finite"
    if math.isfinite(loss):
        how = f"above {options.divergence:g} times that of the start, {first:.4g}, for {high} steps"
    end = f"; the best state, of step {best}, {kept}" if kept else ""
    raise DivergedError(f"the loss diverges: {loss:.4g} in step {step} {rated}, {how}{end}", step, best)
