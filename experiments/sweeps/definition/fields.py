"""Fields that an axis may vary: a number of the core, one of its static choices, or its light."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import optics
from electronics import Part
from electronics.part import nearest

LIGHT: dict[str, Callable[[optics.TensorCore, Any], optics.TensorCore]] = {
    "light.effective_bits": optics.with_effective_bits,
    "light.photons_per_mac": optics.with_photons_per_mac,
}
"""Axes that set the source power, and with it the full well, by a result of it; applied after all others."""


def numbers(core: Part) -> list[str]:
    """Return the dotted names of the fields that are array leaves and hold one number."""
    return [name for name, field, value in _fields(core) if not field.metadata.get("static") and not np.ndim(value)]


def choices(core: Part) -> list[str]:
    """Return the dotted names of the static fields, each value of which takes a compilation of its own."""
    return [name for name, field, _ in _fields(core) if field.metadata.get("static")]


def is_number(core: optics.TensorCore, name: str) -> bool:
    """Return whether an axis of this name varies a leaf, so that its values share one compilation.

    Raises:
        ValueError: if there is no such field. The message names the nearest.
    """
    if name in LIGHT or name in numbers(core):
        return True
    if name in choices(core):
        return False
    raise ValueError(
        f"there is no field {name!r} to vary or set{nearest(name, [*numbers(core), *choices(core), *LIGHT])}"
    )


def with_values(core: optics.TensorCore, values: Mapping[str, Any]) -> optics.TensorCore:
    """Return `core` with the values of axes, its light set last. It traces where the values are numbers.

    Raises:
        ValueError: if two of the values set the source power, or one is out of range.
    """
    lights = [name for name in values if name in LIGHT]
    if len(lights) > 1 or (lights and "source.power" in values):
        named = [name for name in values if name in (*LIGHT, "source.power")]
        raise ValueError(f"{' and '.join(named)} each set the source power: give one of them")
    core = core.replace({name: value for name, value in values.items() if name not in LIGHT})
    for name in lights:
        core = LIGHT[name](core, values[name])
    return core


def _fields(part: Any, path: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            yield from _fields(value, f"{path}{field.name}.")
        else:
            yield path + field.name, field, value
