"""Everything made of light, and the tensor core that joins it to the converters. Imports electronics alone.

core = optics.today()
run = optics.emulate(forward, weights=0)                # forward(params, x): any JAX function
y = run(core, jax.random.key(0), params, x)
bill = optics.price(core, optics.trace(forward, weights=0)(params, x))
"""

from electronics.validation import PlausibilityWarning
from optics import config
from optics.attribution import Attribution, attribute
from optics.bill import EXAOPS, Bill, price
from optics.calibrate import Calibration, calibrate
from optics.core import Loaded, TensorCore
from optics.correction import Correction
from optics.detector import Photodetector
from optics.devices import DEVICES, device
from optics.drift import Drift, Upkeep
from optics.effects import Effects
from optics.elementwise import UnknownPrimitiveWarning, census
from optics.emulate import emulate
from optics.encoding import Encoding
from optics.fit_ranges import Ranged, fit_ranges
from optics.light import lit, lit_by, measured_drive, photons_per_mac
from optics.load import Resident, load
from optics.mask import WeightMask
from optics.notices import DigitalProductWarning, WeightsArgumentWarning
from optics.plan import Site, everything, stationary, trace
from optics.presets import (
    PRESETS,
    assumptions,
    constants_of,
    from_constants,
    ideal,
    physical_limit,
    preset,
    projected_2029,
    today,
)
from optics.ranges import SiteRange
from optics.readings import Readings
from optics.site_report import Report, report
from optics.source import Source
from optics.space import FreeSpace
from optics.system import System, system
from optics.transfer import LED, ElectroAbsorption, Laser, MachZehnder, Straight
from optics.uncertainty import CHOICES, Spread, Uncertainty, spreads

__all__ = [
    "CHOICES",
    "DEVICES",
    "EXAOPS",
    "LED",
    "PRESETS",
    "Attribution",
    "Bill",
    "Calibration",
    "Correction",
    "DigitalProductWarning",
    "Drift",
    "Effects",
    "ElectroAbsorption",
    "Encoding",
    "FreeSpace",
    "Laser",
    "Loaded",
    "MachZehnder",
    "Photodetector",
    "PlausibilityWarning",
    "Ranged",
    "Readings",
    "Report",
    "Resident",
    "Site",
    "SiteRange",
    "Source",
    "Spread",
    "Straight",
    "System",
    "TensorCore",
    "Uncertainty",
    "UnknownPrimitiveWarning",
    "Upkeep",
    "WeightMask",
    "WeightsArgumentWarning",
    "assumptions",
    "attribute",
    "calibrate",
    "census",
    "config",
    "constants_of",
    "device",
    "emulate",
    "everything",
    "fit_ranges",
    "from_constants",
    "ideal",
    "lit",
    "lit_by",
    "load",
    "measured_drive",
    "photons_per_mac",
    "physical_limit",
    "preset",
    "price",
    "projected_2029",
    "report",
    "spreads",
    "stationary",
    "system",
    "today",
    "trace",
]
