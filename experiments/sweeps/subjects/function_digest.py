"""Digests of what a user's function computes: its jaxpr with every constant, and the arrays that it is given.

A jaxpr states all that a function does, in whatever modules its source stands, and nothing else. A comment, or an axis
of a sweep in the same file, does not change it. It does not show the code of host callbacks, so the module's source
counts where there is one.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments.sweeps.subjects.subject import digest

ADDRESS = re.compile(r"0x[0-9a-fA-FX]+")


def jaxpr_digest(function: Callable[..., Any], *args: Any) -> str:
    """Return a digest of what a function computes on arguments of given shapes."""
    closed = jax.make_jaxpr(function)(*args)
    # Functions among the parameters of an equation, such as rules of derivatives, are printed with their addresses.
    text = ADDRESS.sub("", str(closed))
    source = _module_source(function) if "callback" in text else ""
    return digest(text, source, *(_bytes(constant) for constant in _constants(closed)))


def array_digest(tree: Any) -> str:
    """Return a digest of a tree of arrays: names, shapes, types and values."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return digest(*(part for path, leaf in leaves for part in (jax.tree_util.keystr(path), _bytes(leaf))))


def _constants(jaxpr: Any) -> Iterator[Any]:
    """The arrays that a jaxpr holds, and those of the jaxprs inside it, which its text leaves out."""
    yield from getattr(jaxpr, "consts", ())
    for equation in jaxpr.eqns:
        yield from (atom.val for atom in equation.invars if np.ndim(getattr(atom, "val", 0)))
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _constants(inner)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")


def _bytes(array: Any) -> bytes:
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key):
        array = jax.random.key_data(array)
    values = np.asarray(array)
    return f"{values.dtype} {values.shape} ".encode() + values.tobytes()


def _module_source(function: Callable[..., Any]) -> str:
    """The source of the module that defines a function; empty where there is none, as at a prompt."""
    module = inspect.getmodule(function)
    try:
        return "" if module is None else inspect.getsource(module)
    except OSError:
        return ""
