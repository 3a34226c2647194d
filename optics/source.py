"""The light sources: one pair per signed input, driven directly."""

import jax

from electronics.part import Number, Part, number
from optics.signal import Signal


class Source(Part):
    """A laser whose optical power follows its drive linearly above a bias that is always paid.

    `power` is the optical power at full drive. `mean_drive` is the mean magnitude of the inputs as a fraction of full
    scale: it does not touch the numbers, it says how much light the bill is for.
    """

    wavelength: Number = number("m", above=0)
    power: Number = number("W", above=0)
    wall_plug_efficiency: Number = number("1", above=0, most=1)
    rin: Number = number("dB/Hz", most=-60)
    bias_power: Number = number("W", least=0)
    mean_drive: Number = number("1", above=0, most=1)

    def emit(self, drive: jax.Array, full_scale: jax.Array) -> Signal:
        """Drive within full_scale -> optical power, the sign being that of the rail that is lit."""
        return Signal(value=drive, scale=full_scale, unit=self.power)

    def intensity_variance(self, bandwidth: Number) -> Number:
        """Relative variance of the power from relative intensity noise: 10**(RIN / 10) B."""
        return 10.0 ** (self.rin / 10) * bandwidth

    def light_energy(self, rate: Number) -> Number:
        """Electrical energy [J] that becomes the light of one mean symbol."""
        return self.power * self.mean_drive / (self.wall_plug_efficiency * rate)

    def bias_energy(self, rate: Number) -> Number:
        """Electrical energy [J] of holding one source at threshold for one symbol."""
        return self.bias_power / rate
