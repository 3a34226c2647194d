"""Products of codes against NumPy's in whole numbers, and the digital baseline's own sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics import IntegerCore
from electronics.numerics.bfloat16 import bfloat16_product
from electronics.numerics.matmul import integer_product


def codes(bits: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    highest = 2**bits - 1
    return np.random.default_rng(seed).integers(-highest, highest + 1, shape)


@pytest.mark.parametrize("bits, rows", [(8, 250), (7, 1000), (4, 4096)])
def test_bfloat16_multiplies_codes_of_eight_bits_exactly(bits, rows):
    """Sums below 2**24 come out to the last unit; so many rows of the largest codes stay below it."""
    x, w = codes(bits, (33, rows), 1), codes(bits, (rows, 17), 2)
    x[0], w[:, 0] = 2**bits - 1, 2**bits - 1
    assert rows * (2**bits - 1) ** 2 < 2**24
    for multiply in (bfloat16_product, lambda x, w: integer_product(x, w, 2.0**bits - 1)):
        found = multiply(x.astype(np.float32), w.astype(np.float32))
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(np.asarray(found, np.int64), x @ w)


def test_nine_bits_would_not_be_exact():
    """So codes of more than eight significant bits must not take the short way."""
    x, w = codes(9, (33, 50), 3), codes(9, (50, 17), 4)
    assert np.any(np.asarray(bfloat16_product(x.astype(np.float32), w.astype(np.float32)), np.int64) != x @ w)
    exact = integer_product(x.astype(np.float32), w.astype(np.float32), 511.0)
    np.testing.assert_array_equal(np.asarray(exact, np.int64), x @ w)


def test_the_baseline_is_the_product_of_its_codes():
    noise = np.random.default_rng(5)
    x, w = noise.normal(size=(9, 300)).astype(np.float32), noise.normal(size=(300, 7)).astype(np.float32)
    y = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=0.0).matmul(x, w, key=jax.random.key(0))
    x_step, w_step = np.abs(x).max(axis=1, keepdims=True) / 127, np.abs(w).max(axis=0) / 127
    whole = np.round(x / x_step).astype(np.int64) @ np.round(w / w_step).astype(np.int64)
    np.testing.assert_allclose(y, whole * x_step * w_step, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_codes_is_that_of_the_product():
    x, w = codes(4, (5, 20), 6).astype(np.float32), codes(4, (20, 3), 7).astype(np.float32)
    from_x, from_w = jax.grad(lambda x, w: jnp.sum(integer_product(x, w, 15.0)), argnums=(0, 1))(x, w)
    np.testing.assert_allclose(from_x, np.tile(w.sum(axis=1), (5, 1)), rtol=1e-6)
    np.testing.assert_allclose(from_w, np.tile(x.sum(axis=0)[:, None], (1, 3)), rtol=1e-6)
