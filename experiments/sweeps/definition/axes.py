"""Axes of a sweep over the fields of a core: single, varied together, or sampled. Dimensions are crossed."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import qmc

from experiments.common.options import check_integer, check_seed, short_repr
from optics.analysis.axis import between

Value = float | int | str
SCALES = ("linear", "log")
SAMPLED = "sobol"
LARGEST = float(np.finfo(np.float32).max)
MOST_POINTS = 10**6
"""The most points of one axis, and the most draws of a sample."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One dimension of the grid of points: one axis, or several that vary together.

    Attributes:
        columns: values of each axis by dotted name, all of one length.
        sampled: whether the values are draws from a box, which have no order.

    Raises:
        ValueError: if there is no axis, an axis is empty, or the lengths differ.
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
        """Raise ValueError if two of its points are equal."""
        rows = list(zip(*self.columns.values(), strict=True))
        if len(set(rows)) < len(rows):
            twice = next(row for row in rows if rows.count(row) > 1)
            raise ValueError(f"axis {' and '.join(map(repr, self.columns))} has {', '.join(map(str, twice))} twice")


def listed(name: str, values: Sequence[Value]) -> Dimension:
    """Return an axis of the given values."""
    return Dimension({name: tuple(plain(name, value) for value in values)})


def linear(name: str, low: float, high: float, points: int) -> Dimension:
    """Return an axis of `points` values, evenly spaced from `low` to `high`, both included."""
    return listed(name, _spaced(name, low, high, points, "linear"))


def log(name: str, low: float, high: float, points: int) -> Dimension:
    """Return an axis of `points` positive values, of equal ratios from `low` to `high`, both included."""
    return listed(name, _spaced(name, low, high, points, "log"))


def zipped(*dimensions: Dimension) -> Dimension:
    """Return one dimension in which the axes of several, all of one length, vary together."""
    return Dimension(_united(dimensions))


def sobol(points: int, bounds: Mapping[str, tuple[float, float, str]], seed: int = 0) -> Dimension:
    """Return draws from a box by a scrambled Sobol sequence (Owen 1998).

    Args:
        points: number of draws, a power of two, without which the sequence is not balanced.
        bounds: (low, high, "linear" or "log") by axis, uniform in the value or in its logarithm.
        seed: of the scrambling.

    Raises:
        ValueError: if a number is out of range or no axis is named.
    """
    check_integer("sobol.points", points, 1, MOST_POINTS)
    check_seed("sobol.seed", seed)
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
    """Return the number of points of crossed dimensions."""
    return math.prod(len(dimension) for dimension in dimensions)


def names(dimensions: Sequence[Dimension]) -> list[str]:
    """Return the names of all axes, in order. Raises ValueError for one that is named twice."""
    return list(_united(dimensions))


def column(dimensions: Sequence[Dimension], name: str, points: np.ndarray) -> list[Value]:
    """Return the values of one axis at points by number, of which the last dimension varies fastest."""
    indices = np.unravel_index(points, [len(dimension) for dimension in dimensions]) if dimensions else ()
    for dimension, index in zip(dimensions, indices, strict=True):
        if name in dimension.columns:
            return [dimension.columns[name][i] for i in index]
    raise KeyError(name)


def _united(dimensions: Sequence[Dimension]) -> dict[str, tuple[Value, ...]]:
    columns: dict[str, tuple[Value, ...]] = {}
    for dimension in dimensions:
        for name, values in dimension.columns.items():
            if name in columns:
                raise ValueError(f"axis {name!r} is listed twice")
            columns[name] = values
    return columns


def _spaced(name: str, low: float, high: float, points: int, scale: str) -> list[float]:
    check_integer(f"axis {name!r}: points", points, 1, MOST_POINTS)
    return _even(name, low, high, scale, np.linspace(0, 1, points))


def _even(name: str, low: float, high: float, scale: str, shares: np.ndarray) -> list[float]:
    if scale not in SCALES:
        raise ValueError(f"axis {name!r}: scale {scale!r} must be one of {', '.join(SCALES)}")
    return [float(value) for value in between(*_bounds(name, low, high, scale), scale == "log", shares)]


def _bounds(name: str, low: float, high: float, scale: str) -> tuple[float, float]:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not -LARGEST <= bound <= LARGEST:
            raise ValueError(f"axis {name!r}: bound {short_repr(bound)} must be a finite number")
        if scale == "log" and bound <= 0:
            raise ValueError(f"axis {name!r}: bound {bound!r} of a log axis must be above 0")
    return float(low), float(high)


def plain(name: str, value: Value) -> Value:
    """Return a value as a Python number or word. Raises ValueError for anything else and for infinity."""
    bare = value.item() if isinstance(value, np.generic) else value
    if isinstance(bare, bool) or not isinstance(bare, int | float | str):
        raise ValueError(f"axis {name!r}: {short_repr(value)} must be a number or a word")
    if not isinstance(bare, str) and not -LARGEST <= bare <= LARGEST:
        raise ValueError(f"axis {name!r}: {short_repr(value)} must be a finite number in float32")
    return bare
