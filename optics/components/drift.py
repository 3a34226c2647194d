"""Drift between calibrations: wandering gains, and a change of temperature."""

import jax.numpy as jnp

from electronics.part import Number, Part, number
from optics.components.signal import safe_sqrt


class Drift(Part):
    """Drift of the gains of sources and receivers since the last calibration.

    Attributes:
        source_rate, receiver_rate: relative rms of the random walk per square root of a second.
        reversion: rate at which gains revert to their means (Ornstein-Uhlenbeck), 0 for a free random walk.
        age: time since the calibration.
        temperature_coefficient: relative change of the light of every source per kelvin.
        temperature_change: since the calibration.
    """

    source_rate: Number = number("1/sqrt(s)", least=0, most=1, plausible=(None, 0.1))
    receiver_rate: Number = number("1/sqrt(s)", least=0, most=1, plausible=(None, 0.1))
    reversion: Number = number("1/s", least=0, most=1e9, plausible=(None, 1e3))
    age: Number = number("s", least=0, most=1e10)
    temperature_coefficient: Number = number("1/K", least=-0.1, most=0.1)
    temperature_change: Number = number("K", least=-100, most=100)

    def rms(self, rate: Number) -> Number:
        """rms relative change after `age`: rate sqrt((1 - exp(-2 k t)) / 2 k), which is rate sqrt(t) for small k t.

        Uhlenbeck and Ornstein, Phys. Rev. 36, 823 (1930).
        """
        relaxed = 2 * self.reversion * self.age
        small = relaxed < 1e-6
        safe = jnp.where(small, 1.0, relaxed)
        return rate * safe_sqrt(self.age * jnp.where(small, 1 - relaxed / 2, -jnp.expm1(-safe) / safe))

    def thermal_gain(self, share: Number) -> Number:
        """Factor on the light of every source from the change of temperature, with `share` of it acting."""
        return 1 + share * self.temperature_coefficient * self.temperature_change


class CalibrationSchedule(Part):
    """Cost of calibration: every `interval` the core processes `probes` probe vectors instead of work."""

    interval: Number = number("s", least=1e-6, most=1e10)
    probes: Number = number("1", least=0, most=1e15)

    def lost_duty(self, vector_time: Number) -> Number:
        """Share of the time that probes take, at `vector_time` [s] per vector."""
        return self.probes * vector_time / self.interval
