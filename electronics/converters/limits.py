"""What no converter or amplifier passes: the thermodynamic floor, and the effective bits that its codes allow."""

import numpy as np
from jax.core import Tracer

from electronics.constants import BOLTZMANN, ROOM_TEMPERATURE
from electronics.part import Number


def signal_to_noise(enob: Number) -> Number:
    """Power ratio of a full-scale sine to the noise of `enob` effective bits: 1.5 * 4**enob (6.02 b + 1.76 dB)."""
    return 1.5 * 4.0**enob


def sampling_energy(enob: Number) -> Number:
    """Least energy [J] to sample with `enob` bits of thermal noise: E = 8 k T SNR (Murmann; FoM_S = 192 dB)."""
    return (8 * BOLTZMANN * ROOM_TEMPERATURE) * signal_to_noise(enob)


def check_enob(converter: str, enob: Number, bits: Number) -> None:
    """Raises ValueError where concrete effective bits exceed the converter's bits. Traced values pass.

    The ENOB of IEEE 1241 counts rounding as noise, so a converter that rounds to b bits cannot have more than b.
    """
    if isinstance(enob, Tracer) or isinstance(bits, Tracer):
        return
    if np.any(np.asarray(enob) > np.asarray(bits)):
        raise ValueError(
            f"{converter}.enob = {enob} bit is more than {converter}.bits = {bits} bit allow: ENOB includes the "
            f"rounding (IEEE 1241); set enob to at most bits, or raise bits with it"
        )
