"""Free-space optics: one lens images each source onto all columns, another sums each column onto its detectors."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import choose, inverse
from electronics.part import Number, Part, number
from optics.components.signal import Signal, nearest_neighbour_crosstalk, neighbours, safe_sqrt
from optics.constants import transmission


class FreeSpace(Part):
    """The optics before and after the weight mask.

    Attributes:
        fan_out_loss_db, fan_in_loss_db: losses before and after the mask.
        vignetting: loss from the centre of the plane to its edge, along each axis.
        input_crosstalk_earlier, input_crosstalk_later: shares of an input's light that reach the pixels of the earlier
            and of the later input.
        output_crosstalk_earlier, output_crosstalk_later: shares of a column's light that reach the detectors of the
            earlier and of the later column.
        coherence: degree of mutual coherence of neighbouring inputs, 0 for independent lasers, 1 for one laser behind
            modulators.
        rail_leak: share of the light that reaches the diode of the other rail (leakage of a polarising splitter).
        stray_light: light that reaches a diode past the mask, as a share of that through a clear pixel.
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
        return jnp.asarray(1 - self.vignetting * r**2)

    def interferes(self, crosstalk: Number) -> jax.Array:
        """Whether neighbouring inputs interfere, so that their powers do not add."""
        return jnp.asarray(self.coherence * crosstalk * self.input_crosstalk_later > 0)

    def through_input_crosstalk(self, plane: jax.Array, crosstalk: Number) -> jax.Array:
        """Transmissions [..., rows, columns] from each source, with its share through the neighbouring rows.

        Holds for incoherent inputs, whose powers add; `interfere` treats coherent ones, and this then changes nothing.
        """
        share = choose(self.interferes(crosstalk), 0.0, crosstalk)
        # The transpose of crosstalk between the sources: light given to the later row passes that row's pixels.
        to_earlier, to_later = share * self.input_crosstalk_later, share * self.input_crosstalk_earlier
        return nearest_neighbour_crosstalk(plane, to_earlier, to_later, axis=-2)

    def fan_out(self, pixels: int) -> Number:
        """Power on each of the `pixels` pixels that a source illuminates, as a share of the power of the source."""
        return transmission(self.fan_out_loss_db) / pixels

    def interfere(self, light: Signal, crosstalk: Number, phase: jax.Array, rails: int) -> Signal:
        """Light [vectors, rows] after crosstalk and interference with coherent neighbours.

        Args:
            light: power of each input.
            crosstalk: share of the crosstalk that acts, from 0 to 1.
            phase: cosine of the optical phase between each input and the leakage of the earlier one, [1, rows].
            rails: light sources per input, 1 or 2.
        """
        earlier, later = crosstalk * self.input_crosstalk_earlier, crosstalk * self.input_crosstalk_later
        # No scale is needed: all inputs of a vector share one.
        mixed = light.apply_linear(lambda value: nearest_neighbour_crosstalk(value, earlier, later, axis=1))
        amplitude = 2 * self.coherence * safe_sqrt(later * (1 - earlier - later)) * phase
        plus, minus = (amplitude * beat for beat in _beats(light))
        return mixed.plus(plus, plus) if rails == 1 else mixed.plus(plus - minus, plus + minus)

    def fan_in(
        self, light: jax.Array, column_light: jax.Array, scale: jax.Array, inverse_scale: jax.Array, crosstalk: Number
    ) -> jax.Array:
        """Light in each column [2, any, columns] behind the mask -> light on its detectors, without the loss of all.

        Args:
            light: difference and sum of the rails behind the mask.
            column_light: share that vignetting passes at the place of each column, [1, columns], see `profile`.
            scale: value of full light in each column, [2, 1, columns]; inverse_scale: 1 / scale.
            crosstalk: share of the crosstalk that acts, from 0 to 1.
        """
        earlier, later = crosstalk * self.output_crosstalk_earlier, crosstalk * self.output_crosstalk_later
        return nearest_neighbour_crosstalk(light * column_light[None], earlier, later, -1, scale, inverse_scale)

    def rail_contrast(self, crosstalk: Number, balanced: bool) -> Number:
        """Factor on the difference of two diodes, between which `rail_leak` acts; 1 for a single diode."""
        return 1 - 2 * crosstalk * self.rail_leak if balanced else 1.0


def _beats(light: Signal) -> tuple[jax.Array, jax.Array]:
    """Interference term sqrt(P_i P_(i-1)) of each rail, as a share of full drive.

    An input of field a and the leakage of the earlier input, of field b, give
    |sqrt(k) a + sqrt(l) b|^2 = k a^2 + l b^2 + 2 sqrt(k l) a b cos(phi).
    """

    def beat(power):
        earlier, _ = neighbours(jnp.maximum(power, 0) / 2, 1)
        return safe_sqrt(jnp.maximum(power, 0) / 2 * earlier)

    differential = light.differential * inverse(light.scale)
    return beat(light.total + differential), beat(light.total - differential)
