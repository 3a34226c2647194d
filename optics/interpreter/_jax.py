"""Every use of JAX's internals stands here: they differ between releases, so one file follows them."""

from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxprs_in_params
from jax.extend.core import primitives as p

__all__ = [
    "ClosedJaxpr",
    "Jaxpr",
    "JaxprEqn",
    "Literal",
    "bind",
    "contains_product",
    "is_product",
    "jaxprs_inside",
    "kind",
    "opened",
    "scope",
    "selection",
]

_KINDS = {
    p.dot_general_p: "product",
    p.conv_general_dilated_p: "convolution",
    p.jit_p: "call",
    p.remat_p: "remat",
    p.custom_jvp_call_p: "custom_jvp",
    p.custom_vjp_call_p: "custom_vjp",
    p.scan_p: "scan",
    p.while_p: "while_loop",
    p.cond_p: "cond",
    p.closed_call_p: "call",
    p.triangular_solve_p: "triangular",
}
# jax.extend does not export these primitives.
_KINDS_BY_NAME = {
    "ragged_dot_general": "ragged",
    "bcoo_dot_general": "sparse",
    "bcsr_dot_general": "sparse",
    "coo_matvec": "sparse",
    "coo_matmat": "sparse",
    "csr_matvec": "sparse",
    "csr_matmat": "sparse",
    "bcoo_dot_general_sampled": "sampled",
}
_PRODUCTS = frozenset({"product", "convolution", "triangular", "ragged", "sparse", "sampled"})
# The operands [first, end) of a primitive that select elements of its other operands; None: to the last.
_SELECTORS = {
    "select_n": (0, 1),
    "gather": (1, None),
    "dynamic_slice": (1, None),
    "dynamic_update_slice": (2, None),
    **{f"scatter{how}": (1, 2) for how in ("", "-add", "-sub", "-mul", "-min", "-max")},
}


def kind(eqn: JaxprEqn) -> str:
    """What the interpreter must know of an equation; "other" is bound as it stands."""
    return _KINDS.get(eqn.primitive) or _KINDS_BY_NAME.get(eqn.primitive.name, "other")


def is_product(eqn: JaxprEqn) -> bool:
    """Whether the equation multiplies two arrays and sums."""
    return kind(eqn) in _PRODUCTS


def selection(eqn: JaxprEqn, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Split what is given for each operand into (that of the operands that select elements, that of the others)."""
    first, end = _SELECTORS.get(eqn.primitive.name, (0, 0))
    end = len(values) if end is None else end
    return [*values[first:end]], [*values[:first], *values[end:]]


def scope(eqn: JaxprEqn) -> str:
    """The outermost `jax.named_scope` that the equation was written in, inside its own jaxpr; "" for none.

    A transformation writes itself around the name, as vmap(norms) or transpose(jvp(norms)), or stands alone as vmap().
    """
    for part in str(eqn.source_info.name_stack).split("/"):
        if name := part.rpartition("(")[2].rstrip(")"):
            return name
    return ""


def opened(jaxpr: ClosedJaxpr | Jaxpr) -> tuple[Jaxpr, Sequence[Any]]:
    """A jaxpr and the values of its constants."""
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())


def inner_jaxpr(eqn: JaxprEqn) -> ClosedJaxpr | Jaxpr:
    """The body of a call, remat, custom_jvp or custom_vjp equation."""
    return eqn.params["call_jaxpr"] if "call_jaxpr" in eqn.params else eqn.params["jaxpr"]


def bind(eqn: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    """The equation applied to other values, custom derivative rules kept."""
    out = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return list(out) if eqn.primitive.multiple_results else [out]


def jaxprs_inside(eqn: JaxprEqn) -> list[Jaxpr]:
    """The jaxprs that a call, a loop or a branch runs. Those of other primitives say what is done to each element."""
    match kind(eqn):
        case "call" | "remat" | "custom_jvp" | "custom_vjp":
            return [opened(inner_jaxpr(eqn))[0]]
        case "scan" | "while_loop" | "cond":
            return list(jaxprs_in_params(eqn.params))
        case _:
            return []


def contains_product(eqn: JaxprEqn) -> bool:
    """Whether a product stands anywhere inside the equation's own jaxprs."""
    return any(is_product(inner) for jaxpr in jaxprs_in_params(eqn.params) for inner in _all_equations(jaxpr))


def _all_equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from _all_equations(inner)
