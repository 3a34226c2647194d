"""Constants that are changed on the command line, for all scenarios or one, to a value or a range."""

import dataclasses
from collections.abc import Mapping, Sequence

import optics
from electronics import Constant
from electronics.part import nearest

SOURCE = "set on the command line"
OWN = "core"
DESIGN = "cores"


def with_overrides(constants: Mapping[str, Constant], changes: Sequence[str], scenario: str) -> dict[str, Constant]:
    """Return the constants of a scenario with some of them replaced.

    Args:
        constants: the scenario's own, by field.
        changes: each FIELD=VALUE, which makes the constant exact, or FIELD=LOW:VALUE:HIGH, in SI units.
            SCENARIO.FIELD=... applies to that scenario alone, core.FIELD=... to the user's own core, and
            cores.FIELD=... to the user's own design.
        scenario: name of the scenario, OWN or DESIGN.

    Raises:
        ValueError: if a change cannot be read, its values are out of range, or its field is unknown. The message names
            the nearest field.
    """
    replaced = dict(constants)
    for text in changes:
        field, value = _read(text)
        owner, _, rest = field.partition(".")
        if owner in (*optics.PRESETS, OWN, DESIGN):
            if owner != scenario:
                continue
            field = rest
        if field not in replaced:
            raise ValueError(f"--set {text}: there is no constant {field!r}{nearest(field, list(replaced))}")
        low, nominal, high = value
        try:
            replaced[field] = dataclasses.replace(
                replaced[field], low=low, value=nominal, high=high, mark="assumed", source=SOURCE
            )
        except ValueError as error:
            raise ValueError(f"--set {text}: {error}") from None
    return replaced


def _read(text: str) -> tuple[str, tuple[float, float, float]]:
    """(field, (low, value, high)) of a change."""
    field, equals, values = text.partition("=")
    try:
        numbers = [float(value) for value in values.split(":")]
    except ValueError:
        numbers = []
    if not equals or len(numbers) not in (1, 3):
        raise ValueError(f"--set {text} must be FIELD=VALUE or FIELD=LOW:VALUE:HIGH, with numbers in SI units")
    return field, (numbers[0], numbers[len(numbers) // 2], numbers[-1])
