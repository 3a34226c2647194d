"""Cutting a product of any size into tiles that fit the core."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")


class Tiles(NamedTuple):
    """Equal tiles of height x width that cover a matrix, the last ones padded with dark rows and columns.

    `accumulated` row tiles at a time are summed before they are converted.
    """

    row_tiles: int
    height: int
    column_tiles: int
    width: int
    accumulated: int

    @property
    def groups(self) -> int:
        """How often an output is converted: once for each group of row tiles."""
        return self.row_tiles // self.accumulated


def fit(rows: int, columns: int, most_rows: int, most_columns: int, accumulate: int = 1) -> Tiles:
    """The fewest tiles of at most most_rows x most_columns for a rows x columns matrix, as equal as can be.

    Of the row tiles up to `accumulate` share one conversion, in groups of equal size.
    """
    row_tiles, column_tiles = math.ceil(rows / most_rows), math.ceil(columns / most_columns)
    groups = math.ceil(row_tiles / accumulate)
    accumulated = math.ceil(row_tiles / groups)
    row_tiles = groups * accumulated
    return Tiles(row_tiles, math.ceil(rows / row_tiles), column_tiles, math.ceil(columns / column_tiles), accumulated)


def cut(x: jax.Array, w: jax.Array, tiles: Tiles) -> tuple[jax.Array, jax.Array]:
    """x [vectors, rows] -> [row_tiles, vectors, height]; w -> [column_tiles, row_tiles, height, width]."""
    row_pad = tiles.row_tiles * tiles.height - w.shape[0]
    column_pad = tiles.column_tiles * tiles.width - w.shape[1]
    x = jnp.pad(x, ((0, 0), (0, row_pad)))
    w = jnp.pad(w, ((0, row_pad), (0, column_pad)))
    x = x.reshape(x.shape[0], tiles.row_tiles, tiles.height).swapaxes(0, 1)
    w = w.reshape(tiles.row_tiles, tiles.height, tiles.column_tiles, tiles.width).transpose(2, 0, 1, 3)
    return x, w


def lit(rows: int, tiles: Tiles) -> jax.Array:
    """1 for the rows of each tile that are in use, 0 for those that idle: float32 [row_tiles, height]."""
    used = jnp.arange(tiles.row_tiles * tiles.height) < rows
    return used.astype(jnp.float32).reshape(tiles.row_tiles, tiles.height)


def sum_over(
    product: Callable[..., Tree], *stacked: jax.Array, combine: Callable[[Tree, Tree], Tree] | None = None
) -> Tree:
    """Sum of product(*slices) over the leading axis, one slice at a time so that memory stays that of one.

    `combine` joins two results, by adding them unless it is given.
    """
    first = jax.tree.map(lambda array: array[0], stacked)
    if jax.tree.leaves(stacked)[0].shape[0] == 1:
        return product(*first)
    join = combine or (lambda a, b: jax.tree.map(jnp.add, a, b))
    start = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), jax.eval_shape(product, *first))

    def add(so_far, slices):
        return join(so_far, product(*slices)), None

    return jax.lax.scan(add, start, stacked)[0]


def side_by_side(product: Callable[..., tuple[jax.Array, Tree]], *stacked: jax.Array) -> tuple[jax.Array, Tree]:
    """(y, rest) of each slice of the leading axis: the ys [vectors, width] joined over columns, the rest stacked."""
    if jax.tree.leaves(stacked)[0].shape[0] == 1:
        return product(*jax.tree.map(lambda array: array[0], stacked))
    ys, rest = jax.lax.map(lambda slices: product(*slices), stacked)
    return ys.swapaxes(0, 1).reshape(ys.shape[1], -1), rest
