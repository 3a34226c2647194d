"""Everything electrical: converters, amplifiers, memories and wires, digital baselines. Knows nothing of light.

Parts are pytrees (see `electronics.part`); their constants and sources stand in `constants.toml`.
"""

from electronics.adc import ADC
from electronics.constants import Constant
from electronics.dac import DAC
from electronics.digital import DigitalBackend, Overhead
from electronics.integer import IntegerCore
from electronics.part import Number, Part, choice, count, number, static
from electronics.tia import TIA
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
