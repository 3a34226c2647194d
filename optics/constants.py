"""The optical constants of `constants.toml`, and the physical ones that all of optics needs."""

from importlib.resources import files

from electronics.constants import ELEMENTARY_CHARGE, read
from electronics.part import Number

CONSTANTS = read(files("optics") / "constants.toml")

PLANCK = CONSTANTS["physics.planck"].value
LIGHT_SPEED = CONSTANTS["physics.light_speed"].value
VOLT_METRE = PLANCK * LIGHT_SPEED / ELEMENTARY_CHARGE


def photon_energy(wavelength: Number) -> Number:
    """Energy of one photon [J]: h c / lambda."""
    return PLANCK * LIGHT_SPEED / wavelength


def transmission(loss_db: Number) -> Number:
    """Share of the light that passes an insertion loss [dB]."""
    return 10.0 ** (-loss_db / 10)
