"""A matrix product of any size: digital scales, signs, bit slices and tiles around the analogue path.

The methods of `TiledMatmul` are in the order of the light. `_integrate_and_convert` calls the analogue path, and its
callers add the converted outputs digitally. What is done for speed is explained in docs/architecture.md.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bounds import at_most
from electronics.numerics.xla import materialize, remat_stage
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.datapath import tiling
from optics.datapath.analog import STREAMS, AnalogPath, Charge
from optics.datapath.diagnostics import (
    FEWEST_ELECTRONS,
    Observe,
    ProductObservation,
    ReceiverObservation,
    SymbolObservation,
    observed_alone,
    observed_count,
)
from optics.datapath.drive import EncodedInputs, SourceDrive, encode
from optics.datapath.loading import PlaneStack, Weights, is_nonzero, largest, scale_or_one
from optics.datapath.operating_point import OperatingPoint
from optics.datapath.site_range import SiteRange
from optics.datapath.tiling import ColumnTiles, Tiles
from optics.datapath.units import in_units_of, relative_to
from optics.datapath.weight_plane import WeightPlane

# Outputs of a part of a product, and what was observed of it if anything is.
PartialProduct = tuple[jax.Array, ReceiverObservation | None]


class TiledMatmul:
    """Products on one core and one device.

    `site_range` holds the ranges of a calibrated site, `point` the operating point of the core where it is known.
    """

    def __init__(
        self,
        core: Architecture,
        variation: DeviceVariation,
        site_range: SiteRange | None = None,
        point: OperatingPoint | None = None,
    ):
        self.core, self.site_range, self.on = core, site_range, core.effects
        self.analog = AnalogPath(core, variation, point or OperatingPoint.of(core))

    def __call__(
        self,
        x: jax.Array,
        weights: Weights,
        key: jax.Array,
        observe: Observe = False,
        part: ColumnTiles | None = None,
    ) -> tuple[jax.Array, ProductObservation | None]:
        """x [vectors, rows] times loaded weights -> (y [vectors, columns], observation).

        part: where the weights stand in a larger matrix, whose noise they then have.
        """
        core, columns = self.core, weights.nonzero.shape[1]
        x = core.encoding.representable(x)
        if part is None:
            whole = tiling.fit(x.shape[1], columns, core.rows, core.columns, core.accumulate)
            part = ColumnTiles(0, whole.column_tiles, whole)
        tiles = part.tiles
        active = tiling.active_rows(x.shape[1], tiles)
        xs = tiling.cut_inputs(x, tiles)
        in_tile = largest(xs, 2)
        in_vector = jnp.broadcast_to(jnp.max(in_tile, axis=0, keepdims=True), in_tile.shape)
        scale = self._input_scale(in_vector, in_tile)
        units = (scale[0], _of_columns(weights.planes.scale)[:, :columns])
        if self._column_has_one_scale:
            xs, scale = relative_to(xs, scale), jax.lax.stop_gradient(scale)
            weights = weights.at_fixed_scale()
        # Receivers that follow the norms follow those of what is sent.
        clipped = self.site_range is not None and self.site_range.full_scale is None
        inputs = encode(core, xs, scale, in_vector, active[:, None, :], clipped)
        y, receivers = self._sum_over_slices(part, inputs, weights, key, observe)
        y = y[:, :columns]
        if core.encoding.inputs == "offset" or core.encoding.pixels == 1:
            offsets = self._offsets(inputs.sums, scale, weights, active)[:, :columns]
            y = y - offsets * is_nonzero(in_vector[0]) * weights.nonzero
        if self._column_has_one_scale:
            y = in_units_of(y, *units)
        if receivers is None:
            return y, None
        driven = self._drive_seen(jnp.abs(xs) / scale)
        return y, ProductObservation(
            inputs=observed_count(x.size * tiles.column_tiles, observe),
            drive=tiles.column_tiles * jnp.sum(driven),
            square_drive=tiles.column_tiles * jnp.sum(driven**2),
            receivers=receivers,
        )

    def _drive_seen(self, relative: jax.Array) -> jax.Array:
        """Magnitudes of the inputs relative to full drive; those beyond a share of the vector's largest are clipped."""
        if self.site_range is None or self.site_range.input_share is None:
            return relative
        return relative + self.on.dac_clipping * (at_most(relative, 1.0) - relative)

    def _input_scale(self, in_vector: jax.Array, in_tile: jax.Array) -> jax.Array:
        """Scale: the input that full drive represents, [row tiles, vectors, 1]."""
        if self.site_range is not None and self.site_range.input_scale is not None:
            return jnp.broadcast_to(self.site_range.input_scale, in_vector.shape)
        scale = scale_or_one(in_tile if self.core.encoding.scales == "tile" else in_vector)
        if self.site_range is not None and self.site_range.input_share is not None:
            return jnp.asarray(self.site_range.input_share) * scale
        return scale

    def _sum_over_slices(
        self, part: ColumnTiles, inputs: EncodedInputs, weights: Weights, key: jax.Array, observe: Observe
    ) -> PartialProduct:
        """Each input slice times each weight slice, added digitally with their factors."""
        pairs = [(a, b) for a in range(len(inputs.drives)) for b in range(weights.factors.shape[0])]
        if len(pairs) == 1:
            factor = None if self.core.encoding.is_single else inputs.factors[0] * weights.factors[0]
            return self._over_tiles(part, inputs.drives[0], _at(weights.planes, 0), key, factor, observe)
        factors = jnp.stack([inputs.factors[a] * weights.factors[b] for a, b in pairs])
        drives = jax.tree.map(lambda *each: jnp.stack(each), *inputs.drives)

        def one_pair(pair, factor, pair_key):
            drive, planes = _at(drives, pair[0]), _at(weights.planes, pair[1])
            return self._over_tiles(part, drive, planes, pair_key, factor, observe)

        keys = jax.random.split(key, len(pairs))
        return tiling.sum_over(one_pair, jnp.asarray(pairs), factors, keys, combine=_add_partial_products)

    def _over_tiles(
        self,
        part: ColumnTiles,
        drive: SourceDrive,
        planes: WeightPlane,
        key: jax.Array,
        factor: jax.Array | None,
        observe: Observe,
    ) -> PartialProduct:
        """All tiles of one pair of slices: column tiles side by side, groups of row tiles added digitally."""
        tiles, whole = part.tiles, part.whole
        groups, symbols = tiles.groups, tiles.accumulated
        streams = part.of(noise.streams(key, (whole.column_tiles, groups, symbols + 1, STREAMS)))
        drives = jax.tree.map(lambda a: a.reshape(groups, symbols, *a.shape[1:]), drive)
        tile_planes = PlaneStack(planes, tiles)
        shape: Any = jax.ShapeDtypeStruct((drive.analogue.shape[1], tiles.width), jnp.float32)
        # Of an observation they are not known before it is traced.
        result = None if observe is not False else (shape, None)

        def column_tile(number, column_streams, calibrated):
            def group(so_far, place, group_drives, group_streams):
                group_planes = tile_planes.at(number * groups + place)
                convert = remat_stage(partial(self._integrate_and_convert, factor=factor, observe=observe))
                converted = convert(group_drives, group_planes, group_streams, calibrated)
                return converted if so_far is None else _add_partial_products(so_far, converted)

            y, observed = tiling.fold(group, jnp.arange(groups), drives, column_streams, shapes=result)
            if self._column_has_one_scale:
                y = self._undo_output_crosstalk(y, tile_planes.at(number * groups))
            return y, observed

        calibrated = jax.tree.map(part.of, self._calibrated_full_scales(whole))
        numbers = jnp.arange(tiles.column_tiles)
        y, observed = tiling.side_by_side(column_tile, shape.shape, numbers, streams, calibrated)
        return y, observed if observed is None or tiles.column_tiles == 1 else observed.over_column_tiles()

    def _integrate_and_convert(
        self,
        drives: SourceDrive,
        planes: WeightPlane,
        streams: jax.Array,
        calibrated: jax.Array | None,
        factor: jax.Array | None,
        observe: Observe,
    ) -> PartialProduct:
        """A group of row tiles: symbols whose charges add on the receivers, and one conversion, [vectors, width]."""
        drives, planes, streams, calibrated = materialize((drives, planes, streams, calibrated))
        integrate = partial(self.analog.integrate, observe=observe)
        shape: Any = jax.ShapeDtypeStruct((drives.analogue.shape[1], planes.scale.shape[-1]), jnp.float32)
        shapes = None if observe is not False else (Charge(shape, shape, shape, shape), None)
        charge, symbols = tiling.sum_over(integrate, drives, planes, streams[:-1], shapes=shapes)
        y, received, full_scale = remat_stage(self.analog.convert)(charge, drives, planes, streams[-1], calibrated)
        if not self._column_has_one_scale:
            y = self._undo_output_crosstalk(y, planes)
        observed = symbols and _observe_receivers(y, received, full_scale, drives, planes, symbols, observe)
        return (y if factor is None else factor * y), observed

    def _calibrated_full_scales(self, tiles: Tiles) -> jax.Array | None:
        """Full scales of a calibrated site, [column tiles, 1, width]; None at others."""
        if self.site_range is None or self.site_range.full_scale is None:
            return None
        full_scale = self.site_range.full_scale
        pad = tiles.column_tiles * tiles.width - full_scale.shape[0]
        return jnp.pad(full_scale, (0, pad), constant_values=1).reshape(tiles.column_tiles, 1, tiles.width)

    @property
    def _column_has_one_scale(self) -> bool:
        """Whether all row tiles of a column share one scale, so that linear corrections can act on their sum."""
        return self.core.encoding.scales == "vector"

    def _undo_output_crosstalk(self, y: jax.Array, planes: WeightPlane) -> jax.Array:
        """Digital correction of receiver crosstalk; `planes` are stacked, and the first one has the scales."""
        plane = _at(planes, 0)
        return self.core.correction.undo_output_crosstalk(
            y, plane.output_scale, plane.inverse_scale, self.on.correction
        )

    def _offsets(self, sums: jax.Array, x_scale: jax.Array, weights: Weights, active: jax.Array) -> jax.Array:
        """Digital sum: contribution of the offsets of inputs and weights, to be subtracted, [vectors, columns].

        (X - a)(W - b) = X W - a W - b X + a b, summed over rows, where a and b are the offsets of active rows. A dark
        pixel without a partner adds its pedestal to b.
        """
        core, encoding, nothing = self.core, self.core.encoding, jnp.zeros((1, 1, 1, 1))
        a = x_scale[None] if encoding.inputs == "offset" else nothing
        b = weights.planes.scale[0] if encoding.weights == "offset" else nothing
        pedestal = nothing
        if encoding.pixels == 1:
            pedestal = (2 if encoding.weights == "offset" else 1) * core.pedestal * weights.planes.scale[0]
        rows = jnp.sum(active, axis=1)[None, :, None, None]
        by_tile = a * weights.sums + (b + pedestal) * sums[None] - a * b * rows
        return jnp.sum(by_tile, axis=1).swapaxes(0, 1).reshape(x_scale.shape[1], -1)


