"""The results of a sweep as one figure shows them: roles of the axes, values cut accordingly, and small print."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.plots import labels, tables
from experiments.sweeps.plots.labels import Axis
from experiments.sweeps.subjects.metrics import Metric

MOST_PANELS = 12


class View:
    """The results of a sweep and the roles of its axes in one figure.

    Args:
        results: the results.
        confidence: of intervals.
        roles: axes by role: x, y, by, panel.
        others: the axes that stay at one value.
    """

    def __init__(
        self, results: SweepResults, confidence: float, roles: Mapping[str, Axis], others: Sequence[Axis] = ()
    ):
        self.results, self.confidence, self.roles, self.others = results, confidence, roles, list(others)

    def axis(self, role: str) -> Axis | None:
        """Return the axis of a role, None where there is none."""
        return self.roles.get(role)

    def required(self, role: str) -> Axis:
        """Return the axis of a role that the kind of figure cannot do without."""
        return self.roles[role]

    def panels(self) -> list[tuple[str, int]]:
        """Return (title, place in the order of values) of each panel, evenly spread if the axis has too many values."""
        axis = self.axis("panel")
        if axis is None:
            return [("", 0)]
        count = len(axis.values)
        places = np.unique(np.linspace(0, count - 1, min(count, MOST_PANELS)).round().astype(int))
        return [(axis.stated(axis.ordered[place]), int(place)) for place in places]

    def cut(self, metric: str, roles: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return (mean, half the interval), with a dimension for each of the roles, of length 1 without an axis."""
        axes = [self.axis(role) for role in roles]
        places = [np.array([length // 2]) for length in self.results.shape]
        for axis in self.others:
            places[axis.dimension] = np.array([axis.middle[0]])
        for axis in axes:
            if axis is not None:
                places[axis.dimension] = axis.order
        own = [axis.dimension for axis in axes if axis is not None]
        turned = [*own, *(number for number in range(len(places)) if number not in own)]
        shape = [1 if axis is None else len(axis.values) for axis in axes]
        mean, half = (
            values.reshape(self.results.shape)[np.ix_(*places)].transpose(turned).reshape(shape)
            for values in (self.means(metric), self.results.estimate(metric, self.confidence).half / self.scale(metric))
        )
        return mean, np.where(tables.unknown(half, mean), np.nan, half)

    def metric(self, name: str) -> Metric:
        """Return a metric whose unit has the prefix that suits its values."""
        metric = self.results.metric(name)
        return dataclasses.replace(metric, unit=self._prefix(name)[0] + metric.unit)

    def scale(self, metric: str) -> float:
        """Return the factor of the prefix of a metric's unit."""
        return self._prefix(metric)[1]

    def means(self, metric: str) -> np.ndarray:
        """Return the mean at all points, in the prefixed unit; NaN where there is none or it is infinite, as an SNR."""
        mean = self.results.estimate(metric, self.confidence).mean / self.scale(metric)
        return np.where(np.isfinite(mean), mean, np.nan)

    def _prefix(self, metric: str) -> tuple[str, float]:
        mean = self.results.estimate(metric, self.confidence).mean
        return labels.prefix_of(self.results.metric(metric).unit, mean[np.isfinite(mean)].tolist())

    def flat(self, axis: Axis) -> np.ndarray:
        """Return the values of an axis at all points."""
        places = np.unravel_index(np.arange(self.results.points), self.results.shape)[axis.dimension]
        return np.array(axis.values)[places]

    def title(self, text: str) -> str:
        """Return the title of a figure: the subject, and what is shown of it."""
        return f"{tables.subject(self.results)}: {text}"

    def small_print(self, metrics: Sequence[str], band: str = "", more: Sequence[str] = ()) -> str:
        """Return the note of a figure: core, intervals, basis of the bill, and axes at one value.

        Args:
            metrics: those of the figure.
            band: how an interval is drawn, as "band" or "bar"; empty where it is not.
            more: further sentences.
        """
        done, trials = self.results.progress
        sentences = [
            f"core {core}" if (core := tables.core(self.results)) else "",
            self._interval(metrics, band),
            *more,
        ]
        if any(self.results.metric(name).source == "bill" for name in metrics):
            sentences += [tables.priced(self.results), tables.bill_statements(self.results)]
        sentences += [f"at {axis.stated(axis.values[axis.middle[0]])}, {axis.middle[1]}" for axis in self.others]
        sentences += [f"with {axis.text} moves {', '.join(axis.along)}" for axis in self.roles.values() if axis.along]
        if (panel := self.axis("panel")) is not None and len(panel.values) > MOST_PANELS:
            sentences.append(f"{MOST_PANELS} of {len(panel.values)} values of {panel.text} shown")
        if done < trials:
            sentences.append(f"unfinished: {done} of {trials} trials done")
        whole = "; ".join(text for text in sentences if text)
        return whole[:1].upper() + whole[1:] + "." if whole else ""

    def _interval(self, metrics: Sequence[str], band: str) -> str:
        keys, samples = self.results.definition["keys"], next(iter(self.results.values.values())).shape[2]
        draws = "one draw of the noise" if keys == 1 else f"{keys} draws of the noise"
        noisy = any(not np.all(tables.unknown(e.half, e.mean)) for e in map(self.results.estimate, metrics))
        if samples > 1:
            draws = f"{tables.samples(self.results, samples)}, {draws}{' in each' if keys > 1 else ''}"
        if band and noisy:
            return f"{band}: {self.confidence * 100:g} % confidence interval over {draws}"
        return (
            ""
            if all(self.results.metric(name).source in ("bill", "core") for name in metrics)
            else draws
            if keys * samples == 1
            else f"means over {draws}"
        )
