"""Sweeps over cores: defined in a file or in a few lines, compiled once, kept as they go, and drawn.

sweep = sweeps.Sweep(
    core=optics.projected_2029(),
    dimensions=(sweeps.linear("adc.enob", 5, 10, 6), sweeps.log("light.photons_per_mac", 1, 100, 7)),
    subject=sweeps.Product(rows=1024, columns=1024, vectors=128),
    metrics=("snr_db", "fj_per_mac"),
)
found = sweeps.run(sweep, "runs/light")          # the same call goes on where an earlier one was
found.estimate("snr_db").mean
"""

from experiments.sweeps.definition.axes import Dimension, linear, listed, log, sobol, zipped
from experiments.sweeps.definition.file import load
from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.plots.figures import draw
from experiments.sweeps.running.cluster import Cluster
from experiments.sweeps.running.results import Estimate, Run
from experiments.sweeps.running.run import run
from experiments.sweeps.running.store import StoreError
from experiments.sweeps.subjects.metrics import METRICS
from experiments.sweeps.subjects.product import Product
from experiments.sweeps.subjects.text import Text

__all__ = [
    "METRICS",
    "Cluster",
    "Dimension",
    "Estimate",
    "Product",
    "Run",
    "StoreError",
    "Sweep",
    "Text",
    "draw",
    "linear",
    "listed",
    "load",
    "log",
    "run",
    "sobol",
    "zipped",
]
