"""A sweep: a core, the axes that vary it, the subject that runs on it, and the metrics. All are checked at once."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np

import optics
from electronics.part import nearest
from experiments.common.options import check_integer, check_seed
from experiments.sweeps.definition import axes, fields
from experiments.sweeps.definition.axes import Dimension, Value
from experiments.sweeps.subjects import metrics
from experiments.sweeps.subjects.drive import Drive
from experiments.sweeps.subjects.subject import DesignSubject, Subject
from experiments.sweeps.subjects.text import Text
from optics.core.by_site import Machine, split_name

ON = "on."
DRIVE = "source.mean_drive"
COMPILATIONS = 32
"""The most combinations of values of the static axes, each of which is compiled separately."""
MOST_KEYS = 10**6
MOST_POINTS = 10**6
MOST_TRIALS = 10**7
"""A sweep above these limits would take months, so it is taken for a typing error."""


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Points that share one compilation.

    Attributes:
        core: the core or design with its static choices made.
        nominal: the same with what the sweep sets, which chooses operands on masks; the axes do not move it.
        subject: the subject with its static choices made.
        points: numbers of the points in the sweep, in order.
        values: values of the remaining axes, one for each point.
        drive: mean drives where they were measured; `source.mean_drive` of all cores is then their mean.
    """

    core: Machine
    nominal: Machine
    subject: Subject
    points: np.ndarray
    values: Mapping[str, np.ndarray]
    drive: Drive | None = None

    @property
    def drives(self) -> Mapping[str, float]:
        """Mean drives by site where they were measured."""
        return {} if self.drive is None else self.drive.by_site

    def with_drive(self, drive: Drive) -> "Group":
        """Return the group with its bill and light for a mean drive that was measured on its subject."""
        return dataclasses.replace(self, core=self.core.replace({DRIVE: drive.mean}), drive=drive)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """The points of crossed dimensions over a core, each run `keys` times under different noise.

    Light is billed, and sized by photons per MAC, for the mean drive of the subject's own inputs. It is measured once
    for each group, with exact arithmetic, unless the sweep sets `source.mean_drive` or varies it.

    Attributes:
        core: the core whose other fields the axes leave unchanged, or a design with a core for each site.
        dimensions: axes, see `axes`. Each is named after a number of the core (`adc.enob`), one of its static choices
            (`rows`, `encoding.inputs`), its mask (`mask.technology`), its light (see `fields.LIGHT`), or a field of the
            subject (`on.text`). Of a design these are of every core; `default.adc.enob` and `rules.0.core.adc.enob` are
            of one.
        fixed: changes to `core`, by the same names, that are applied before the axes at each point. Light that is fixed
            for a precision is therefore sized anew at each point.
        subject: what is run.
        name: of the core, for titles.
        metrics: names of `metrics.METRICS`, or of the subject's own metrics.
        keys: draws of the noise at each point.
        seed: of the noise. Draw k is the same at all points, so that differences between points are not noise.
        compilations: the most groups of static choices.

    Raises:
        ValueError: if an axis, value or number is out of range. The message names it and the range.
    """

    core: Machine
    dimensions: tuple[Dimension, ...] = ()
    fixed: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    subject: Subject = dataclasses.field(default_factory=Text)
    name: str = ""
    metrics: tuple[str, ...] = ("delta_nll", "kl", "top1", "fj_per_mac")
    keys: int = 1
    seed: int = 0
    compilations: int = COMPILATIONS

    def __post_init__(self) -> None:
        check_integer("keys", self.keys, 1, MOST_KEYS)
        check_seed("seed", self.seed)
        check_integer("compilations", self.compilations, 1)
        check_integer("points of all axes together", self.points, 1, MOST_POINTS)
        check_integer("trials, points times keys,", self.trials, 1, MOST_TRIALS)
        self.subject.check()
        own = self.subject.own_metrics
        kind = type(self.subject).__name__.lower()
        metrics.check(self.metrics, self.subject.offered, own, kind)
        if isinstance(self.core, optics.CoresBySite):
            _check_design(self.core, self.subject, self.metrics, kind)
        for name in (*axes.names(self.dimensions), *self.fixed):
            self._is_number(name)
        for dimension in self.dimensions:
            if not dimension.sampled:
                dimension.refuse_repeats()
        if twice := [name for name in self.fixed if name in self.axes]:
            raise ValueError(f"{twice[0]!r} is both set and an axis: give it once")
        if fixed := [name for name in self.fixed if name.startswith(ON)]:
            raise ValueError(f"{fixed[0]!r} cannot be set: give it to the subject")
        for name, value in self.fixed.items():
            axes.plain(name, value)
        self._refuse_many_structures()
        for group in self.groups:
            _check_values(group)

    @property
    def axes(self) -> list[str]:
        """Names of all axes, in order."""
        return axes.names(self.dimensions)

    @property
    def points(self) -> int:
        """Number of points."""
        return axes.size(self.dimensions)

    @property
    def trials(self) -> int:
        """Number of runs: points times keys."""
        return self.points * self.keys

    @property
    def static_axes(self) -> list[str]:
        """The axes whose values take a compilation each."""
        return [name for name in self.axes if not self._is_number(name)]

    @property
    def measures_drive(self) -> bool:
        """Whether a metric or axis depends on the mean drive, and the sweep neither sets nor varies it."""
        given = {*self.axes, *self.fixed}
        depends = any(metrics.needs(self.metrics, source) for source in ("bill", "core"))
        return DRIVE not in given and (depends or "light.photons_per_mac" in given)

    def column(self, name: str) -> list[Value]:
        """Return the values of an axis at all points."""
        return axes.column(self.dimensions, name, np.arange(self.points))

    @cached_property
    def groups(self) -> list[Group]:
        """The points in groups that share a compilation, in the order of their first points."""
        static, points = self.static_axes, np.arange(self.points)
        rows = zip(*(self.column(name) for name in static), strict=True) if static else itertools.repeat(())
        members: dict[tuple[Value, ...], list[int]] = {}
        for point, row in zip(points, rows, strict=False):
            members.setdefault(tuple(row), []).append(int(point))
        return [self._group(dict(zip(static, row, strict=True)), np.array(of)) for row, of in members.items()]

    def describe(self) -> dict[str, Any]:
        """Return the definition for JSON. Two sweeps of the same description give the same rows."""
        return {
            "name": self.name,
            "core": {name: _plain(leaf) for name, leaf in self.core.numbers().items()},
            "structure": {name: _static(self.core, name) for name in fields.choices(self.core)},
            **_described(self.core),
            "fixed": dict(self.fixed),
            "mean drive": "measured on the subject" if self.measures_drive else "that of the core",
            "axes": {name: self._values(name) for name in self.axes},
            "dimensions": [{"name": d.name, "axes": list(d.columns), "points": len(d)} for d in self.dimensions],
            "on": dict(self.subject.describe()),
            "metrics": list(self.metrics),
            "own metrics": {
                name: dataclasses.asdict(metric)
                for name, metric in self.subject.own_metrics.items()
                if name in self.metrics
            },
            "keys": self.keys,
            "seed": self.seed,
        }

    def _values(self, name: str) -> list[Value]:
        return next(list(d.columns[name]) for d in self.dimensions if name in d.columns)

    def _is_number(self, name: str) -> bool:
        if not name.startswith(ON):
            return fields.is_number(self.core, name)
        known = [field.name for field in dataclasses.fields(self.subject)]
        if name.removeprefix(ON) not in known:
            raise ValueError(f"there is no field {name!r} to vary{nearest(name, [ON + field for field in known])}")
        return False

    def _refuse_many_structures(self) -> None:
        static = [d for d in self.dimensions if any(not self._is_number(name) for name in d.columns)]
        count = axes.size(static)
        if count > self.compilations:
            named = ", ".join(name for d in static for name in d.columns if not self._is_number(name))
            raise ValueError(
                f"the static axes {named} have {count} values together, and each is compiled for on its own; "
                f"at most compilations = {self.compilations} are allowed: take fewer values, or raise it"
            )

    def _group(self, choices: Mapping[str, Value], points: np.ndarray) -> Group:
        on = {name.removeprefix(ON): value for name, value in choices.items() if name.startswith(ON)}
        subject = self.subject
        if on:
            subject = dataclasses.replace(subject, **on)
            subject.check()
        static = {name: value for name, value in self.fixed.items() if not self._is_number(name)}
        static |= {name: value for name, value in choices.items() if not name.startswith(ON)}
        core = fields.with_choices(self.core, static)
        numbers = [name for name in self.axes if name not in choices]
        values = {name: _numbers(name, axes.column(self.dimensions, name, points)) for name in numbers}
        fixed = {name: [value] * len(points) for name, value in self.fixed.items() if name not in static}
        values |= {name: _numbers(name, repeated) for name, repeated in fixed.items()}
        nominal = fields.with_values(core, {name: v for name, v in self.fixed.items() if name not in static})
        return Group(core, nominal, subject, points, values)


