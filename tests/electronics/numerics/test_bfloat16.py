"""Products in bfloat16 against float64 sums of rounded operands, in each direction that a gradient takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics.numerics.bfloat16 import BFLOAT16_VARIANCE, bfloat16_product, bfloat16_words

VECTORS, ROWS, COLUMNS = 6, 40, 9


def rounded(values) -> np.ndarray:
    """To bfloat16 by NumPy, in float64."""
    return np.asarray(values).astype(jnp.bfloat16).astype(np.float64)


@pytest.fixture
def operands() -> list[jax.Array]:
    keys = jax.random.split(jax.random.key(2), 3)
    shapes = (VECTORS, ROWS), (ROWS, COLUMNS), (VECTORS, COLUMNS)
    return [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]


def assert_close(found, wanted) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5)


def test_the_variance_of_a_rounding_is_that_of_mantissas_on_a_logarithmic_scale():
    """A million mantissas tell the mean of a square error to 0.2 %."""
    values = np.exp2(np.random.default_rng(0).uniform(0, 8, 10**6))
    assert np.mean((rounded(values) / values - 1) ** 2) == pytest.approx(BFLOAT16_VARIANCE, rel=0.01)


def test_words_multiply_as_what_they_hold(operands):
    x, w, _ = operands
    assert_close(bfloat16_product(x, w), rounded(x) @ rounded(w))
    np.testing.assert_array_equal(bfloat16_product(x, bfloat16_words(w)), bfloat16_product(x, w))


def test_gradients_are_products_of_rounded_numbers(operands):
    x, w, back = operands
    from_x, from_w = jax.vjp(bfloat16_product, x, w)[1](back)
    assert_close(from_x, rounded(back) @ rounded(w).T)
    assert_close(from_w, rounded(x).T @ rounded(back))


def test_what_is_no_number_stays_none(operands):
    x, w, back = operands
    from_w = jax.vjp(bfloat16_product, x.at[0, 0].set(jnp.nan), w)[1](back)[1]
    assert np.all(np.isnan(from_w[0])) and np.all(np.isfinite(from_w[1:]))


def test_gradients_of_gradients_are_products_of_rounded_numbers(operands):
    """Both gradients are bilinear too: in what came back and in the other operand."""
    x, w, back = operands
    to_x, to_w = (
        jax.random.normal(key, a.shape) for key, a in zip(jax.random.split(jax.random.key(3)), (x, w), strict=True)
    )

    def gradient(number):
        return lambda other, back: jax.vjp(lambda *both: bfloat16_product(*both), *other)[1](back)[number]

    by_w = jax.vjp(lambda w, back: gradient(0)((x, w), back), w, back)[1](to_x)
    assert_close(by_w[0], rounded(to_x).T @ rounded(back))
    assert_close(by_w[1], rounded(to_x) @ rounded(w))
    by_x = jax.vjp(lambda x, back: gradient(1)((x, w), back), x, back)[1](to_w)
    assert_close(by_x[0], rounded(back) @ rounded(to_w).T)
    assert_close(by_x[1], rounded(x) @ rounded(to_w))


def test_forward_mode_is_the_sum_of_both_products(operands):
    x, w, _ = operands
    along_x, along_w = jnp.ones_like(x), jnp.full_like(w, 0.5)
    _, tangent = jax.jvp(bfloat16_product, (x, w), (along_x, along_w))
    assert_close(tangent, rounded(along_x) @ rounded(w) + rounded(x) @ rounded(along_w))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 1)])
def test_vmap_equals_a_loop(axes, operands):
    x, w, _ = operands
    factors = jnp.arange(1.0, 4.0)
    stacks = [
        a if axis is None else jnp.stack([a * f for f in factors], axis) for a, axis in zip((x, w), axes, strict=True)
    ]
    many = jax.vmap(bfloat16_product, axes)(*stacks)
    for number in range(3):
        one = [a if axis is None else jnp.take(a, number, axis) for a, axis in zip(stacks, axes, strict=True)]
        assert_close(many[number], bfloat16_product(*one))
