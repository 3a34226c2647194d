"""Ways to prepare a model and a core for each other without training: a method is a sequence of steps, "fold+rescale".

Steps on the model leave its function as it is. Steps on the core set it for the model: `sinks` leaves the first tokens
digital, `light`, `gain` and `ranges` set the light, the gain before the ADCs and their range at each kind of site, and
`least-squares` sets the range that `ranges` begins at.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

import models
from electronics.part import nearest
from experiments.adapt.setting import Register, Setting

NONE = "none"
LEAST_SQUARES = "least-squares"
BY_SITE: dict[str, Register] = {"light": "light", "gain": "gain", LEAST_SQUARES: "loading", "ranges": "loading"}
ON_CORE = ("sinks", *BY_SITE)
ON_MODEL = ("fold", "rescale", "rotate-residual", "rotate-values", "rotate-down")
STEPS = (*ON_MODEL, *ON_CORE)
ROTATIONS: dict[str, Callable[[models.Checkpoint, int], models.Checkpoint]] = {
    "rotate-residual": models.equivalent.rotate_residual,
    "rotate-values": models.equivalent.rotate_values,
    "rotate-down": models.equivalent.rotate_down,
}


class FindExponents(Protocol):
    """Searches the exponents of a rescaling."""

    def __call__(
        self, checkpoint: models.Checkpoint, inputs: models.equivalent.InputStatistics, setting: Setting
    ) -> tuple[dict[str, float], int]:
        """Return exponents by place, none where none lowers the loss, and how many losses were looked at.

        Args:
            checkpoint: the model, whose head is not tied.
            inputs: of the model.
            setting: of the core.
        """
        ...


class SetBySite(Protocol):
    """Sets light, gain or range at each kind of site."""

    def __call__(self, step: str, checkpoint: models.Checkpoint, setting: Setting) -> Setting:
        """Return a setting with what a step of `BY_SITE` sets chosen for a model."""
        ...


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
    """A model that a method made, and how the core is set for it.

    Attributes:
        checkpoint: the model.
        setting: of the core.
        exponents: of the rescaling by place, where the method rescales.
        tried: losses that the search for them looked at.
    """

    checkpoint: models.Checkpoint
    setting: Setting
    exponents: dict[str, float] = dataclasses.field(default_factory=dict)
    tried: int = 0


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


def prepare(
    method: Method,
    checkpoint: models.Checkpoint,
    sample: np.ndarray,
    setting: Setting,
    sinks: int,
    find_exponents: FindExponents,
    set_by_site: SetBySite,
) -> Prepared:
    """Return the model that the steps of a method make of one, and the setting of the core.

    Args:
        method: the steps, each of which sees what those before it have made.
        checkpoint: a decoder in memory.
        sample: token ids [windows, tokens] on which magnitudes of inputs are measured.
        setting: of the core before the first step.
        sinks: first tokens that are digital after a step "sinks".
        find_exponents: chooses the exponents of a rescaling.
        set_by_site: chooses the light, the gain or the range at each kind of site.

    Raises:
        ValueError: for a model of which a step is not exact, see `models.equivalent`.
    """
    exponents: dict[str, float] = {}
    tried = 0
    for step in method.steps:
        if step == "sinks":
            setting = dataclasses.replace(setting, sinks=sinks)
        elif step in BY_SITE:
            setting = set_by_site(step, checkpoint, setting)
        elif step == "fold":
            checkpoint = models.equivalent.fold_norms(checkpoint)
        elif step == "rescale":
            # One shape of parameters for the whole search: the head is among the places.
            checkpoint = models.equivalent.untie_head(checkpoint)
            inputs = models.equivalent.measure_inputs(checkpoint, sample)
            exponents, looked_at = find_exponents(checkpoint, inputs, setting)
            if exponents:
                checkpoint = models.equivalent.rescale(checkpoint, inputs, exponents)
            tried += looked_at
        else:
            checkpoint = ROTATIONS[step](checkpoint, method.seed or 0)
    return Prepared(checkpoint, setting, exponents, tried)
