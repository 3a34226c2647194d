"""The thermodynamic floor that no converter or amplifier passes."""

from electronics.book import BOLTZMANN, ROOM_TEMPERATURE
from electronics.part import Number


def signal_to_noise(enob: Number) -> Number:
    """Power ratio of a full-scale sine to the noise of `enob` effective bits: 1.5 * 4**enob (6.02 b + 1.76 dB)."""
    return 1.5 * 4.0**enob


def sampling_energy(enob: Number) -> Number:
    """Least energy [J] to sample with `enob` bits of thermal noise: E = 8 k T SNR (Murmann; FoM_S = 192 dB)."""
    return (8 * BOLTZMANN * ROOM_TEMPERATURE) * signal_to_noise(enob)
