"""The digital-to-analogue converter in front of each light source."""

import jax
import jax.numpy as jnp

from electronics import limits
from electronics.bounds import inverse
from electronics.part import Number, Part, number
from electronics.rounding import to_levels

# x (1 - x^2) is largest at x = 1 / sqrt 3, where it is 2 / (3 sqrt 3).
_CUBIC_PEAK = 2 / 27**0.5


class DAC(Part):
    """Sign-and-magnitude DAC: `bits` set 2**bits levels of non-negative drive, a switch selects the rail.

    `inl` is the peak integral nonlinearity as a fraction of full scale, `enob` the noise on top of the rounding. The
    exponents say how the energy grows with bits, and with the rate beyond `corner_rate`.
    """

    bits: Number = number("bit", least=1, most=16)
    enob: Number = number("bit", least=1, most=16)
    inl: Number = number("1", least=-0.25, most=0.25)
    energy_at_8_bits: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-9))
    bits_exponent: Number = number("1/bit", least=0, most=4)
    rate_exponent: Number = number("1", least=0, most=4)
    corner_rate: Number = number("Hz", least=1e6, most=1e15, plausible=(1e6, 1e13))

    def convert(self, x: jax.Array, full_scale: jax.Array, share: jax.Array) -> jax.Array:
        """Signed numbers within full_scale, any shape -> the nearest levels; `share` of the rounding is on."""
        return to_levels(x, full_scale, 2.0**self.bits - 1, share)

    def bend(self, x: jax.Array, full_scale: jax.Array, share: jax.Array) -> jax.Array:
        """Levels within full_scale -> the analogue drive, bent by `share` of the INL.

        The end points are on the line (end-point INL, IEEE 1658), between them lies the cubic that odd-order mismatch
        gives: x + INL (3 sqrt 3 / 2) x (1 - x^2).
        """
        of_scale = x * inverse(full_scale)
        return x + (share * self.inl / _CUBIC_PEAK) * x * (1 - of_scale**2)

    def noise_variance(self) -> Number:
        """Variance of the drive from `enob`, as a fraction of full scale squared.

        The magnitude spans [0, 1]; a full-scale sine over that span has variance 1/8.
        """
        return 0.125 / limits.signal_to_noise(self.enob)

    def energy(self, rate: Number) -> Number:
        """Energy per conversion [J] at `rate` [Hz].

        E = 8 k T SNR + E_8 2**(a (ENOB - 8)) max(1, rate / f_c)**p; in the presets a, p and f_c are those of published
        8 b and 12 b parts.
        """
        bits_scale = 2.0 ** (self.bits_exponent * (self.enob - 8))
        rate_scale = jnp.maximum(1.0, rate / self.corner_rate) ** self.rate_exponent
        return limits.sampling_energy(self.enob) + self.energy_at_8_bits * bits_scale * rate_scale
