"""Jaxprs as typed records: every read of an equation's parameters and every JAX internal that the interpreter needs.

Both differ between JAX releases, so only this file follows them.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr as ClosedJaxpr
from jax.extend.core import Jaxpr as Jaxpr
from jax.extend.core import JaxprEqn as JaxprEqn
from jax.extend.core import Literal as Literal
from jax.extend.core import jaxprs_in_params
from jax.extend.core import primitives as p

from optics.equations.records import Cond, Contraction, ConvolutionNumbers, Ragged, Remat, Scan, ShardMap, WhileLoop

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
    "shard_map": "shard_map",
    # Inlined where something in them runs on a core: their other rules are of the exact function.
    "composite": "call",
    "custom_vmap_call": "call",
}
# Parts of the names of primitives that do products in no jaxpr, and primitives that run what is not JAX.
_FUSED = ("dot_product_attention", "scaled_matmul", "cudnn")
_OUTSIDE = frozenset({"pure_callback", "io_callback", "ffi_call"})
# Start of the checkpoint name of weights that no argument holds, as of those that a callback reads.
WEIGHTS = "weights: "
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
    return _KINDS.get(eqn.primitive) or _KINDS_BY_NAME.get(name(eqn), "other")


def is_product(eqn: JaxprEqn) -> bool:
    """Whether the equation multiplies two arrays and sums."""
    return kind(eqn) in _PRODUCTS


def selection(eqn: JaxprEqn, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Split what is given for each operand into (that of the operands that select elements, that of the others)."""
    first, end = _SELECTORS.get(name(eqn), (0, 0))
    end = len(values) if end is None else end
    return [*values[first:end]], [*values[:first], *values[end:]]


def weights_named(eqn: JaxprEqn) -> str:
    """The path of weights that the function itself names with `jax.ad_checkpoint.checkpoint_name`; "" of others."""
    return eqn.params["name"].partition(WEIGHTS)[2] if name(eqn) == "name" else ""


def scope(eqn: JaxprEqn) -> str:
    """The outermost `jax.named_scope` that the equation was written in, inside its own jaxpr; "" for none.

    A transformation writes itself around the name, as vmap(norms) or transpose(jvp(norms)), or stands alone as vmap().
    """
    for part in str(eqn.source_info.name_stack).split("/"):
        if found := part.rpartition("(")[2].rstrip(")"):
            return found
    return ""


def opened(jaxpr: ClosedJaxpr | Jaxpr) -> tuple[Jaxpr, Sequence[Any]]:
    """A jaxpr and the values of its constants."""
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (jaxpr, ())


def call_body(eqn: JaxprEqn) -> ClosedJaxpr | Jaxpr:
    """The body of a call, remat, custom_jvp, custom_vjp or shard_map equation."""
    return next(eqn.params[name] for name in ("call_jaxpr", "jaxpr", "call") if name in eqn.params)


def shape(atom: Any) -> tuple[int, ...]:
    """The shape of a variable or a literal."""
    return atom.aval.shape


def dtype(atom: Any) -> Any:
    """The dtype of a variable or a literal: NumPy's, or an extended one such as a key's."""
    return atom.aval.dtype


def name(eqn: JaxprEqn) -> str:
    """The name of the primitive."""
    return eqn.primitive.name


def scan(eqn: JaxprEqn) -> Scan:
    """The parameters of a "scan"."""
    p = eqn.params
    return Scan(p["length"], p["num_consts"], p["num_carry"], p["reverse"], p["unroll"], p["jaxpr"])


def while_loop(eqn: JaxprEqn) -> WhileLoop:
    """The parameters of a "while_loop"."""
    p = eqn.params
    return WhileLoop(p["cond_nconsts"], p["body_nconsts"], p["cond_jaxpr"], p["body_jaxpr"])


def cond(eqn: JaxprEqn) -> Cond:
    """The parameters of a "cond"."""
    return Cond(eqn.params["branches"])


def remat(eqn: JaxprEqn) -> Remat:
    """The parameters of a "remat"."""
    return Remat(eqn.params["prevent_cse"], eqn.params["policy"])


def repeats(eqn: JaxprEqn) -> int:
    """How many steps of a "scan", or shards of a "shard_map", run its body; 1 for any other equation."""
    match kind(eqn):
        case "scan":
            return eqn.params["length"]
        case "shard_map":
            mapped = shard_map(eqn)
            return math.prod(mapped.mesh.shape[axis] for axis in mapped.axes)
        case _:
            return 1


def shard_map(eqn: JaxprEqn) -> ShardMap:
    """The parameters of a "shard_map"."""
    p = eqn.params
    axes = tuple(axis for axis in p["mesh"].axis_names if axis in p["newly_manual_axes"])
    return ShardMap(p["mesh"], axes, p["in_specs"], p["out_specs"], p["check_vma"])


