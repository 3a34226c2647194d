"""The digital side of a product: its scales, signs, digits and tiles, and putting their results together again."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bounds import within
from electronics.numerics.xla import held, stage
from optics.components import encoding
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.datapath import tiling
from optics.datapath import weight_plane as plane
from optics.datapath.analog import STREAMS, AnalogPath, Drive, Seen
from optics.datapath.diagnostics import FEWEST_ELECTRONS
from optics.datapath.full_scale import SiteRange
from optics.datapath.weight_plane import WeightCodes, WeightPlane

# A vector or column whose largest magnitude is no more than this counts as empty, so that the inverse of a scale and
# its products with numbers of order one stay finite.
SMALLEST = 1e-30


class Weights(NamedTuple):
    """A matrix as loaded: one or several planes a tile, and what is known digitally of it.

    planes: stacked as [slices of a weight, column tiles, row tiles]; factors [slices]: what each slice's digit counts;
    sums [column tiles, row tiles, 1, width]: of the codes over a tile's rows, all slices together; used [1, columns]:
    0 for a column of zeros, else 1.
    """

    planes: WeightPlane
    factors: jax.Array
    sums: jax.Array
    used: jax.Array


class Vectors(NamedTuple):
    """Inputs as the DACs send them: one or several drives, each [row tiles, vectors, ...], what their digits count, and
    the sums of their codes over a tile's rows [row tiles, vectors, 1], all together."""

    drives: tuple[Drive, ...]
    factors: tuple[jax.Array, ...]
    sums: jax.Array


