"""Photodetectors behind each column: a balanced pair of diodes, or a single one."""

import jax
import jax.numpy as jnp

from electronics.constants import ELEMENTARY_CHARGE
from electronics.numerics import poisson
from electronics.numerics.bounds import at_least, inverse
from electronics.part import Number, Part, choice, number
from optics.components.signal import Signal
from optics.constants import VOLT_METRE


class Photodetector(Part):
    """Photodiodes of one output.

    Attributes:
        quantum_efficiency: electrons per photon.
        dark_current: of one diode.
        gain_mismatch: rms output-to-output spread of the response.
        imbalance: rms spread of the relative difference of the two diodes of a pair.
        light: how the emulation computes the total light on a pair, which sets the shot noise. "exact" takes a second
            matrix product; "factored" approximates it from the light of each vector and of each column.
        counting: distribution of the shot noise. "gaussian" has the right mean and variance and is drawn together with
            the other noise of the receiver. "poisson" counts the photo-electrons of each diode, for outputs of fewer
            than about 36; it is slower and needs the exact light.
    """

    quantum_efficiency: Number = number("1", least=1e-6, most=1)
    dark_current: Number = number("A", least=0, most=1, plausible=(None, 1e-5))
    gain_mismatch: Number = number("1", least=0, most=1)
    imbalance: Number = number("1", least=0, most=1)
    light: str = choice("factored", "exact")
    counting: str = choice("gaussian", "poisson")

    @property
    def needs_exact_light(self) -> bool:
        """Whether the total light of each output needs a matrix product of its own."""
        return self.light == "exact" or self.counting == "poisson"

    def responsivity(self, wavelength: Number) -> Number:
        """Current per optical power [A/W]: QE q lambda / (h c)."""
        return self.quantum_efficiency * wavelength / VOLT_METRE

    def detect(self, light: Signal, wavelength: Number) -> Signal:
        """Optical power [vectors, columns] -> photocurrent of diodes without mismatch."""
        return light.times(self.responsivity(wavelength))

    def subtract(self, current: Signal, gain: jax.Array, imbalance: jax.Array) -> jax.Array:
        """Currents [vectors, columns] as shares of the unit -> difference current of each pair.

        Diodes of response 1 + d / 2 and 1 - d / 2 turn a difference D and a sum S of the light into D + d / 2 S.
        `gain` and `imbalance` d are [1, columns].
        """
        return (current.differential + imbalance * 0.5 * current.total) * gain

    def shot_variance(self, current: Signal, diodes: int, bandwidth: Number, unit: Number = 1.0) -> jax.Array:
        """Variance of the difference current, 2 q (I + I_dark) B, in units of `unit`^2 for a current `unit` [A].

        I is the sum of the photocurrents of the diodes. At B = f / 2 this is a Poisson count in electrons,
        var n = mean n (Schottky 1918; Hamerly et al., PRX 2019).
        """
        per_unit = inverse(unit)
        of_current, dark = 2 * ELEMENTARY_CHARGE * bandwidth * per_unit, diodes * self.dark_current * per_unit
        return jnp.asarray((of_current * (current.unit * per_unit)) * current.total + of_current * dark)

    def shot_fluctuation(self, current: Signal, pair: bool, rate: Number, streams: jax.Array) -> jax.Array:
        """Poisson-distributed photo-electrons of one symbol less their mean, [vectors, columns].

        The diodes of a pair have the means (S + D) / 2 and (S - D) / 2, for sum S and difference D of the light, and
        count independently. A single diode has the mean S. Each adds its dark electrons, I_dark / (q f). Light that
        noise has made negative counts as 0.

        Args:
            current: Signal whose differential part is a share of its unit.
            pair: Whether two diodes subtract.
            rate: Symbols per second [Hz].
            streams: Noise streams, uint32 [2, 2], one per diode.

        Returns:
            Electrons of the first diode less those of the second, with mean 0 [vectors, columns].
        """
        charge = ELEMENTARY_CHARGE * rate
        electrons, dark = current.unit / charge, self.dark_current / charge

        def counted(light: jax.Array, stream: jax.Array) -> jax.Array:
            return poisson.fluctuation(at_least(light * electrons, 0.0) + dark, stream)

        if not pair:
            return counted(current.total, streams[0])
        plus, minus = (current.total + current.differential) * 0.5, (current.total - current.differential) * 0.5
        return counted(plus, streams[0]) - counted(minus, streams[1])
