"""Values that a jaxpr makes from nothing or from captured arrays, folded with NumPy without running anything."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optics.equations import _jax
from optics.equations._jax import JaxprEqn

LARGEST = 2**27
"""The most entries, repeated ones apart, of a value that is folded: 128 MiB of a mask."""


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if np.issubdtype(a.dtype, np.integer):
        return np.sign(a) * np.sign(b) * (np.abs(a) // np.maximum(np.abs(b), 1))
    return np.true_divide(a, b)


ELEMENTWISE = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.bitwise_and,
    "ceil": np.ceil,
    "div": _divided,
    "eq": np.equal,
    "exp": np.exp,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "log": np.log,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "rem": np.fmod,
    "sign": np.sign,
    "square": np.square,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}
SAME = frozenset({"convert_element_type", "copy", "copy_p", "reduce_precision", "stop_gradient"})
REDUCTIONS = {
    "reduce_and": np.all,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_or": np.any,
    "reduce_sum": np.sum,
}


def constant(value: Any) -> np.ndarray | None:
    """A captured array or a literal as NumPy has it; None for a key, a traced value, or one that is too large."""
    try:
        found = np.asarray(value)
    except Exception:  # noqa: BLE001, a tracer or an extended type refuses in a way of its own
        return None
    numeric = found.dtype.kind in "biuf" or found.dtype.name.startswith(("bfloat", "float8"))
    return found if numeric and once(found, range(found.ndim)).size <= LARGEST else None


def fold(eqn: JaxprEqn, operands: Sequence[np.ndarray]) -> np.ndarray | None:
    """The output of an equation of one output, given all its operands; None where nobody says how, or it is too large.

    Axes along which all operands repeat are repeated in the result too, at no memory.
    """
    name, shape, dtype = _jax.name(eqn), _jax.shape(eqn.outvars[0]), _jax.dtype(eqn.outvars[0])
    with np.errstate(all="ignore"):
        if name == "iota":
            line = [1] * len(shape)
            line[_jax.dimension(eqn)] = -1
            steps = np.arange(shape[_jax.dimension(eqn)]).astype(dtype)
            return np.broadcast_to(steps.reshape(line), shape)
        if name in ELEMENTWISE:
            found = together(ELEMENTWISE[name], operands, shape)
        elif name in SAME:
            found = operands[0]
        elif name == "select_n" and operands[0].dtype == bool:
            found = together(np.where, [operands[0], operands[2], operands[1]], shape)
        elif name in REDUCTIONS:
            small = operands[0].size <= LARGEST
            found = REDUCTIONS[name](operands[0], axis=_jax.axes(eqn)) if small else None
        elif name == "concatenate":
            found = joined(operands, _jax.dimension(eqn))
        else:
            found = moved(eqn, operands[0]) if len(operands) == 1 else None
        return found if found is None or found.dtype == dtype else as_type(found, dtype)


def together(function: Any, arrays: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray | None:
    """An element-wise function of arrays that broadcast to `shape`, once along axes that all of them repeat."""
    full = [np.broadcast_to(array, shape) for array in arrays]
    cut = tuple(slice(None) if any(a.strides[d] for a in full) else slice(1) for d in range(len(shape)))
    small = [array[cut] for array in full]
    if small[0].size > LARGEST:
        return None
    return np.broadcast_to(function(*small), shape)


def as_type(array: np.ndarray, dtype: Any) -> np.ndarray:
    """The array as another type, repeated where it was."""
    found = together(lambda a: a.astype(dtype), [array], array.shape)
    return array.astype(dtype) if found is None else found


def joined(arrays: Sequence[np.ndarray], axis: int) -> np.ndarray | None:
    """Arrays one after the other along an axis; None where that is too much."""
    return np.concatenate(arrays, axis=axis) if sum(array.size for array in arrays) <= LARGEST else None


def moved(eqn: JaxprEqn, array: np.ndarray) -> np.ndarray | None:
    """The entries of an operand where an equation that only moves them puts them; None for any other equation."""
    shape = _jax.shape(eqn.outvars[0])
    match _jax.name(eqn):
        case "broadcast_in_dim":
            apart = [1] * len(shape)
            for here, there in enumerate(_jax.broadcast_dimensions(eqn)):
                apart[there] = array.shape[here]
            return np.broadcast_to(array.reshape(apart), shape)
        case "reshape" if _jax.reshapes_plainly(eqn):
            return reshaped(array, shape)
        case "squeeze" | "expand_dims":
            return array.reshape(shape)
        case "transpose":
            return array.transpose(_jax.permutation(eqn))
        case "rev":
            return np.flip(array, _jax.reversed_dimensions(eqn))
        case "slice":
            return array[_jax.slices(eqn)]
        case _:
            return None


def moved_back(eqn: JaxprEqn, array: np.ndarray) -> np.ndarray | None:
    """Of a bool at each entry of the output, whether it holds at any of those that an operand's entry went to.

    None where nobody says how.
    """
    shape = _jax.shape(eqn.invars[0])
    match _jax.name(eqn):
        case "broadcast_in_dim":
            kept = list(_jax.broadcast_dimensions(eqn))
            repeated = tuple(d for d in range(array.ndim) if d not in kept or shape[kept.index(d)] < array.shape[d])
            return anywhere(array, repeated).reshape(shape)
        case "reshape" if _jax.reshapes_plainly(eqn):
            return reshaped(array, shape)
        case "squeeze" | "expand_dims":
            return array.reshape(shape)
        case "transpose":
            return array.transpose(np.argsort(_jax.permutation(eqn)))
        case _:
            return None


def reshaped(array: np.ndarray, shape: Sequence[int]) -> np.ndarray | None:
    """The array in another shape; None where that would copy too much of it."""
    whole = [n for n in shape if n != 1] == [n for n in array.shape if n != 1]
    return array.reshape(shape) if whole or array.size <= LARGEST else None


def anywhere(array: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Whether it holds at any entry along the axes, which stay with one entry each."""
    shape = tuple(1 if d in axes else n for d, n in enumerate(array.shape))
    return np.broadcast_to(np.any(once(array, range(array.ndim)), axis=tuple(axes), keepdims=True), shape)


def everywhere(array: np.ndarray, axes: Sequence[int]) -> np.ndarray | None:
    """Whether it holds at all entries along the axes, which go; None where it never does."""
    shape = tuple(n for d, n in enumerate(array.shape) if d not in axes)
    found = np.all(once(array, range(array.ndim)), axis=tuple(axes), keepdims=True)
    kept = found.reshape([n for d, n in enumerate(found.shape) if d not in axes])
    return np.broadcast_to(kept, shape) if np.any(kept) else None


def once(array: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """The array with one entry along those of the axes that it repeats."""
    cut = tuple(slice(1) if d in axes and not array.strides[d] else slice(None) for d in range(array.ndim))
    return array[cut]


def share(array: np.ndarray) -> float:
    """Share of the entries that hold."""
    small = once(array, range(array.ndim))
    return float(np.count_nonzero(small)) / max(math.prod(small.shape), 1)