def _check_values(group: Group) -> None:
    """Builds the cores of a group: all at once, and one by one where that fails, to name the point."""
    try:
        fields.with_values(group.core, group.values)
    except ValueError:
        for row in zip(*group.values.values(), strict=True):
            _check_point(group.core, dict(zip(group.values, row, strict=True)))
        raise


def _check_point(core: Machine, point: Mapping[str, Any]) -> None:
    try:
        fields.with_values(core, point)
    except ValueError as error:
        stated = ", ".join(f"{name} = {value:g}" for name, value in point.items())
        raise ValueError(f"at {stated}: {error}") from None


def _numbers(name: str, values: Sequence[Value]) -> np.ndarray:
    if wrong := [value for value in values if isinstance(value, str)]:
        raise ValueError(f"{name!r}: {wrong[0]!r} must be a number, in SI units")
    return np.array(values, np.float32)


def _check_design(design: optics.CoresBySite, subject: Subject, names: Sequence[str], kind: str) -> None:
    """Raise ValueError for what cannot be run on, or said of, a design with a core for each site."""
    if not isinstance(subject, DesignSubject):
        raise ValueError(f"{kind} runs on one core: a design with a core for each site needs a function with sites")
    if of_core := [name for name in names if metrics.needs([name], "core")]:
        raise ValueError(f"metric {of_core[0]!r} is of one core, and the sweep is of a design of several")
    subject.check_design(design)


def _described(core: Machine) -> dict[str, Any]:
    """The curves of the sources by class, and of a design its rules by the name of the core."""
    if isinstance(core, optics.TensorCore):
        return {"transfer.kind": type(core.transfer).__name__}
    rules = zip(core.names, core.labels, core.cores, strict=True)
    return {
        "transfer.kind": {name: type(each.transfer).__name__ for name, each in core.by_name.items()},
        "design": {
            name: label if isinstance(each, optics.TensorCore) else f"{label}, digital" for name, label, each in rules
        },
    }


def _static(core: Machine, name: str) -> Any:
    of_core, field = split_name(name)
    value: Any = core.by_name[of_core] if isinstance(core, optics.CoresBySite) else core
    for part in field.split("."):
        value = getattr(value, part)
    return value


def _plain(leaf: Any) -> Any:
    return np.asarray(jax.device_get(leaf), np.float64).tolist()
