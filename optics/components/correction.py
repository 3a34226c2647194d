"""Digital correction of calibrated errors: of drives before the DACs, of weights, and of codes after the ADCs."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import choose
from electronics.numerics.xla import remat_stage, skip_unless
from electronics.part import Number, Part, number
from optics.components.signal import neighbour_exchange

# Fixed-point steps; the error left is of fourth order in the crosstalk.
_STEPS = 3


class Correction(Part):
    """Digital correction of a core's fixed errors, as `optics.calibrate` measures them.

    Attributes:
        input_gain: factor on the drive, a number or [2, rows] for the sources of the two rails.
        input_crosstalk_earlier, input_crosstalk_later, output_crosstalk_earlier, output_crosstalk_later: measured
            shares of a channel's light that reach the earlier and the later neighbour.
        pixel_gain: factor on the code of each pixel before it is rounded and written to the mask, [2, rows, columns]
            for the pixels of the two rails of a weight, or 1 for none.
        output_gain: factor on the codes, a number or [columns].
        output_offset: subtracted from the codes, as a fraction of the ADC's full scale, a number or [columns].
    """

    input_gain: Number = number("1", least=0, most=1e6)
    input_crosstalk_earlier: Number = number("1", least=-0.4, most=0.4)
    input_crosstalk_later: Number = number("1", least=-0.4, most=0.4)
    output_gain: Number = number("1", least=1e-6, most=1e6)
    output_offset: Number = number("1", least=-1, most=1)
    output_crosstalk_earlier: Number = number("1", least=-0.4, most=0.4)
    output_crosstalk_later: Number = number("1", least=-0.4, most=0.4)
    pixel_gain: Number = number("1", least=0.01, most=100, default=1.0)

    @classmethod
    def none(cls) -> "Correction":
        """No correction: factors of 1 and offsets of 0."""
        return cls(
            input_gain=1.0,
            input_crosstalk_earlier=0.0,
            input_crosstalk_later=0.0,
            output_gain=1.0,
            output_offset=0.0,
            output_crosstalk_earlier=0.0,
            output_crosstalk_later=0.0,
        )

    def undo_input_crosstalk(self, code: jax.Array, share: Number) -> jax.Array:
        """Inputs [..., rows] -> drive that crosstalk between the sources turns into these inputs."""
        # No scale is needed: all inputs of a vector share one.
        return _undo_crosstalk(code, share, self.input_crosstalk_earlier, self.input_crosstalk_later)

    def drive_gain(self, code: jax.Array, share: Number) -> jax.Array:
        """Factor on each input [..., rows], by its sign where the two rails have sources of their own."""
        gain = jnp.asarray(1 + share * (self.input_gain - 1))
        if jnp.ndim(gain) == 0:
            return gain
        plus, minus = (rail.reshape((1,) * (code.ndim - 1) + (-1,)) for rail in gain[:, : code.shape[-1]])
        return choose(code < 0, minus, plus)

    def weight_gain(self, weights: jax.Array, share: Number, pixels: int) -> jax.Array | None:
        """Factor on each weight [..., height, width] of a tile, by its sign where either rail has a pixel of its own.

        None where pixels have no factors. The shape says so, so that a load then has no operation for them.

        Args:
            weights: of any scale.
            share: share of the correction that is applied.
            pixels: of a weight, 1 or 2.
        """
        if jnp.ndim(self.pixel_gain) == 0:
            return None
        height, width = weights.shape[-2:]
        gain = 1 + share * (jnp.asarray(self.pixel_gain)[:, :height, :width] - 1)
        gain = 1 + share * (jnp.asarray(self.pixel_gain)[:, :height, :width] - 1)
        plus, minus = gain.reshape(2, *(1,) * (weights.ndim - 2), height, width)
        return choose(weights < 0, minus, plus) if pixels == 2 else plus

    def undo_receiver_errors(self, codes: jax.Array, full_scale: jax.Array, share: Number) -> jax.Array:
        """Converted outputs [vectors, columns] -> outputs without offset and gain error of the receivers.

        All values, `full_scale` included, are in units of one full product.
        """
        columns = codes.shape[-1]
        gain, offset = (
            jnp.asarray(value)[None, :columns] if jnp.ndim(value) else value
            for value in (self.output_gain, self.output_offset)
        )
        return (codes - share * offset * full_scale) * (1 + share * (gain - 1))

    def undo_output_crosstalk(
        self, outputs: jax.Array, scale: jax.Array, inverse_scale: jax.Array, share: Number
    ) -> jax.Array:
        """Outputs [vectors, columns] -> outputs without crosstalk between the receivers.

        Args:
            outputs: in the user's scale.
            scale: value of one full product in each column, 0 in a column of zeros, [1, columns].
            inverse_scale: factor from values to full products, [1, columns]. Crosstalk mixes light, not numbers.
            share: share of the correction that is applied.
        """
        earlier, later = self.output_crosstalk_earlier, self.output_crosstalk_later
        return _undo_crosstalk(outputs, share, earlier, later, scale, inverse_scale)


@jax.custom_jvp
def _undo_crosstalk(
    values: jax.Array, share: Number, earlier: Number, later: Number, scale: Number = 1.0, inverse: Number = 1.0
) -> jax.Array:
    """Solve `nearest_neighbour_crosstalk(solution) = values` along the last axis, by fixed-point steps.

    The crosstalk is `share` times `earlier` and `later`. Multiplied where it acts: outside of the conditional the
    products would be two kernels of each program.
    """
    acts = (jnp.asarray(share) != 0) & ((jnp.asarray(earlier) != 0) | (jnp.asarray(later) != 0))

    def solved():
        def step(_, solution):
            return values - neighbour_exchange(solution * inverse, share * earlier, share * later, axis=-1) * scale

        # A loop: XLA would fuse three written-out steps and recompute every step for each neighbour of the next.
        return jax.lax.fori_loop(0, _STEPS, step, values)

    return skip_unless(acts, solved, lambda: values)


@_undo_crosstalk.defjvp
def _undo_crosstalk_jvp(primals, tangents):
    """Tangent of the solution s of s + exchange(s) = v: it solves the same equation with dv - d exchange(s) for v.

    The gradient so keeps s alone. That of the loop kept two arrays of each step, a quarter of all that the gradient of
    a product kept.
    """
    values, *coefficients = primals
    solution = _undo_crosstalk(*primals)

    def exchanged(share, earlier, later, scale, inverse):
        return neighbour_exchange(solution * inverse, share * earlier, share * later, axis=-1) * scale

    moved = jax.jvp(remat_stage(exchanged), tuple(coefficients), tuple(tangents[1:]))[1]
    return solution, _undo_crosstalk(tangents[0] - moved, *coefficients)
