"""Element-wise operations of a function, counted from its jaxpr. The function is never run."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from optics.equations import _jax
from optics.equations._jax import Jaxpr, JaxprEqn
from optics.interpreter.causal import Body, analysed

UNNAMED = "element-wise"
# Two multiply-adds after a table: quadratic interpolation, as the special function units of GPUs do it (Oberman and
# Siu, A high-performance area-efficient multifunction interpolator, IEEE ARITH 2005).
SPECIAL_COST = 4
SPECIAL = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "digamma", "div", "erf",
    "erf_inv", "erfc", "exp", "exp2", "expm1", "lgamma", "log", "log1p", "logistic", "pow", "rem", "rsqrt", "sin",
    "sinh", "sqrt", "tan", "tanh",
})  # fmt: skip
REDUCTIONS = frozenset({
    "argmax", "argmin", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "top_k",
})  # fmt: skip
MOVES = frozenset({
    "bitcast_convert_type", "broadcast_in_dim", "broadcast_to", "concatenate", "convert_element_type", "copy",
    "copy_p", "device_put", "dynamic_slice", "dynamic_update_slice", "expand_dims", "gather", "iota",
    "layout_constraint", "name", "optimization_barrier", "pad", "pvary", "random_bits", "reduce_precision", "reshape",
    "reshard", "rev", "scatter", "select_n", "sharding_constraint", "slice", "split", "squeeze", "stack",
    "stop_gradient", "tile", "transpose", "unstack",
})  # fmt: skip
# One operation for each number that comes out.
ARITHMETIC = frozenset({
    "abs", "add", "add_any", "and", "bessel_i0e", "bessel_i1e", "ceil", "clamp", "clz", "complex", "conj", "eq",
    "eq_to", "floor", "ge", "gt", "igamma", "igamma_grad_a", "igammac", "imag", "integer_pow", "is_finite", "le",
    "le_to", "lt", "lt_to", "max", "min", "mul", "mulhi", "ne", "neg", "nextafter", "not", "or", "polygamma",
    "population_count", "real", "reciprocal", "regularized_incomplete_beta", "round", "select_and_gather_add",
    "select_and_scatter", "select_and_scatter_add", "shift_left", "shift_right_arithmetic", "shift_right_logical",
    "sign", "sort", "square", "sub", "xor", "zeta",
})  # fmt: skip
KNOWN = SPECIAL | REDUCTIONS | MOVES | ARITHMETIC
KNOWN_FAMILIES = ("random_", "threefry", "reduce", "scatter")


class UnknownPrimitiveWarning(UserWarning):
    """Operations of a primitive that is not known are counted by a rule of thumb."""


def count_elementwise_ops(fun: Callable, *, causal: bool | None = None) -> Callable[..., dict[str, float]]:
    """A function of fun's arguments that counts its operations outside products, by the name they are done under.

    The name is the outermost `jax.named_scope`; operations under none are "element-wise". An addition, a
    multiplication or a comparison of two numbers is one operation, a special function (exp, a division, ...) four, a
    reduction one for each number that goes in; to move data or draw random bits counts nothing here. Of a `cond` all
    branches are counted, a `while` for one step. Numbers that a mask hides are not counted, as the scores that a causal
    attention does not see; `causal` is that of `optics.trace`. A primitive that is not known counts one for each number
    that comes out, with a warning that names it. Works on `jax.ShapeDtypeStruct` as well as on arrays.
    """

    def counted(*args: Any, **kwargs: Any) -> dict[str, float]:
        found: Counter[str] = Counter()
        closed = jax.make_jaxpr(lambda *a: fun(*a, **kwargs))(*args)
        _warn_of_unknown(closed.jaxpr)
        _visit(analysed(closed.jaxpr, closed.consts, bool(causal)), "", 1, found, hidden=causal is not False)
        return {name: float(count) for name, count in found.items()}

    return counted


def is_known(eqn: JaxprEqn) -> bool:
    """Whether a primitive is element-wise work, a reduction or a movement that is known here."""
    return _jax.name(eqn) in KNOWN or _jax.name(eqn).startswith(KNOWN_FAMILIES)


def _warn_of_unknown(jaxpr: Jaxpr) -> None:
    if unknown := sorted(set(_unknown(jaxpr))):
        warnings.warn(
            f"primitives that are not known count one operation per output element: {', '.join(unknown)}",
            UnknownPrimitiveWarning,
            stacklevel=3,
        )


def _unknown(jaxpr: Jaxpr) -> Iterator[str]:
    for eqn in jaxpr.eqns:
        inner = _jax.jaxprs_inside(eqn)
        for each in inner:
            yield from _unknown(each)
        if not inner and not is_known(eqn) and _operations(eqn):
            yield _jax.name(eqn)


def _visit(body: Body, outer: str, times: int, found: Counter[str], hidden: bool) -> None:
    for number, eqn in enumerate(body.jaxpr.eqns):
        name = outer or _jax.scope(eqn)
        inner = body.inner.get(number, [])
        steps = times * _jax.repeats(eqn)
        for each in inner:
            _visit(each, name, steps, found, hidden)
        if not inner and (count := _operations(eqn)):
            # A whole number where nothing is hidden, and nearly so where something is.
            share = body.counted.get(number, 1.0) if hidden else 1.0
            found[name or UNNAMED] += times * round(count * share)


def _operations(eqn: JaxprEqn) -> int:
    primitive = _jax.name(eqn)
    moves = primitive in MOVES or primitive.startswith(("random_", "threefry"))
    if _jax.is_product(eqn) or moves or not eqn.outvars or not any(map(_is_real, (*eqn.invars, *eqn.outvars))):
        return 0
    taken, given = math.prod(_jax.shape(eqn.invars[0])) if eqn.invars else 0, math.prod(_jax.shape(eqn.outvars[0]))
    if primitive == "reduce" or primitive.startswith("reduce_") or primitive in REDUCTIONS:
        return taken
    if primitive.startswith("scatter"):
        return math.prod(_jax.shape(eqn.invars[-1]))
    if primitive == "sort":
        return taken * math.ceil(math.log2(max(2, _jax.shape(eqn.invars[0])[_jax.dimension(eqn)])))
    if primitive == "integer_pow":
        return given * max(1, abs(_jax.exponent(eqn)) - 1)
    return given * (SPECIAL_COST if primitive in SPECIAL else 1)


def _is_real(atom: Any) -> bool:
    return jnp.issubdtype(_jax.dtype(atom), jnp.inexact)
