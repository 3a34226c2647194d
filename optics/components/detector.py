"""The photodetectors at the end of each column: two diodes whose currents subtract, or one."""

import jax

from electronics.constants import ELEMENTARY_CHARGE
from electronics.numerics import poisson
from electronics.numerics.bounds import at_least, inverse
from electronics.part import Number, Part, choice, number
from optics.components.signal import Signal
from optics.constants import VOLT_METRE


class Photodetector(Part):
    """Diodes given by their quantum efficiency, dark current, and spread.

    gain_mismatch: spread of the response from output to output; imbalance: spread of the relative difference of the
    two diodes of a pair. light: how the emulation finds the light on a pair, of which shot noise is made: "factored",
    from that of each vector and that of each column, or "exact", by a second matrix product.
    counting: the law of shot noise. "gaussian": of the right mean and variance, drawn with the other noise of the
    receiver. "poisson": the photo-electrons of each diode are counted, for outputs of fewer than some 36; slower, and
    with the exact light, as the two diodes of a pair each need their own.
    """

    quantum_efficiency: Number = number("1", least=1e-6, most=1)
    dark_current: Number = number("A", least=0, most=1, plausible=(None, 1e-5))
    gain_mismatch: Number = number("1", least=0, most=1)
    imbalance: Number = number("1", least=0, most=1)
    light: str = choice("factored", "exact")
    counting: str = choice("gaussian", "poisson")

    @property
    def needs_exact_light(self) -> bool:
        """Whether the light of each pair has to be found by a matrix product of its own."""
        return self.light == "exact" or self.counting == "poisson"

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

    def shot_fluctuation(self, current: Signal, pair: bool, rate: Number, streams: jax.Array) -> jax.Array:
        """Photo-electrons of one symbol counted by Poisson's law, less their mean [vectors, columns].

        The diodes of a pair have the means (S + D) / 2 and (S - D) / 2 of sum S and difference D, and count apart; one
        diode alone has S. Each adds its dark electrons, I_dark / (q f), of which too the mean is taken off. Light that
        noise has made negative counts as none.

        Args:
            current: Signal scaled to a difference in shares of its unit.
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
        plus, minus = (current.total + current.difference) * 0.5, (current.total - current.difference) * 0.5
        return counted(plus, streams[0]) - counted(minus, streams[1])
