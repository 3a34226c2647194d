"""The content of summary.json of `otc drift`."""

from typing import Any, TypedDict


class DriftFigure(TypedDict):
    """One figure over time: means and standard errors over the walks, at each of the summary's times."""

    label: str
    unit: str
    mean: list[float]
    stderr: list[float]


class DriftRow(TypedDict):
    """A core that is calibrated every `interval` [s].

    calibrations: their times [s]; vectors, joules: of each after the first; duty: share of the time; watts: mean power
    of the calibrations; figures: by name.
    """

    interval: float
    calibrations: list[float]
    vectors: int
    joules: float
    duty: float
    watts: float
    figures: dict[str, DriftFigure]


class DriftSummary(TypedDict):
    """The content of summary.json.

    exact: the figures of exact arithmetic by name, without those that are 0 there by definition.
    """

    core: str
    function: str
    rows: int
    columns: int
    device: int
    probes: str
    averages: int
    paths: int
    source_rate: float
    receiver_rate: float
    times: list[float]
    exact: dict[str, float]
    intervals: list[DriftRow]
    options: dict[str, Any]
    versions: dict[str, str]
