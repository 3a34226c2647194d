"""What is refused before anything is compiled, each with one clear message. Traced values cannot be looked at."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optics import _jax


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


def product(x: Any, w: Any) -> tuple[jax.Array, jax.Array]:
    """x [..., rows] and w [rows, columns] as arrays; ValueError unless they can be multiplied on a core."""
    x, w = jnp.asarray(x), jnp.asarray(w)
    shapes = f"x has shape {x.shape} and w {w.shape}"
    if x.ndim < 1 or w.ndim != 2 or x.shape[-1] != w.shape[0]:
        raise ValueError(f"x must be [..., rows] and w [rows, columns] with the same rows; {shapes}")
    if 0 in (*x.shape, *w.shape):
        raise ValueError(f"every dimension must be at least 1; {shapes}")
    if x.dtype != jnp.float32 or w.dtype != jnp.float32:
        raise ValueError(f"x and w must be float32; x has {x.dtype} and w {w.dtype}")
    finite("w", w)
    return x, w