class TiledMatmul:
    """One core, one device, and the numbers of one site: `range`, where it was calibrated, holds its full scales."""

    def __init__(self, core: Architecture, frozen: DeviceVariation, range: SiteRange | None = None):
        self.core, self.frozen, self.range, self.on = core, frozen, range, core.effects
        self.tile = AnalogPath(core, frozen, range)

    def load(self, w: jax.Array, observe: bool = False) -> Weights:
        """w [rows, columns] as the mask shows it; with `observe`, so that readings can be taken."""
        lean = jax.checkpoint_policies.save_only_these_names(plane.SUMS)
        return jax.checkpoint(lambda w: self._load(w, observe), policy=lean)(w)

    def _load(self, w, observe):
        core, code = self.core, self.core.encoding
        tiles = self._tiles(*w.shape)
        ws = tiling.cut_weights(w, tiles)
        in_tile = largest(ws, axis=2)
        in_column = jnp.broadcast_to(jnp.max(in_tile, axis=1, keepdims=True), in_tile.shape)
        scale = or_one(in_column if code.scales == "vector" else in_tile)
        factor, part = code.weight_part(ws, scale, tiling.lit(w.shape[0], tiles)[None, :, :, None])
        strokes = encoding.digits(factor, part, scale, code.weight_slices, core.mask.bits, self.on.weight_rounding)
        pixels = [WeightCodes(stroke.code, scale, is_used(in_column), stroke.exact) for stroke in strokes]
        return Weights(
            planes=tiling.each(
                lambda told: plane.load(core, self.frozen, told, observe),
                jax.tree.map(lambda *slices: jnp.stack(slices), *pixels),
                axes=3,
            ),
            factors=jnp.stack([jnp.asarray(stroke.factor, jnp.float32) for stroke in strokes]),
            sums=jnp.sum(encoding.total(strokes), axis=2, keepdims=True),
            used=is_used(largest(w, axis=0)),
        )

    def __call__(self, x: jax.Array, weights: Weights, key: jax.Array, observe: bool = False) -> tuple[jax.Array, Seen]:
        """x [vectors, rows] through a matrix -> y [vectors, columns], and with `observe` what was seen."""
        code, columns = self.core.encoding, weights.used.shape[1]
        x = code.carried(x)
        tiles = self._tiles(x.shape[1], columns)
        lit = tiling.lit(x.shape[1], tiles)
        xs = tiling.cut_inputs(x, tiles)
        in_vector = jnp.broadcast_to(largest(x, axis=1), (*xs.shape[:2], 1))
        scale = self._input_scale(in_vector, xs)
        vectors = stage(self._vectors)(xs, scale, in_vector, lit[:, None, :])
        y, seen = self._strokes(tiles, vectors, weights, key, observe)
        y = y[:, :columns]
        if code.inputs == "offset" or code.weights == "offset":
            offsets = self._offsets(vectors.sums, scale, weights, lit)[:, :columns]
            y = y - offsets * is_used(in_vector[0]) * weights.used
        if observe:
            seen["inputs"] = jnp.float32(xs.size * tiles.column_tiles / tiles.height / tiles.row_tiles * x.shape[1])
            seen["drive"] = tiles.column_tiles * jnp.sum(jnp.abs(xs) / scale)
        return y, seen

    def _tiles(self, rows, columns) -> tiling.Tiles:
        return tiling.fit(rows, columns, self.core.rows, self.core.columns, self.core.accumulate)

    def _input_scale(self, in_vector, xs):
        """What full drive stands for [row tiles, vectors, 1]."""
        if self.range is not None and self.range.input_scale is not None:
            return jnp.broadcast_to(self.range.input_scale, in_vector.shape)
        return or_one(largest(xs, axis=2) if self.core.encoding.scales == "tile" else in_vector)

    def _vectors(self, xs, scale, in_vector, lit) -> Vectors:
        """What the DACs are told."""
        core, on, code = self.core, self.on, self.core.encoding
        drives, factors, sums = [], [], jnp.zeros_like(scale)
        for factor, part in code.input_parts(xs, scale, lit):
            asked = core.correction.apart(part, on.correction)
            asked = asked * core.correction.drive_gain(asked, on.correction)
            least = -scale if code.sources == 2 else jnp.zeros_like(scale)
            asked = asked + on.dac_clipping * (within(asked, least, scale) - asked)
            for stroke in encoding.digits(factor, asked, scale, code.input_slices, core.dac.bits, on.dac_rounding):
                exact = stroke.exact if code.input_slices > 1 else part
                drives.append(self.tile.drive(stroke.code, exact, scale, is_used(in_vector)))
                factors.append(jnp.asarray(stroke.factor, jnp.float32))
                gain = core.correction.drive_gain(stroke.code, on.correction)
                undone = stroke.code / jnp.where(gain > 0, gain, 1.0)
                sums = sums + stroke.factor * jnp.sum(undone, axis=2, keepdims=True)
        return Vectors(tuple(drives), tuple(factors), sums)

    def _strokes(self, tiles, vectors, weights, key, observe):
        """Every stroke of the inputs through every stroke of the weights, their digits put together."""
        pairs = [(a, b) for a in range(len(vectors.drives)) for b in range(weights.factors.shape[0])]
        if len(pairs) == 1:
            whole = self.core.encoding.is_whole
            factor = None if whole else vectors.factors[0] * weights.factors[0]
            return self._plane(tiles, vectors.drives[0], _slice(weights.planes, 0), key, factor, observe)
        factors = jnp.stack([vectors.factors[a] * weights.factors[b] for a, b in pairs])
        drives = jax.tree.map(lambda *each: jnp.stack(each), *vectors.drives)

        def one(pair, factor, stroke_key):
            drive, planes = _slice(drives, pair[0]), _slice(weights.planes, pair[1])
            return self._plane(tiles, drive, planes, stroke_key, factor, observe)

        keys = jax.random.split(key, len(pairs))
        return tiling.sum_over(one, jnp.asarray(pairs), factors, keys, combine=_merge)

    def _plane(self, tiles, drive, planes, key, factor, observe):
        """All tiles of one stroke: columns side by side, groups of rows converted and added digitally."""
        groups, symbols = tiles.groups, tiles.accumulated
        streams = noise.streams(key, (tiles.column_tiles, groups, symbols + 1, STREAMS))
        drives = jax.tree.map(lambda a: a.reshape(groups, symbols, *a.shape[1:]), drive)
        stack = _stacked(planes, tiles.column_tiles * groups)

        def shown(number):
            return jax.tree.map(lambda a, whole: a[number].reshape(symbols, *whole.shape[2:]), stack, planes)

        def column(number, column_streams, spans):
            def group(so_far, place, group_drive, group_streams):
                return self._group(
                    so_far, group_drive, shown(number * groups + place), group_streams, spans, factor, observe
                )

            y, seen = tiling.fold(group, jnp.arange(groups), drives, column_streams)
            return (self._apart(y, _slice(shown(number * groups), 0)) if self._scale_is_one else y), seen

        spans = self._calibrated_spans(tiles)
        y, seen = tiling.side_by_side(column, jnp.arange(tiles.column_tiles), streams, spans)
        return y, seen if tiles.column_tiles == 1 else _over_columns(seen)

    def _calibrated_spans(self, tiles):
        """Full scales of a calibrated site [column tiles, 1, width] in full products; of one that was not, zeros."""
        if self.range is None:
            return jnp.zeros((tiles.column_tiles, 1, 1))
        span = self.range.full_scale
        pad = tiles.column_tiles * tiles.width - span.shape[0]
        return jnp.pad(span, (0, pad), constant_values=1).reshape(tiles.column_tiles, 1, tiles.width)

    def _group(self, so_far, drive, planes, streams, span, factor, observe):
        """Row tiles whose charges add up before one conversion, on top of what was converted so far."""
        found = stage(lambda *args: self._received(*args, factor, observe))(drive, planes, streams, span)
        return found if so_far is None else _merge(so_far, found)

    def _received(self, drive, planes, streams, span, factor, observe):
        """What was converted [vectors, width], times the digits' factor where there is one, and what was seen."""
        drive, planes, streams, span = held((drive, planes, streams, span), self.core.clock > 0)
        charge, seen = tiling.sum_over(lambda *symbol: self.tile.symbol(*symbol, observe), drive, planes, streams[:-1])
        y, received = stage(self.tile.convert)(charge, drive, planes, streams[-1], span)
        if not self._scale_is_one:
            y = self._apart(y, _slice(planes, 0))
        if observe:
            seen |= received.seen()
            error = (y - seen.pop("exact")) / seen.pop("full_scale") / (drive.scale[0] * planes.scale[0])
            seen["relative_error"] = jnp.sum(error**2)
            # A vector or column of zeros needs no light.
            few = (seen.pop("electrons") < FEWEST_ELECTRONS) & (drive.used[0] > 0) & (planes.worth[0] != 0)
            seen["few_electrons"] = jnp.sum(few.astype(jnp.float32))
        return (y if factor is None else factor * y), seen

    @property
    def _scale_is_one(self) -> bool:
        """Whether all tiles of a column stand for one scale, so that what is linear can be done on their sum."""
        return self.core.encoding.scales == "vector"

    def _apart(self, y, plane):
        return self.core.correction.read_apart(y, plane.worth, plane.inverse, self.on.correction)

    def _offsets(self, sums, x_scale, weights, lit) -> jax.Array:
        """What the offsets of inputs and weights add to a product [vectors, columns], known digitally.

        (X - a)(W - b) = X W - a W - b X + a b, summed over rows, a and b the offsets where a row is lit; a dark pixel
        that has no partner adds its pedestal to b.
        """
        core, code = self.core, self.core.encoding
        a = x_scale[None] if code.inputs == "offset" else jnp.zeros((1, 1, 1, 1))
        b, pedestal = jnp.zeros((1, 1, 1, 1)), 0.0
        if code.weights == "offset":
            b = weights.planes.scale[0]
            pedestal = 2 * core.pedestal
        used = jnp.sum(lit, axis=1)[None, :, None, None]
        by_tile = a * weights.sums + b * (1 + pedestal) * sums[None] - a * b * used
        return jnp.sum(by_tile, axis=1).swapaxes(0, 1).reshape(x_scale.shape[1], -1)


