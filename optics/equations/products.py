"""Each kind of product: its size from the shapes of its operands, and a dot_general as matrix products."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics.equations import _jax, convolution, ragged
from optics.equations._jax import JaxprEqn


class Sizes(NamedTuple):
    """`matrices` products of [vectors, rows] @ [rows, columns], of whose `experts` matrices a vector meets one."""

    rows: int
    columns: int
    vectors: int
    matrices: int
    experts: int = 1


def operands(eqn: JaxprEqn) -> tuple[int, int]:
    """The numbers of the two operands of a product that are multiplied; others are indices or group sizes."""
    return (0, len(eqn.invars) - 1) if _jax.kind(eqn) == "sparse" else (0, 1)


def sizes(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """rows, columns, vectors, matrices of a product, whose weights are the first or the second operand.

    rows x columns x vectors x matrices is the number of multiply-accumulates. The stored elements of a sparse matrix
    count as one column, as do those of a triangle. A complex product is that of the real matrices [Re x, Im x] and
    [[Re w, Im w], [-Im w, Re w]], of twice the rows and twice the columns.
    """
    found = _SIZES[_jax.kind(eqn)](eqn, weights_first)
    if is_complex(eqn):
        return found._replace(rows=2 * found.rows, columns=2 * found.columns)
    return found


def repeated(eqn: JaxprEqn) -> float:
    """The share of the elements of a convolution's patches that repeat an element of its input; 0 for other products.

    Zeros of the padding count as repeated, since they are moved to the DACs like any other.
    """
    if _jax.kind(eqn) != "convolution":
        return 0.0
    shape = convolution.Geometry.of(eqn)
    return max(0.0, 1 - math.prod(_jax.shape(eqn.invars[0])) / max(shape.rows * shape.vectors * shape.groups, 1))


def positions(eqn: JaxprEqn, weights_first: bool) -> int:
    """The size of the last axis of the vectors of a "product", 1 of a single vector; 0 of other products.

    Vectors are in the order of their axes, so that vector v is at v modulo this size.
    """
    if _jax.kind(eqn) != "product":
        return 0
    side, (contract, batch) = 1 if weights_first else 0, _jax.contraction(eqn)
    shape = _jax.shape(eqn.invars[side])
    free = [size for d, size in enumerate(shape) if d not in (*contract[side], *batch[side])]
    return free[-1] if free else 1


def heads(eqn: JaxprEqn) -> int:
    """The size of the last axis that numbers the matrices of a "product"; 0 without such an axis."""
    if _jax.kind(eqn) != "product":
        return 0
    _, (batch, _) = _jax.contraction(eqn)
    shape = _jax.shape(eqn.invars[0])
    return shape[batch[-1]] if batch else 0


def is_complex(eqn: JaxprEqn) -> bool:
    """Whether an operand of a product is complex."""
    return any(jnp.issubdtype(_jax.dtype(eqn.invars[side]), jnp.complexfloating) for side in operands(eqn))


def weight_matrices(eqn: JaxprEqn, values: Sequence[jax.Array], weights_first: bool) -> jax.Array:
    """The weights [matrices, columns, rows] of a "product", a "convolution" or a "ragged" product, in float32.

    They are the first or the second operand. Complex ones become the real matrices of `sizes`. Those of a ragged
    product are [matrices x experts, columns, rows].
    """
    match _jax.kind(eqn):
        case "convolution":
            w = convolution.weights(eqn, values[1])
        case "ragged":
            w = ragged.weights(eqn, values[1])
        case _:
            w = _operand_matrices(eqn, values, 0 if weights_first else 1)
    if is_complex(eqn):
        to_real, to_imag = jnp.concatenate([w.real, -w.imag], axis=2), jnp.concatenate([w.imag, w.real], axis=2)
        w = jnp.concatenate([to_real, to_imag], axis=1)
    return w.astype(jnp.float32)


def evaluate(
    eqn: JaxprEqn,
    values: Sequence[jax.Array],
    weights_first: bool,
    key: jax.Array,
    multiply: Callable[..., tuple[jax.Array, Any]],
    join: Callable[[Any, Any], Any],
) -> tuple[jax.Array, Any]:
    """(the output of a product that `weight_matrices` knows, what was observed), by products with its weights.

    Args:
        eqn, values, weights_first: as for `weight_matrices`.
        key: of the site.
        multiply: products of inputs [matrices, vectors, rows] in float32 with the weights; of a ragged product, also
            given a `ragged.Block`, that of inputs [1, vectors, rows] with the weights of the block's expert.
        join: joins what was observed of two parts of a product.
    """

    def typed(x: jax.Array, key: jax.Array, *block: ragged.Block) -> tuple[jax.Array, Any]:
        if is_complex(eqn):
            x = jnp.concatenate([x.real, x.imag], axis=2)
        y, seen = multiply(x.astype(jnp.float32), key, *block)
        y = _as_complex(y) if is_complex(eqn) else y
        return _as_dtype(y, _jax.dtype(eqn.outvars[0])), seen

    if _jax.kind(eqn) == "convolution":
        return convolution.convolve(eqn, values[0], key, typed, join)
    if _jax.kind(eqn) == "ragged":
        return ragged.multiply(eqn, values[0], values[2], key, typed, join)
    y, seen = typed(_operand_matrices(eqn, values, 1 if weights_first else 0), key)
    y = y.swapaxes(1, 2) if weights_first else y
    return y.reshape(_jax.shape(eqn.outvars[0])), seen


def _operand_matrices(eqn: JaxprEqn, values: Sequence[jax.Array], side: int) -> jax.Array:
    """An operand of a "product" as [matrices, free, contracted]."""
    contract, batch = _jax.contraction(eqn)
    return _matrices(values[side], contract[side], batch[side])


def _dot_general(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    (contract, _), (batch, _) = _jax.contraction(eqn)
    left, right = (math.prod(_jax.shape(atom)) for atom in eqn.invars)
    lhs = _jax.shape(eqn.invars[0])
    rows, matrices = math.prod(lhs[d] for d in contract), math.prod(lhs[d] for d in batch)
    shared = max(rows * matrices, 1)
    return _sizes(rows, left // shared, right // shared, matrices, weights_first)


def _convolution(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Of patches with kernels, whichever of the two holds the weights."""
    shape = convolution.Geometry.of(eqn)
    return Sizes(rows=shape.rows, columns=shape.columns, vectors=shape.vectors, matrices=shape.groups)


