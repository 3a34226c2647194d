"""Every use of JAX's internals by this room stands here: they differ between releases, so one file follows them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.core import Tracer
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def bilinear(name: str, function: Callable[..., jax.Array], to_first: Callable, to_second: Callable) -> Callable:
    """A function of two arrays, linear in each, and of static keywords, whose transposes are given and not derived.

    to_first(cotangent, a, b, **keywords) is the cotangent of `a`, which is not looked at, to_second that of `b`.
    Differentiates in both modes and any number of times, where the transposes do; traces and vmaps.
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


def unsharded(array: jax.Array) -> jax.Array:
    """The array whole on each device, where it is spread over axes of a mesh that are Explicit; else itself.

    In JAX's explicit mode operations such as slices of a spread dimension are refused, see `jax.sharding.AxisType`.
    """
    sharding = jax.typeof(array).sharding
    if not any(axes is not None for axes in sharding.spec):
        return array
    return jax.sharding.reshard(array, sharding.update(spec=jax.sharding.PartitionSpec(*[None] * array.ndim)))


def is_concrete(value: Any) -> bool:
    """Whether the value is an array of real numbers to be looked at, and not traced or a mere shape."""
    traced = isinstance(value, Tracer | jax.ShapeDtypeStruct)
    return not traced and hasattr(value, "dtype") and jax.numpy.issubdtype(value.dtype, jax.numpy.inexact)
