"""The photodetector pair at the end of each column: two diodes whose currents subtract."""

import jax

from electronics.book import ELEMENTARY_CHARGE
from electronics.part import Number, Part, number
from optics.book import VOLT_METRE
from optics.signal import Signal


class Photodetector(Part):
    """Diodes given by their quantum efficiency."""

    quantum_efficiency: Number = number("1", above=0, most=1)

    def responsivity(self, wavelength: Number) -> Number:
        """Current per optical power [A/W]: QE q lambda / (h c)."""
        return self.quantum_efficiency * wavelength / VOLT_METRE

    def detect(self, light: Signal, wavelength: Number) -> Signal:
        """Optical power -> photocurrent."""
        return light.times(self.responsivity(wavelength))

    def shot_variance(self, current: jax.Array, bandwidth: Number) -> jax.Array:
        """Variance [A^2] of the difference current: 2 q I B, I the sum of the two diodes' currents [A].

        At B = f / 2 this is a Poisson count in electrons, var n = mean n (Schottky 1918; Hamerly et al., PRX 2019).
        """
        return 2 * ELEMENTARY_CHARGE * current * bandwidth
