"""Loading a matrix onto the mask: scales, signs, bit slices and tiles, and the plane of each tile."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import at_least, choose, inverse, within
from electronics.numerics.xla import remat_stage
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.components.encoding import bit_slices, recombined
from optics.datapath import tiling
from optics.datapath.tiling import Tiles
from optics.datapath.units import relative_to
from optics.datapath.weight_plane import SUMS, WeightCodes, WeightPlane, make_plane

# A vector or column whose largest magnitude is at most this counts as zero, so that the inverse of its scale, and
# products of it with numbers of order one, stay finite.
SMALLEST = 1e-30


class Weights(NamedTuple):
    """A loaded matrix.

    Attributes:
        planes: arrays stacked as [weight slices, column tiles, row tiles, ...].
        factors: value of the code of each slice, [weight slices].
        sums: sums of the codes over the rows of a tile, all slices together, [column tiles, row tiles, 1, width].
        nonzero: 0 for a column of zeros, else 1, [1, columns].
    """

    planes: WeightPlane
    factors: jax.Array
    sums: jax.Array
    nonzero: jax.Array

    def at_fixed_scale(self) -> "Weights":
        """The weights with a scale that has no gradient, see `optics.datapath.units`."""
        return self._replace(planes=self.planes._replace(scale=jax.lax.stop_gradient(self.planes.scale)))


def load_weights(
    core: Architecture,
    variation: DeviceVariation,
    w: jax.Array,
    keep_exact: bool = False,
    tiles: Tiles | None = None,
    share: jax.Array | None = None,
) -> Weights:
    """Load w [rows, columns] onto the mask of one device; `keep_exact` makes diagnostics possible.

    A gradient keeps the weights and the sums of each plane, and recomputes the rest. tiles: those of a part of a larger
    matrix; None for those that fit. share: of each column's largest weight that a clear pixel represents, [columns];
    weights beyond are clipped.
    """
    policy = jax.checkpoint_policies.save_only_these_names(SUMS)
    return jax.checkpoint(lambda w: _load(core, variation, w, keep_exact, tiles, share), policy=policy)(w)


def _load(
    core: Architecture,
    variation: DeviceVariation,
    w: jax.Array,
    keep_exact: bool,
    tiles: Tiles | None,
    share: jax.Array | None,
) -> Weights:
    encoding = core.encoding
    rows, columns = w.shape
    w = encoding.representable_weights(w)
    tiles = tiles or tiling.fit(rows, columns, core.rows, core.columns, core.accumulate)
    ws = tiling.cut_weights(w, tiles)
    gain = core.correction.weight_gain(ws, core.effects.correction, encoding.pixels)
    # A weak pixel shows a column's largest weight where a clear one represents more than that.
    in_tile = largest(ws if gain is None else ws * at_least(gain, 1.0), 2)
    in_column = jnp.broadcast_to(jnp.max(in_tile, axis=1, keepdims=True), in_tile.shape)
    unit = scale = scale_or_one(in_column if encoding.scales == "vector" else in_tile)
    if share is not None:
        spread = jnp.pad(share, (0, tiles.column_tiles * tiles.width - columns), constant_values=1)
        unit = scale = unit * spread.reshape(tiles.column_tiles, 1, 1, tiles.width)
    if encoding.scales == "vector":
        ws, scale = relative_to(ws, unit), jax.lax.stop_gradient(unit)
    if share is not None:
        ws = within(ws, -scale, scale)
    factor, part = encoding.weight_part(ws, scale, tiling.active_rows(rows, tiles)[None, :, :, None])
    if gain is not None:
        part = part * gain
        # Of others the scale holds all, and at its bound the gradient of the largest would be lost.
        if share is not None or encoding.weights == "offset":
            part = within(part, -scale, scale)
    slices = bit_slices(factor, part, scale, encoding.weight_slices, core.mask.bits, core.effects.weight_rounding)
    shown = slices
    if gain is not None:
        shown = [one._replace(code=one.code / gain, exact=one.exact / gain) for one in slices]
    codes = [
        WeightCodes(one.code, scale, is_nonzero(in_column), intended.exact)
        for one, intended in zip(slices, shown, strict=True)
    ]
    planes = tiling.each(
        lambda tile: make_plane(core, variation, tile, keep_exact),
        jax.tree.map(lambda *by_slice: jnp.stack(by_slice), *codes),
        axes=3,
    )
    return Weights(
        planes=planes._replace(scale=jnp.broadcast_to(unit, planes.scale.shape)),
        factors=jnp.stack([jnp.asarray(one.factor, jnp.float32) for one in slices]),
        sums=jnp.sum(recombined(shown), axis=2, keepdims=True),
        nonzero=is_nonzero(largest(w, 0)),
    )


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def largest(values: jax.Array, axis: int) -> jax.Array:
    """Largest magnitude along `axis`, which stays as an axis of length 1; equal ones share its gradient."""
    return jnp.max(jnp.abs(values), axis=axis, keepdims=True)


@largest.defjvp
def _largest_jvp(axis, primals, tangents):
    values, found = primals[0], largest(*primals, axis)

    # A gradient so keeps the values and what was found, in place of three arrays of the size of the values.
    @remat_stage
    def moved(values, found, tangent):
        is_largest = jnp.abs(values) == found
        share = inverse(at_least(jnp.sum(is_largest.astype(jnp.float32), axis=axis, keepdims=True), 1.0))
        return jnp.sum(choose(is_largest, jnp.sign(values) * share, 0.0) * tangent, axis=axis, keepdims=True)

    return found, moved(values, found, tangents[0])


def scale_or_one(scale: jax.Array) -> jax.Array:
    """The scale, or 1 where it counts as zero."""
    return choose(scale > SMALLEST, scale, 1.0)


def is_nonzero(scale: jax.Array) -> jax.Array:
    """0 where the scale counts as zero, else 1; float32."""
    return (scale > SMALLEST).astype(jnp.float32)


class PlaneStack:
    """The planes of all tiles with one leading axis: groups of `accumulated` row tiles, one below the other.

    One axis to loop over, and none of length 1 between others: XLA would otherwise copy the whole stack before the
    loop, or each column twice (docs/performance.md).
    """

    def __init__(self, planes: WeightPlane, tiles: Tiles):
        count = tiles.column_tiles * tiles.groups
        self.planes, self.symbols = planes, tiles.accumulated
        self.stacked = jax.tree.map(lambda a: a.reshape(count, -1, *a.shape[3:]), planes)

    def at(self, group: jax.Array) -> WeightPlane:
        """The planes of one group, with arrays [accumulated, ...]."""
        return jax.tree.map(
            lambda a, tile: tiling.slice_at(a, group).reshape(self.symbols, *tile.shape[2:]), self.stacked, self.planes
        )
