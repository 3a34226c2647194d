"""The analogue-to-digital converter behind each amplifier."""

import jax
import jax.numpy as jnp

from electronics.converters import adc_survey, limits
from electronics.numerics.bounds import at_least, at_most, within
from electronics.numerics.rounding import round_to_levels
from electronics.part import Number, Part, choice, number


class ADC(Part):
    """Signed converter: `bits` give the 2**bits - 1 symmetric codes, `enob` the effective bits, rounding included.

    enob: as IEEE 1241 measures it, from all the error of a full-scale sine. Additive noise makes up the difference
        between the rounding and that error. The rounding alone leaves log2(2**bits - 2) effective bits, so `enob`
        may not exceed `bits`; what it asks for beyond that ideal adds no noise and is not billed.
    span: what the full scale follows. "norms": the norms of vector and column, `loading` being the number of rms
        values, of a sum of uncorrelated terms, that fit in it beside one full product. "rows": all that the core's
        rows can give together, whatever the numbers are.
    gain: amplification before the converter; it divides the full scale, and what then does not fit clips.
    noise: the law of the additive noise; logistic has the heavier tails that Lightmatter's data show.
    jitter: rms timing error of the sampling instant. offset_mismatch: spread of the converters' offsets, as a
        fraction of full scale.
    survey_factor: multiplies the energy of the best published converters; at 0 the thermodynamic floor is left.
    """

    bits: Number = number("bit", least=2, most=24)
    enob: Number = number("bit", least=1, most=20)
    loading: Number = number("1", above=0, most=1e6, plausible=(1, 1e3))
    gain: Number = number("1", least=1e-6, most=1e6, plausible=(1e-2, 1e4))
    jitter: Number = number("s", least=0, most=1e-3, plausible=(None, 1e-10))
    offset_mismatch: Number = number("1", least=0, most=1)
    survey_factor: Number = number("1", least=0, most=1e6, plausible=(None, 100))
    span: str = choice("norms", "rows")
    noise: str = choice("gaussian", "logistic")

    def __post_init__(self) -> None:
        super().__post_init__()
        limits.check_enob("ADC", self.enob, self.bits)

    @property
    def highest_code(self) -> Number:
        """Largest code, 2**(bits - 1) - 1: the codes are its multiples from -1 to 1 of full scale."""
        return 2.0 ** (self.bits - 1) - 1

    def effective_bits(self) -> jax.Array:
        """ENOB that the converter has: `enob`, or log2(2**bits - 2) where the rounding alone leaves less."""
        return at_most(self.enob, jnp.log2(2 * self.highest_code))

    def full_scale(self, rms: Number) -> Number:
        """Largest input that does not clip, for an expected rms, both in units of one full product: 1 + loading x rms.

        The 1 covers vectors and columns dominated by one outlier, as in a language model's massive activations:
        their product is no sum of many terms.
        """
        return (1 + self.loading * rms) * (1 / self.gain)

    def noise_variance(self) -> jax.Array:
        """Variance of the additive noise as a fraction of full scale squared: max(1 / (2 SNR) - step^2 / 12, 0).

        A full-scale sine has variance 1/2, and SNR = 1.5 4**ENOB is its ratio to all of the error (IEEE 1241). Of that
        error the rounding to steps of 1 / (2**(bits - 1) - 1) is step^2 / 12 (Bennett 1948). The gradient in `bits` is
        that of this difference; the rounding itself has the gradient that makes up for it.
        """
        whole = 0.5 / limits.signal_to_noise(self.enob)
        return at_least(whole - 1 / (12 * self.highest_code**2), 0.0)

    def jitter_variance(self, rate: Number) -> Number:
        """Variance from jitter, relative to the square of the sampled value: (2 pi f_in sigma_j)^2 at f_in = rate / 2.

        Walden, IEEE JSAC 17, 539 (1999): SNR = -20 log10(2 pi f_in sigma_j).
        """
        return (jnp.pi * rate * self.jitter) ** 2

    def convert(self, x: jax.Array, full_scale: jax.Array, rounding: Number, clipping: Number) -> jax.Array:
        """Any shape -> the nearest codes, in the unit of `x`, none beyond full_scale.

        `rounding` and `clipping` are the shares of each that are on. A clipped input passes no gradient.
        """
        clipped = x + clipping * (within(x, -full_scale, full_scale) - x)
        return round_to_levels(clipped, full_scale, self.highest_code, rounding)

    def energy(self, rate: Number) -> Number:
        """Energy per conversion [J] at `rate` [Hz]: 8 k T SNR + survey_factor x `adc_survey.energy`.

        Both at the effective bits that the converter has.
        """
        resolved = self.effective_bits()
        return limits.sampling_energy(resolved) + self.survey_factor * adc_survey.energy(resolved, rate)
