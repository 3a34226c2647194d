"""The digital side of a product: its scales, signs, digits and tiles, and putting their results together again."""

import jax
import jax.numpy as jnp

from optics import encoding, tiling
from optics.frozen import Frozen
from optics.machine import Machine
from optics.ranges import SiteRange
from optics.tile import Drive, Pixels, Seen, Tile


class Walk:
    """One core, one device, and the numbers of one site: `range`, where it was calibrated, holds its full scales."""

    def __init__(self, core: Machine, frozen: Frozen, range: SiteRange | None = None):
        self.core, self.range, self.on = core, range, core.effects
        self.tile = Tile(core, frozen, range)

    def __call__(self, x: jax.Array, w: jax.Array, key: jax.Array, observe: bool = False) -> tuple[jax.Array, Seen]:
        """x [vectors, rows], w [rows, columns] -> y [vectors, columns], and with `observe` what was seen."""
        core, code = self.core, self.core.encoding
        x = code.carried(x)
        tiles = tiling.fit(*w.shape, core.rows, core.columns, core.accumulate)
        lit = tiling.lit(w.shape[0], tiles)
        xs, ws = tiling.cut(x, w, tiles)
        x_scale, w_scale = self._scales(x, w, xs, ws)
        strokes = self._input_strokes(xs, x_scale, lit[:, None, :])
        pixels = self._weight_strokes(ws, w_scale, lit[None, :, :, None])

        y, seen = self._strokes(tiles, strokes, pixels, x_scale, w_scale, key, observe)
        if code.inputs == "offset" or code.weights == "offset":
            y = y - self._offsets(strokes, pixels, x_scale, w_scale, lit)
        # A vector or column of zeros has a result that is known without any light.
        dark = (largest(x, axis=1) == 0) | (largest(w, axis=0) == 0)
        y = jnp.where(dark, 0.0, y[:, : w.shape[1]])
        if observe:
            seen["inputs"] = jnp.float32(xs.size * tiles.column_tiles / tiles.height / tiles.row_tiles * w.shape[0])
            seen["drive"] = tiles.column_tiles * jnp.sum(jnp.abs(xs) / x_scale)
        return y, seen

    def _scales(self, x, w, xs, ws):
        """What full drive [row tiles, vectors, 1] and a clear pixel [column tiles, row tiles, 1, width] stand for."""
        if self.range is not None and self.range.input_scale is not None:
            x_scale = jnp.broadcast_to(self.range.input_scale, (*xs.shape[:2], 1))
        elif self.core.encoding.scales == "tile":
            x_scale = or_one(largest(xs, axis=2))
        else:
            x_scale = jnp.broadcast_to(or_one(largest(x, axis=1)), (*xs.shape[:2], 1))
        w_largest = largest(ws, axis=2)
        if self.core.encoding.scales == "vector":
            w_largest = jnp.broadcast_to(jnp.max(w_largest, axis=1, keepdims=True), w_largest.shape)
        return x_scale, or_one(w_largest)

    def _input_strokes(self, xs, scale, lit):
        core, on, code = self.core, self.on, self.core.encoding
        found = []
        for factor, part in code.input_parts(xs, scale, lit):
            asked = core.correction.drive(part, on.correction)
            least = -scale if code.sources == 2 else jnp.zeros_like(scale)
            asked = asked + on.dac_clipping * (jnp.clip(asked, least, scale) - asked)
            strokes = encoding.digits(factor, asked, scale, code.input_slices, core.dac.bits, on.dac_rounding)
            found += strokes if code.input_slices > 1 else [strokes[0]._replace(exact=part)]
        return found

    def _weight_strokes(self, ws, scale, lit):
        core, code = self.core, self.core.encoding
        factor, part = code.weight_part(ws, scale, lit)
        return encoding.digits(factor, part, scale, code.weight_slices, core.mask.bits, self.on.weight_rounding)

    def _strokes(self, tiles, strokes, pixels, x_scale, w_scale, key, observe):
        """Every stroke of the inputs through every stroke of the weights, their digits put together."""
        if len(strokes) == len(pixels) == 1:
            drive, pixel = (
                Drive(strokes[0].code, x_scale, strokes[0].exact),
                Pixels(pixels[0].code, w_scale, pixels[0].exact),
            )
            y, seen = self._plane(tiles, drive, pixel, key, observe)
            return strokes[0].factor * pixels[0].factor * y, seen
        pairs = [(a, b) for a in range(len(strokes)) for b in range(len(pixels))]
        factors = jnp.stack([jnp.asarray(strokes[a].factor * pixels[b].factor, jnp.float32) for a, b in pairs])
        xs, exact_xs = (jnp.stack([getattr(s, name) for s in strokes]) for name in ("code", "exact"))
        ws, exact_ws = (jnp.stack([getattr(s, name) for s in pixels]) for name in ("code", "exact"))

        def one(pair, factor, stroke_key):
            drive = Drive(xs[pair[0]], x_scale, exact_xs[pair[0]])
            pixel = Pixels(ws[pair[1]], w_scale, exact_ws[pair[1]])
            y, seen = self._plane(tiles, drive, pixel, stroke_key, observe)
            return factor * y, seen

        keys = jax.random.split(key, len(pairs))
        return tiling.sum_over(one, jnp.asarray(pairs), factors, keys, combine=_merge)

    def _plane(self, tiles, drive, pixels, key, observe):
        """All tiles of one stroke: columns side by side, groups of rows converted and added digitally."""
        groups, symbols = tiles.groups, tiles.accumulated
        keys = jax.random.split(key, (tiles.column_tiles, groups, symbols + 1))
        grouped = jax.tree.map(lambda a: a.reshape(groups, symbols, *a.shape[1:]), drive)
        full_scale = self._calibrated_spans(tiles)

        def column(column_pixels, column_keys, spans):
            stacked = jax.tree.map(lambda a: a.reshape(groups, symbols, *a.shape[1:]), column_pixels)
            return tiling.sum_over(
                lambda *group: self._group(*group, spans, observe), grouped, stacked, column_keys, combine=_merge
            )

        y, seen = tiling.side_by_side(column, pixels, keys, full_scale)
        return y, seen if tiles.column_tiles == 1 else _over_columns(seen)

    def _calibrated_spans(self, tiles):
        """Full scales of a calibrated site [column tiles, 1, width] in full products; of one that was not, zeros."""
        if self.range is None:
            return jnp.zeros((tiles.column_tiles, 1, 1))
        span = self.range.full_scale
        pad = tiles.column_tiles * tiles.width - span.shape[0]
        return jnp.pad(span, (0, pad), constant_values=1).reshape(tiles.column_tiles, 1, tiles.width)

    def _group(self, drive, pixels, keys, span, observe):
        """Row tiles whose charges add up before one conversion."""
        charge, seen = tiling.sum_over(
            lambda drive, pixels, key: self.tile.symbol(drive, pixels, key, observe), drive, pixels, keys[:-1]
        )
        scale = drive.scale[0] * pixels.scale[0]
        y, more = self.tile.convert(charge, scale, keys[-1], span, drive.code.shape[0], observe)
        if observe:
            seen = seen | more
            error = (y - seen.pop("exact")) / more["full_scale"]
            seen["relative_error"] = jnp.sum((error / scale) ** 2)
            del seen["full_scale"]
        return y, seen

    def _offsets(self, strokes, pixels, x_scale, w_scale, lit) -> jax.Array:
        """What the offsets of inputs and weights add to a product [vectors, columns], known digitally.

        (X - a)(W - b) = X W - a W - b X + a b, summed over rows, a and b the offsets where a row is lit; a dark pixel
        that has no partner adds its pedestal to b.
        """
        core, on, code = self.core, self.on, self.core.encoding
        sent = encoding.total(strokes)
        gain = core.correction.drive_gain(sent, on.correction)
        x = jnp.sum(sent / jnp.where(gain > 0, gain, 1.0), axis=2, keepdims=True)[None]
        w = jnp.sum(encoding.total(pixels), axis=2, keepdims=True)
        a = x_scale[None] if code.inputs == "offset" else jnp.zeros((1, 1, 1, 1))
        b, pedestal = jnp.zeros((1, 1, 1, 1)), 0.0
        if code.weights == "offset":
            b = w_scale
            pedestal = 2 * (core.mask.pedestal(on.extinction) + on.stray_light * core.space.stray_light)
        used = jnp.sum(lit, axis=1)[None, :, None, None]
        by_tile = a * w + b * (1 + pedestal) * x - a * b * used
        return jnp.sum(by_tile, axis=1).swapaxes(0, 1).reshape(x_scale.shape[1], -1)


def largest(values: jax.Array, axis: int) -> jax.Array:
    """Largest magnitude along `axis`, which full drive or a clear pixel stands for."""
    return jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axis, keepdims=True))


def or_one(scale: jax.Array) -> jax.Array:
    """The scale, and 1 where there is nothing to scale."""
    return jnp.where(scale > 0, scale, 1.0)


def _merge(a, b):
    """Results of two parts: outputs and sums add, peaks take the larger."""
    (y, seen), (z, more) = a, b
    return y + z, {name: (jnp.maximum if name == "peak" else jnp.add)(seen[name], more[name]) for name in seen}


def _over_columns(seen: Seen) -> Seen:
    """Sums over column tiles; what is kept per column stands side by side."""
    return {name: value.reshape(-1) if name in ("peak", "square") else jnp.sum(value) for name, value in seen.items()}
