"""Axes and metrics of a sweep in words, with units and the prefixes that suit their values, and in order."""

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
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.subjects.metrics import Metric
from optics.core.by_site import split_name

LABELS = {
    "light.effective_bits": ("light sized for", "effective bits against the product"),
    "light.photons_per_mac": ("photons per MAC, launched", ""),
    "on.rows": ("rows of the product", ""),
    "on.columns": ("columns of the product", ""),
    "on.window_tokens": ("tokens a window", ""),
}

ACRONYMS = ("ADC", "DAC", "ENOB", "TIA", "RIN", "INL", "SRAM", "MAC")

SERIAL = ("device", "on.data_seed")
"""Axes whose numbers are names, without a scale."""

PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 3: "k", 6: "M", 9: "G", 12: "T"}

PREFIXED = ("Hz", "W", "J", "s", "m", "A", "C", "F", "S")


@dataclasses.dataclass(frozen=True)
class Axis:
    """One dimension of a sweep as it is drawn: an axis, or, where axes of words vary together, all of them as one.

    Attributes:
        name: dotted name of the axis.
        dimension: number of the dimension.
        values: values along the dimension.
        text: name in words.
        unit: unit with its prefix.
        scale: factor of the prefix.
        along: the axes that vary with it, in words.
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
        """Whether its values are numbers, so that it can be an axis of lines and maps."""
        return not any(isinstance(value, str) for value in self.values)

    @cached_property
    def order(self) -> np.ndarray:
        """Places along the dimension, by increasing value; those of words in their given order."""
        return np.argsort(self.values, kind="stable") if self.numeric else np.arange(len(self.values))

    @cached_property
    def ordered(self) -> list[Any]:
        """The values, in that order."""
        return [self.values[place] for place in self.order]

    @cached_property
    def log(self) -> bool:
        """Whether its values are spaced evenly in their logarithm, over more than a factor of 10."""
        return self.numeric and log_spaced(np.array(self.ordered, float))

    @property
    def middle(self) -> tuple[int, str]:
        """(place, description) of the value that the axis is held at where it is not drawn."""
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
        """Return one of its values with its unit and, if `named`, its name."""
        if isinstance(value, str):
            return f"{self.text}: {value}" if named else value
        text = f"{number(value / self.scale)} {self.unit if self.unit != '1' else ''}".strip()
        joint = " " if self.text.endswith(" for") else " = "
        return f"{self.text}{joint}{text}" if named else text


def label(results: SweepResults, axis: str) -> str:
    """Return the label of an axis, with its unit in brackets."""
    return with_unit(*named(results, axis))


def metric_label(metric: Metric) -> str:
    """Return the label of a metric, with its unit in brackets."""
    return with_unit(metric.label, metric.unit)


def with_unit(text: str, unit: str) -> str:
    """Return a label, with its unit in brackets where it has one."""
    return f"{text} [{unit}]" if unit not in ("", "1") else text


def named(results: SweepResults, axis: str) -> tuple[str, str]:
    """Return (name of an axis in words, its unit), the unit empty where there is none."""
    of_core, field = split_name(axis)
    if of_core:
        text, unit = named(results, field)
        rule = results.definition["design"].get(of_core, of_core).replace("'", "")
        return f"{text} of {rule}", unit
    if axis in LABELS:
        return LABELS[axis]
    unit = "" if axis.startswith("on.") else _unit(results, axis)
    text = axis.removeprefix("on.").replace(".", " ").replace("_", " ")
    text = text.removesuffix(" db") if unit == "dB" else text
    return " ".join(word.upper() if word.upper() in ACRONYMS else word for word in text.split()), unit


def checked_axis(results: SweepResults, name: str) -> str:
    """Return the name of an axis. Raises ValueError for an unknown one, with the nearest."""
    if name not in results.axes:
        raise ValueError(f"no axis {name!r} in {results.folder}{nearest(name, results.axes)}")
    return name


def checked_metrics(results: SweepResults, names: Sequence[str] | None) -> list[str]:
    """Return the metrics that are named, or all. Raises ValueError for an unknown one, with the nearest."""
    for name in names or ():
        if name not in results.metrics:
            raise ValueError(f"no metric {name!r} in {results.folder}{nearest(name, results.metrics)}")
    return list(names or results.metrics)


def number(value: float) -> str:
    """Return a number as text, to about three digits."""
    if value == 0 or (float(value).is_integer() and abs(value) < 1e6):
        return f"{value:.0f}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return re.sub(r"e([+-])0*", lambda match: "e" + match[1].replace("+", ""), f"{value:.3g}")


def cell(value: Any) -> str:
    """Return a value of an axis as a cell of a table."""
    return value if isinstance(value, str) else f"{value:.4g}" if abs(value) < 1e4 else number(value)


def _unit(results: SweepResults, axis: str) -> str:
    """Unit of a field of the core, from the class of the part that has it."""
    *path, last = axis.split(".")
    part: Part = optics.today()
    for name in path:
        part = getattr(part, name, part)
    kind: Any = type(part)
    if path == ["transfer"]:
        curve = results.definition["transfer.kind"]
        # Of a design the curves of its cores, which all have the field.
        kind = getattr(optics, curve if isinstance(curve, str) else next(iter(curve.values())), kind)
    field = next((field for field in dataclasses.fields(kind) if field.name == last), None)
    return field.metadata.get("unit", "") if field is not None else ""


def axis_of(results: SweepResults, dimension: int, name: str | None = None) -> Axis:
    """Return a dimension as it is drawn: by the axis of that name, else its first of numbers, else all its words."""
    names = results.dimensions[dimension]["axes"]
    columns = {axis: results.definition["axes"][axis] for axis in names}
    scales = [axis for axis in names if axis not in SERIAL and not any(isinstance(v, str) for v in columns[axis])]
    distinct = [axis for axis in names if len(set(columns[axis])) == len(columns[axis])]
    scales = [axis for axis in scales if axis in distinct]
    asked, name = name, name or (scales[0] if scales else None)
    # An axis with repeated values does not distinguish the points of its dimension.
    if name is not None and name in distinct:
        text, unit = named(results, name)
        values = [str(v) if name in SERIAL else v for v in columns[name]]
        prefix, scale = prefix_of(unit, values)
        sampled = results.dimensions[dimension]["name"] == SAMPLED
        others = () if sampled else tuple(named(results, axis)[0] for axis in names if axis != name)
        return Axis(name, dimension, tuple(values), text, prefix + unit, scale, others)
    values = tuple(", ".join(map(cell, row)) for row in zip(*columns.values(), strict=True))
    return Axis(asked or names[0], dimension, values, _joined([named(results, axis)[0] for axis in names]))


def _joined(names: Sequence[str]) -> str:
    """Names of fields of one part, with the part named once."""
    heads = {name.split(" ")[0] for name in names}
    rest = (
        [name.split(" ", 1)[1] for name in names[1:]] if len(heads) == 1 and all(" " in n for n in names) else names[1:]
    )
    return ", ".join([names[0], *rest])


def log_spaced(values: np.ndarray) -> bool:
    """Return whether rising values span more than a factor of 10 at about equal ratios, as 1, 3, 10, 30."""
    if len(values) < 3 or values[0] <= 0 or values[-1] <= 10 * values[0]:
        return False
    ratios = values[1:] / values[:-1]
    return bool(ratios.max() < 1.5 * ratios.min())


def prefix_of(unit: str, values: Sequence[Any]) -> tuple[str, float]:
    """Return (prefix, factor) with which the largest of the values has one to three digits before the point."""
    largest = max((abs(value) for value in values if not isinstance(value, str)), default=0)
    if unit.split("/")[0] not in PREFIXED or not largest:
        return "", 1.0
    power = 3 * math.floor(math.log10(largest) / 3 + 1e-9)
    return (PREFIXES[power], 10.0**power) if power in PREFIXES else ("", 1.0)
