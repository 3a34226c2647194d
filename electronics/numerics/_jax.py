"""All uses of JAX internals in `electronics`, which differ between releases of JAX."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax._src import core as jax_core
from jax._src import linear_util
from jax._src.api_util import debug_info, flatten_fun_nokwargs
from jax._src.interpreters import ad as ad_rules
from jax._src.interpreters import mlir as mlir_rules
from jax._src.interpreters import partial_eval
from jax.core import Tracer
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxlib.mlir import ir


def bilinear(name: str, function: Callable[..., jax.Array], to_first: Callable, to_second: Callable) -> Callable:
    """A bilinear function of two arrays and static keywords with custom transposes.

    It differentiates in both modes and as many times as the transposes do, traces and vmaps.

    Args:
        name: of the primitive.
        function: of (a, b, **keywords).
        to_first: (cotangent, a, b, **keywords) -> cotangent of `a`, whose value is not available.
        to_second: the same for `b`.
    """
    primitive = Primitive(name)
    primitive.def_impl(lambda a, b, **keywords: _compiled(function, tuple(keywords.items()), a, b))
    primitive.def_abstract_eval(partial(_shape, function))
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    ad.defbilinear(primitive, to_first, to_second)
    batching.primitive_batchers[primitive] = partial(_batched, function)
    return primitive.bind


@partial(jax.jit, static_argnums=(0, 1))
def _compiled(function: Callable, keywords: tuple[tuple[str, Any], ...], a: jax.Array, b: jax.Array) -> jax.Array:
    return function(a, b, **dict(keywords))


def _shape(function, a, b, **keywords):
    shaped = (jax.ShapeDtypeStruct(operand.shape, operand.dtype) for operand in (a, b))
    found = jax.eval_shape(partial(function, **keywords), *shaped)
    return a.update(shape=found.shape, dtype=found.dtype)


def _batched(function, arguments, axes, **keywords):
    return jax.vmap(partial(function, **keywords), in_axes=axes)(*arguments), 0


def _call_primitive(name: str) -> Any:
    """A primitive that calls a function, with the rules of JAX's own `closed_call`."""
    primitive = jax_core.ClosedCallPrimitive(name)
    primitive.def_impl(jax_core.call_impl)

    def transpose(cotangents, *args, call_jaxpr, **params):
        jaxpr = partial_eval.convert_constvars_jaxpr(call_jaxpr.jaxpr)
        ad_rules.call_transpose_fancy(primitive, cotangents, *call_jaxpr.consts, *args, call_jaxpr=jaxpr, **params)

    ad_rules.fancy_transposes[primitive] = transpose
    rule: Any = partial(partial_eval.closed_call_partial_eval_custom_rule, "call_jaxpr", lambda *args: args[-2:])
    partial_eval.partial_eval_jaxpr_custom_rules[primitive] = rule
    partial_eval.dce_rules[primitive] = partial_eval.dce_jaxpr_closed_call_rule
    return primitive


def _bind_call(primitive: Any, function: Callable, operands: tuple[Any, ...]) -> Any:
    flat, structure = jax.tree.flatten(operands)
    wrapped = linear_util.wrap_init(function, debug_info=debug_info(primitive.name, function, operands, {}))
    flat_function, out_structure = flatten_fun_nokwargs(wrapped, structure)
    results = primitive.bind(*flat, subfuns=(flat_function,))
    return jax.tree.unflatten(out_structure(), results)


def _closed(jaxpr: Any) -> Any:
    """The jaxpr as a closed one: transformations leave either kind in an equation."""
    return partial_eval.close_jaxpr(jaxpr) if isinstance(jaxpr, jax_core.Jaxpr) else jaxpr


def _lower_call(name: str, attributes: dict[str, str]) -> Callable:
    def lower(ctx, *args, call_jaxpr, **_):
        results, _ = mlir_rules.call_lowering(
            name,
            _closed(call_jaxpr),
            None,
            ctx.module_context,
            ctx.avals_in,
            ctx.avals_out,
            ctx.tokens_in.subset([]),
            *args,
            dim_var_values=ctx.dim_var_values,
            const_lowering=ctx.const_lowering,
            attributes={word: ir.StringAttr.get(value) for word, value in attributes.items()},
        )
        return results

    return lower


_apart = _call_primitive("apart")
mlir.register_lowering(_apart, _lower_call("apart", {}))
mlir.register_lowering(_apart, _lower_call("apart", {"inlineable": "false"}), platform="cpu")


def call_apart(function: Callable, *operands: Any) -> Any:
    """function(*operands), which XLA's CPU compiler does not inline; on other platforms an ordinary call."""
    return _bind_call(_apart, function, operands)


_branch = _call_primitive("branch")


def call_branch(acts: Any, compute: Callable, otherwise: Callable) -> Any:
    """compute() if `acts`, else otherwise(): a conditional on CPUs, and a selection from both results elsewhere."""
    return _bind_call(_branch, lambda acts: jax.lax.cond(acts, compute, otherwise), (acts,))


def _lower_as_selection(ctx, *args, call_jaxpr, **_):
    function = partial(with_selections, _closed(call_jaxpr))
    return mlir.lower_fun(function, multiple_results=True)(ctx, *args)


mlir.register_lowering(_branch, _lower_as_selection)
mlir.register_lowering(_branch, _lower_call("branch", {}), platform="cpu")


# Primitives that call one jaxpr, which may hold conditionals and loops of its own.
_CALLS = ("jit", "closed_call", "remat2", "apart", "branch")


def with_selections(closed: Any, *args: Any) -> list[Any]:
    """Evaluate a closed jaxpr with a selection from all branches in place of each conditional, and without loops."""
    jaxpr = closed.jaxpr
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, jax_core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        if equation.primitive.name == "cond":
            which, *operands = operands
            results = [with_selections(branch, *operands) for branch in equation.params["branches"]]
            found = [jax.lax.select_n(which, *each) for each in zip(*results, strict=True)]
        elif equation.primitive.name in _CALLS:
            inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
            found = with_selections(_closed(inner), *operands)
        else:
            params = equation.primitive.get_bind_params(equation.params)
            if equation.primitive.name == "scan":
                params["unroll"] = params["length"]
            found = equation.primitive.bind(*operands, **params)
            found = found if equation.primitive.multiple_results else [found]
        values.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def unsharded(array: jax.Array) -> jax.Array:
    """The array replicated on each device where it is sharded over explicit axes of a mesh; else the array itself.

    On explicit axes JAX refuses operations such as slices of a sharded dimension, see `jax.sharding.AxisType`.
    """
    sharding = jax.typeof(array).sharding
    if not any(axes is not None for axes in sharding.spec):
        return array
    return jax.sharding.reshard(array, sharding.update(spec=jax.sharding.PartitionSpec(*[None] * array.ndim)))


def is_concrete(value: Any) -> bool:
    """Whether the value is a concrete array of real numbers, neither traced nor a shape."""
    traced = isinstance(value, Tracer | jax.ShapeDtypeStruct)
    return not traced and hasattr(value, "dtype") and jax.numpy.issubdtype(value.dtype, jax.numpy.inexact)
