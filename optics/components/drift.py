"""What changes between calibrations: gains that wander, and the temperature."""

import jax.numpy as jnp

from electronics.part import Number, Part, number
from optics.components.signal import root


class Drift(Part):
    """Wandering of the gains of sources and receivers since the last calibration, `age` ago.

    source_rate, receiver_rate: random walk, relative rms per square root of a second; reversion: rate at which the
    gains are drawn back to their means (Ornstein-Uhlenbeck), 0 for a free random walk. temperature_coefficient:
    change of every source's light per kelvin, temperature_change: kelvins since the calibration.
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
        return rate * root(self.age * jnp.where(small, 1 - relaxed / 2, -jnp.expm1(-safe) / safe))

    def thermal_gain(self, share: Number) -> Number:
        """Factor on every source's light from the change of temperature."""
        return 1 + share * self.temperature_coefficient * self.temperature_change


class CalibrationSchedule(Part):
    """Calibration as a cost: every `interval` the core is fed `probes` vectors in place of work."""

    interval: Number = number("s", least=1e-6, most=1e10)
    probes: Number = number("1", least=0, most=1e15)

    def lost_duty(self, vector_time: Number) -> Number:
        """Share of the time that probes take, for `vector_time` [s] a vector."""
        return self.probes * vector_time / self.interval
