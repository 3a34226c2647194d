"""Figures of any sweep: the kinds that suit its axes, and the role of each axis in them.

draw(sweeps.SweepResults("runs/light"))                               # all that apply
draw(results, metrics=["kl"], x="adc.enob", by="encoding.weights")    # one of them, with chosen axes
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.plotting import style
from experiments.sweeps.definition.axes import SAMPLED
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.plots import fronts, labels, lines, maps
from experiments.sweeps.plots.labels import Axis
from experiments.sweeps.plots.view import View

KINDS = ("lines", "map", "front", "dots", "scatter")
ROLES = {
    "lines": ("x", "by", "panel"),
    "map": ("x", "y", "panel"),
    "front": ("by",),
    "dots": ("x", "by", "panel"),
    "scatter": ("x", "by"),
}
FILES = ("png", "pdf", "svg")
MAP_POINTS = 4
MOST_LINES = 8


def draw(
    results: SweepResults,
    *,
    metrics: Sequence[str] | None = None,
    x: str | None = None,
    y: str | None = None,
    by: str | None = None,
    panel: str | None = None,
    kind: str | None = None,
    confidence: float = 0.68,
    out: str | Path | None = None,
) -> list[str]:
    """Draw all figures that suit a sweep, or those of one kind, and return their names.

    Args:
        results: the results.
        metrics: names of metrics; all unless given.
        x: name of the horizontal axis; chosen unless given, as are `y`, `by` and `panel`.
        y: name of the vertical axis of a map.
        by: name of the axis that has a line or colour for each value.
        panel: name of the axis that has a panel for each value.
        kind: one of KINDS; all that suit the axes unless given.
        confidence: of intervals.
        out: folder of the files; the run's own unless given.

    Returns:
        Names of the figures, each written as .png, .pdf and .svg.

    Raises:
        ValueError: if a name is unknown or does not fit the kind, or there is nothing to draw.
    """
    given = {role: name for role, name in (("x", x), ("y", y), ("by", by), ("panel", panel)) if name is not None}
    chosen = [name for name in labels.checked_metrics(results, metrics) if np.any(np.isfinite(results.values[name]))]
    kinds = _kinds(results, given, chosen, kind)
    folder = Path(out) if out is not None else results.path.parent
    written = []
    for one in kinds:
        own = {role: name for role, name in given.items() if role in ROLES[one]}
        view = View(results, confidence, *roles(results, own, one))
        for names in [front_metrics(results, chosen)] if one == "front" else [[metric] for metric in chosen]:
            name = "_".join([one, *names])
            with style.style():
                style.save(DRAWN[one](view, *names), folder, name, FILES)
            written.append(name)
    return written


DRAWN = {"lines": lines.lines, "map": maps.map, "front": fronts.front, "dots": fronts.dots, "scatter": fronts.scatter}


def front_metrics(results: SweepResults, metrics: Sequence[str]) -> list[str]:
    """Return [accuracy, energy]: the first metric of each that has a better side; shorter if one lacks."""
    sided = [name for name in metrics if results.metric(name).better]
    accuracy = [name for name in sided if results.metric(name).source in ("score", "readings")]
    return accuracy[:1] + [name for name in sided if results.metric(name).source == "bill"][:1]


def _kinds(results: SweepResults, given: Mapping[str, str], metrics: Sequence[str], kind: str | None) -> list[str]:
    """The kinds of figure to draw. Raises ValueError for choices that do not fit them."""
    _check(results, given)
    if results.points == 1:
        raise ValueError("there is nothing to draw: the sweep has a single point")
    if not results.progress[0]:
        raise ValueError("there is nothing to draw: no trial is done yet")
    if not metrics:
        raise ValueError("there is nothing to draw: no figure of these metrics is finite")
    if kind is None:
        kinds = _suiting(results, given, metrics)
        unused = [role for role in given if not any(role in ROLES[one] for one in kinds)]
        if unused:
            raise ValueError(
                f"{unused[0]} = {given[unused[0]]!r} has no place in {' and '.join(kinds)}, which suit the axes"
            )
        return kinds
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    if unused := [role for role in given if role not in ROLES[kind]]:
        raise ValueError(
            f"{unused[0]} = {given[unused[0]]!r} has no place in {kind}: it takes {', '.join(ROLES[kind])}"
        )
    if kind == "front" and len(front_metrics(results, metrics)) < 2:
        raise ValueError("a front needs a metric of accuracy and one of energy among the metrics")
    return [kind]


def _check(results: SweepResults, given: Mapping[str, str]) -> None:
    taken: dict[str, str] = {}
    for role, name in given.items():
        labels.checked_axis(results, name)
        of = next(d for d in results.dimensions if name in d["axes"])
        where = name if of["name"] == SAMPLED else of["name"]
        if where in taken:
            raise ValueError(f"{taken[where]} and {role} = {name!r} are of one dimension: give one of them")
        taken[where] = f"{role} = {name!r}"


def _suiting(results: SweepResults, given: Mapping[str, str], metrics: Sequence[str]) -> list[str]:
    """The kinds that suit the axes and the roles that are given."""
    front = ["front"] if len(front_metrics(results, metrics)) == 2 else []
    free = _dimensions(results, given)
    if any(_sampled(results, axis.dimension) for axis in free):
        return ["scatter", *front]
    away = [name for role, name in given.items() if role in ("by", "panel")]
    scales = [axis for axis in free if axis.numeric and axis.name not in away]
    numeric = sorted((len(axis.values) for axis in scales if len(axis.values) > 1), reverse=True)
    if not numeric or ("x" in given and not _named(free, given["x"]).numeric):
        return ["dots", *front]
    if "y" in given:
        return ["map", *front]
    if len(numeric) < 2 or numeric[1] < MAP_POINTS or "by" in given:
        return ["lines", *front]
    return ["map", "lines", *front] if numeric[1] <= MOST_LINES else ["map", *front]


def roles(results: SweepResults, given: Mapping[str, str], kind: str) -> tuple[dict[str, Axis], list[Axis]]:
    """Return (axes by role, those left over), with the roles that are not given chosen."""
    axes = _dimensions(results, given)
    chosen = {role: _named(axes, name) for role, name in given.items()}
    for role, axis in chosen.items():
        if kind in ("lines", "map") and role in ("x", "y") and not axis.numeric:
            raise ValueError(
                f"{role} = {given[role]!r} has no scale for {kind}: its values are names; 'dots' shows them"
            )
    if kind in ("front", "scatter"):
        return _coloured(results, axes, chosen, kind), []
    if any(_sampled(results, axis.dimension) for axis in axes):
        raise ValueError(f"sampled points have no grid for {kind}: 'scatter' and 'front' show them")
    free = [axis for axis in axes if axis not in chosen.values() and len(axis.values) > 1]
    for role in ROLES[kind]:
        if role not in chosen and (best := _best(free, kind, role)) is not None:
            chosen[role] = best
            free.remove(best)
    if missing := [role for role in ROLES[kind][: 2 if kind == "map" else 1] if role not in chosen]:
        raise ValueError(f"{results.folder} has no axis of numbers left for {missing[0]} of {kind}")
    return chosen, [axis for axis in axes if axis not in chosen.values()]


def _best(free: Sequence[Axis], kind: str, role: str) -> Axis | None:
    """The axis for a role: the longest for x and y; for `by` a numeric one, else words; else that of fewest values."""
    if role in ("x", "y"):
        fit = [axis for axis in free if axis.numeric or kind == "dots"]
        return max(fit, key=lambda axis: len(axis.values), default=None)
    few = [axis for axis in free if role == "panel" or len(axis.values) <= MOST_LINES]
    scales = [axis for axis in few if axis.numeric and len(axis.values) >= MAP_POINTS]
    if role == "by" and kind == "lines" and scales:
        return max(scales, key=lambda axis: len(axis.values))
    return min(few, key=lambda axis: (axis.numeric and role == "by", len(axis.values)), default=None)


def _coloured(results: SweepResults, axes: Sequence[Axis], roles: dict[str, Axis], kind: str) -> dict[str, Axis]:
    """Roles in a figure of all points: the colour is that of the first axis, or, beside samples, of one not sampled."""
    if "by" not in roles:
        fit = [
            axis for axis in axes if len(axis.values) > 1 and (kind == "front" or not _sampled(results, axis.dimension))
        ]
        fit = [axis for axis in fit if kind == "front" or len(axis.values) <= MOST_LINES]
        roles |= {"by": fit[0]} if fit else {}
    return roles


def _dimensions(results: SweepResults, given: Mapping[str, str]) -> list[Axis]:
    """An axis for each dimension: the one that is given, else the first numeric one, else its words together."""
    axes = []
    for number, dimension in enumerate(results.dimensions):
        asked = [name for name in dimension["axes"] if name in given.values()]
        names = dimension["axes"] if _sampled(results, number) else asked[:1] or [None]
        axes += [labels.axis_of(results, number, name) for name in names]
    return axes


def _sampled(results: SweepResults, dimension: int) -> bool:
    return results.dimensions[dimension]["name"] == SAMPLED


def _named(axes: Sequence[Axis], name: str) -> Axis:
    return next(axis for axis in axes if axis.name == name)
