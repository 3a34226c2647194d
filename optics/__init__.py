"""Everything made of light, and the tensor core that joins it to the converters. Imports electronics alone.

core = optics.today()
run = optics.emulate(forward, weights=0)                # forward(params, x): any JAX function
y = run(core, jax.random.key(0), params, x)
bill = optics.price(core, optics.trace(forward, weights=0)(params, x))
"""

from electronics.validation import PlausibilityWarning
from optics.analysis.ablation import Attribution, attribute
from optics.analysis.calibrate import Calibration, calibrate
from optics.analysis.uncertainty import CHOICES, Spread, Uncertainty, spreads
from optics.components.correction import Correction
from optics.components.detector import Photodetector
from optics.components.drift import Drift, Upkeep
from optics.components.encoding import Encoding
from optics.components.free_space import FreeSpace
from optics.components.mask import WeightMask
from optics.components.modulation import LED, ElectroAbsorption, Laser, MachZehnder, Straight
from optics.components.nonidealities import Effects
from optics.components.source import Source
from optics.core.fit_full_scale import Ranged, fit_ranges
from optics.core.preload import Resident, load
from optics.core.tensor_core import Loaded, TensorCore
from optics.datapath.diagnostics import Readings
from optics.datapath.full_scale import SiteRange
from optics.energy.bill import EXAOPS, Bill, price
from optics.energy.light_budget import lit, lit_by, measured_drive, photons_per_mac
from optics.energy.system import System, system
from optics.interpreter.emulate import emulate
from optics.interpreter.notices import DigitalProductWarning, WeightsArgumentWarning
from optics.interpreter.op_count import UnknownPrimitiveWarning, census
from optics.interpreter.site_report import Report, report
from optics.interpreter.sites import Site, everything, stationary, trace
from optics.presets import serialise as config
from optics.presets.devices import DEVICES, device
from optics.presets.presets import (
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
