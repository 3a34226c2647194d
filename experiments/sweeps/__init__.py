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

from experiments.sweeps.axes import Dimension, linear, listed, log, sobol, zipped
from experiments.sweeps.cluster import Cluster
from experiments.sweeps.definition import Sweep
from experiments.sweeps.figures import draw
from experiments.sweeps.file import load
from experiments.sweeps.metrics import METRICS
from experiments.sweeps.product import Product
from experiments.sweeps.results import Estimate, Run
from experiments.sweeps.running import run
from experiments.sweeps.store import StoreError
from experiments.sweeps.text import Text

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
