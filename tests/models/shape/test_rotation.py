"""Rotations are orthogonal, flat where a Hadamard matrix is known, and the same applied and folded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
from models.shape.rotation import paley

# Powers of two, 4k of Paley's first and second construction, and widths without a known matrix: 2 x 3, odd, 16 x 13.
FLAT, ROUGH = (1, 2, 64, 24, 576, 1536, 2560, 2880), (6, 7, 208)


@pytest.mark.parametrize("order", [4, 8, 12, 20, 24, 28, 36, 60, 180])
def test_paley_matrix_is_hadamard(order):
    matrix = paley(order)
    assert matrix is not None
    assert set(np.unique(matrix)) == {-1.0, 1.0}
    np.testing.assert_array_equal(matrix @ matrix.T, order * np.eye(order))


@pytest.mark.parametrize("order", [1, 6, 52, 92])
def test_paley_has_no_matrix_of_other_orders(order):
    assert paley(order) is None


@pytest.mark.parametrize("width", FLAT + ROUGH)
def test_rotation_is_orthogonal_and_flat_where_the_width_allows(width):
    matrix = models.Rotation(seed=3).of_outputs(np.eye(width))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(width), atol=1e-13)
    largest = np.abs(matrix).max() * width**0.5
    assert (largest == pytest.approx(1, abs=1e-12)) == (width in FLAT)


def test_rotation_of_a_power_of_two_is_the_hadamard_matrix_with_signs():
    """Sylvester's matrix is H_ij = (-1)^(number of bits that i and j share)."""
    matrix = models.Rotation(seed=5).of_outputs(np.eye(16)) * 4
    shared = np.array([[(i & j).bit_count() for j in range(16)] for i in range(16)])
    signs = matrix[:, 0]
    np.testing.assert_allclose(matrix, signs[:, None] * (-1.0) ** shared, atol=1e-13)
    assert set(np.sign(signs)) == {-1, 1}


@pytest.mark.parametrize("width", [16, 24, 6])
def test_applied_rotation_is_undone_by_one_that_is_folded(width):
    rotation = models.Rotation(seed=1)
    noise = np.random.default_rng(0)
    x, w = noise.normal(size=(2, 3, width)), noise.normal(size=(width, 5))
    turned = jax.jit(rotation.apply)(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(turned, x @ rotation.of_outputs(np.eye(width)), atol=2e-6)
    np.testing.assert_allclose(turned @ rotation.of_inputs(w), x @ w, atol=1e-5)


def test_rotations_of_two_seeds_differ_and_of_one_are_the_same():
    first, again, other = (models.Rotation(seed=seed).of_outputs(np.eye(12)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_rotation_with_a_seed_that_is_no_count_is_refused(seed):
    with pytest.raises(ValueError, match=r"Rotation\.seed is .*; it must be an integer of at least 0"):
        models.Rotation(seed=seed)
