"""Ways to prepare a model for light without changing its function: a method is a sequence of steps, "fold+rescale"."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

import models
from electronics.part import nearest

NONE = "none"
STEPS = ("fold", "rescale", "rotate-residual", "rotate-values", "rotate-down")
ROTATIONS: dict[str, Callable[[models.Checkpoint, int], models.Checkpoint]] = {
    "rotate-residual": models.equivalent.rotate_residual,
    "rotate-values": models.equivalent.rotate_values,
    "rotate-down": models.equivalent.rotate_down,
}
Loss = Callable[[models.Checkpoint], float]


@dataclasses.dataclass(frozen=True)
class Method:
    """A sequence of steps out of `STEPS`, and the seed of its rotations; None where it has none.

    Raises:
        ValueError: for a step that is unknown.
    """

    steps: tuple[str, ...]
    seed: int | None = None

    def __post_init__(self) -> None:
        for step in self.steps:
            if step not in STEPS:
                raise ValueError(f"no step {step!r}{nearest(step, list(STEPS))}; known: {', '.join(STEPS)}")

    @property
    def name(self) -> str:
        """The steps, and the seed where it is not 0."""
        seed = f" seed {self.seed}" if self.seed else ""
        return ("+".join(self.steps) or NONE) + seed


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A model that a method made.

    Attributes:
        checkpoint: the model.
        exponents: of the rescaling by place, where the method rescales.
        tried: losses that the search for them looked at.
    """

    checkpoint: models.Checkpoint
    exponents: dict[str, float]
    tried: int


def parsed(names: Sequence[str], seeds: Sequence[int]) -> list[Method]:
    """Return the methods of these names, those with a rotation once for each seed; `NONE` comes first and once.

    Raises:
        ValueError: for a step that is unknown, with the nearest.
    """
    found = [Method(())]
    for name in names:
        steps = () if name == NONE else tuple(name.split("+"))
        random = any(step in ROTATIONS for step in steps)
        found += [Method(steps, seed) for seed in (seeds if random else (None,))]
    return list(dict.fromkeys(found))


def prepare(method: Method, checkpoint: models.Checkpoint, sample: np.ndarray, loss: Loss) -> Prepared:
    """Return the model that the steps of a method make of one.

    Args:
        method: the steps.
        checkpoint: a decoder in memory.
        sample: token ids [windows, tokens] on which magnitudes of inputs are measured.
        loss: of a model on a core, which chooses the exponents of a rescaling.

    Raises:
        ValueError: for a model of which a step is not exact, see `models.equivalent`.
    """
    exponents: dict[str, float] = {}
    tried = 0
    for step in method.steps:
        if step == "fold":
            checkpoint = models.equivalent.fold_norms(checkpoint)
        elif step == "rescale":
            # One shape of parameters for the whole search: the head is among the places.
            checkpoint = models.equivalent.untie_head(checkpoint)
            inputs = models.equivalent.measure_inputs(checkpoint, sample)
            search = models.equivalent.search_rescaling(checkpoint, inputs, loss, by_place=True)
            checkpoint, exponents = search.checkpoint, search.exponents
            tried += len(search.tried)
        else:
            checkpoint = ROTATIONS[step](checkpoint, method.seed or 0)
    return Prepared(checkpoint, exponents, tried)
