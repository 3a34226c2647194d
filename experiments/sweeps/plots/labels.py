"""Axes and metrics of a run in words: with their units, with the prefix that suits their values, and in their order."""

import dataclasses
import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

import optics
from electronics import Part
from electronics.part import nearest
from experiments.sweeps.definition.axes import SAMPLED
from experiments.sweeps.running.results import Run
from experiments.sweeps.subjects.metrics import METRICS

LABELS = {
    "light.effective_bits": ("light sized for", "effective bits against the product"),
    "light.photons_per_mac": ("photons per MAC, launched", ""),
    "on.rows": ("rows of the product", ""),
    "on.columns": ("columns of the product", ""),
    "on.window_tokens": ("tokens a window", ""),
}

ACRONYMS = ("ADC", "DAC", "ENOB", "TIA", "RIN", "INL", "SRAM", "MAC")

SERIAL = ("device", "on.data_seed")
"""Axes whose numbers are names."""

PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 3: "k", 6: "M", 9: "G", 12: "T"}

PREFIXED = ("Hz", "W", "J", "s", "m", "A", "C", "F", "S")


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of a run as it is drawn: an axis, or, where axes of words move together, all of them as one.

    values: along the dimension; unit: with the prefix by which `scale` divides; along: axes that move with it.
    """

    name: str
    dimension: int
    values: tuple[Any, ...]
    text: str
    unit: str = ""
    scale: float = 1.0
    along: tuple[str, ...] = ()

    @cached_property
    def numeric(self) -> bool:
        """Whether it has a scale, so that lines and maps may run along it."""
        return not any(isinstance(value, str) for value in self.values)

    @cached_property
    def order(self) -> np.ndarray:
        """Places along the dimension, by increasing value; those of words as they stand."""
        return np.argsort(self.values, kind="stable") if self.numeric else np.arange(len(self.values))

    @cached_property
    def ordered(self) -> list[Any]:
        """The values, in that order."""
        return [self.values[place] for place in self.order]

    @cached_property
    def log(self) -> bool:
        """Whether its values are spaced evenly in their logarithm rather than in themselves, over more than 10."""
        return self.numeric and log_spaced(np.array(self.ordered, float))

    @property
    def middle(self) -> tuple[int, str]:
        """(place, which it is) of the value that stands for the axis where it is not drawn."""
        count = len(self.values)
        if count == 1:
            return 0, "its only value"
        if self.numeric:
            return int(self.order[count // 2]), f"the middle one of {count}"
        return 0, f"the first of {count}"

    @property
    def label(self) -> str:
        """In words, with its unit."""
        return with_unit(self.text, self.unit)

    def stated(self, value: Any, named: bool = True) -> str:
        """One of its values with its unit and, unless that is clear, its name."""
        if isinstance(value, str):
            return f"{self.text}: {value}" if named else value
        text = f"{number(value / self.scale)} {self.unit if self.unit != '1' else ''}".strip()
        joint = " " if self.text.endswith(" for") else " = "
        return f"{self.text}{joint}{text}" if named else text


def label(run: Run, axis: str) -> str:
    """An axis of a run as a figure states it, with its unit in brackets."""
    return with_unit(*named(run, axis))


def metric_label(name: str) -> str:
    """A metric as a figure states it, with its unit in brackets."""
    return with_unit(METRICS[name].label, METRICS[name].unit)


def with_unit(text: str, unit: str) -> str:
    """A label, and its unit in brackets where it has one."""
    return f"{text} [{unit}]" if unit not in ("", "1") else text


def named(run: Run, axis: str) -> tuple[str, str]:
    """(an axis in words, its unit), the unit empty where there is none."""
    if axis in LABELS:
        return LABELS[axis]
    unit = "" if axis.startswith("on.") else _unit(run, axis)
    text = axis.removeprefix("on.").replace(".", " ").replace("_", " ")
    text = text.removesuffix(" db") if unit == "dB" else text
    return " ".join(word.upper() if word.upper() in ACRONYMS else word for word in text.split()), unit


def checked_axis(run: Run, name: str) -> str:
    """The name of an axis of the run. Raises ValueError for another, with the nearest."""
    if name not in run.axes:
        raise ValueError(f"no axis {name!r} in {run.folder}{nearest(name, run.axes)}")
    return name


def checked_metrics(run: Run, names: Sequence[str] | None) -> list[str]:
    """The metrics asked for, or all of the run. Raises ValueError for one it has not, with the nearest."""
    for name in names or ():
        if name not in run.metrics:
            raise ValueError(f"no metric {name!r} in {run.folder}{nearest(name, run.metrics)}")
    return list(names or run.metrics)


def number(value: float) -> str:
    """A number as people write it, to about three digits."""
    if value == 0 or (float(value).is_integer() and abs(value) < 1e6):
        return f"{value:.0f}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].replace("+", ""), f"{value:.3g}")


def cell(value: Any) -> str:
    """A value of an axis in a table."""
    return value if isinstance(value, str) else f"{value:.4g}" if abs(value) < 1e4 else number(value)


def _unit(run: Run, axis: str) -> str:
    """Unit of a field of the core, found in the class of the part that has it."""
    *path, last = axis.split(".")
    part: Part = optics.today()
    for name in path:
        part = getattr(part, name, part)
    kind: Any = getattr(optics, run.definition["transfer.kind"], type(part)) if path == ["transfer"] else type(part)
    found = next((field for field in dataclasses.fields(kind) if field.name == last), None)
    return found.metadata.get("unit", "") if found is not None else ""


def axis_of(run: Run, dimension: int, name: str | None = None) -> Axis:
    """A dimension of a run as it is drawn: by the axis of that name, or its first of numbers, or all of its words."""
    names = run.dimensions[dimension]["axes"]
    columns = {axis: run.definition["axes"][axis] for axis in names}
    scales = [axis for axis in names if axis not in SERIAL and not any(isinstance(v, str) for v in columns[axis])]
    distinct = [axis for axis in names if len(set(columns[axis])) == len(columns[axis])]
    scales = [axis for axis in scales if axis in distinct]
    asked, name = name, name or (scales[0] if scales else None)
    # Only distinct values tell the points of a dimension apart.
    if name in distinct:
        text, unit = named(run, name)
        values = [str(v) if name in SERIAL else v for v in columns[name]]
        prefix, scale = _prefix(unit, values)
        sampled = run.dimensions[dimension]["name"] == SAMPLED
        others = () if sampled else tuple(named(run, axis)[0] for axis in names if axis != name)
        return Axis(name, dimension, tuple(values), text, prefix + unit, scale, others)
    values = tuple(", ".join(map(cell, row)) for row in zip(*columns.values(), strict=True))
    return Axis(asked or names[0], dimension, values, _joined([named(run, axis)[0] for axis in names]))


def _joined(names: Sequence[str]) -> str:
    """Names of one part after each other, the part named once."""
    heads = {name.split(" ")[0] for name in names}
    rest = (
        [name.split(" ", 1)[1] for name in names[1:]] if len(heads) == 1 and all(" " in n for n in names) else names[1:]
    )
    return ", ".join([names[0], *rest])


def log_spaced(values: np.ndarray) -> bool:
    """Whether rising values span more than a factor of 10 at about equal ratios, as 1, 3, 10, 30."""
    if len(values) < 3 or values[0] <= 0 or values[-1] <= 10 * values[0]:
        return False
    ratios = values[1:] / values[:-1]
    return bool(ratios.max() < 1.5 * ratios.min())


def _prefix(unit: str, values: Sequence[Any]) -> tuple[str, float]:
    """(prefix, factor) with which the largest of the values is a number of one to three digits."""
    largest = max((abs(value) for value in values if not isinstance(value, str)), default=0)
    if unit.split("/")[0] not in PREFIXED or not largest:
        return "", 1.0
    power = 3 * math.floor(math.log10(largest) / 3 + 1e-9)
    return (PREFIXES[power], 10.0**power) if power in PREFIXES else ("", 1.0)
