"""Light multiplied in bfloat16: against float64 sums of rounded operands, and against the noise that it replaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics.numerics.bfloat16 import BFLOAT16_VARIANCE
from optics.components.nonidealities import Effects

KEY = jax.random.key(7)
DRAWS = 4096


def core(effects: Effects, **changes) -> optics.TensorCore:
    return optics.today(rows=256, columns=256).replace({"arithmetic": "bfloat16", "effects": effects} | changes)


def rounded(values: np.ndarray) -> np.ndarray:
    """To bfloat16 by NumPy, in float64."""
    return values.astype(jnp.bfloat16).astype(np.float64)


def operands(seed: int, vectors: int = 16) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed)
    x, w = noise.normal(size=(vectors, 256)), noise.normal(size=(256, 256))
    return x.astype(np.float32), w.astype(np.float32)


def test_with_all_effects_off_only_the_operands_are_rounded():
    x, w = operands(1)
    y = core(Effects.uniform(0.0)).matmul(x, w, key=KEY)
    np.testing.assert_allclose(y, rounded(x) @ rounded(w), rtol=0, atol=2e-5)


def test_rounding_has_the_variance_that_is_claimed():
    """4,096 outputs tell a variance to 2.2 %; the bar is five of that and what Gaussian mantissas are off by, 2 %."""
    x, w = operands(2)
    error = np.asarray(core(Effects.uniform(0.0)).matmul(x, w, key=KEY), np.float64) - x.astype(np.float64) @ w
    expected = 2 * BFLOAT16_VARIANCE * (x.astype(np.float64) ** 2 @ w**2)
    assert np.mean(error**2 / expected) == pytest.approx(1, abs=0.13)


def test_intensity_noise_keeps_its_variance_and_its_mean():
    """Rounding takes the place of part of the noise. Through pixels of one, 4,096 draws of 256 sources.

    The variance is told to 0.14 %, mantissas that are not spread evenly change it by 2 %; without taking the rounding
    out it would be 28 % too large.
    """
    x, _ = operands(3, vectors=1)
    noise = 1e-5
    only = core(Effects.only("rin"))
    rin = 10 * np.log10(noise / float(only.tia.noise_bandwidth(only.clock)))
    only = only.replace({"source.rin": rin, "source.rin_in_common": 0.0})
    many = jnp.tile(x, (DRAWS, 1))
    y = np.asarray(only.matmul(many, jnp.eye(256), key=KEY), np.float64) / x
    assert np.mean(np.var(y, axis=0)) == pytest.approx(noise, rel=0.04)
    assert np.mean(y) == pytest.approx(1, abs=5 * np.sqrt(BFLOAT16_VARIANCE / 256))


def test_noise_below_the_rounding_leaves_the_rounding():
    x, w = operands(4)
    faint = core(Effects.only("rin")).replace({"source.rin": -300.0})
    np.testing.assert_array_equal(
        faint.matmul(x, w, key=KEY), core(Effects.uniform(0.0)).matmul(x, w, key=jax.random.key(0))
    )


@pytest.mark.parametrize("light", ["factored", "exact"])
def test_with_all_effects_on_rounding_is_a_small_part_of_the_error(light):
    """The same draws of everything else, so that what differs is the rounding, and codes of the ADC that it tips."""
    x, w = operands(5)
    short = core(Effects.uniform(1.0), **{"detector.light": light})
    exact = short.replace({"arithmetic": "float32"})
    ours, theirs = (np.asarray(one.matmul(x, w, key=KEY), np.float64) for one in (short, exact))
    assert 0 < np.mean((ours - theirs) ** 2) < 0.1 * np.mean((theirs - x.astype(np.float64) @ w) ** 2)


def test_gradients_are_those_of_float32_to_eight_bits():
    x, w = operands(6)
    short = core(Effects.uniform(0.0))

    def loss(core, x, w):
        return jnp.sum(core.matmul(x, w, key=KEY) ** 2)

    found = jax.grad(loss, argnums=(1, 2))(short, x, w)
    wanted = jax.grad(loss, argnums=(1, 2))(short.replace({"arithmetic": "float32"}), x, w)
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.linalg.norm(ours - theirs) < 0.01 * np.linalg.norm(theirs)


def test_a_gradient_through_a_load_is_one_clear_error():
    x, w = operands(7)
    with pytest.raises(ValueError, match="no gradient passes a load"):
        jax.grad(lambda w: jnp.sum(core(Effects.uniform(1.0)).load(w).matmul(x, key=KEY)))(w)
