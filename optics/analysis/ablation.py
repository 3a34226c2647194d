"""Which imperfection costs how much: each alone, and all but each."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from electronics.part import nearest
from optics.components.correction import Correction
from optics.components.nonidealities import Effects
from optics.core.by_site import Machine, cores_by_name, split_name
from optics.core.tensor_core import TensorCore

Groups = Mapping[str, Sequence[str]]

# What a calibration measures together cannot be told apart once it is corrected; with pixels mask_mismatch is of them.
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


def groups(core: Machine, by_core: bool = False) -> dict[str, tuple[str, ...]]:
    """The sets of effects that go on and off together, by name.

    Every effect by itself; those that a calibration corrects together, where a core has been calibrated. Of a design an
    effect is that of all cores at once. With `by_core` there are also the effects of each core alone, as
    "rules.0.core.shot", and all effects of each core together, as "rules.0.core".
    """
    cores = cores_by_name(core)
    found = _sets(_corrected_effects(*cores.values()))
    if by_core:
        for name, each in cores.items():
            own = {
                f"{name}.{field}": tuple(f"{name}.{e}" for e in of)
                for field, of in _sets(_corrected_effects(each)).items()
            }
            found |= {name: tuple(effect for effects in own.values() for effect in effects)} | own
    return found


def ablations(core: Machine, groups_of: Groups | None = None) -> list[tuple[str, str, Machine]]:
    """(kind, name, core) of each run: "everything" and "nothing", and "alone" and "without" by name."""
    chosen = groups(core) if groups_of is None else groups_of
    nothing = core.replace({"effects": Effects.uniform(0.0)})
    cases = [("everything", "", core), ("nothing", "", nothing)]
    for name, effects in chosen.items():
        kept = _shares(core, effects)
        cases.append(("alone", name, nothing.replace(kept)))
        cases.append(("without", name, core.replace(dict.fromkeys(kept, 0.0))))
    return cases


def ablate(
    figure: Callable[[Any], jax.Array],
    core: Machine,
    groups_of: Groups | None = None,
    progress: Callable[[Sequence[Any]], Any] = iter,
) -> Ablation:
    """The figure, a function of a core or a design that returns a number or an array, for each ablation of `core`.

    The figure is compiled once: an ablation only changes leaves. `groups_of` names sets of effects that go on and off
    together, instead of `groups(core)`; an effect of a design has the name of its core, as "rules.0.core.shot", or is
    that of all cores. `progress` wraps the sequence of runs, as `tqdm.tqdm` does. For a product:

        optics.ablate(lambda c: jnp.mean((c.matmul(x, w, key=key) - x @ w) ** 2), core)

    Raises:
        ValueError: for an effect or a core that is not there, with the nearest.
    """
    run = jax.jit(lambda effects: figure(_with_effects(core, effects)))
    found: dict[str, dict[str, Any]] = {"everything": {}, "nothing": {}, "alone": {}, "without": {}}
    for kind, name, ablated in progress(ablations(core, groups_of)):
        found[kind][name] = jnp.asarray(run(_effects(ablated)))
    return Ablation(found["everything"][""], found["nothing"][""], found["alone"], found["without"])


def _is_corrected(core: TensorCore) -> bool:
    none = jax.tree.leaves(Correction.none())
    return any(np.any(a != b) for a, b in zip(jax.tree.leaves(core.correction), none, strict=True))


def _corrected_effects(*cores: TensorCore) -> tuple[str, ...]:
    """The effects that are corrected in any of the cores, and the correction itself."""
    if not any(map(_is_corrected, cores)):
        return ()
    of_pixels = any(np.ndim(core.correction.pixel_gain) for core in cores)
    return (*CORRECTED, "mask_mismatch") if of_pixels else CORRECTED


def _sets(corrected: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    names = [field.name for field in dataclasses.fields(Effects)]
    if not corrected:
        return {name: (name,) for name in names if name != "correction"}
    found: dict[str, tuple[str, ...]] = {name: (name,) for name in names if name not in corrected}
    return found | {"calibrated residual": corrected}


def _shares(core: Machine, effects: Sequence[str]) -> dict[str, Any]:
    """The shares of effects as `replace` takes them, of a design by core."""
    if isinstance(core, TensorCore):
        return {f"effects.{name}": _share(core, name) for name in effects}
    found: dict[str, Any] = {}
    for effect in effects:
        of_core, name = split_name(effect)
        if of_core and of_core not in core.by_name:
            raise ValueError(f"{effect!r} names no core of the design{nearest(of_core, list(core.by_name))}")
        names = [of_core] if of_core else list(core.by_name)
        found |= {f"{each}.effects.{name}": _share(core.by_name[each], name) for each in names}
    return found


def _share(core: TensorCore, name: str) -> Any:
    names = [field.name for field in dataclasses.fields(Effects)]
    if name not in names:
        raise ValueError(f"there is no effect {name!r}{nearest(name, names)}")
    return getattr(core.effects, name)


def _effects(core: Machine) -> dict[str, Effects]:
    return {name: each.effects for name, each in cores_by_name(core).items()}


def _with_effects(core: Machine, effects: Mapping[str, Effects]) -> Machine:
    prefix = "" if isinstance(core, TensorCore) else "."
    return core.replace({f"{name}{prefix}effects": each for name, each in effects.items()})
