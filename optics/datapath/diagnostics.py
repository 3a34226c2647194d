"""What the emulation saw at a site, as sums that add over tiles, scan iterations and calls."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.part import Number

# Below so many photo-electrons of an output, 4,096 draws tell counted ones from a Gaussian.
FEWEST_ELECTRONS = 36.0


class Diagnostics(NamedTuple):
    """Sums over one or more products; every figure of merit is a ratio of two of them.

    outputs, signal, error: count of outputs, sum of y^2 and of (emulated y - exact y)^2 [units of y^2]
    light: sum over outputs of sum_k |x_k| |w_k| [units of y]
    conversions, clipped, relative_error: ADC conversions, those out of range, sum of the squared errors of the
        partial sums as a fraction of the ADC's full scale
    few_electrons: conversions whose diodes together received fewer than FEWEST_ELECTRONS photo-electrons, but for
        vectors and columns of zeros
    inputs, drive: count of inputs and sum of their magnitudes as a fraction of the DAC's full scale
    macs, launched, detected: multiply-accumulates, photons that the sources send towards the columns in use, and
        photo-electrons of all diodes
    """

    outputs: Number
    signal: Number
    error: Number
    light: Number
    conversions: Number
    clipped: Number
    relative_error: Number
    few_electrons: Number
    inputs: Number
    drive: Number
    macs: Number
    launched: Number
    detected: Number

    def snr_db(self) -> jax.Array:
        """Signal-to-noise ratio against the signal's own rms [dB]: what a network sees."""
        return 10 * jnp.log10(self.signal / self.error)

    def effective_bits(self) -> jax.Array:
        """Bits of a converter, loaded to four sigma by a Gaussian, of the same SNR: (SNR + 7.27 dB) / 6.02."""
        return (self.snr_db() + 7.27) / 6.02

    def enob_full_scale(self) -> jax.Array:
        """Effective bits of one conversion against the ADC's full scale: what data sheets state."""
        sine_to_error_db = 10 * jnp.log10(0.5 * self.conversions / self.relative_error)
        return (sine_to_error_db - 1.76) / 6.02

    def clip_rate(self) -> jax.Array:
        """Share of the conversions that were out of range."""
        return self.clipped / self.conversions

    def share_below_counting_limit(self) -> jax.Array:
        """Share of the conversions with fewer than FEWEST_ELECTRONS photo-electrons, too few for a Gaussian."""
        return self.few_electrons / self.conversions

    def rho(self) -> jax.Array:
        """rms(y) / mean(sum_k |x_k| |w_k|): the larger, the fewer photons a product needs."""
        return jnp.sqrt(self.signal * self.outputs) / self.light

    def mean_drive(self) -> jax.Array:
        """Mean magnitude of the inputs as a fraction of full scale."""
        return self.drive / self.inputs

    def launched_per_mac(self) -> jax.Array:
        """Photons that leave the sources per multiply-accumulate."""
        return self.launched / self.macs

    def detected_per_mac(self) -> jax.Array:
        """Photo-electrons per multiply-accumulate."""
        return self.detected / self.macs


def total(readings: list[Diagnostics]) -> Diagnostics:
    """The sum of several readings, each summed over its own axes first."""
    return jax.tree.map(lambda *leaves: sum(jnp.sum(leaf) for leaf in leaves), *readings)