def contraction(eqn: JaxprEqn) -> Contraction:
    """The dimensions of a "product", and of "sparse" and "sampled" ones that state them."""
    return Contraction(*eqn.params["dimension_numbers"])


def sparse_contraction(eqn: JaxprEqn) -> Contraction:
    """The dimensions of a "sparse" product; one without any is that of a matrix with a vector or a matrix."""
    return contraction(eqn) if "dimension_numbers" in eqn.params else Contraction(((1,), (0,)), ((), ()))


def ragged(eqn: JaxprEqn) -> Ragged:
    """The dimensions of a "ragged" product."""
    numbers = eqn.params["ragged_dot_dimension_numbers"]
    (ragged_dimension,) = numbers.lhs_ragged_dimensions
    return Ragged(Contraction(*numbers.dot_dimension_numbers), ragged_dimension, numbers.rhs_group_dimensions)


def convolution(eqn: JaxprEqn) -> ConvolutionNumbers:
    """The parameters of a "convolution"."""
    p, layout = eqn.params, eqn.params["dimension_numbers"]
    return ConvolutionNumbers(
        strides=p["window_strides"],
        padding=p["padding"],
        input_dilation=p["lhs_dilation"],
        kernel_dilation=p["rhs_dilation"],
        feature_groups=p["feature_group_count"],
        batch_groups=p["batch_group_count"],
        input_layout=layout.lhs_spec,
        kernel_layout=layout.rhs_spec,
        out_layout=layout.out_spec,
    )


def solves_on_the_left(eqn: JaxprEqn) -> bool:
    """Whether a "triangular" equation solves a x = b; else x a = b."""
    return eqn.params["left_side"]


def axes(eqn: JaxprEqn) -> tuple[int, ...]:
    """The axes of a reduction."""
    return tuple(eqn.params["axes"])


def dimension(eqn: JaxprEqn) -> int:
    """The dimension along which an iota counts, a concatenation joins, or a sort sorts."""
    return eqn.params["dimension"]


def exponent(eqn: JaxprEqn) -> int:
    """The exponent of an integer_pow."""
    return eqn.params["y"]


def broadcast_dimensions(eqn: JaxprEqn) -> Sequence[int]:
    """The output's dimension for each dimension of the operand of a broadcast_in_dim."""
    return eqn.params["broadcast_dimensions"]


def reshapes_plainly(eqn: JaxprEqn) -> bool:
    """Whether a reshape keeps the order of the elements."""
    return eqn.params.get("dimensions") is None


def permutation(eqn: JaxprEqn) -> Sequence[int]:
    """The permutation of a transpose."""
    return eqn.params["permutation"]


def reversed_dimensions(eqn: JaxprEqn) -> tuple[int, ...]:
    """The dimensions that a rev reverses."""
    return tuple(eqn.params["dimensions"])


def slices(eqn: JaxprEqn) -> tuple[slice, ...]:
    """What a slice takes of each dimension."""
    starts, limits = eqn.params["start_indices"], eqn.params["limit_indices"]
    strides = eqn.params["strides"] or [1] * len(starts)
    return tuple(slice(*each) for each in zip(starts, limits, strides, strict=True))


def bind(eqn: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    """The equation applied to other values, custom derivative rules kept."""
    out = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return list(out) if eqn.primitive.multiple_results else [out]


def jaxprs_inside(eqn: JaxprEqn) -> list[Jaxpr]:
    """The jaxprs that a call, a loop or a branch runs. Those of other primitives say what is done to each element."""
    match kind(eqn):
        case "call" | "remat" | "custom_jvp" | "custom_vjp" | "shard_map":
            return [opened(call_body(eqn))[0]]
        case "scan" | "while_loop" | "cond":
            return list(jaxprs_in_params(eqn.params))
        case _:
            return []


def holds_product(eqn: JaxprEqn) -> bool:
    """Whether a product stands anywhere inside the equation's own jaxprs, or in the kernel that it calls."""
    inside = (inner for jaxpr in jaxprs_in_params(eqn.params) for inner in _all_equations(jaxpr))
    return any(part in name(eqn) for part in _FUSED) or any(map(is_product, inside))


def is_outside(eqn: JaxprEqn) -> bool:
    """Whether the equation calls what is not written in JAX, which may do products; whole numbers alone choose rows."""
    return name(eqn) in _OUTSIDE and not all(dtype(value).kind in "iu" for value in eqn.invars)


def _all_equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jaxprs_in_params(eqn.params):
            yield from _all_equations(inner)
