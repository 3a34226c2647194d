"""How machines are run: overlap of light and digital arithmetic, what stays powered, ends of batches, and PUE."""

import dataclasses
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from electronics import Constant
from electronics.constants import read
from experiments.serving.model import Corner

BETTER_HIGH = ("overlap", "packed")
"""Constants whose high end saves power; of all others it is the low end."""
SHARES = ("overlap", "converters", "unused", "packed")


def _read() -> dict[str, Constant]:
    constants = read(files("experiments.comparison") / "schedule.toml")
    return {name.removeprefix("schedule."): constant for name, constant in constants.items()}


SCHEDULE: Mapping[str, Constant] = MappingProxyType(_read())
"""Constants of the schedule by name, as schedule.toml has them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Values of the schedule's constants; schedule.toml says what each is."""

    overlap: float
    converters: float
    unused: float
    packed: float
    chunk: float
    pue: float


def schedule_at(corner: Corner, constants: Mapping[str, Constant] = SCHEDULE) -> Schedule:
    """Return the schedule with every constant at its nominal value, or at the end that takes least or most power."""

    def value(name: str) -> float:
        constant = constants[name]
        if corner == "nominal":
            return constant.value
        return constant.high if (corner == "best") == (name in BETTER_HIGH) else constant.low

    return Schedule(**{field.name: value(field.name) for field in dataclasses.fields(Schedule)})


def check(constants: Mapping[str, Constant]) -> None:
    """Raise ValueError for a constant out of range; the message names it and the range."""
    for name, constant in constants.items():
        least, most = (0.0, 1.0) if name in SHARES else (1.0, float("inf"))
        if not least <= constant.low <= constant.high <= most:
            allowed = "between 0 and 1" if name in SHARES else "at least 1"
            raise ValueError(f"{name} = {constant.low:g} to {constant.high:g} must be {allowed}")
