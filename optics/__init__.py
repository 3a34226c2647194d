"""Everything made of light, and the tensor core that joins it to the converters. Imports electronics alone.

core = optics.today()
run = optics.emulate(forward, weights=0)                # forward(params, x): any JAX function
y = run(core, jax.random.key(0), params, x)
bill = optics.price(core, optics.trace(forward, weights=0)(params, x))
"""

from optics import config
from optics.bill import EXAOPS, OMITTED, Bill, price
from optics.core import TensorCore
from optics.detector import Photodetector
from optics.effects import Effects
from optics.emulate import emulate
from optics.mask import WeightMask
from optics.plan import Site, everything, stationary, trace
from optics.presets import (
    PRESETS,
    assumptions,
    constants_of,
    ideal,
    physical_limit,
    preset,
    projected_2029,
    today,
)
from optics.readings import Readings
from optics.source import Source
from optics.space import FreeSpace

__all__ = [
    "EXAOPS",
    "OMITTED",
    "PRESETS",
    "Bill",
    "Effects",
    "FreeSpace",
    "Photodetector",
    "Readings",
    "Site",
    "Source",
    "TensorCore",
    "WeightMask",
    "assumptions",
    "config",
    "constants_of",
    "emulate",
    "everything",
    "ideal",
    "physical_limit",
    "preset",
    "price",
    "projected_2029",
    "stationary",
    "today",
    "trace",
]
