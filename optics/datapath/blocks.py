"""A product with a large matrix that is loaded block by block, so that one block of planes is in memory at a time."""

import math

import jax
import jax.numpy as jnp

from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.datapath import tiling
from optics.datapath.loading import load_weights
from optics.datapath.product import TiledMatmul
from optics.datapath.site_range import SiteRange
from optics.datapath.tiling import ColumnTiles

LARGEST_LOAD = 2**26
"""Most weights that are loaded at once in a product without diagnostics: planes of a quarter of a GiB."""


def multiply_in_blocks(
    core: Architecture,
    variation: DeviceVariation,
    site_range: SiteRange | None,
    x: jax.Array,
    w: jax.Array,
    key: jax.Array,
    most: int = LARGEST_LOAD,
) -> jax.Array:
    """Return x [vectors, rows] times w [rows, columns] as `TiledMatmul` has it, with the same noise.

    A load treats each column of tiles alone, so that blocks of whole columns of tiles may be loaded one by one.

    Args:
        core, variation, site_range: as for `TiledMatmul`.
        x, w, key: operands and noise key.
        most: weights of a block.
    """
    rows, columns = w.shape
    tiles = tiling.fit(rows, columns, core.rows, core.columns, core.accumulate)
    matmul = TiledMatmul(core, variation, site_range)
    in_block = max(most // (rows * tiles.width), 1)
    blocks = columns // (in_block * tiles.width)

    shares = None if site_range is None else site_range.weight_share

    def block(first: int | jax.Array, count: int, part: jax.Array) -> jax.Array:
        share = shares
        if share is not None:
            share = jax.lax.dynamic_slice_in_dim(share, first * tiles.width, part.shape[1])
        weights = load_weights(core, variation, part, tiles=tiles._replace(column_tiles=count), share=share)
        return matmul(x, weights, key, part=ColumnTiles(first, count, tiles))[0]

    # Cut along the first axis: files hold matrices as [columns, rows], and XLA would copy the whole for a loop over w.
    transposed, width = w.T, in_block * tiles.width

    def whole(number: jax.Array) -> tuple[jax.Array, None]:
        columns = jax.lax.dynamic_slice_in_dim(transposed, number * width, width).T
        return block(number * in_block, in_block, columns), None

    parts = [tiling.side_by_side(whole, (x.shape[0], width), jnp.arange(blocks))[0]] if blocks else []
    if rest := tiles.column_tiles - blocks * in_block:
        parts.append(block(blocks * in_block, rest, w[:, blocks * width :]))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def is_large(w: jax.Array) -> bool:
    """Whether a matrix is loaded block by block."""
    return math.prod(w.shape) > LARGEST_LOAD
