"""What a calibration corrects digitally: the drive before the DACs and the codes after the ADCs."""

import jax
import jax.numpy as jnp

from electronics.part import Number, Part, number
from optics.components.signal import spill

_STEPS = 3


class Correction(Part):
    """Digital correction of a core's fixed errors, as `optics.calibrate` measures them.

    input_gain: factor on the drive, a number or [2, rows] for the sources of the two rails; output_gain, offset: a
    number or [columns], the offset as a fraction of the ADC's full scale; crosstalk: measured shares to the earlier
    and later neighbour.
    """

    input_gain: Number = number("1", least=0, most=1e6)
    input_crosstalk_earlier: Number = number("1", least=-0.4, most=0.4)
    input_crosstalk_later: Number = number("1", least=-0.4, most=0.4)
    output_gain: Number = number("1", least=1e-6, most=1e6)
    output_offset: Number = number("1", least=-1, most=1)
    output_crosstalk_earlier: Number = number("1", least=-0.4, most=0.4)
    output_crosstalk_later: Number = number("1", least=-0.4, most=0.4)

    @classmethod
    def none(cls) -> "Correction":
        """No correction: factors of one, nothing subtracted."""
        return cls(
            input_gain=1.0,
            input_crosstalk_earlier=0.0,
            input_crosstalk_later=0.0,
            output_gain=1.0,
            output_offset=0.0,
            output_crosstalk_earlier=0.0,
            output_crosstalk_later=0.0,
        )

    def apart(self, code: jax.Array, share: Number) -> jax.Array:
        """Inputs [..., rows] -> what to ask of the sources, so that after crosstalk the inputs come out."""
        # All inputs of a vector share its scale.
        return _unleak(code, share * self.input_crosstalk_earlier, share * self.input_crosstalk_later)

    def drive_gain(self, code: jax.Array, share: Number) -> jax.Array:
        """Factor on each input [..., rows], by its sign where the two rails have sources of their own."""
        gain = 1 + share * (self.input_gain - 1)
        if jnp.ndim(gain) == 0:
            return gain
        plus, minus = (rail.reshape((1,) * (code.ndim - 1) + (-1,)) for rail in gain[:, : code.shape[-1]])
        return jnp.where(code < 0, minus, plus)

    def read(self, reading: jax.Array, full_scale: jax.Array, share: Number) -> jax.Array:
        """Converted outputs [vectors, columns] -> without offsets and gains of the receivers.

        In units of one full product, as full_scale is.
        """
        columns = reading.shape[-1]
        gain, offset = (
            value[None, :columns] if jnp.ndim(value) else value for value in (self.output_gain, self.output_offset)
        )
        return (reading - share * offset * full_scale) * (1 + share * (gain - 1))

    def read_apart(self, reading: jax.Array, scale: jax.Array, inverse: jax.Array, share: Number) -> jax.Array:
        """What was read [vectors, columns] without crosstalk of the receivers.

        scale [1, columns] is what a full product stands for, 0 in a column that stays 0; inverse [1, columns] turns
        numbers into full products: neighbours mix as light, not as numbers.
        """
        earlier, later = share * self.output_crosstalk_earlier, share * self.output_crosstalk_later
        return _unleak(reading, earlier, later, scale, inverse)


def _unleak(
    values: jax.Array, to_earlier: Number, to_later: Number, scale: Number = 1.0, inverse: Number = 1.0
) -> jax.Array:
    """Undoes spilling along the last axis, by fixed-point steps: the error left is of fourth order."""

    def step(_, found):
        return values - spill(found * inverse, to_earlier, to_later, axis=-1) * scale

    measured = (jnp.asarray(to_earlier) != 0) | (jnp.asarray(to_later) != 0)
    # A scan and not three lines: XLA would fuse them, and compute every step anew for each neighbour of the next.
    return jax.lax.cond(measured, lambda: jax.lax.fori_loop(0, _STEPS, step, values), lambda: values)
