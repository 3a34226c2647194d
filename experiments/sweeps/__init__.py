"""Sweeps over cores: defined in a file or in a few lines, compiled once, stored after every batch, and drawn.

sweep = sweeps.Sweep(
    core=optics.projected_2029(),
    dimensions=(sweeps.linear("adc.enob", 5, 10, 6), sweeps.log("light.photons_per_mac", 1, 100, 7)),
    subject=sweeps.Product(rows=1024, columns=1024, vectors=128),
    metrics=("snr_db", "fj_per_mac"),
)
results = sweeps.run(sweep, "runs/light")        # the same call resumes an interrupted run
results.estimate("snr_db").mean
"""

import warnings
from typing import Any

from experiments.sweeps.definition.axes import Dimension, linear, listed, log, sobol, zipped
from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.definition.toml_file import load
from experiments.sweeps.execution.cluster import Cluster
from experiments.sweeps.execution.results import Estimate, SweepResults
from experiments.sweeps.execution.runner import run
from experiments.sweeps.execution.store import StoreError
from experiments.sweeps.plots.figures import draw
from experiments.sweeps.subjects.drive import Drive, measure_drive
from experiments.sweeps.subjects.function import Function
from experiments.sweeps.subjects.metrics import METRICS, Metric
from experiments.sweeps.subjects.product import Product
from experiments.sweeps.subjects.subject import DesignSubject, LoadedSubject, PlacedSubject, Subject
from experiments.sweeps.subjects.text import Text

__all__ = [
    "METRICS",
    "Cluster",
    "DesignSubject",
    "Dimension",
    "Drive",
    "Estimate",
    "Function",
    "LoadedSubject",
    "Metric",
    "PlacedSubject",
    "Product",
    "StoreError",
    "Subject",
    "Sweep",
    "SweepResults",
    "Text",
    "draw",
    "linear",
    "listed",
    "load",
    "log",
    "measure_drive",
    "run",
    "sobol",
    "zipped",
]

_RENAMED = {"Run": "SweepResults"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"experiments.sweeps.{name} is now experiments.sweeps.{_RENAMED[name]}", DeprecationWarning, stacklevel=2
    )
    return globals()[_RENAMED[name]]
