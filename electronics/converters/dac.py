"""The digital-to-analogue converter in front of each light source."""

import jax
import jax.numpy as jnp

from electronics.converters import limits
from electronics.numerics.bounds import at_least, at_most, inverse
from electronics.numerics.rounding import round_to_levels
from electronics.part import Number, Part, number

# x (1 - x^2) is largest at x = 1 / sqrt 3, where it is 2 / (3 sqrt 3).
_CUBIC_PEAK = 2 / 27**0.5
# Effective bits of a published part of 8 bits, whose noise is taken to be as large as its rounding.
_REFERENCE_ENOB = 7.5


class DAC(Part):
    """Sign-and-magnitude DAC: `bits` set 2**bits levels of non-negative drive, a switch selects the rail.

    `enob` is the effective bits of a sine between dark and full drive, rounding included (IEEE 1241). Additive noise
    makes up the difference to the rounding, which alone leaves log2(2**bits - 1), so `enob` may not exceed `bits`.
    `inl` is the peak integral nonlinearity as a fraction of full scale. `energy_at_8_bits` is that of a part of 8 bits
    and 7.5 effective ones; the exponents say how the energy grows with effective bits, and with the rate beyond
    `corner_rate`.
    """

    bits: Number = number("bit", least=1, most=16)
    enob: Number = number("bit", least=1, most=16)
    inl: Number = number("1", least=-0.25, most=0.25)
    energy_at_8_bits: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-9))
    bits_exponent: Number = number("1/bit", least=0, most=4)
    rate_exponent: Number = number("1", least=0, most=4)
    corner_rate: Number = number("Hz", least=1e6, most=1e15, plausible=(1e6, 1e13))

    def __post_init__(self) -> None:
        super().__post_init__()
        limits.check_enob("DAC", self.enob, self.bits)

    @property
    def highest_level(self) -> Number:
        """Number of steps from dark to full drive, 2**bits - 1."""
        return 2.0**self.bits - 1

    def effective_bits(self) -> jax.Array:
        """ENOB that the converter has: `enob`, or log2(2**bits - 1) where the rounding alone leaves less."""
        return at_most(self.enob, jnp.log2(self.highest_level))

    def convert(self, x: jax.Array, full_scale: jax.Array, share: Number) -> jax.Array:
        """Signed numbers within full_scale, any shape -> the nearest levels; `share` of the rounding is on."""
        return round_to_levels(x, full_scale, self.highest_level, share)

    def bend(self, x: jax.Array, full_scale: jax.Array, share: Number) -> jax.Array:
        """Levels within full_scale -> the analogue drive, bent by `share` of the INL.

        The end points are on the line (end-point INL, IEEE 1658), between them lies the cubic that odd-order mismatch
        gives: x + INL (3 sqrt 3 / 2) x (1 - x^2).
        """
        of_scale = x * inverse(full_scale)
        return x + (share * self.inl / _CUBIC_PEAK) * x * (1 - of_scale**2)

    def noise_variance(self) -> jax.Array:
        """Variance of the additive noise of the drive over full scale squared: max(1 / (8 SNR) - step^2 / 12, 0).

        The magnitude spans [0, 1]; a full-scale sine over that span has variance 1/8, and SNR = 1.5 4**ENOB is its
        ratio to all of the error (IEEE 1241). Of that error the rounding to steps of 1 / (2**bits - 1) is step^2 / 12
        (Bennett 1948).
        """
        whole = 0.125 / limits.signal_to_noise(self.enob)
        return at_least(whole - 1 / (12 * self.highest_level**2), 0.0)

    def energy(self, rate: Number) -> Number:
        """Energy per conversion [J] at `rate` [Hz].

        E = 8 k T SNR + E_8 2**(a (ENOB - 7.5)) max(1, rate / f_c)**p, at the effective bits that the converter has; in
        the presets a, p and f_c are those of published 8 b and 12 b parts, taken to have half a bit less.
        """
        resolved = self.effective_bits()
        bits_scale = 2.0 ** (self.bits_exponent * (resolved - _REFERENCE_ENOB))
        rate_scale = jnp.maximum(1.0, rate / self.corner_rate) ** self.rate_exponent
        return limits.sampling_energy(resolved) + self.energy_at_8_bits * bits_scale * rate_scale
