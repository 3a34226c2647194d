"""The size of each kind of product, from the shapes of its operands."""

import math

import jax.numpy as jnp

from optics.interpreter import _jax
from optics.interpreter._jax import JaxprEqn

Sizes = dict[str, int]


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
        found |= {"rows": 2 * found["rows"], "columns": 2 * found["columns"]}
    return found


def is_complex(eqn: JaxprEqn) -> bool:
    """Whether an operand of a product is complex."""
    return any(jnp.issubdtype(eqn.invars[side].aval.dtype, jnp.complexfloating) for side in operands(eqn))


def _dot_general(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    (contract, _), (batch, _) = eqn.params["dimension_numbers"]
    left, right = (math.prod(atom.aval.shape) for atom in eqn.invars)
    lhs = eqn.invars[0].aval.shape
    rows, matrices = math.prod(lhs[d] for d in contract), math.prod(lhs[d] for d in batch)
    shared = max(rows * matrices, 1)
    return _sizes(rows, left // shared, right // shared, matrices, weights_first)


def _convolution(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    kernel, out = eqn.invars[1].aval.shape, eqn.outvars[0].aval.shape
    columns = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
    rows = math.prod(kernel) // max(columns, 1)
    return {"rows": rows, "columns": columns, "vectors": math.prod(out) // max(columns, 1), "matrices": 1}


def _ragged(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Each row of the left operand meets one group of the right one, so the groups multiply nothing."""
    numbers = eqn.params["ragged_dot_dimension_numbers"]
    (contract, other), (batch, other_batch) = numbers.dot_dimension_numbers
    lhs, rhs = (atom.aval.shape for atom in eqn.invars[:2])
    rows, matrices = math.prod(lhs[d] for d in contract), math.prod(lhs[d] for d in batch)
    shared = {*other, *other_batch, *numbers.rhs_group_dimensions}
    right = math.prod(size for d, size in enumerate(rhs) if d not in shared)
    return _sizes(rows, math.prod(lhs) // max(rows * matrices, 1), right, matrices, weights_first)


def _sparse(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Each stored element meets the free elements of the dense operand, which is the last one."""
    dense = eqn.invars[-1].aval.shape
    if "dimension_numbers" in eqn.params:
        (_, contract), (_, batch) = eqn.params["dimension_numbers"]
        used = {*contract, *batch}
    else:
        used = {0}
    vectors = math.prod(size for d, size in enumerate(dense) if d not in used)
    return {"rows": math.prod(eqn.invars[0].aval.shape), "columns": 1, "vectors": vectors, "matrices": 1}


def _sampled(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """One sum over the contracted elements for each stored element of the output."""
    (contract, _), _ = eqn.params["dimension_numbers"]
    rows = math.prod(eqn.invars[0].aval.shape[d] for d in contract)
    return {"rows": rows, "columns": 1, "vectors": math.prod(eqn.outvars[0].aval.shape), "matrices": 1}


def _triangular(eqn: JaxprEqn, weights_first: bool) -> Sizes:
    """Substitution: each element of the triangle, its diagonal included, meets each right-hand side once."""
    *batch, m, n = eqn.invars[1].aval.shape
    side, vectors = (m, n) if eqn.params["left_side"] else (n, m)
    return {"rows": side * (side + 1) // 2, "columns": 1, "vectors": vectors, "matrices": math.prod(batch)}


def _sizes(rows: int, left: int, right: int, matrices: int, weights_first: bool) -> Sizes:
    columns, vectors = (left, right) if weights_first else (right, left)
    return {"rows": rows, "columns": columns, "vectors": vectors, "matrices": matrices}


_SIZES = {
    "product": _dot_general,
    "convolution": _convolution,
    "ragged": _ragged,
    "sparse": _sparse,
    "sampled": _sampled,
    "triangular": _triangular,
}
