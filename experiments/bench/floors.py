"""Lower bounds for an emulator of such noise in float32: products with the least work beside them, written by hand.

They are no emulators: no effect can be switched off or scaled, and no part can be exchanged.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bounds import within
from electronics.numerics.matmul import product
from electronics.numerics.xla import fusion_barrier
from optics.datapath import tiling


class Numbers(NamedTuple):
    """Parameters of noise and converters; like those of a core they are arguments of the compiled program."""

    converter_variance: float = 1e-6
    intensity_variance: float = 5e-5
    light_variance: float = 1e-5
    input_levels: float = 255.0
    output_levels: float = 511.0
    loading: float = 12.0


class Planes(NamedTuple):
    """Tiles of weights [tiles, height, width], with the statistics of their columns [tiles, 1, width].

    scale: largest magnitude; inverse: its reciprocal; rms, light: rms and mean magnitude relative to it.
    """

    weights: jax.Array
    scale: jax.Array
    inverse: jax.Array
    rms: jax.Array
    light: jax.Array


def load(weights: jax.Array) -> Planes:
    """Return tiles of weights with the statistics of their columns."""
    scale = jnp.max(jnp.abs(weights), axis=1, keepdims=True)
    rms = jnp.sqrt(jnp.mean(weights**2, axis=1, keepdims=True)) / scale
    return Planes(weights, scale, 1 / scale, rms, jnp.mean(jnp.abs(weights), axis=1, keepdims=True) / scale)


def floor(x: jax.Array, planes: Planes, key: jax.Array, numbers: Numbers, tiles: tiling.Tiles) -> jax.Array:
    """Return x @ w with one rounding and one noise sample of constant variance per converted number."""

    def converted(values, stream):
        noisy = values + noise.gaussian(stream, jnp.broadcast_to(numbers.converter_variance, values.shape))
        return jnp.round(noisy * numbers.output_levels) * (1 / numbers.output_levels)

    def tile(drive, plane, streams):
        return converted(product(converted(drive, streams[0]), plane.weights), streams[1])

    return _over(tile, x, planes, key, tiles)


def bare(x: jax.Array, planes: Planes, key: jax.Array, numbers: Numbers, tiles: tiling.Tiles) -> jax.Array:
    """Return x @ w with the steps that every emulation of light needs.

    Codes on each vector's own scale, input noise that depends on the light, factored shot noise, a full scale from the
    norms, clipping and output codes. It lacks transfer curves, mismatch, offsets, crosstalk, inter-symbol interference,
    full well, jitter, corrections, and scaled effects.
    """
    variance, intensity, shot, levels, codes, loading = numbers

    def tile(drive, plane, streams):
        scale = jnp.max(jnp.abs(drive), axis=1, keepdims=True)
        inverse = 1 / scale
        code = jnp.round(drive * (levels * inverse)) * (scale * (1 / levels))
        light = code + scale * noise.gaussian(streams[0], variance + intensity * (code * inverse) ** 2)
        norm = jnp.sqrt(jnp.sum((drive * inverse) ** 2, axis=1, keepdims=True))
        sums = jnp.sum(jnp.abs(light), axis=1, keepdims=True) * inverse
        value = product(light, plane.weights) * inverse * plane.inverse
        full = 1 + (loading * norm) * plane.rms
        # The barrier materialises the noise in memory, which speeds up the loop over the outputs.
        drawn = fusion_barrier(lambda stream: noise.normal(stream, value.shape), streams[1])
        spread = jnp.sqrt((shot * sums) * plane.light + variance * full**2)
        received = within(value + drawn * spread, -full, full)
        step = full * (1 / codes)
        return jnp.round(received * (1 / step)) * step * (scale * plane.scale)

    return _over(tile, x, planes, key, tiles)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BareCore:
    """`bare` as a core, for `optics.emulate` and `optics.load`: the limit of a whole function.

    Attributes:
        numbers: parameters of noise and converters.
        rows, columns: of the largest tile.
    """

    numbers: Numbers
    rows: int = dataclasses.field(metadata={"static": True})
    columns: int = dataclasses.field(metadata={"static": True})

    def prepare(self) -> "BareCore":
        """Return itself: there is no device to draw."""
        return self

    def tiles(self, shape: tuple[int, ...]) -> tiling.Tiles:
        """Return the tiles of a matrix of this shape."""
        rows, columns = shape
        return tiling.fit(rows, columns, self.rows, self.columns)

    def load(self, w: jax.Array) -> "BareMatrix":
        """Load w [rows, columns], tile by tile."""
        loaded = tiling.each(load, tiling.cut_weights(w, self.tiles(w.shape)), axes=1)
        return self.holding(loaded, w.shape)

    def holding(self, weights: Planes, shape: tuple[int, ...]) -> "BareMatrix":
        """Return the matrix of this shape that was loaded as `weights`."""
        return BareMatrix(self, weights, shape)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Return x [vectors, rows] @ w [rows, columns], loaded in this call."""
        return self.load(w).matmul(x, key=key)


class BareMatrix(NamedTuple):
    """A matrix that was loaded: `weights` has arrays [column tiles, row tiles, ...]."""

    core: BareCore
    weights: Planes
    shape: tuple[int, ...]

    def matmul(self, x: jax.Array, *, key: jax.Array) -> jax.Array:
        """Return x [vectors, rows] times the matrix, column tile by column tile."""
        tiles = self.core.tiles(self.shape)

        def column_tile(planes: Planes, number: jax.Array) -> tuple[jax.Array, None]:
            return bare(x, planes, jax.random.fold_in(key, number), self.core.numbers, tiles), None

        numbers = jnp.arange(tiles.column_tiles)
        y, _ = tiling.side_by_side(column_tile, (x.shape[0], tiles.width), self.weights, numbers)
        return y[:, : self.shape[1]]


def _over(tile, x, planes, key, tiles):
    streams = noise.streams(key, (tiles.row_tiles, 2))
    return tiling.sum_over(tile, tiling.cut_inputs(x, tiles), planes, streams)