def _observe_receivers(
    y: jax.Array,
    received: jax.Array,
    full_scale: jax.Array,
    drives: SourceDrive,
    planes: WeightPlane,
    symbols: SymbolObservation,
    observe: Observe,
) -> ReceiverObservation:
    """What the receivers of one conversion show."""
    conversions, received = observed_count(received.size, observe), observed_alone(received, observe)
    clipped = jnp.sum((jnp.abs(received) > full_scale).astype(jnp.float32), axis=0)
    peak, square = jnp.max(jnp.abs(received), axis=0), jnp.sum(received**2, axis=0)
    error = observed_alone(y - symbols.exact, observe) / full_scale / (drives.scale[0] * planes.scale[0])
    # A vector or column of zeros needs no light.
    few = (symbols.electrons < FEWEST_ELECTRONS) & (drives.nonzero[0] > 0) & (planes.output_scale[0] != 0)
    return ReceiverObservation(
        relative_error=jnp.sum(error**2),
        few_electrons=jnp.sum(few.astype(jnp.float32)),
        conversions=conversions,
        clipped=clipped,
        peak=peak,
        square=square,
        detected=symbols.detected,
        launched=symbols.launched,
    )


def _add_partial_products(a: PartialProduct, b: PartialProduct) -> PartialProduct:
    """Outputs and observations of two parts of a product as one."""
    (y, observed), (z, more) = a, b
    return y + z, None if observed is None or more is None else observed.joined(more)


def _of_columns(plane_scale: jax.Array) -> jax.Array:
    """Scale of the first slice and row tile, [slices, column tiles, row tiles, 1, width] -> [1, all columns]."""
    return plane_scale[0, :, 0, 0].reshape(1, -1)


def _at(tree, number):
    return jax.tree.map(lambda array: tiling.slice_at(array, number), tree)
