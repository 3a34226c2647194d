"""From inputs to the drives of the sources: signs, digital correction, bit slices and the DACs."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import choose, inverse, within
from electronics.numerics.xla import remat_stage
from optics.components.architecture import Architecture
from optics.components.encoding import bit_slices
from optics.datapath.loading import is_nonzero


class SourceDrive(NamedTuple):
    """The drive of the sources, without noise.

    Attributes:
        analogue: signed drive after the DAC, [vectors, height].
        scale: full drive, [vectors, 1].
        nonzero: 0 for a vector of zeros, whose results are 0 whatever the light is, else 1, [vectors, 1].
        exact: the codes before rounding, [vectors, height].
        mean: mean of the codes before rounding, relative to full drive, [vectors, 1].
        square: sum of their squares, about the mean where the range holds the mean, [vectors, 1].
    """

    analogue: jax.Array
    scale: jax.Array
    nonzero: jax.Array
    exact: jax.Array
    mean: jax.Array
    square: jax.Array


class EncodedInputs(NamedTuple):
    """Inputs as the DACs send them.

    Attributes:
        drives: one for each sign and bit slice, with arrays [row tiles, vectors, ...].
        factors: value of the code of each drive.
        sums: sums of the codes over the rows of a tile, all drives together, [row tiles, vectors, 1].
    """

    drives: tuple[SourceDrive, ...]
    factors: tuple[jax.Array, ...]
    sums: jax.Array


@partial(jax.jit, static_argnums=5)
def encode(
    core: Architecture,
    xs: jax.Array,
    scale: jax.Array,
    in_vector: jax.Array,
    active: jax.Array,
    clipped_norms: bool = False,
) -> EncodedInputs:
    """Signs, digital correction, bit slices and DAC: inputs [row tiles, vectors, height] -> drives.

    A program has one function of it for all sites whose inputs are of one shape.

    Args:
        core: whose sources are driven.
        xs: inputs within `scale`.
        scale: the input that full drive represents, [row tiles, vectors, 1].
        in_vector: largest magnitude of each vector, of the shape of `scale`.
        active: 1 for rows in use and 0 for idle ones, [row tiles, 1, height].
        clipped_norms: whether the norms that receivers follow are those of the inputs within range.
    """
    return remat_stage(partial(_encode, clipped_norms=clipped_norms))(core, xs, scale, in_vector, active)


def _encode(
    core: Architecture, xs: jax.Array, scale: jax.Array, in_vector: jax.Array, active: jax.Array, clipped_norms: bool
) -> EncodedInputs:
    on, encoding = core.effects, core.encoding
    drives, factors, sums = [], [], jnp.zeros_like(scale)
    for factor, part in encoding.input_parts(xs, scale, active):
        corrected = core.correction.undo_input_crosstalk(part, on.correction)
        corrected = corrected * core.correction.drive_gain(corrected, on.correction)
        least = -scale if encoding.sources == 2 else jnp.zeros_like(scale)
        clipped = corrected + on.dac_clipping * (within(corrected, least, scale) - corrected)
        for one in bit_slices(factor, clipped, scale, encoding.input_slices, core.dac.bits, on.dac_rounding):
            exact = one.exact if encoding.input_slices > 1 else part
            if clipped_norms:
                exact = exact + on.dac_clipping * (within(exact, least, scale) - exact)
            drives.append(_drive(core, one.code, exact, scale, is_nonzero(in_vector)))
            factors.append(jnp.asarray(one.factor, jnp.float32))
            gain = core.correction.drive_gain(one.code, on.correction)
            uncorrected = one.code / choose(gain > 0, gain, 1.0)
            sums = sums + one.factor * jnp.sum(uncorrected, axis=2, keepdims=True)
    return EncodedInputs(tuple(drives), tuple(factors), sums)


def _drive(core: Architecture, codes: jax.Array, exact: jax.Array, scale: jax.Array, nonzero: jax.Array) -> SourceDrive:
    """Analogue drive of codes [..., vectors, height] within scale, bent by the DAC and the source's curve.

    The full scale of the receivers follows the norms of `exact`, the codes before rounding.
    """
    on = core.effects
    relative = exact * inverse(scale)
    mean = jnp.mean(relative, axis=-1, keepdims=True)
    about_mean = relative - mean if core.encoding.range_holds_mean else relative
    square = jnp.sum(about_mean**2, axis=-1, keepdims=True)
    bent = core.dac.bend(codes, scale, on.dac_nonlinearity)
    analogue = bent + on.linearisation * core.transfer.residual(bent, scale)
    return SourceDrive(analogue, scale, nonzero, exact, mean, square)
