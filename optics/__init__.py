"""Everything made of light, and the tensor core that joins it to the converters. Imports electronics alone.

core = optics.today()
run = optics.emulate(forward, weights=0)                # forward(params, x): any JAX function
y = run(core, jax.random.key(0), params, x)
bill = optics.price(core, optics.trace(forward, weights=0)(params, x))
"""

import warnings
from typing import Any

from electronics.validation import PlausibilityWarning
from optics.analysis.ablation import Ablation, ablate
from optics.analysis.calibrate import Calibration, DesignCalibration, calibrate
from optics.analysis.heads import losses_by_head
from optics.analysis.range_descent import LearnedRanges, learn_ranges
from optics.analysis.timeline import DriftTimeline, drift_timeline
from optics.analysis.uncertainty import CHOICES, Spread, Uncertainty, spreads
from optics.components.correction import Correction
from optics.components.detector import Photodetector
from optics.components.drift import CalibrationSchedule, Drift, DriftState
from optics.components.encoding import Encoding
from optics.components.free_space import FreeSpace
from optics.components.mask import WeightMask
from optics.components.modulation import LED, ElectroAbsorption, Laser, MachZehnder, Straight
from optics.components.nonidealities import Effects
from optics.components.source import Source
from optics.core.attention import AttentionOnLight
from optics.core.by_site import CoresBySite
from optics.core.fit_full_scale import fit_ranges
from optics.core.fixed_range_core import FixedRangeCore
from optics.core.preload import PreloadedCore, load
from optics.core.range_search import RangeRule
from optics.core.site_rule import DIGITAL, SiteRule
from optics.core.tensor_core import PreloadedMatrix, TensorCore
from optics.datapath.diagnostics import Diagnostics
from optics.datapath.site_range import SiteRange
from optics.energy.bill import EXAOPS, Bill, price
from optics.energy.light_budget import (
    measured_drive,
    photons_per_mac,
    with_effective_bits,
    with_photons_per_mac,
    with_source_power,
)
from optics.energy.system import System, system
from optics.interpreter.call import trace
from optics.interpreter.emulate import emulate
from optics.interpreter.notices import DigitalProductWarning, WeightsArgumentWarning
from optics.interpreter.op_count import UnknownPrimitiveWarning, count_elementwise_ops
from optics.interpreter.plan import (
    Policy,
    Site,
    everything,
    nonnegative_inputs,
    nonnegative_weights,
    routed,
    stationary,
)
from optics.interpreter.site_report import Report, report
from optics.presets import serialise
from optics.presets.by_site_file import load_by_site, save_by_site
from optics.presets.devices import DEVICES, device
from optics.presets.masks import MASK_TECHNOLOGIES, mask_constants, mask_structure, with_mask
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
    "DIGITAL",
    "EXAOPS",
    "LED",
    "PRESETS",
    "Ablation",
    "AttentionOnLight",
    "Bill",
    "Calibration",
    "CalibrationSchedule",
    "CoresBySite",
    "Correction",
    "DesignCalibration",
    "Diagnostics",
    "DigitalProductWarning",
    "Drift",
    "DriftState",
    "DriftTimeline",
    "Effects",
    "ElectroAbsorption",
    "Encoding",
    "FixedRangeCore",
    "FreeSpace",
    "Laser",
    "LearnedRanges",
    "MASK_TECHNOLOGIES",
    "MachZehnder",
    "Photodetector",
    "Policy",
    "PlausibilityWarning",
    "PreloadedCore",
    "PreloadedMatrix",
    "RangeRule",
    "Report",
    "Site",
    "SiteRule",
    "SiteRange",
    "Source",
    "Spread",
    "Straight",
    "System",
    "TensorCore",
    "Uncertainty",
    "UnknownPrimitiveWarning",
    "WeightMask",
    "WeightsArgumentWarning",
    "ablate",
    "assumptions",
    "calibrate",
    "constants_of",
    "count_elementwise_ops",
    "device",
    "drift_timeline",
    "emulate",
    "everything",
    "fit_ranges",
    "from_constants",
    "ideal",
    "learn_ranges",
    "load",
    "load_by_site",
    "losses_by_head",
    "mask_constants",
    "mask_structure",
    "save_by_site",
    "measured_drive",
    "nonnegative_inputs",
    "nonnegative_weights",
    "photons_per_mac",
    "physical_limit",
    "preset",
    "price",
    "projected_2029",
    "report",
    "routed",
    "serialise",
    "spreads",
    "stationary",
    "system",
    "today",
    "trace",
    "with_effective_bits",
    "with_mask",
    "with_photons_per_mac",
    "with_source_power",
]

# Old names of 0.1, kept for one version.
_RENAMED = {
    "Attribution": "Ablation",
    "Loaded": "PreloadedMatrix",
    "Ranged": "FixedRangeCore",
    "Readings": "Diagnostics",
    "Resident": "PreloadedCore",
    "Upkeep": "CalibrationSchedule",
    "attribute": "ablate",
    "census": "count_elementwise_ops",
    "config": "serialise",
    "lit": "with_effective_bits",
    "lit_by": "with_photons_per_mac",
}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"optics.{name} is now optics.{_RENAMED[name]}", DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]
