"""Which imperfection costs how much: each alone, and all but each."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optics.components.correction import Correction
from optics.components.nonidealities import Effects
from optics.core.tensor_core import TensorCore

Groups = Mapping[str, Sequence[str]]

# What a calibration measures together cannot be told apart once it is corrected.
CORRECTED: tuple[str, ...] = (
    "source_mismatch",
    "vignetting",
    "input_crosstalk",
    "output_crosstalk",
    "detector_mismatch",
    "adc_offset",
    "correction",
)


class Ablation(NamedTuple):
    """A figure of merit with imperfections on and off, each an array of the figure's own shape.

    everything, nothing: all on, all off; alone: by name, that one on and no other; without: all on but that one.
    """

    everything: Any
    nothing: Any
    alone: dict[str, Any]
    without: dict[str, Any]

    def costs(self) -> dict[str, tuple[float, float]]:
        """By name (what it adds alone, what is saved by removing it), the largest saving first."""
        found = {
            name: (float(self.alone[name] - self.nothing), float(self.everything - self.without[name]))
            for name in self.alone
        }
        return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def groups(core: TensorCore) -> dict[str, tuple[str, ...]]:
    """Every effect by itself; those that a calibration corrects together, where `core` has been calibrated."""
    names = [field.name for field in dataclasses.fields(Effects)]
    none = jax.tree.leaves(Correction.none())
    corrected = any(np.any(a != b) for a, b in zip(jax.tree.leaves(core.correction), none, strict=True))
    if not corrected:
        return {name: (name,) for name in names if name != "correction"}
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in names if name not in CORRECTED}
    return found | {"calibrated residual": CORRECTED}


def ablations(core: TensorCore, groups_of: Groups | None = None) -> list[tuple[str, str, Effects]]:
    """(kind, name, effects) of each run: "everything", "nothing", and "alone" and "without" by name."""
    chosen = groups(core) if groups_of is None else groups_of
    everything, nothing = core.effects, Effects.uniform(0.0)
    cases: list[tuple[str, str, Effects]] = [("everything", "", everything), ("nothing", "", nothing)]
    for name, effects in chosen.items():
        kept = {effect: getattr(everything, effect) for effect in effects}
        cases.append(("alone", name, nothing.replace(kept)))
        cases.append(("without", name, everything.replace(dict.fromkeys(effects, 0.0))))
    return cases


def ablate(
    figure: Callable[[TensorCore], jax.Array],
    core: TensorCore,
    groups_of: Groups | None = None,
    progress: Callable[[Sequence[Any]], Any] = iter,
) -> Ablation:
    """The figure, a function of a core that returns a number or an array, for each ablation of `core`.

    The figure is compiled once: an ablation only changes leaves. `groups_of` names sets of effects that go on and off
    together, instead of `groups(core)`. `progress` wraps the sequence of runs, as `tqdm.tqdm` does. For a product:

        optics.ablate(lambda c: jnp.mean((c.matmul(x, w, key=key) - x @ w) ** 2), core)
    """
    run = jax.jit(lambda effects: figure(core.replace({"effects": effects})))
    found: dict[str, dict[str, Any]] = {"everything": {}, "nothing": {}, "alone": {}, "without": {}}
    for kind, name, effects in progress(ablations(core, groups_of)):
        found[kind][name] = jnp.asarray(run(effects))
    return Ablation(found["everything"][""], found["nothing"][""], found["alone"], found["without"])
