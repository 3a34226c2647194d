"""The photodetectors at the end of each column: two diodes whose currents subtract, or one."""

import jax

from electronics.book import ELEMENTARY_CHARGE
from electronics.bounds import inverse
from electronics.part import Number, Part, choice, number
from optics.book import VOLT_METRE
from optics.signal import Signal


class Photodetector(Part):
    """Diodes given by their quantum efficiency, dark current, and spread.

    gain_mismatch: spread of the response from output to output; imbalance: spread of the relative difference of the
    two diodes of a pair. light: how the emulation finds the light on a pair, of which shot noise is made: "factored",
    from that of each vector and that of each column, or "exact", by a second matrix product.
    """

    quantum_efficiency: Number = number("1", least=1e-6, most=1)
    dark_current: Number = number("A", least=0, most=1, plausible=(None, 1e-5))
    gain_mismatch: Number = number("1", least=0, most=1)
    imbalance: Number = number("1", least=0, most=1)
    light: str = choice("factored", "exact")

    def responsivity(self, wavelength: Number) -> Number:
        """Current per optical power [A/W]: QE q lambda / (h c)."""
        return self.quantum_efficiency * wavelength / VOLT_METRE

    def detect(self, light: Signal, wavelength: Number) -> Signal:
        """Optical power [vectors, columns] -> photocurrent of alike diodes."""
        return light.times(self.responsivity(wavelength))

    def subtract(self, current: Signal, gain: jax.Array, imbalance: jax.Array) -> jax.Array:
        """Currents [vectors, columns] as shares of the unit -> those of each pair; gain, imbalance [1, columns].

        Diodes of response 1 + d / 2 and 1 - d / 2 give D + d / 2 S of the light's difference D and sum S.
        """
        return (current.difference + imbalance * 0.5 * current.total) * gain

    def shot_variance(self, current: Signal, diodes: int, bandwidth: Number, unit: Number = 1.0) -> jax.Array:
        """Variance of the difference current: 2 q (I + I_dark) B, I the sum of the diodes' photocurrents.

        In `unit`^2, a current [A], as `TIA.noise_variance`.
        At B = f / 2 this is a Poisson count in electrons, var n = mean n (Schottky 1918; Hamerly et al., PRX 2019).
        """
        per_unit = inverse(unit)
        of_current, dark = 2 * ELEMENTARY_CHARGE * bandwidth * per_unit, diodes * self.dark_current * per_unit
        return (of_current * (current.unit * per_unit)) * current.total + of_current * dark
