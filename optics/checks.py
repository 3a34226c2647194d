"""What is refused before anything is compiled, each with one clear message. Traced values cannot be looked at."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from electronics.numerics import _jax


def has(core: Any, method: str) -> None:
    """Raises TypeError where something else stands in a core's place."""
    if not callable(getattr(core, method, None)) or isinstance(core, type):
        hint = "; call it to make the core" if callable(core) else ""
        raise TypeError(f"a core with a method {method!r} is needed, such as optics.today(); got {core!r}{hint}")


def finite(what: str, tree: Any) -> None:
    """Raises ValueError naming the first array of the tree that holds a NaN or an infinity."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        # NumPy looks at it, not JAX: inside a jit even the operations on a concrete array are traced.
        if _jax.is_concrete(leaf) and not np.all(np.isfinite(leaf)):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(f"{what} must be finite: there is a NaN or an infinity{f' in {name}' if name else ''}")


def finite_weights(weights: Mapping[str, Any]) -> None:
    """As `finite`, of weights by the name of the argument that holds them."""
    for argument, arrays in weights.items():
        finite(f"{argument}, the weights,", arrays)


def product(x: Any, w: Any) -> tuple[jax.Array, jax.Array]:
    """x [..., rows] and w [rows, columns] as arrays; ValueError unless they can be multiplied on a core.

    Those that are spread over explicit axes of a mesh come back whole: a core's tiles, and what a receiver keeps of the
    vector before, cut across the shards. Arrays on automatic axes stay as they are.
    """
    x, w = jnp.asarray(x), jnp.asarray(w)
    shapes = f"x has shape {x.shape} and w {w.shape}"
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(f"x must be [..., rows] and w [rows, columns] with the same rows; {shapes}")
    if 0 in (*x.shape, *w.shape):
        raise ValueError(f"every dimension must be at least 1; {shapes}")
    if x.dtype != jnp.float32 or w.dtype != jnp.float32:
        raise ValueError(f"x and w must be float32; x has {x.dtype} and w {w.dtype}")
    finite("w", w)
    return _jax.unsharded(x), _jax.unsharded(w)


def weights(w: Any) -> jax.Array:
    """w [rows, columns] as an array; ValueError unless it can be put on a mask."""
    w = jnp.asarray(w)
    if w.ndim != 2 or 0 in w.shape or w.dtype != jnp.float32:
        raise ValueError(f"w must be float32 [rows, columns], each at least 1; it has shape {w.shape} and {w.dtype}")
    finite("w", w)
    return _jax.unsharded(w)


def inputs(x: Any, rows: int) -> jax.Array:
    """x [..., rows] as an array; ValueError unless it can be sent through a matrix of so many rows."""
    x = jnp.asarray(x)
    if x.ndim < 1 or x.shape[-1] != rows or 0 in x.shape or x.dtype != jnp.float32:
        raise ValueError(
            f"x must be float32 [..., {rows}] for the matrix that is loaded, each dimension at least 1; "
            f"it has shape {x.shape} and {x.dtype}"
        )
    return _jax.unsharded(x)


def above(name: str, value: Any, least: float) -> None:
    """Raises ValueError unless an argument is a finite number above `least`, wherever it is known."""
    _numeric(name, value)
    if anywhere(value, lambda given: ~(np.isfinite(given) & (given > least))):
        raise ValueError(f"{name} = {stated(value)} must be a finite number above {least:g}")


def between(name: str, value: Any, least: float, most: float) -> None:
    """Raises ValueError unless an argument is a number from `least` to `most`, wherever it is known."""
    _numeric(name, value)
    if anywhere(value, lambda given: ~((given >= least) & (given <= most))):
        raise ValueError(f"{name} = {stated(value)} must be between {least:g} and {most:g}")


def stated(value: Any) -> str:
    """An argument in a message: of many numbers their range."""
    if isinstance(value, Tracer) or np.size(value) < 2:
        return str(value)
    return f"{np.min(value):g} to {np.max(value):g}"


def _numeric(name: str, value: Any) -> None:
    if not isinstance(value, Tracer) and np.asarray(value).dtype.kind not in "fiu":
        raise ValueError(f"{name} = {value!r} must be a number")


def anywhere(values: Any, wrong: Any) -> bool:
    """Whether `wrong` holds anywhere; of traced values nobody knows."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values)):
        return False
    return bool(np.any(wrong(jax.tree.map(np.asarray, values))))
