"""What an axis may be named after: a number of the core, one of its choices of structure, or its light."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import optics
from electronics import Part
from electronics.part import nearest

LIGHT: dict[str, Callable[[optics.TensorCore, Any], optics.TensorCore]] = {
    "light.effective_bits": optics.lit,
    "light.photons_per_mac": optics.lit_by,
}
"""Axes that set the source power, and the full well with it, by what comes of it; they act after all others."""


def numbers(part: Part, path: str = "") -> list[str]:
    """Dotted names of the fields that are array leaves and hold one number."""
    found = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            found += numbers(value, f"{path}{field.name}.")
        elif not field.metadata.get("static") and not getattr(value, "ndim", 0):
            found.append(path + field.name)
    return found


def choices(part: Part, path: str = "") -> list[str]:
    """Dotted names of the static fields: to change one is to compile anew."""
    found = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            found += choices(value, f"{path}{field.name}.")
        elif field.metadata.get("static"):
            found.append(path + field.name)
    return found


def is_number(core: optics.TensorCore, name: str) -> bool:
    """Whether an axis of this name varies a leaf, so that its values share one compilation.

    Raises ValueError for a name that is no field, naming the nearest.
    """
    if name in LIGHT or name in numbers(core):
        return True
    if name in choices(core):
        return False
    raise ValueError(f"no field {name!r} can be an axis{nearest(name, [*numbers(core), *choices(core), *LIGHT])}")


def applied(core: optics.TensorCore, values: Mapping[str, Any]) -> optics.TensorCore:
    """`core` with the values of axes, its light last. Traces where the values are numbers."""
    lights = [name for name in values if name in LIGHT]
    if len(lights) > 1 or (lights and "source.power" in values):
        named = [name for name in values if name in (*LIGHT, "source.power")]
        raise ValueError(f"{' and '.join(named)} each set the source power: give one of them")
    core = core.replace({name: value for name, value in values.items() if name not in LIGHT})
    for name in lights:
        core = LIGHT[name](core, values[name])
    return core
