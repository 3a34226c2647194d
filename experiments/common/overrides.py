"""Constants changed from the command line, for all scenarios or one, as a value or with a range of its own."""

import dataclasses
from collections.abc import Mapping, Sequence

import optics
from electronics import Constant
from electronics.part import nearest

SOURCE = "set on the command line"
OWN = "core"


def changed(constants: Mapping[str, Constant], changes: Sequence[str], scenario: str) -> dict[str, Constant]:
    """The constants of `scenario` by field, with those of `changes` in their place.

    A change reads FIELD=VALUE, which leaves no doubt about the constant, or FIELD=LOW:VALUE:HIGH; SCENARIO.FIELD=...
    is for that scenario alone, core.FIELD=... for a core of the user's own. Raises ValueError for what cannot be read
    and for an unknown field, naming the nearest.
    """
    found = dict(constants)
    for text in changes:
        field, value = _read(text)
        owner, _, rest = field.partition(".")
        if owner in (*optics.PRESETS, OWN):
            if owner != scenario:
                continue
            field = rest
        if field not in found:
            raise ValueError(f"--set {text}: there is no constant {field!r}{nearest(field, list(found))}")
        low, nominal, high = value
        try:
            found[field] = dataclasses.replace(
                found[field], low=low, value=nominal, high=high, mark="assumed", source=SOURCE
            )
        except ValueError as error:
            raise ValueError(f"--set {text}: {error}") from None
    return found


def _read(text: str) -> tuple[str, tuple[float, float, float]]:
    field, equals, values = text.partition("=")
    try:
        numbers = [float(value) for value in values.split(":")]
    except ValueError:
        numbers = []
    if not equals or len(numbers) not in (1, 3):
        raise ValueError(f"--set {text} must be FIELD=VALUE or FIELD=LOW:VALUE:HIGH, with numbers in SI units")
    return field, (numbers[0], numbers[len(numbers) // 2], numbers[-1])
