"""Barriers and skipped effects: the function itself, under every transformation, and what platforms make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics.numerics import _jax
from electronics.numerics.xla import fusion_barrier, skip_unless

X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)


def stencil(x, share):
    padded = jax.lax.pad(x, jnp.float32(0), [(1, 1, 0), (0, 0, 0)])
    return x + share * (padded[:-2] - x) ** 2


def plain(x, share):
    return stencil(jnp.sin(stencil(x, share)), share)


def apart(x, share):
    return fusion_barrier(stencil, jnp.sin(fusion_barrier(stencil, x, share)), share)


def in_a_loop(x, share):
    return jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(stencil(x, share)), x)


def skipped(x, share):
    return skip_unless(share > 0, lambda: in_a_loop(x, share), lambda: jnp.cos(x))


def summed(function):
    return lambda x, share: jnp.sum(function(x, share) ** 3)


TRANSFORMED = {
    "as it is": lambda f: f,
    "jit": jax.jit,
    "gradient": lambda f: jax.grad(summed(f), (0, 1)),
    "gradient in a jit": lambda f: jax.jit(jax.grad(summed(f), (0, 1))),
    "gradient of a checkpoint": lambda f: jax.grad(summed(jax.checkpoint(f)), (0, 1)),
    "tangent": lambda f: lambda x, s: jax.jvp(lambda x: f(x, s), (x,), (jnp.cos(x),)),
    "Hessian times a vector": lambda f: lambda x, s: jax.jvp(jax.grad(lambda x: summed(f)(x, s)), (x,), (x,)),
    "vmap": lambda f: lambda x, s: jax.vmap(f, (0, None))(jnp.stack([x, 2 * x]), s),
    "scan": lambda f: lambda x, s: jax.lax.scan(lambda x, _: (f(x, s), x), x, None, length=2),
    "gradient of a scan": lambda f: jax.grad(
        lambda x, s: jnp.sum(jax.lax.scan(lambda x, _: (f(x, s), None), x, None, length=2)[0] ** 2)
    ),
}


def assert_same(found, expected):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_a_barrier_changes_no_result(name):
    assert_same(TRANSFORMED[name](apart)(X, jnp.float32(0.3)), TRANSFORMED[name](plain)(X, jnp.float32(0.3)))


@pytest.mark.parametrize("share", [0.3, 0.0])
@pytest.mark.parametrize("name", TRANSFORMED)
def test_what_acts_is_computed_and_else_the_other(name, share):
    # The share that decides has no gradient of its own.
    expected = TRANSFORMED[name](in_a_loop if share else lambda x, s: jnp.cos(x) + 0 * s)
    assert_same(TRANSFORMED[name](skipped)(X, jnp.float32(share)), expected(X, jnp.float32(share)))


def test_vmap_over_what_acts_is_a_loop():
    shares = jnp.float32([0.3, 0.0, 0.1])
    assert_same(jax.vmap(skipped, (None, 0))(X, shares), jnp.stack([skipped(X, share) for share in shares]))


def program(function, platform):
    return jax.export.export(jax.jit(function), platforms=[platform])(X, jnp.float32(0.3)).mlir_module()


def test_accelerators_select_without_a_conditional_or_a_loop():
    assert "stablehlo.case" in program(skipped, "cpu")
    for platform in ("cuda", "tpu"):
        lowered = program(skipped, platform)
        assert "stablehlo.case" not in lowered and "stablehlo.while" not in lowered
        assert "stablehlo.select" in lowered


@pytest.mark.parametrize("share", [0.3, 0.0])
def test_the_selection_of_accelerators_is_what_a_cpu_computes(share):
    jaxpr = jax.make_jaxpr(skipped)(X, jnp.float32(0.3))
    (found,) = _jax.with_selections(jaxpr, X, jnp.float32(share))
    assert_same(found, in_a_loop(X, jnp.float32(share)) if share else jnp.cos(X))


def test_only_cpus_keep_a_barrier_apart():
    assert 'inlineable = "false"' in program(apart, "cpu")
    assert "inlineable" not in program(apart, "cuda")
    compiled = jax.jit(apart).lower(X, jnp.float32(0.3)).compile().as_text()
    assert compiled.count(" call(") == 2
