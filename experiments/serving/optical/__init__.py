"""Servers built from optical cores, as machines that serve language models."""

from experiments.serving.optical.machine import PRECISION, OpticalMachine
from experiments.serving.optical.sources import SCENARIOS, from_file, from_preset, optical_systems
from experiments.serving.optical.system import CONSTANTS, OpticalSystem
from experiments.serving.optical.unit_costs import CoreCosts, UnitCosts

__all__ = [
    "CONSTANTS",
    "PRECISION",
    "SCENARIOS",
    "CoreCosts",
    "OpticalMachine",
    "OpticalSystem",
    "UnitCosts",
    "from_file",
    "from_preset",
    "optical_systems",
]
