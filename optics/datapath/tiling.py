"""Tiles: cutting a product of any size into parts that fit the core, and looping over them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")
# Most numbers of an array whose tiles are worked on at once, which takes more memory than one tile. A loop copies each
# array of a tile out of its stack and each result into another, and every copy is a kernel to compile.
AT_ONCE = 2**20


class Tiles(NamedTuple):
    """Equal tiles of height x width that cover a matrix; the last ones are padded with dark rows and columns.

    `accumulated` row tiles at a time are summed before they are converted.
    """

    row_tiles: int
    height: int
    column_tiles: int
    width: int
    accumulated: int

    @property
    def groups(self) -> int:
        """Conversions per output: one for each group of row tiles."""
        return self.row_tiles // self.accumulated


class ColumnTiles(NamedTuple):
    """Some columns of tiles of a matrix: `count` from number `first` on, of those of the whole."""

    first: int | jax.Array
    count: int
    whole: Tiles

    @property
    def tiles(self) -> Tiles:
        """Those of these columns alone."""
        return self.whole._replace(column_tiles=self.count)

    def of(self, array: jax.Array) -> jax.Array:
        """Their part of an array [column tiles, ...] of the whole matrix."""
        if self.count == self.whole.column_tiles:
            return array
        return jax.lax.dynamic_slice_in_dim(array, self.first, self.count)


def fit(rows: int, columns: int, most_rows: int, most_columns: int, accumulate: int = 1) -> Tiles:
    """The fewest equal tiles of at most most_rows x most_columns that cover a rows x columns matrix.

    Up to `accumulate` row tiles share one conversion, in groups of equal size.
    """
    row_tiles, column_tiles = math.ceil(rows / most_rows), math.ceil(columns / most_columns)
    groups = math.ceil(row_tiles / accumulate)
    accumulated = math.ceil(row_tiles / groups)
    row_tiles = groups * accumulated
    return Tiles(row_tiles, math.ceil(rows / row_tiles), column_tiles, math.ceil(columns / column_tiles), accumulated)


def cut_inputs(x: jax.Array, tiles: Tiles) -> jax.Array:
    """x [vectors, rows] -> [row_tiles, vectors, height]."""
    x = _padded(x, 0, tiles.row_tiles * tiles.height - x.shape[1])
    return x.reshape(x.shape[0], tiles.row_tiles, tiles.height).swapaxes(0, 1)


def cut_weights(w: jax.Array, tiles: Tiles) -> jax.Array:
    """w [rows, columns] -> [column_tiles, row_tiles, height, width]."""
    row_pad = tiles.row_tiles * tiles.height - w.shape[0]
    column_pad = tiles.column_tiles * tiles.width - w.shape[1]
    w = _padded(w, row_pad, column_pad)
    return w.reshape(tiles.row_tiles, tiles.height, tiles.column_tiles, tiles.width).transpose(2, 0, 1, 3)


def _padded(matrix: jax.Array, rows: int, columns: int) -> jax.Array:
    return jnp.pad(matrix, ((0, rows), (0, columns))) if rows or columns else matrix


def active_rows(rows: int, tiles: Tiles) -> jax.Array:
    """1 for the rows of each tile that are in use, 0 for idle ones, float32 [row_tiles, height]."""
    used = jnp.arange(tiles.row_tiles * tiles.height) < rows
    return used.astype(jnp.float32).reshape(tiles.row_tiles, tiles.height)


def sum_over(
    product: Callable[..., Tree],
    *stacked: Any,
    combine: Callable[[Tree, Tree], Tree] | None = None,
    shapes: Tree | None = None,
) -> Tree:
    """Sum of product(*slices) over the leading axis, one slice at a time, so that memory is that of one.

    `combine` joins two results, by default by adding their leaves; `shapes` as for `fold`.
    """
    join = combine or (lambda a, b: jax.tree.map(jnp.add, a, b))

    def add(so_far, *slices):
        found = product(*slices)
        return found if so_far is None else join(so_far, found)

    return fold(add, *stacked, shapes=shapes)


def fold(step: Callable[..., Tree], *stacked: Any, shapes: Tree | None = None) -> Tree:
    """step(so_far, *slices) over the leading axis, one slice after the other.

    `so_far` is None where there is a single slice, and in the first step of a loop zeros. `shapes` are those of its
    leaves where they are known; else `step` is traced once more to find them.
    """
    if jax.tree.leaves(stacked)[0].shape[0] == 1:
        return step(None, *jax.tree.map(lambda array: slice_at(array, 0), stacked))
    if shapes is None:
        first = jax.tree.map(lambda array: slice_at(array, 0), stacked)
        shapes = jax.eval_shape(lambda *slices: step(None, *slices), *first)
    start = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    return jax.lax.scan(lambda so_far, slices: (step(so_far, *slices), None), start, stacked)[0]


def side_by_side(
    product: Callable[..., tuple[jax.Array, Tree]], shape: tuple[int, int], *stacked: Any
) -> tuple[jax.Array, Tree]:
    """(y, rest) of each slice of the leading axis, with y [vectors, width] joined over columns and the rest stacked.

    `shape` is that of y, which is float32.
    """
    count = jax.tree.leaves(stacked)[0].shape[0]
    if count == 1:
        return product(*jax.tree.map(lambda array: slice_at(array, 0), stacked))
    vectors, width = shape

    # Each result is written to its place at once. A stack of results would have to be transposed afterwards.
    def place(joined, number):
        y, rest = product(*jax.tree.map(lambda array: slice_at(array, number), stacked))
        return jax.lax.dynamic_update_slice(joined, y, (0, number * width)), rest

    start = jnp.zeros((vectors, count * width), jnp.float32)
    return jax.lax.scan(place, start, jnp.arange(count))


def slice_at(array: jax.Array, number: int | jax.Array) -> jax.Array:
    """array[number], for a number that is not negative: JAX would otherwise emit five operations for its sign."""
    if array.shape[0] == 1:
        return jax.lax.squeeze(array, (0,))
    return jax.lax.dynamic_index_in_dim(array, number, keepdims=False, allow_negative_indices=False)


def each(function: Callable[..., Tree], *stacked: Any, axes: int) -> Tree:
    """function(*slices) over the leading `axes` axes; of large arrays one slice at a time, with the memory of one."""
    largest = max(jax.tree.leaves(stacked), key=lambda array: array.size)
    leading = largest.shape[:axes]
    flat = jax.tree.map(lambda array: array.reshape(-1, *array.shape[axes:]), stacked)
    if math.prod(leading) == 1:
        found = jax.tree.map(lambda array: array[None], function(*jax.tree.map(lambda array: slice_at(array, 0), flat)))
    elif largest.size <= AT_ONCE:
        found = jax.vmap(function)(*flat)
    else:
        found = jax.lax.map(lambda slices: function(*slices), flat)
    return jax.tree.map(lambda array: array.reshape(*leading, *array.shape[1:]), found)
