"""A ragged product as matrix products: each row of the left operand meets the matrix of its group, its expert.

The rows of an expert stand together, and how many they are is data. They are cut into blocks of `Geometry.length` rows
of one expert each. A block is filled up with zeros, and starts after dark symbols, as every product does. With E
experts and blocks of L rows, m rows take at most m + E L rows of all blocks.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics.equations import _jax
from optics.equations._jax import JaxprEqn

# Rows of a block. Shorter blocks would load an expert's weights more often, longer ones be filled with more zeros.
LEAST, MOST = 8, 512

CONTRACTED = "ragged product whose groups are summed over"
BATCH = "ragged product whose groups are of matrices"
ROWS_OF_WEIGHTS = "ragged rows of weights, groups of data"


class Block(NamedTuple):
    """The weights and the vectors of a block.

    Attributes:
        expert: number of its matrix among those of `weights`.
        filled: whether a vector is one of the product's; the others are zeros, [vectors].
    """

    expert: jax.Array
    filled: jax.Array


# (x [1, vectors, rows], key, block) -> (y [1, vectors, columns], what was observed).
MultiplyBlock = Callable[[jax.Array, jax.Array, Block], tuple[jax.Array, Any]]


class Geometry(NamedTuple):
    """A ragged product of `extent` rows, each of `inner` vectors, in each of `matrices` x `outer` sections.

    Attributes:
        lhs, rhs: the order of dimensions that makes the operands [matrices, outer, extent, inner, rows] and [matrices,
            experts, columns, rows], each of which may stand for several dimensions.
        matrices: of each expert, products of the batch dimensions.
        outer: sections that share their weights, and have group sizes of their own.
        extent: number of rows that the groups divide.
        inner: vectors of each row.
        rows: contracted elements.
        columns: of each matrix.
        experts: number of groups.
    """

    lhs: tuple[int, ...]
    rhs: tuple[int, ...]
    matrices: int
    outer: int
    extent: int
    inner: int
    rows: int
    columns: int
    experts: int

    @classmethod
    def of(cls, eqn: JaxprEqn) -> "Geometry":
        contraction, ragged, groups = _jax.ragged(eqn)
        (contract, other), (batch, other_batch) = contraction
        left, right = (_jax.shape(atom) for atom in eqn.invars[:2])
        free = [d for d in range(len(left)) if d not in (*contract, *batch)]
        outer, inner = free[: free.index(ragged)], free[free.index(ragged) + 1 :]
        columns = [d for d in range(len(right)) if d not in (*other, *other_batch, *groups)]
        return cls(
            lhs=(*batch, *outer, ragged, *inner, *contract),
            rhs=(*other_batch, *groups, *columns, *other),
            matrices=math.prod(left[d] for d in batch),
            outer=math.prod(left[d] for d in outer),
            extent=left[ragged],
            inner=math.prod(left[d] for d in inner),
            rows=math.prod(left[d] for d in contract),
            columns=math.prod(right[d] for d in columns),
            experts=math.prod(right[d] for d in groups),
        )

    @property
    def sections(self) -> int:
        """Parts of the left operand with group sizes of their own."""
        return self.matrices * self.outer

    @property
    def length(self) -> int:
        """Rows of a block."""
        return min(self.extent, max(LEAST, min(MOST, math.ceil(self.extent / self.experts))))

    @property
    def blocks(self) -> int:
        """The most blocks that the rows of a section can take."""
        most = min(self.experts, self.extent)
        return (self.extent - most) // self.length + most


class _Places(NamedTuple):
    """Where the rows of the blocks of a section come from, and where their outputs go.

    Attributes:
        expert: of each block, [blocks].
        row: of the section, for each row of each block, [blocks, length].
        filled: whether that row is one of the block's expert, [blocks, length].
        output: for each row of the section, its number among the rows of all blocks, [extent].
        routed: whether that row has an expert at all, [extent].
    """

    expert: jax.Array
    row: jax.Array
    filled: jax.Array
    output: jax.Array
    routed: jax.Array


def refusal(eqn: JaxprEqn, weights_first: bool) -> str:
    """Why no core does a ragged product, "" if cores do it: its right operand is then one matrix for each group."""
    (contract, batch), ragged, _ = _jax.ragged(eqn)
    if ragged in contract[0]:
        return CONTRACTED
    if ragged in batch[0]:
        return BATCH
    return ROWS_OF_WEIGHTS if weights_first else ""


def weights(eqn: JaxprEqn, right: jax.Array) -> jax.Array:
    """The matrices [matrices x experts, columns, rows] of a ragged product, in the order of `Block.expert`."""
    shape = Geometry.of(eqn)
    return jnp.transpose(right, shape.rhs).reshape(-1, shape.columns, shape.rows)


def multiply(
    eqn: JaxprEqn,
    left: jax.Array,
    group_sizes: jax.Array,
    key: jax.Array,
    product: MultiplyBlock,
    join: Callable[[Any, Any], Any],
) -> tuple[jax.Array, Any]:
    """(the output of a ragged product, what was observed), by products of each block. Rows of no group give zeros.

    Args:
        eqn: the product.
        left: its left operand, real or complex.
        group_sizes: rows of each group, [experts] or [sections..., experts].
        key: of all blocks, each of which folds its number into it.
        product: the product of a block, of the dtype of the output.
        join: joins what was observed of two blocks.
    """
    shape = Geometry.of(eqn)
    sizes = jnp.broadcast_to(group_sizes.astype(jnp.int32).reshape(-1, shape.experts), (shape.sections, shape.experts))
    places = jax.vmap(partial(_places, shape))(sizes)
    x = jnp.transpose(left, shape.lhs).reshape(shape.sections, shape.extent, shape.inner, shape.rows)
    x = jax.vmap(lambda x, row: jnp.take(x, row, axis=0, mode="clip"))(x, places.row)
    x = jnp.where(places.filled[..., None, None], x, 0).reshape(-1, 1, shape.length * shape.inner, shape.rows)
    # The experts of each matrix stand behind those of the one before.
    first = jnp.repeat(jnp.arange(shape.sections) // shape.outer * shape.experts, shape.blocks)
    filled = jnp.repeat(places.filled.reshape(-1, shape.length), shape.inner, axis=1)
    blocks = Block(first + places.expert.reshape(-1), filled)
    # A gradient multiplies a block again: what all of them keep would be several times their inputs.
    block_product = jax.checkpoint(lambda x, number, block: product(x, jax.random.fold_in(key, number), block))

    def step(so_far, numbered):
        y, seen = block_product(*numbered)
        return join(so_far, seen), y

    numbered = x, jnp.arange(x.shape[0]), blocks
    _, seen = jax.eval_shape(block_product, *jax.tree.map(lambda leaf: leaf[0], numbered))
    nothing = jax.tree.map(jnp.zeros_like, seen)
    seen, y = jax.lax.scan(step, nothing, numbered)
    y = y.reshape(shape.sections, -1, shape.inner, shape.columns)
    y = jax.vmap(lambda y, output: jnp.take(y, output, axis=0, mode="clip"))(y, places.output)
    y = jnp.where(places.routed[..., None, None], y, jnp.zeros((), y.dtype))
    return y.reshape(_jax.shape(eqn.outvars[0])), seen


def _places(shape: Geometry, group_sizes: jax.Array) -> _Places:
    """The rows of each block of a section, whose groups have `group_sizes` [experts] rows."""
    ends = jnp.minimum(jnp.cumsum(group_sizes), shape.extent)
    starts = jnp.pad(ends[:-1], (1, 0))
    taken = -((starts - ends) // shape.length)
    last = jnp.cumsum(taken)
    before = last - taken

    # Blocks beyond those in need count as further ones of the last expert, behind its rows.
    block = jnp.arange(shape.blocks)
    expert = jnp.minimum(_intervals_before(last, block), shape.experts - 1)
    first = starts[expert] + (block - before[expert]) * shape.length
    row = first[:, None] + jnp.arange(shape.length)[None, :]
    filled = row < ends[expert][:, None]

    number = jnp.arange(shape.extent)
    own = _intervals_before(ends, number)
    routed = own < shape.experts
    own = jnp.minimum(own, shape.experts - 1)
    output = before[own] * shape.length + number - starts[own]
    return _Places(expert, row, filled, output, routed)


def _intervals_before(ends: jax.Array, places: jax.Array) -> jax.Array:
    """Number of the intervals with these ends that end at or before each place."""
    return jnp.sum(ends[None, :] <= places[:, None], axis=1, dtype=jnp.int32)