def largest(values: jax.Array, axis: int) -> jax.Array:
    """Largest magnitude along `axis`, which full drive or a clear pixel stands for."""
    return jnp.max(jnp.abs(values), axis=axis, keepdims=True)


def or_one(scale: jax.Array) -> jax.Array:
    """The scale, and 1 where there is nothing to scale."""
    return jnp.where(scale > SMALLEST, scale, 1.0)


def is_used(scale: jax.Array) -> jax.Array:
    """0 where there is nothing to scale, else 1; float32."""
    return (scale > SMALLEST).astype(jnp.float32)


def _slice(tree, number):
    return jax.tree.map(lambda array: array[number], tree)


def _stacked(planes: WeightPlane, count: int) -> WeightPlane:
    """[column tiles, row tiles, height, width] -> [count, rows, width], the tiles of a group one below the other.

    One axis to loop over and none of size one in the midst: else XLA copies the stack before, or a column of it twice.
    """
    return jax.tree.map(lambda a: a.reshape(count, -1, *a.shape[3:]), planes)


def _merge(a, b):
    """Results of two parts: outputs and sums add, peaks take the larger."""
    (y, seen), (z, more) = a, b
    return y + z, {name: (jnp.maximum if name == "peak" else jnp.add)(seen[name], more[name]) for name in seen}


def _over_columns(seen: Seen) -> Seen:
    """Sums over column tiles; what is kept per column stands side by side."""
    return {name: value.reshape(-1) if name in ("peak", "square") else jnp.sum(value) for name, value in seen.items()}
