"""What a sweep varies: axes over the fields of a core, alone, moved together, or sampled; dimensions are crossed."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from experiments.common import options
from optics.analysis.axis import between

Value = float | int | str
SCALES = ("linear", "log")
SAMPLED = "sobol"
LARGEST = float(np.finfo(np.float32).max)
MOST_POINTS = 10**6
"""Of one axis, or draws."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One dimension of the grid of points: one axis, or several that move together, by dotted name.

    columns: the values of each axis, all of one length. sampled: they are draws from a box and have no order.
    """

    columns: Mapping[str, tuple[Value, ...]]
    sampled: bool = False

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError("a dimension has no axis: it must name at least one field")
        lengths = {name: len(values) for name, values in self.columns.items()}
        for name, length in lengths.items():
            if length == 0:
                raise ValueError(f"axis {name!r} is empty: it must have at least one value")
        if len(set(lengths.values())) > 1:
            stated = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValueError(f"axes that move together must be equally long, and have {stated} values")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def name(self) -> str:
        """The first axis's name, or SAMPLED where the values are draws."""
        return SAMPLED if self.sampled else next(iter(self.columns))

    def refuse_repeats(self) -> None:
        """Raises ValueError where two of its points are the same."""
        rows = list(zip(*self.columns.values(), strict=True))
        if len(set(rows)) < len(rows):
            twice = next(row for row in rows if rows.count(row) > 1)
            raise ValueError(f"axis {' and '.join(map(repr, self.columns))} has {', '.join(map(str, twice))} twice")


def listed(name: str, values: Sequence[Value]) -> Dimension:
    """An axis of the given values."""
    return Dimension({name: tuple(plain(name, value) for value in values)})


def linear(name: str, low: float, high: float, points: int) -> Dimension:
    """An axis of `points` values, evenly spaced from `low` to `high`, both included."""
    return listed(name, _spaced(name, low, high, points, "linear"))


def log(name: str, low: float, high: float, points: int) -> Dimension:
    """An axis of `points` values above 0, of equal ratios from `low` to `high`, both included."""
    return listed(name, _spaced(name, low, high, points, "log"))


def zipped(*dimensions: Dimension) -> Dimension:
    """One dimension in which the axes of several, equally long, move together."""
    return Dimension(_united(dimensions))


def sobol(points: int, bounds: Mapping[str, tuple[float, float, str]], seed: int = 0) -> Dimension:
    """`points` draws from a box by a scrambled Sobol sequence (Owen 1998); a power of two keeps it balanced.

    bounds: by axis (low, high, "linear" or "log"), even in the value or in its logarithm.
    """
    options.whole("sobol.points", points, 1, MOST_POINTS)
    options.seed("sobol.seed", seed)
    if points & (points - 1):
        raise ValueError(f"sobol.points = {points} must be a power of two")
    if not bounds:
        raise ValueError("sobol has no axis: it must name at least one field")
    unit = qmc.Sobol(len(bounds), rng=np.random.default_rng(seed)).random(points)
    columns = {}
    for (name, (low, high, scale)), shares in zip(bounds.items(), unit.T, strict=True):
        columns[name] = tuple(_even(name, low, high, scale, shares))
    return Dimension(columns, sampled=True)


def size(dimensions: Sequence[Dimension]) -> int:
    """How many points the crossed dimensions have."""
    return math.prod(len(dimension) for dimension in dimensions)


def names(dimensions: Sequence[Dimension]) -> list[str]:
    """All axes, in order. Raises ValueError for one that is named twice."""
    return list(_united(dimensions))


def column(dimensions: Sequence[Dimension], name: str, points: np.ndarray) -> list[Value]:
    """The values of one axis at points by number; the last dimension turns fastest."""
    indices = np.unravel_index(points, [len(dimension) for dimension in dimensions]) if dimensions else ()
    for dimension, index in zip(dimensions, indices, strict=True):
        if name in dimension.columns:
            return [dimension.columns[name][i] for i in index]
    raise KeyError(name)


def _united(dimensions: Sequence[Dimension]) -> dict[str, tuple[Value, ...]]:
    found: dict[str, tuple[Value, ...]] = {}
    for dimension in dimensions:
        for name, values in dimension.columns.items():
            if name in found:
                raise ValueError(f"axis {name!r} is there twice")
            found[name] = values
    return found


def _spaced(name: str, low: float, high: float, points: int, scale: str) -> list[float]:
    options.whole(f"axis {name!r}: points", points, 1, MOST_POINTS)
    return _even(name, low, high, scale, np.linspace(0, 1, points))


def _even(name: str, low: float, high: float, scale: str, shares: np.ndarray) -> list[float]:
    if scale not in SCALES:
        raise ValueError(f"axis {name!r}: scale {scale!r} must be one of {', '.join(SCALES)}")
    return [float(value) for value in between(*_bounds(name, low, high, scale), scale == "log", shares)]


def _bounds(name: str, low: float, high: float, scale: str) -> tuple[float, float]:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not -LARGEST <= bound <= LARGEST:
            raise ValueError(f"axis {name!r}: bound {options.shown(bound)} must be a finite number")
        if scale == "log" and bound <= 0:
            raise ValueError(f"axis {name!r}: bound {bound!r} of a log axis must be above 0")
    return float(low), float(high)


def plain(name: str, value: Value) -> Value:
    """A value as JSON has it."""
    found = value.item() if isinstance(value, np.generic) else value
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        raise ValueError(f"axis {name!r}: {options.shown(value)} must be a number or a word")
    if not isinstance(found, str) and not -LARGEST <= found <= LARGEST:
        raise ValueError(f"axis {name!r}: {options.shown(value)} must be a finite number in float32")
    return found
