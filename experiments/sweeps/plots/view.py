"""A run as one figure sees it: which axis has which role, the figures cut accordingly, and the small print."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.sweeps.plots import tables
from experiments.sweeps.plots.labels import Axis
from experiments.sweeps.running.results import Run
from experiments.sweeps.subjects.metrics import METRICS

MOST_PANELS = 12


class View:
    """A run, and which of its axes has which role in a figure; `held` are those that stay at one value."""

    def __init__(self, run: Run, confidence: float, roles: Mapping[str, Axis], others: Sequence[Axis] = ()):
        self.run, self.confidence, self.roles, self.held = run, confidence, roles, list(others)

    def axis(self, role: str) -> Axis | None:
        """The axis of a role."""
        return self.roles.get(role)

    def panels(self) -> list[tuple[str, int]]:
        """(title, place in the order of values) of the small multiples, spread over the axis where it has too many."""
        axis = self.axis("panel")
        if axis is None:
            return [("", 0)]
        count = len(axis.values)
        places = np.unique(np.linspace(0, count - 1, min(count, MOST_PANELS)).round().astype(int))
        return [(axis.stated(axis.ordered[place]), int(place)) for place in places]

    def cut(self, metric: str, roles: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(mean, half the interval), with a dimension for each of the roles, of length 1 where no axis has it."""
        axes = [self.axis(role) for role in roles]
        places = [np.array([length // 2]) for length in self.run.shape]
        for axis in self.held:
            places[axis.dimension] = np.array([axis.middle[0]])
        for axis in axes:
            if axis is not None:
                places[axis.dimension] = axis.order
        own = [axis.dimension for axis in axes if axis is not None]
        turned = [*own, *(number for number in range(len(places)) if number not in own)]
        shape = [1 if axis is None else len(axis.values) for axis in axes]
        mean, half = (
            values.reshape(self.run.shape)[np.ix_(*places)].transpose(turned).reshape(shape)
            for values in (self.means(metric), self.run.estimate(metric, self.confidence).half)
        )
        return mean, np.where(tables.unknown(half, mean), np.nan, half)

    def means(self, metric: str) -> np.ndarray:
        """Of all points; NaN where there is none, or it is infinite, as the SNR of an exact core."""
        mean = self.run.estimate(metric, self.confidence).mean
        return np.where(np.isfinite(mean), mean, np.nan)

    def flat(self, axis: Axis) -> np.ndarray:
        """The values of an axis at all points."""
        places = np.unravel_index(np.arange(self.run.points), self.run.shape)[axis.dimension]
        return np.array(axis.values)[places]

    def title(self, text: str) -> str:
        """Of a figure: what was run, and what is shown of it."""
        return f"{tables.subject(self.run)}: {text}"

    def small_print(self, metrics: Sequence[str], band: str = "", more: Sequence[str] = ()) -> str:
        """What the figure does not show by itself; band: what an interval is drawn as, if it is."""
        done, trials = self.run.progress
        said = [f"core {core}" if (core := tables.core(self.run)) else "", self._interval(metrics, band), *more]
        if any(METRICS[name].source == "bill" for name in metrics):
            said += [tables.priced(self.run), tables.rests_on(self.run)]
        said += [f"at {axis.stated(axis.values[axis.middle[0]])}, {axis.middle[1]}" for axis in self.held]
        said += [f"with {axis.text} moves {', '.join(axis.along)}" for axis in self.roles.values() if axis.along]
        if (panel := self.axis("panel")) is not None and len(panel.values) > MOST_PANELS:
            said.append(f"{MOST_PANELS} of {len(panel.values)} values of {panel.text} shown")
        if done < trials:
            said.append(f"unfinished: {done} of {trials} trials done")
        whole = "; ".join(text for text in said if text)
        return whole[:1].upper() + whole[1:] + "." if whole else ""

    def _interval(self, metrics: Sequence[str], band: str) -> str:
        keys, samples = self.run.definition["keys"], next(iter(self.run.figures.values())).shape[2]
        draws = "one draw of the noise" if keys == 1 else f"{keys} draws of the noise"
        noisy = any(not np.all(tables.unknown(e.half, e.mean)) for e in map(self.run.estimate, metrics))
        if samples > 1:
            draws = f"{samples} windows, {draws}{' in each' if keys > 1 else ''}"
        if band and noisy:
            return f"{band}: {self.confidence * 100:g} % confidence interval over {draws}"
        return (
            ""
            if all(METRICS[name].source in ("bill", "core") for name in metrics)
            else draws
            if keys * samples == 1
            else f"means over {draws}"
        )
