"""How signed numbers of many bits become non-negative light of few: signs, slices, and what each costs."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.numerics.rounding import replaced, to_levels
from electronics.part import Number, Part, choice, count


class BitSlice(NamedTuple):
    """One of the parts that an operand is sent in: operand = sum over strokes of factor x code, less an offset.

    `exact` is the code before it was rounded.
    """

    factor: Number
    code: jax.Array
    exact: jax.Array


class Encoding(Part):
    """How an operand's sign and bits are carried. Each field is a choice of structure, with its own price.

    inputs: "rails", two sources an input, of which one is lit; "slots", one source and two symbols, for the positive
        and the negative part, read apart; "offset", one source driven by (1 + x) / 2; "unsigned", one source and one
        symbol for inputs that are never negative, as after a ReLU: what is negative is lost.
    weights: "rails", two pixels a weight on two diodes whose currents subtract; "offset", one pixel of (1 + w) / 2.
        What an offset adds is known digitally and subtracted after the ADC, whose range it takes.
    input_slices, weight_slices: an operand of s slices is sent as s digits of the DAC's or the mask's bits, each with
        its own conversions: bit-serial inputs are s slices of 1 bit. weight_slices_over: "planes" side by side, of
        light that is shared, or "passes" one after the other, for which the mask is written anew.
    scales: "vector", full drive stands for the largest element of a vector, a clear pixel for that of a column;
        "tile", for the largest within each tile's rows.
    """

    inputs: str = choice("rails", "slots", "offset", "unsigned")
    weights: str = choice("rails", "offset")
    input_slices: int = count(1, most=16)
    weight_slices: int = count(1, most=16)
    weight_slices_over: str = choice("planes", "passes")
    scales: str = choice("vector", "tile")

    @property
    def sources(self) -> int:
        """Light sources of one input."""
        return 2 if self.inputs == "rails" else 1

    @property
    def pixels(self) -> int:
        """Pixels of one weight under one source, in one plane."""
        return 2 if self.weights == "rails" else 1

    @property
    def balanced(self) -> bool:
        """Whether an output has two diodes whose currents subtract, or one."""
        return self.inputs == "rails" or self.weights == "rails"

    @property
    def is_whole(self) -> bool:
        """Whether operands are sent as they are: no offset, no digits, no part of its own for the negative."""
        return self.inputs in ("rails", "unsigned") and self.weights == "rails" and self.readings == 1

    @property
    def unipolar(self) -> bool:
        """Whether all terms of a sum have one sign, so that it grows as their number."""
        return self.inputs != "rails" and self.weights == "offset"

    @property
    def planes(self) -> int:
        """Copies of the mask, each with its detectors."""
        return self.weight_slices if self.weight_slices_over == "planes" else 1

    @property
    def passes(self) -> int:
        """How often the mask is written for all slices of the weights."""
        return self.weight_slices // self.planes

    @property
    def slots(self) -> int:
        """Symbols that carry one vector's signs."""
        return 2 if self.inputs == "slots" else 1

    @property
    def symbols(self) -> int:
        """Symbols that one vector takes on one tile."""
        return self.slots * self.input_slices * self.passes

    @property
    def readings(self) -> int:
        """Readings of one output for one vector on one tile."""
        return self.symbols * self.planes

    def light(self, mean_drive: Number) -> Number:
        """Light of one input for one vector, summed over its symbols, as a share of full drive for one symbol.

        The leading digit is as bright as the operand is, the others as numbers at random: half of full drive.
        """
        first = 0.5 if self.inputs == "offset" else mean_drive
        return (first + 0.5 * (self.input_slices - 1)) * self.passes

    def carried(self, x: jax.Array) -> jax.Array:
        """What of the inputs can be sent at all."""
        return jnp.maximum(x, 0) if self.inputs == "unsigned" else x

    def input_parts(self, x: jax.Array, scale: jax.Array, lit: jax.Array) -> list[tuple[float, jax.Array]]:
        """(factor, part within scale) of x within scale; `lit` is 1 where a row has an input and 0 where it idles."""
        if self.inputs == "offset":
            return [(2.0, (x + scale) / 2 * lit)]
        if self.inputs == "slots":
            return [(1.0, jnp.maximum(x, 0)), (-1.0, jnp.maximum(-x, 0))]
        return [(1.0, x)]

    def weight_part(self, w: jax.Array, scale: jax.Array, lit: jax.Array) -> tuple[float, jax.Array]:
        """(factor, part within scale) of w within scale; `lit` as for the inputs."""
        return (2.0, (w + scale) / 2 * lit) if self.weights == "offset" else (1.0, w)


def digits(
    factor: Number, code: jax.Array, scale: jax.Array, slices: int, bits: Number, share: Number
) -> list[BitSlice]:
    """A number's digits, each within scale, most significant first; with one slice it is the rounded number itself.

    A number of s digits of b bits has 2**(b s) levels of magnitude. The gradient passes each digit straight through;
    the rounding error of the whole number follows its step, by way of the last digit (`electronics.numerics.rounding`).
    """
    highest = 2.0 ** (bits * slices) - 1
    if slices == 1:
        return [BitSlice(factor, to_levels(code, scale, highest, share), code)]
    levels, last = jax.lax.stop_gradient((2.0**bits, highest))
    shares = jax.lax.stop_gradient(code * inverse(scale))
    whole = jnp.round(jnp.abs(shares) * last)
    # 0, with the relative slope of a step in the bits.
    by_bits = last / highest - jax.lax.stop_gradient(last / highest)
    strokes = []
    for place in reversed(range(slices)):
        digit = jnp.sign(shares) * jnp.mod(jnp.floor(whole / levels**place), levels) / (levels - 1)
        shown, count = digit * jax.lax.stop_gradient(scale), levels**place * (levels - 1) / last
        if place == 0:
            error = jnp.sign(shares) * whole / last - shares
            shown = shown + by_bits * jax.lax.stop_gradient(scale) * error / count
        rounded = replaced(code, shown, scale, share)
        strokes.append(BitSlice(factor * count, rounded, rounded))
    return strokes


def total(strokes: Sequence[BitSlice]) -> jax.Array:
    """Sum over strokes of factor x code."""
    return sum(stroke.factor * stroke.code for stroke in strokes)
