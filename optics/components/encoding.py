"""Encoding of signed operands of many bits as non-negative light of few bits: signs, bit slices, and their counts."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.numerics.rounding import round_to_levels, straight_through
from electronics.part import Number, Part, choice, count


class BitSlice(NamedTuple):
    """One of the slices that an operand is sent in: operand = sum over slices of factor x code, less an offset.

    `exact` is the code before rounding.
    """

    factor: Number
    code: jax.Array
    exact: jax.Array


class Encoding(Part):
    """How the sign and the bits of an operand are carried. Each field is a choice of structure with its own cost.

    Attributes:
        inputs: "rails", two sources per input, one of which is driven; "slots", one source and two symbols, for the
            positive and the negative part, converted separately; "offset", one source driven by (1 + x) / 2;
            "unsigned", one source and one symbol for inputs that are never negative, as after a ReLU. Negative
            unsigned inputs become 0.
        weights: "rails", two pixels per weight and two diodes whose currents subtract; "offset", one pixel of
            (1 + w) / 2; "unsigned", one pixel for weights that are never negative, as attention probabilities on the
            mask. Negative unsigned weights become 0. The contribution of an offset, and of the light that a dark pixel
            without a partner lets through, is known digitally and subtracted after the ADC, but takes part of its
            range.
        input_slices, weight_slices: an operand of s slices is sent as s digits of the DAC's or the mask's bits, each
            with its own conversions. Bit-serial inputs are s slices of 1 bit.
        weight_slices_over: "planes" side by side, which share the light, or "passes" one after the other, for each of
            which the mask is written.
        scales: "vector", full drive represents the largest element of a vector, and a clear pixel that of a column;
            "tile", the largest within the rows of each tile.
    """

    inputs: str = choice("rails", "slots", "offset", "unsigned")
    weights: str = choice("rails", "offset", "unsigned")
    input_slices: int = count(1, most=16)
    weight_slices: int = count(1, most=16)
    weight_slices_over: str = choice("planes", "passes")
    scales: str = choice("vector", "tile")

    @property
    def sources(self) -> int:
        """Light sources per input."""
        return 2 if self.inputs == "rails" else 1

    @property
    def pixels(self) -> int:
        """Pixels per weight, source and plane."""
        return 2 if self.weights == "rails" else 1

    @property
    def balanced(self) -> bool:
        """Whether an output has two diodes whose currents subtract, instead of one."""
        return self.inputs == "rails" or self.weights == "rails"

    @property
    def is_single(self) -> bool:
        """Whether a product takes one conversion and no operand in halves, so that nothing has to be recombined."""
        return self.inputs in ("rails", "unsigned") and self.weights != "offset" and self.conversions == 1

    @property
    def unipolar(self) -> bool:
        """Whether all terms of a sum are non-negative, so that it grows with their number."""
        return not self.balanced

    @property
    def range_holds_mean(self) -> bool:
        """Whether the means of inputs and weights give a sum of their own, beside which the rest has random signs.

        All terms have one sign, or an operand has an offset. The range of an ADC has a place of its own for that sum.
        """
        return self.unipolar or self.inputs == "offset" or self.weights == "offset"

    @property
    def planes(self) -> int:
        """Copies of the mask, each with its own detectors."""
        return self.weight_slices if self.weight_slices_over == "planes" else 1

    @property
    def passes(self) -> int:
        """Number of times that the mask is written for all slices of the weights."""
        return self.weight_slices // self.planes

    @property
    def slots(self) -> int:
        """Symbols that carry the signs of one vector."""
        return 2 if self.inputs == "slots" else 1

    @property
    def symbols(self) -> int:
        """Symbols per vector and tile."""
        return self.slots * self.input_slices * self.passes

    @property
    def conversions(self) -> int:
        """Conversions per output, vector and tile."""
        return self.symbols * self.planes

    def light(self, mean_drive: Number) -> Number:
        """Light of one input per vector, summed over its symbols, in units of one symbol at full drive.

        The leading digit has the mean drive of the operand. The other digits are taken as uniform, with a mean of half
        of full drive.
        """
        first = 0.5 if self.inputs == "offset" else mean_drive
        return (first + 0.5 * (self.input_slices - 1)) * self.passes

    def representable(self, x: jax.Array) -> jax.Array:
        """The inputs, with 0 in place of those that the encoding cannot represent."""
        return jnp.maximum(x, 0) if self.inputs == "unsigned" else x

    def representable_weights(self, w: jax.Array) -> jax.Array:
        """The weights, with 0 in place of those that the encoding cannot represent."""
        return jnp.maximum(w, 0) if self.weights == "unsigned" else w

    def input_parts(self, x: jax.Array, scale: jax.Array, active: jax.Array) -> list[tuple[float, jax.Array]]:
        """(factor, part within scale) of x within scale; `active` is 1 for rows in use and 0 for idle ones."""
        if self.inputs == "offset":
            return [(2.0, (x + scale) / 2 * active)]
        if self.inputs == "slots":
            return [(1.0, jnp.maximum(x, 0)), (-1.0, jnp.maximum(-x, 0))]
        return [(1.0, x)]

    def weight_part(self, w: jax.Array, scale: jax.Array, active: jax.Array) -> tuple[float, jax.Array]:
        """(factor, part within scale) of w within scale; `active` as for the inputs."""
        return (2.0, (w + scale) / 2 * active) if self.weights == "offset" else (1.0, w)


def bit_slices(
    factor: Number, code: jax.Array, scale: jax.Array, slices: int, bits: Number, share: Number
) -> list[BitSlice]:
    """The digits of a number, most significant first; with a single slice, the rounded number itself.

    A number of s digits of b bits has 2**(b s) levels of magnitude. The gradient passes straight through each digit,
    and the rounding error of the whole number follows its step, through the last digit
    (`electronics.numerics.rounding`).

    Args:
        factor: value of the code, before it is sliced.
        code: within scale, any shape.
        scale: magnitude of the largest digit, broadcasts with `code`.
        slices: number of digits.
        bits: bits of a digit.
        share: share of the rounding that acts.
    """
    highest = 2.0 ** (bits * slices) - 1
    if slices == 1:
        return [BitSlice(factor, round_to_levels(code, scale, highest, share), code)]
    levels, last = jax.lax.stop_gradient((2.0**bits, highest))
    shares = jax.lax.stop_gradient(code * inverse(scale))
    whole = jnp.round(jnp.abs(shares) * last)
    # Value 0, with the relative derivative of the step by the bits.
    by_bits = last / highest - jax.lax.stop_gradient(last / highest)
    found = []
    for place in reversed(range(slices)):
        digit = jnp.sign(shares) * jnp.mod(jnp.floor(whole / levels**place), levels) / (levels - 1)
        rounded, count = digit * jax.lax.stop_gradient(scale), levels**place * (levels - 1) / last
        if place == 0:
            error = jnp.sign(shares) * whole / last - shares
            rounded = rounded + by_bits * jax.lax.stop_gradient(scale) * error / count
        sent = straight_through(code, rounded, scale, share)
        found.append(BitSlice(factor * count, sent, sent))
    return found


def recombined(slices: Sequence[BitSlice]) -> jax.Array:
    """The number that the slices represent: sum of factor x code."""
    return jnp.asarray(sum(part.factor * part.code for part in slices))
