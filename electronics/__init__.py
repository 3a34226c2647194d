"""Everything electrical: converters, amplifiers, memories and wires, digital baselines. Knows nothing of light.

Parts are pytrees (see `electronics.part`); their constants and sources stand in `constants.toml`.
"""

from electronics.constants import Constant
from electronics.converters.adc import ADC
from electronics.converters.dac import DAC
from electronics.converters.tia import TIA
from electronics.digital.backend import DigitalBackend, Overhead
from electronics.digital.integer_core import IntegerCore
from electronics.part import Number, Part, choice, count, number, static
from electronics.validation import PlausibilityWarning

__all__ = [
    "ADC",
    "DAC",
    "TIA",
    "Constant",
    "DigitalBackend",
    "IntegerCore",
    "Number",
    "Overhead",
    "Part",
    "PlausibilityWarning",
    "choice",
    "count",
    "number",
    "static",
]
