"""Scales taken out of a homogeneous function have the gradient that they have inside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.datapath.units import in_units_of, relative_to

VECTORS, ROWS, COLUMNS = 5, 4, 3


def _bent(values, scale):
    """A homogeneous function of degree 1 that is not linear."""
    return scale * jnp.tanh(values / scale)


def _inside(x, x_scale, w, w_scale):
    return _bent(x, x_scale) @ _bent(w, w_scale)


def _outside(x, x_scale, w, w_scale):
    fixed_x, fixed_w = jax.lax.stop_gradient(x_scale), jax.lax.stop_gradient(w_scale)
    y = _bent(relative_to(x, x_scale), fixed_x) @ _bent(relative_to(w, w_scale), fixed_w)
    return in_units_of(y, x_scale, w_scale)


@pytest.fixture
def operands():
    draw = np.random.default_rng(0)
    shapes = ((VECTORS, ROWS), (VECTORS, 1), (ROWS, COLUMNS), (1, COLUMNS))
    return [jnp.asarray(draw.uniform(0.5, 2, shape), jnp.float32) for shape in shapes]


@pytest.mark.parametrize("transform", [jax.jacrev, jax.jacfwd])
def test_the_gradient_is_that_of_scales_inside(operands, transform):
    expected = transform(_inside, (0, 1, 2, 3))(*operands)
    found = transform(_outside, (0, 1, 2, 3))(*operands)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), found, expected)


def test_values_are_untouched(operands):
    np.testing.assert_array_equal(_outside(*operands), _inside(*operands))


@pytest.mark.parametrize("leading", [(), (1,), (1, 1), (1, 2), (2, 1), (2, 3)])
def test_relative_values_of_any_tiles(leading):
    """v / s of degree 0 in both, as any function of relative values is."""
    draw = np.random.default_rng(1)
    values = jnp.asarray(draw.uniform(0.5, 2, (*leading, ROWS, COLUMNS)), jnp.float32)
    scale = jnp.asarray(draw.uniform(0.5, 2, (*leading, 1, COLUMNS)), jnp.float32)

    def inside(values, scale):
        return jnp.sum(jnp.sin(values / scale))

    def outside(values, scale):
        return jnp.sum(jnp.sin(relative_to(values, scale) / jax.lax.stop_gradient(scale)))

    expected = jax.grad(inside, (0, 1))(values, scale)
    found = jax.grad(outside, (0, 1))(values, scale)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)
