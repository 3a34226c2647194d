"""Cutting a product of any size into tiles that fit the core."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")


class Tiles(NamedTuple):
    """Equal tiles of height x width that cover a matrix, the last ones padded with dark rows and columns."""

    row_tiles: int
    height: int
    column_tiles: int
    width: int


def fit(rows: int, columns: int, most_rows: int, most_columns: int) -> Tiles:
    """The fewest tiles of at most most_rows x most_columns for a rows x columns matrix, as equal as can be."""
    row_tiles, column_tiles = math.ceil(rows / most_rows), math.ceil(columns / most_columns)
    return Tiles(row_tiles, math.ceil(rows / row_tiles), column_tiles, math.ceil(columns / column_tiles))


def cut(x: jax.Array, w: jax.Array, tiles: Tiles) -> tuple[jax.Array, jax.Array]:
    """x [vectors, rows] -> [row_tiles, vectors, height]; w -> [column_tiles, row_tiles, height, width]."""
    row_pad = tiles.row_tiles * tiles.height - w.shape[0]
    column_pad = tiles.column_tiles * tiles.width - w.shape[1]
    x = jnp.pad(x, ((0, 0), (0, row_pad)))
    w = jnp.pad(w, ((0, row_pad), (0, column_pad)))
    x = x.reshape(x.shape[0], tiles.row_tiles, tiles.height).swapaxes(0, 1)
    w = w.reshape(tiles.row_tiles, tiles.height, tiles.column_tiles, tiles.width).transpose(2, 0, 1, 3)
    return x, w


def cut_columns(scale: jax.Array, tiles: Tiles) -> jax.Array:
    """A row of numbers [1, columns] -> [column_tiles, 1, width], padded with ones."""
    padded = jnp.pad(scale, ((0, 0), (0, tiles.column_tiles * tiles.width - scale.shape[1])), constant_values=1)
    return padded.reshape(tiles.column_tiles, 1, tiles.width)


def sum_over(product: Callable[..., Tree], *stacked: jax.Array) -> Tree:
    """Sum of product(*slices) over the leading axis, one slice at a time so that memory stays that of one."""
    first = product(*(array[0] for array in stacked))
    if stacked[0].shape[0] == 1:
        return first

    def add(so_far, slices):
        return jax.tree.map(jnp.add, so_far, product(*slices)), None

    return jax.lax.scan(add, first, tuple(array[1:] for array in stacked))[0]


def side_by_side(product: Callable[..., tuple[jax.Array, Tree]], *stacked: jax.Array) -> tuple[jax.Array, Tree]:
    """(y, rest) of each slice of the leading axis: the ys [vectors, width] joined over columns, the rest stacked."""
    if stacked[0].shape[0] == 1:
        return product(*(array[0] for array in stacked))
    ys, rest = jax.lax.map(lambda slices: product(*slices), stacked)
    return ys.swapaxes(0, 1).reshape(ys.shape[1], -1), rest
