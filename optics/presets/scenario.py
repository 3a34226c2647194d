"""From constants to a core: the numbers of a scenario, by dotted field, put into parts."""

from collections.abc import Mapping
from typing import Any

from electronics import ADC, DAC, TIA, Constant, DigitalBackend, Overhead, Part
from electronics.constants import CONSTANTS as ELECTRICAL
from electronics.part import nearest
from optics.components.correction import Correction
from optics.components.detector import Photodetector
from optics.components.drift import CalibrationSchedule, Drift
from optics.components.encoding import Encoding
from optics.components.free_space import FreeSpace
from optics.components.mask import WeightMask
from optics.components.modulation import Laser
from optics.components.nonidealities import Effects
from optics.components.source import Source
from optics.constants import CONSTANTS as OPTICAL
from optics.core.tensor_core import TensorCore

SCENARIOS = ("today", "projected_2029", "physical_limit")
PARTS: dict[str, type[Part]] = {
    "dac": DAC,
    "transfer": Laser,
    "source": Source,
    "space": FreeSpace,
    "mask": WeightMask,
    "detector": Photodetector,
    "tia": TIA,
    "adc": ADC,
    "drift": Drift,
    "upkeep": CalibrationSchedule,
    "digital": DigitalBackend,
    "overhead": Overhead,
}


def scenario_constants(name: str) -> dict[str, Constant]:
    """The constants of a scenario by the dotted name of the core's field that each one sets."""
    every = {**ELECTRICAL, **OPTICAL}
    found = {key.removesuffix(f".{name}"): row for key, row in every.items() if key.endswith(f".{name}")}
    if not found:
        raise ValueError(f"no constants for {name!r}{nearest(name, list(SCENARIOS))}")
    return {field.removeprefix("core."): row for field, row in found.items()}


def build(values: Mapping[str, float], structure: Mapping[str, Any], kinds: Mapping[str, type[Part]]) -> TensorCore:
    """A core of numbers by dotted field, of static fields likewise, and of `kinds` of parts other than the usual."""

    def of(name: str) -> dict[str, Any]:
        every = {**values, **structure}
        return {field.removeprefix(f"{name}."): v for field, v in every.items() if field.startswith(f"{name}.")}

    fields: dict[str, Any] = {field: value for field, value in {**values, **structure}.items() if "." not in field}
    fields |= {name: kind(**of(name)) for name, kind in {**PARTS, **kinds}.items()}
    fields |= {"encoding": Encoding(**of("encoding")), "correction": Correction.none(), "effects": Effects.uniform(1.0)}
    return TensorCore(**fields, device=0)
