"""Free space: a lens copies each source over the columns, another sums each column onto its detectors."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.part import Number, Part, number
from optics.components.signal import Signal, neighbours, root, spread
from optics.constants import transmission


class FreeSpace(Part):
    """The optics before and after the weight mask.

    Losses; vignetting, the loss from the centre of the plane to its edge along each axis; the shares of a channel's
    light that reach the earlier and the later neighbour, of the inputs at the mask and of the outputs at the
    detectors; rail_leak, the share that a detector's other rail gets (a polarising splitter's); stray_light, what
    reaches a diode past the mask, as a share of what a clear pixel lets through; coherence, the degree of mutual
    coherence of neighbouring inputs: 0 for independent lasers, 1 for one laser behind modulators.
    """

    fan_out_loss_db: Number = number("dB", least=0, most=60, plausible=(None, 20))
    fan_in_loss_db: Number = number("dB", least=0, most=60, plausible=(None, 20))
    vignetting: Number = number("1", least=0, most=0.999)
    input_crosstalk_earlier: Number = number("1", least=0, most=0.4)
    input_crosstalk_later: Number = number("1", least=0, most=0.4)
    output_crosstalk_earlier: Number = number("1", least=0, most=0.4)
    output_crosstalk_later: Number = number("1", least=0, most=0.4)
    coherence: Number = number("1", least=0, most=1)
    rail_leak: Number = number("1", least=0, most=0.499)
    stray_light: Number = number("1", least=0, most=1)

    def profile(self, places: int) -> jax.Array:
        """Light at each of `places` channels relative to the centre's: 1 - v r^2, r from -1 to 1, float32 [places]."""
        r = jnp.linspace(-1.0, 1.0, places, dtype=jnp.float32) if places > 1 else jnp.zeros(1, jnp.float32)
        return 1 - self.vignetting * r**2

    def interferes(self, crosstalk: Number) -> jax.Array:
        """Whether neighbouring inputs beat against one another, so that their light does not simply add."""
        return self.coherence * crosstalk * self.input_crosstalk_later > 0

    def lit_through(self, plane: jax.Array, crosstalk: Number) -> jax.Array:
        """Pixels [rows, columns] as each source sees them, its neighbours' among them, where light simply adds."""
        share = jnp.where(self.interferes(crosstalk), 0.0, crosstalk)
        # What a source gives to the later row is what that row's pixels add to its own.
        return spread(plane, share * self.input_crosstalk_later, share * self.input_crosstalk_earlier, axis=0)

    def fan_out(self, light: Signal, ways: int) -> Signal:
        """Power of each source [vectors, rows] -> power on each of the `ways` pixels that it lights."""
        return light.times(transmission(self.fan_out_loss_db) / ways)

    def interfere(self, light: Signal, crosstalk: Number, phase: jax.Array, rails: int) -> Signal:
        """Light [vectors, rows] with that of coherent neighbours; `crosstalk` is the share of their light that is on.

        phase [rows] is the cosine of the optical phase between a channel and the earlier one's leakage.
        """
        earlier, later = crosstalk * self.input_crosstalk_earlier, crosstalk * self.input_crosstalk_later
        # All inputs of a vector share its scale.
        spilt = light.each(lambda value: spread(value, earlier, later, axis=1))
        amplitude = 2 * self.coherence * root(later * (1 - earlier - later)) * phase
        plus, minus = (amplitude * beat for beat in _beats(light))
        return spilt.plus(plus, plus) if rails == 1 else spilt.plus(plus - minus, plus + minus)

    def fan_in(self, light: Signal, column_light: jax.Array, crosstalk: Number, balanced: bool) -> Signal:
        """Power in each column [any, columns] behind the mask -> power on its detectors.

        column_light [1, columns]: how much of it passes at each column's place in the plane, by `profile`.
        """
        earlier, later = crosstalk * self.output_crosstalk_earlier, crosstalk * self.output_crosstalk_later
        summed = light.times(transmission(self.fan_in_loss_db)).each(lambda value: value * column_light)
        summed = summed._replace(
            difference=spread(summed.difference, earlier, later, 1, light.scale, inverse(light.scale)),
            total=spread(summed.total, earlier, later, 1),
        )
        if not balanced:
            return summed
        return summed._replace(difference=summed.difference * (1 - 2 * crosstalk * self.rail_leak))


def _beats(light: Signal) -> tuple[jax.Array, jax.Array]:
    """sqrt(P_i P_(i-1)) of each rail, as shares of full drive: the interference of a channel with what leaks from the
    earlier one, |sqrt(k) a + sqrt(l) b|^2 = k a^2 + l b^2 + 2 sqrt(k l) a b cos(phi)."""

    def beat(power):
        earlier, _ = neighbours(jnp.maximum(power, 0) / 2, 1)
        return root(jnp.maximum(power, 0) / 2 * earlier)

    difference = light.difference * inverse(light.scale)
    return beat(light.total + difference), beat(light.total - difference)
