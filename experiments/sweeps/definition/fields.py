"""Fields that an axis may vary: a number of a core, one of its static choices, its mask by technology, or its light.

Of a design with a core for each site, "adc.enob" is the field of every core, and "rules.0.core.adc.enob" that of one.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np

import optics
from electronics import Part
from electronics.part import nearest
from optics.core.by_site import Machine, MachineT, split_name

LIGHT: dict[str, Callable[[optics.TensorCore, Any], optics.TensorCore]] = {
    "light.effective_bits": optics.with_effective_bits,
    "light.photons_per_mac": optics.with_photons_per_mac,
}
"""Axes that set the source power, and with it the full well, by a result of it; applied after all others."""
MASK = "mask.technology"
"""Axis of names in `optics.MASK_TECHNOLOGIES`, of projected_2029 or as SCENARIO.NAME; applied before all others."""


def numbers(core: Machine) -> list[str]:
    """Return the dotted names of the fields that are array leaves and hold one number; of a design, of each core."""
    return [
        prefix + name
        for prefix, each in _cores(core)
        for name, field, value in _fields(each)
        if not field.metadata.get("static") and not np.ndim(value)
    ]


def choices(core: Machine) -> list[str]:
    """Return the dotted names of the static fields, each value of which is compiled for; of a design, of each core."""
    return [
        prefix + name
        for prefix, each in _cores(core)
        for name, field, _ in _fields(each)
        if field.metadata.get("static")
    ]


def is_number(core: Machine, name: str) -> bool:
    """Return whether an axis of this name varies a leaf, so that its values share one compilation.

    Raises:
        ValueError: if there is no such field. The message names the nearest.
    """
    kinds = {_is_number(core, prefix + name) for prefix in _prefixes(core, name)}
    if kinds in ({True}, {False}):
        return kinds == {True}
    known = [*numbers(core), *choices(core), *_lights(core), *_masks(core)]
    if not split_name(name)[0]:
        known = list(dict.fromkeys(split_name(each)[1] for each in known))
    raise ValueError(f"there is no field {name!r} to vary or set{nearest(name, known)}")


def with_choices(core: MachineT, choices: Mapping[str, Any]) -> MachineT:
    """Return `core` with the mask of a technology where one is chosen, and then with its other choices made.

    Raises:
        ValueError: if a choice is out of range, or there is no such technology.
    """
    made: Any = core
    for name, technology in choices.items():
        of_core, field = split_name(name)
        if field == MASK and of_core:
            made = made.with_cores({of_core: _with_mask(made.by_name[of_core], technology)})
        elif field == MASK:
            made = _with_mask(made, technology)
    rest = {name: value for name, value in choices.items() if split_name(name)[1] != MASK}
    return cast(MachineT, made.replace(rest) if rest else made)


def with_values(core: MachineT, values: Mapping[str, Any]) -> MachineT:
    """Return `core` with the values of axes, its light set last. It traces where the values are numbers.

    Raises:
        ValueError: if two of the values set the source power, or one is out of range.
    """
    made = _with_values(core, values) if isinstance(core, optics.TensorCore) else _on_design(core, values)
    return cast(MachineT, made)


def _on_design(design: optics.CoresBySite, values: Mapping[str, Any]) -> optics.CoresBySite:
    named = {name: split_name(name) for name in values}
    everywhere = {name: values[name] for name, (of_core, _) in named.items() if not of_core}
    cores = {}
    for each, core in design.by_name.items():
        own = {field: values[name] for name, (of_core, field) in named.items() if of_core == each}
        cores[each] = _with_values(core, {**everywhere, **own})
    return design.with_cores(cores)


def _with_values(core: optics.TensorCore, values: Mapping[str, Any]) -> optics.TensorCore:
    lights = [name for name in values if name in LIGHT]
    if len(lights) > 1 or (lights and "source.power" in values):
        named = [name for name in values if name in (*LIGHT, "source.power")]
        raise ValueError(f"{' and '.join(named)} each set the source power: give one of them")
    core = core.replace({name: value for name, value in values.items() if name not in LIGHT})
    for name in lights:
        core = LIGHT[name](core, values[name])
    return core


def _with_mask(core: MachineT, technology: Any) -> MachineT:
    if not isinstance(technology, str):
        raise ValueError(f"{MASK} = {technology!r} must be the name of a technology, in quotes")
    scenario, _, name = technology.rpartition(".")
    return optics.with_mask(core, name, scenario) if scenario else optics.with_mask(core, name)


def _is_number(core: Machine, name: str) -> bool | None:
    """Whether a field of one core is a number, a choice (False), or not there (None)."""
    if name in _lights(core) or name in numbers(core):
        return True
    return False if name in choices(core) or name in _masks(core) else None


def _prefixes(core: Machine, name: str) -> list[str]:
    """What stands before a name for each of the cores that it is of: nothing where it names its core itself."""
    return [""] if split_name(name)[0] else [prefix for prefix, _ in _cores(core)]


def _lights(core: Machine) -> list[str]:
    """The names of the light of each core."""
    return [prefix + light for prefix, _ in _cores(core) for light in LIGHT]


def _masks(core: Machine) -> list[str]:
    """The names of the mask technology of each core."""
    return [prefix + MASK for prefix, _ in _cores(core)]


def _cores(core: Machine) -> list[tuple[str, optics.TensorCore]]:
    """Each core, and what stands before the names of its fields."""
    if isinstance(core, optics.TensorCore):
        return [("", core)]
    return [(f"{name}.", each) for name, each in core.by_name.items()]


def _fields(part: Any, path: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            yield from _fields(value, f"{path}{field.name}.")
        else:
            yield path + field.name, field, value