def _ragged(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Each row of the left operand meets one group of the right one, so the groups multiply nothing."""
    ((contract, other), (batch, other_batch)), _, groups = _jax.ragged(eqn)
    lhs, rhs = (_jax.shape(atom) for atom in eqn.invars[:2])
    rows, matrices = math.prod(lhs[d] for d in contract), math.prod(lhs[d] for d in batch)
    shared = {*other, *other_batch, *groups}
    right = math.prod(size for d, size in enumerate(rhs) if d not in shared)
    found = _sizes(rows, math.prod(lhs) // max(rows * matrices, 1), right, matrices, weights_first)
    return found._replace(experts=math.prod(rhs[d] for d in groups))


def _sparse(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Each stored element meets the free elements of the dense operand, which is the last one."""
    dense = _jax.shape(eqn.invars[-1])
    (_, contract), (_, batch) = _jax.sparse_contraction(eqn)
    used = {*contract, *batch}
    vectors = math.prod(size for d, size in enumerate(dense) if d not in used)
    return Sizes(rows=math.prod(_jax.shape(eqn.invars[0])), columns=1, vectors=vectors, matrices=1)


def _sampled(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """One sum over the contracted elements for each stored element of the output."""
    (contract, _), _ = _jax.contraction(eqn)
    rows = math.prod(_jax.shape(eqn.invars[0])[d] for d in contract)
    return Sizes(rows=rows, columns=1, vectors=math.prod(_jax.shape(eqn.outvars[0])), matrices=1)


def _triangular(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Substitution: each element of the triangle, its diagonal included, meets each right-hand side once."""
    *batch, m, n = _jax.shape(eqn.invars[1])
    side, vectors = (m, n) if _jax.solves_on_the_left(eqn) else (n, m)
    return Sizes(rows=side * (side + 1) // 2, columns=1, vectors=vectors, matrices=math.prod(batch))


def _sizes(rows: int, left: int, right: int, matrices: int, weights_first: bool) -> Sizes:
    columns, vectors = (left, right) if weights_first else (right, left)
    return Sizes(rows=rows, columns=columns, vectors=vectors, matrices=matrices)


def _as_complex(y: jax.Array) -> jax.Array:
    """[..., Re y and then Im y] as complex numbers."""
    real, imag = jnp.split(y, 2, axis=-1)
    return jax.lax.complex(real, imag)


def _as_dtype(y: jax.Array, dtype: Any) -> jax.Array:
    """A product of a core as the function had it: whole numbers rounded to the nearest, True from one half on.

    An unsigned product is not negative, and one of few bits wraps around, as it does in integers.
    """
    if dtype == jnp.bool_:
        return y > 0.5
    if jnp.issubdtype(dtype, jnp.integer):
        y = jnp.round(y)
        y = jnp.maximum(y, 0) if jnp.issubdtype(dtype, jnp.unsignedinteger) else y
        y = y.astype(jnp.int32) if jnp.iinfo(dtype).bits < 32 else y
    return y.astype(dtype)


def _matrices(value: jax.Array, contract: Sequence[int], batch: Sequence[int]) -> jax.Array:
    """An operand of a dot_general as [matrices, free, contracted]."""
    free = [d for d in range(value.ndim) if d not in (*contract, *batch)]
    moved = jnp.transpose(value, (*batch, *free, *contract))
    rows = math.prod(value.shape[d] for d in contract)
    matrices = math.prod(value.shape[d] for d in batch)
    return moved.reshape(matrices, -1, rows)


_SIZES = {
    "product": _dot_general,
    "convolution": _convolution,
    "ragged": _ragged,
    "sparse": _sparse,
    "sampled": _sampled,
    "triangular": _triangular,
}
