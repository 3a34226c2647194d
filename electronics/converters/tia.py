"""The transimpedance amplifier or integrator behind each detector pair."""

import jax.numpy as jnp

from electronics.constants import BOLTZMANN, ROOM_TEMPERATURE
from electronics.numerics.bounds import inverse
from electronics.part import Number, Part, number


class TIA(Part):
    """Receiver that integrates the current of a symbol and is then read and dumped.

    Its noise has three forms, which add: `noise_density`, the input-referred current noise of an amplifier;
    `feedback_conductance`, 1 / R_F of a feedback resistor; `integration_capacitance`, the capacitor that is reset
    before each conversion. `bandwidth` is that of the single pole before the integrator, `full_well` the charge that
    the integrator holds.
    """

    noise_density: Number = number("A/sqrt(Hz)", least=0, most=1e-3, plausible=(None, 1e-9))
    feedback_conductance: Number = number("S", least=0, most=1e3, plausible=(None, 0.1))
    integration_capacitance: Number = number("F", least=0, most=1, plausible=(None, 1e-9))
    bandwidth: Number = number("Hz", least=1e-3, most=1e18, plausible=(1e5, 1e14))
    full_well: Number = number("C", least=1e-21, most=1, plausible=(1e-17, 1e-6))
    power: Number = number("W", least=0, most=1e3, plausible=(None, 1))

    def noise_bandwidth(self, rate: Number) -> Number:
        """Noise bandwidth [Hz] of a matched integrate-and-dump at `rate`: rate / 2. The pole narrows it by less than
        `isi_share` and is not counted."""
        return rate / 2

    def noise_variance(self, bandwidth: Number, unit: Number = 1.0) -> Number:
        """Input-referred current variance in a symbol: (i_n^2 + 4 k T / R_F) B (Johnson 1928, Nyquist 1928).

        In `unit`^2, a current [A]. Each factor is divided by it on its own: of a small unit the inverse square is so
        large that a gradient through it would overflow.
        """
        per_unit = inverse(unit)
        resistor = (4 * BOLTZMANN * ROOM_TEMPERATURE * per_unit) * (self.feedback_conductance * per_unit)
        return ((self.noise_density * per_unit) ** 2 + resistor) * bandwidth

    def reset_variance(self, rate: Number, unit: Number = 1.0) -> Number:
        """Variance of the charge k T C left by the reset, once per conversion, as a current over a symbol; in `unit`^2
        as `noise_variance`."""
        per_unit = inverse(unit)
        return (BOLTZMANN * ROOM_TEMPERATURE * rate * per_unit) * (self.integration_capacitance * rate * per_unit)

    def isi_share(self, rate: Number) -> Number:
        """Share of a symbol's charge that comes late: (tau / T) (1 - exp(-T / tau)), tau = 1 / (2 pi B).

        It is taken to come in the next symbol; of it exp(-T / tau) comes later still, 0.2 % at B = rate.
        """
        lag = rate / (2 * jnp.pi * self.bandwidth)
        return lag * -jnp.expm1(-1 / lag)

    def largest_current(self, rate: Number) -> Number:
        """Mean current [A] over a symbol that fills the integrator."""
        return self.full_well * rate

    def energy(self, rate: Number) -> Number:
        """Energy per symbol [J]: a static power, so slow symbols cost more."""
        return self.power / rate
