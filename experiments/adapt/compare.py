"""Curves of KL against light, read at equal photons, at equal peak power and at equal watts."""

from collections.abc import Sequence

import numpy as np

from experiments.adapt.records import CRITERIA, Comparison, Criterion, PointRecord


def value_at(x: Sequence[float], y: Sequence[float], at: float) -> float | None:
    """Return y at a value of x, by linear interpolation of ln y over ln x; None beyond the points.

    Args:
        x: positive, rising.
        y: positive.
        at: the value of x.
    """
    # The end points are of the curve, but for the rounding of what they were computed from.
    if not x[0] * (1 - 1e-9) <= at <= x[-1] * (1 + 1e-9):
        return None
    return float(np.exp(np.interp(np.log(at), np.log(x), np.log(y))))


def first_below(x: Sequence[float], y: Sequence[float], level: float) -> float | None:
    """Return the least x from which y is at most `level`, by the interpolation of `value_at`.

    None where y is never so small, and where it is already so small at the first point, before which nothing is known.
    """
    for number, value in enumerate(y):
        if value > level:
            continue
        if number == 0:
            return x[0] if np.isclose(value, level, rtol=1e-9) else None
        before = y[number - 1]
        share = (np.log(before) - np.log(level)) / (np.log(before) - np.log(value))
        return float(np.exp(np.log(x[number - 1]) + share * (np.log(x[number]) - np.log(x[number - 1]))))
    return None


def compare(points: Sequence[PointRecord], unprepared: Sequence[PointRecord]) -> dict[Criterion, Comparison]:
    """Return how a method compares with the unprepared model at its own light, by criterion.

    Args:
        points: of the method, by rising light.
        unprepared: of the model as it is, one of them at a light of 1.
    """
    return {criterion: _compared(criterion, points, unprepared) for criterion in CRITERIA}


def own_light(points: Sequence[PointRecord]) -> PointRecord:
    """Return the point at the core's own light."""
    return next(point for point in points if point["light"] == 1.0)


def _compared(criterion: Criterion, points: Sequence[PointRecord], unprepared: Sequence[PointRecord]) -> Comparison:
    own = own_light(unprepared)
    x, at = [point[criterion] for point in points], own[criterion]
    by_window = np.array([point["kl_by_window"] for point in points])
    reference = np.array(own["kl_by_window"])

    def recovered(kept: np.ndarray) -> float | None:
        found = value_at(x, by_window[:, kept].mean(axis=1).tolist(), at)
        return None if found is None else 1 - found / float(reference[kept].mean())

    everything = np.arange(len(reference))
    share = recovered(everything)
    return {
        "kl": value_at(x, [point["kl"] for point in points], at),
        "recovered": share,
        "recovered_stderr": None if share is None else _jackknife(recovered, len(reference)),
        "equal_kl": first_below(x, [point["kl"] for point in points], own["kl"]),
    }


def _jackknife(statistic, count: int) -> float | None:
    """Standard error of a statistic of windows, from its values without one window each (Quenouille and Tukey)."""
    if count < 2:
        return None
    values = np.array([statistic(np.delete(np.arange(count), left_out)) for left_out in range(count)])
    return float(np.sqrt((count - 1) / count * np.sum((values - values.mean()) ** 2)))
