"""The light sources of the inputs."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import at_least, inverse
from electronics.part import Number, Part, number
from optics.components.signal import Signal


class Source(Part):
    """One light source a rail of an input, its power set by the drive through a `Transfer` curve.

    power: optical power at full drive; bias_power: what is paid whether there is light or not; rin: relative
    intensity noise, of which the share `rin_in_common` is that of one laser behind all inputs, and the rest each
    source's own. gain_mismatch, offset_mismatch: spread from source to source of the light at full drive and at none,
    as fractions of full drive. `mean_drive` is the mean magnitude of the inputs as a fraction of full scale, over MACs:
    it does not touch the numbers, it says how much light is billed where nobody measured it (`price(readings=)`).
    """

    wavelength: Number = number("m", least=1e-7, most=1e-4, plausible=(3e-7, 1e-5))
    power: Number = number("W", above=0, most=1e6, plausible=(1e-12, 5))
    wall_plug_efficiency: Number = number("1", least=1e-6, most=1)
    rin: Number = number("dB/Hz", least=-300, most=-60, plausible=(-200, -100))
    rin_in_common: Number = number("1", least=0, most=1)
    gain_mismatch: Number = number("1", least=0, most=1)
    offset_mismatch: Number = number("1", least=0, most=1)
    bias_power: Number = number("W", least=0, most=1e3, plausible=(None, 1))
    mean_drive: Number = number("1", least=1e-9, most=1)

    def emit(self, drive: jax.Array, full_scale: jax.Array, gain: jax.Array, offset: jax.Array, rails: int) -> Signal:
        """Drive [vectors, rows] within full_scale [vectors, 1] -> the light of each input.

        gain, offset [2, rows] are those of the sources of the two rails. A lit source gives gain x drive + offset, a
        dark one its offset; neither less than nothing.
        """
        below = drive < 0
        modulated = drive * jnp.where(below, gain[1:], gain[:1])
        light = Signal(modulated, jnp.abs(modulated) * inverse(full_scale), full_scale, self.power)
        if rails == 1:
            extra = at_least(offset[:1], -light.total)
            return light.plus(extra, extra)
        lit = at_least(jnp.where(below, offset[1:], offset[:1]), -light.total)
        dark = at_least(jnp.where(below, offset[:1], offset[1:]), 0)
        return light.plus(jnp.where(below, dark - lit, lit - dark), lit + dark)

    def intensity_variance(self, bandwidth: Number) -> Number:
        """Relative variance of the power from relative intensity noise: 10**(RIN / 10) B."""
        return 10.0 ** (self.rin / 10) * bandwidth

    def light_energy(self, light: Number, rate: Number) -> Number:
        """Electrical energy [J] that becomes `light`, a share of full drive, over a symbol."""
        return self.power * light / (self.wall_plug_efficiency * rate)

    def bias_energy(self, rate: Number) -> Number:
        """Electrical energy [J] of holding one source at threshold for one symbol."""
        return self.bias_power / rate
