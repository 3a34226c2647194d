"""Results of a sweep, read from its file during or after the run: rows, means with errors, labelled arrays."""

import csv
import json
import sqlite3
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from electronics.part import nearest
from experiments.common.options import check_confidence
from experiments.sweeps.execution.store import FILE, quoted
from experiments.sweeps.subjects.metrics import METRICS, Metric

SUFFIXES = (".csv", ".parquet", ".nc")


class Estimate(NamedTuple):
    """A metric at every point.

    Attributes:
        mean: mean [points].
        half: half the width of its confidence interval; NaN where there is only one value.
        count: number of independent values behind it.
    """

    mean: np.ndarray
    half: np.ndarray
    count: np.ndarray


class SweepResults:
    """The results in a run's folder, for reading.

    Args:
        folder: the folder, or its results.sqlite.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not that of a sweep.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        path = self.folder / FILE if self.folder.is_dir() else self.folder
        if not path.is_file():
            raise FileNotFoundError(f"there is no run in {folder}: no file {path}")
        self.path = path
        try:
            entries = self._read("SELECT name, value FROM manifest")
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no file of a sweep: {error}") from None
        self.manifest = {name: json.loads(value) for name, value in entries}
        self.definition: dict[str, Any] = self.manifest["definition"]

    @property
    def axes(self) -> list[str]:
        """Names of the axes."""
        return list(self.definition["axes"])

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        return list(self.definition["metrics"])

    def metric(self, name: str) -> Metric:
        """Return the label, unit and better side of a metric, a subject's own as the run has it."""
        _check("metric", name, self.metrics)
        own = self.definition.get("own metrics", {})
        return Metric(**own[name]) if name in own else METRICS[name]

    @property
    def dimensions(self) -> list[dict[str, Any]]:
        """The crossed dimensions: name, axes that move together in it, and number of points."""
        return self.definition["dimensions"]

    @property
    def points(self) -> int:
        """Number of points of the sweep."""
        return int(np.prod([d["points"] for d in self.dimensions], dtype=int))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the dimensions, crossed to give the points, the last fastest."""
        return tuple(d["points"] for d in self.dimensions)

    @cached_property
    def progress(self) -> tuple[int, int]:
        """(trials that are done, trials in all), read once."""
        return self._read("SELECT coalesce(sum(done), 0), count(*) FROM trials")[0]

    @cached_property
    def sessions(self) -> list[dict[str, Any]]:
        """The processes that worked on the run, each with its times, code and machine."""
        rows = self._read("SELECT began, ended, session FROM sessions ORDER BY session_id")
        return [{"began": began, "ended": ended, **json.loads(session)} for began, ended, session in rows]

    def axis(self, name: str) -> np.ndarray:
        """Return the values of an axis at all points. Raises ValueError for an unknown name, with the nearest."""
        _check("axis", name, self.axes)
        return np.array([value for (value,) in self._read(f"SELECT {quoted(name)} FROM points ORDER BY point")])

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """Values of every metric [points, keys, samples]; NaN where a trial is not done yet."""
        names = ", ".join(map(quoted, self.metrics))
        rows = self._read(f"SELECT point, key, sample, {names} FROM results")
        table = np.array(rows, np.float64).reshape(-1, 3 + len(self.metrics))
        places = tuple(table[:, :3].astype(int).T)
        samples = int(table[:, 2].max()) + 1 if len(table) else 1
        values = {name: np.full((self.points, self.definition["keys"], samples), np.nan) for name in self.metrics}
        for column, name in enumerate(self.metrics, start=3):
            values[name][places] = table[:, column]
        return values

    @property
    def figures(self) -> dict[str, np.ndarray]:
        """The former name of `values`."""
        warnings.warn("SweepResults.figures is now SweepResults.values", DeprecationWarning, stacklevel=2)
        return self.values

    def estimate(self, metric: str, confidence: float = 0.68) -> Estimate:
        """Return the mean of a metric at every point and its confidence interval by Student's t.

        Draws of the noise are averaged within a sample, such as a window of text, and the interval is over samples.
        Where there is only one sample, it is over the draws. All points share draws and samples, so differences between
        points are more certain than these intervals.

        Raises:
            ValueError: if the metric is unknown, or the confidence not between 0 and 1.
        """
        _check("metric", metric, self.metrics)
        check_confidence(confidence)
        values = self.values[metric]
        with np.errstate(invalid="ignore", divide="ignore"):
            by_sample = _mean(values, axis=1) if values.shape[2] > 1 else values[:, :, 0]
            count = np.sum(~np.isnan(by_sample), axis=1)
            mean = _mean(by_sample, axis=1)
            spread = np.sqrt(np.nansum((by_sample - mean[:, None]) ** 2, axis=1) / (count - 1))
            half = np.where(count > 1, student.ppf((1 + confidence) / 2, count - 1) * spread / np.sqrt(count), np.nan)
        return Estimate(mean, half, count)

    def rows(self, confidence: float = 0.68) -> list[dict[str, Any]]:
        """Return a row per point: its axes, and mean and half the confidence interval of each metric, if known."""
        axes = {name: self.axis(name).tolist() for name in self.axes}
        estimates = {name: self.estimate(name, confidence) for name in self.metrics}
        return [
            {name: values[point] for name, values in axes.items()}
            | {
                key: _known(value[point])
                for name, estimate in estimates.items()
                for key, value in ((name, estimate.mean), (f"{name}_half", estimate.half))
            }
            for point in range(self.points)
        ]

    def columns(self) -> dict[str, np.ndarray]:
        """Return all values as columns of a table, a row per draw and sample: axes, key, sample, metrics."""
        axes = "".join(f"points.{quoted(name)}, " for name in self.axes)
        metrics = "".join(f", results.{quoted(name)}" for name in self.metrics)
        rows = self._read(
            f"SELECT results.point, {axes}key, sample{metrics} FROM results "
            "JOIN points ON points.point = results.point ORDER BY results.point, key, sample"
        )
        names = ["point", *self.axes, "key", "sample", *self.metrics]
        values = zip(*rows, strict=True) if rows else [()] * len(names)
        return {name: np.array(column) for name, column in zip(names, values, strict=True)}

    def labelled(self) -> Any:
        """Return all values as an `xarray.Dataset` over the dimensions of the sweep, key and sample; needs xarray."""
        import xarray

        names = [d["name"] for d in self.dimensions]
        coordinates = {
            axis: (dimension["name"], self.definition["axes"][axis])
            for dimension in self.dimensions
            for axis in dimension["axes"]
        }
        data = {
            name: (
                (*names, "key", "sample"),
                values.reshape(*self.shape, *values.shape[1:]),
                {"long_name": self.metric(name).label, "units": self.metric(name).unit},
            )
            for name, values in self.values.items()
        }
        return xarray.Dataset(data, coordinates)

    def export(self, file: str | Path) -> None:
        """Write all values to a .csv or .parquet table, or a .nc file (NetCDF) of labelled arrays."""
        file = Path(file)
        if file.suffix not in SUFFIXES:
            raise ValueError(f"{file}: an export ends in {', '.join(SUFFIXES)}")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".nc":
            self.labelled().to_netcdf(file, engine="scipy")
        elif file.suffix == ".parquet":
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.table(self.columns()), file)
        else:
            columns = self.columns()
            with file.open("w", newline="", encoding="utf-8") as target:
                writer = csv.writer(target)
                writer.writerow(columns)
                writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))

    def _read(self, query: str) -> list[tuple[Any, ...]]:
        # Without a write-ahead log no process works on the file; immutable, it can be read from a read-only folder.
        idle = not self.path.with_name(f"{self.path.name}-wal").exists()
        database = sqlite3.connect(f"{self.path.absolute().as_uri()}?{'immutable=1' if idle else 'mode=ro'}", uri=True)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()


def _check(kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(f"the run has no {kind} {name!r}{nearest(name, names)}")


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the values that are not NaN, without NumPy's warning where all are."""
    return np.nansum(values, axis=axis) / np.sum(~np.isnan(values), axis=axis)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
