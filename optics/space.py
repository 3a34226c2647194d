"""Free space: a lens copies each source over the columns, another sums each column onto its detectors."""

import jax
import jax.numpy as jnp

from electronics.part import Number, Part, number
from optics.book import transmission
from optics.signal import Signal, neighbours, root, spill


class FreeSpace(Part):
    """The optics before and after the weight mask.

    Losses; vignetting, the loss from the centre of the plane to its edge along each axis; the shares of a channel's
    light that reach the earlier and the later neighbour, of the inputs at the mask and of the outputs at the
    detectors; rail_leak, the share that a detector's other rail gets (a polarising splitter's); stray_light, what
    reaches a diode past the mask, as a share of what a clear pixel lets through; coherence, the degree of mutual
    coherence of neighbouring inputs: 0 for independent lasers, 1 for one laser behind modulators.
    """

    fan_out_loss_db: Number = number("dB", least=0)
    fan_in_loss_db: Number = number("dB", least=0)
    vignetting: Number = number("1", least=0, below=1)
    input_crosstalk_earlier: Number = number("1", least=0, most=0.4)
    input_crosstalk_later: Number = number("1", least=0, most=0.4)
    output_crosstalk_earlier: Number = number("1", least=0, most=0.4)
    output_crosstalk_later: Number = number("1", least=0, most=0.4)
    coherence: Number = number("1", least=0, most=1)
    rail_leak: Number = number("1", least=0, below=0.5)
    stray_light: Number = number("1", least=0, most=1)

    def profile(self, places: int) -> jax.Array:
        """Light at each of `places` channels relative to the centre's: 1 - v r^2, r from -1 to 1, float32 [places]."""
        r = jnp.linspace(-1.0, 1.0, places, dtype=jnp.float32) if places > 1 else jnp.zeros(1, jnp.float32)
        return 1 - self.vignetting * r**2

    def fan_out(self, light: Signal, ways: int, crosstalk: Number, phase: jax.Array, rails: int) -> Signal:
        """Power of each source [vectors, rows] -> power on each of the `ways` pixels that it lights.

        `crosstalk` is the share of the neighbours' light that is on; phase [rows] is the cosine of the optical phase
        between a channel and the earlier one's leakage.
        """
        earlier, later = crosstalk * self.input_crosstalk_earlier, crosstalk * self.input_crosstalk_later
        # All inputs of a vector share its scale.
        spread = light.times(transmission(self.fan_out_loss_db) / ways).each(
            lambda value: value + spill(value, earlier, later, axis=1)
        )
        amplitude = 2 * self.coherence * root(later * (1 - earlier - later)) * phase * light.scale
        plus, minus = jax.lax.cond(
            self.coherence * later > 0,
            lambda: tuple(amplitude * beat for beat in _beats(light)),
            lambda: (jnp.zeros_like(light.total),) * 2,
        )
        if rails == 1:
            return spread.each(lambda value: value + plus)
        return spread._replace(difference=spread.difference + (plus - minus), total=spread.total + (plus + minus))

    def fan_in(self, light: Signal, column_light: jax.Array, crosstalk: Number, balanced: bool) -> Signal:
        """Power summed over each column [vectors, columns] behind the mask -> power on its detectors.

        column_light [1, columns]: how much of it passes at each column's place in the plane, by `profile`.
        """
        earlier, later = crosstalk * self.output_crosstalk_earlier, crosstalk * self.output_crosstalk_later
        summed = light.times(transmission(self.fan_in_loss_db)).each(lambda value: value * column_light)
        summed = summed.each(lambda value: value + light.scale * spill(value / light.scale, earlier, later, axis=1))
        if not balanced:
            return summed
        return summed._replace(difference=summed.difference * (1 - 2 * crosstalk * self.rail_leak))


def _beats(light: Signal) -> tuple[jax.Array, jax.Array]:
    """sqrt(P_i P_(i-1)) of each rail, as shares of full drive: the interference of a channel with what leaks from the
    earlier one, |sqrt(k) a + sqrt(l) b|^2 = k a^2 + l b^2 + 2 sqrt(k l) a b cos(phi)."""

    def beat(power):
        earlier, _ = neighbours(jnp.maximum(power / light.scale, 0) / 2, 1)
        return root(jnp.maximum(power / light.scale, 0) / 2 * earlier)

    return beat(light.total + light.difference), beat(light.total - light.difference)
