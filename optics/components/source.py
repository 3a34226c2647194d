"""Light sources of the inputs."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import at_least, choose, inverse
from electronics.part import Number, Part, number
from optics.components.signal import Signal


class Source(Part):
    """One light source per rail of an input; a `Transfer` curve maps the drive to its power.

    Attributes:
        wavelength: optical wavelength.
        power: optical power at full drive.
        wall_plug_efficiency: optical power per electrical power above bias.
        rin: relative intensity noise.
        rin_in_common: share of the intensity noise that all sources have in common, as behind one laser; the rest is
            independent from source to source.
        gain_mismatch, offset_mismatch: rms source-to-source spread of the light at full drive and at zero drive, as
            fractions of full drive.
        bias_power: electrical power that is drawn with or without light.
        mean_drive: mean magnitude of the inputs as a fraction of full scale, averaged over MACs. It sets the light
            that `optics.price` bills for sites without diagnostics, and does not change results.
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
        """Drive [vectors, rows] within full_scale [vectors, 1] -> light of each input.

        A driven source emits gain x drive + offset and an undriven one its offset, neither below 0.

        Args:
            drive: signed drive; the sign selects the rail.
            full_scale: drive that full power represents.
            gain: of the sources of the two rails, [2, rows].
            offset: of the sources of the two rails, [2, rows].
            rails: light sources per input, 1 or 2.
        """
        below = drive < 0
        modulated = drive * choose(below, gain[1:], gain[:1])
        light = Signal(modulated, jnp.abs(modulated) * inverse(full_scale), full_scale, self.power)
        if rails == 1:
            extra = at_least(offset[:1], -light.total)
            return light.plus(extra, extra)
        driven = at_least(choose(below, offset[1:], offset[:1]), -light.total)
        undriven = at_least(choose(below, offset[:1], offset[1:]), 0)
        return light.plus(choose(below, undriven - driven, driven - undriven), driven + undriven)

    def intensity_variance(self, bandwidth: Number) -> Number:
        """Relative variance of the power from relative intensity noise in `bandwidth` [Hz]: 10**(RIN / 10) B."""
        return 10.0 ** (self.rin / 10) * bandwidth

    def light_energy(self, light: Number, rate: Number) -> Number:
        """Electrical energy [J] for `light`, a share of full drive, during a symbol at `rate` [Hz]."""
        return self.power * light / (self.wall_plug_efficiency * rate)

    def bias_energy(self, rate: Number) -> Number:
        """Electrical energy [J] of the bias of one source during a symbol at `rate` [Hz]."""
        return self.bias_power / rate
