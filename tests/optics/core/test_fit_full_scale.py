"""Full scales seen on a sample, against the sample's own products in NumPy: a full scale is a largest magnitude."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects

KEY = jax.random.key(0)
CORE = optics.today(rows=16, columns=16).replace({"effects": Effects.uniform(0.0)})
NOISE = np.random.default_rng(1)
# Vectors and columns of very unlike size.
X = (NOISE.normal(size=(24, 32)) * np.geomspace(0.01, 10, 24)[:, None]).astype(np.float32)
W = (NOISE.normal(size=(32, 20)) * np.geomspace(0.1, 10, 20)).astype(np.float32)
quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def fitted(fun, weights, *args, core=CORE, **options):
    (found,) = quickly(optics.fit_ranges(fun, **options))(core, KEY, weights, *args).values()
    return np.asarray(found.full_scale, np.float64), found


def partial_sums(x, w, x_scale=None):
    """|products| of the two tiles of 16 rows, in full products of vector and column [2, vectors, columns]."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    x_scale = np.abs(x).max(axis=1, keepdims=True) if x_scale is None else x_scale
    u, t = x / x_scale, w / np.abs(w).max(axis=0)
    return np.abs([u[:, part] @ t[part] for part in (slice(0, 16), slice(16, 32))])


def product(w, x):
    return x @ w


@pytest.mark.parametrize("loading", [2.0, None])
def test_full_scale_is_the_peak_or_so_many_rms(loading):
    """Of the partial sums that each column's receiver converts, over vectors and tiles; never more than the peak."""
    sums = partial_sums(X, W)
    peak, rms = sums.max(axis=(0, 1)), np.sqrt(np.mean(sums**2, axis=(0, 1)))
    expected = peak if loading is None else np.minimum(peak, loading * rms)
    np.testing.assert_allclose(fitted(product, W, X, loading=loading)[0], expected, rtol=1e-4)


def test_with_fixed_inputs_the_peak_is_counted_in_products_of_the_largest_input():
    """Full drive stands for the largest input of all: weak vectors then give weak sums, as they do in use."""
    full, found = fitted(product, W, X, fixed_inputs=True)
    assert float(found.input_scale) == pytest.approx(float(np.abs(X).max()))
    np.testing.assert_allclose(full, partial_sums(X, W, np.abs(X).max()).max(axis=(0, 1)), rtol=1e-4)


def test_the_peak_of_several_products_is_the_largest_of_theirs():
    """Experts side by side at one site share its receivers: their largest magnitude, and not the sum of them."""
    experts, inputs = np.stack([W, W[::-1], -2 * W]), np.stack([X, 3 * X, X[::-1]])
    full, _ = fitted(lambda w, x: jnp.einsum("evk,ekm->evm", x, w), experts, inputs)
    sums = [partial_sums(x, w) for x, w in zip(inputs, experts, strict=True)]
    np.testing.assert_allclose(full, np.max(sums, axis=(0, 1, 2)), rtol=1e-4)


def test_the_peak_of_a_while_is_the_largest_of_its_turns():
    square = (NOISE.normal(size=(32, 32)) / 4).astype(np.float32)

    def three_turns(w, x):
        return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.tanh(s[1] @ w)), (0, x))[1]

    x, sums = X.astype(np.float64), []
    for _ in range(3):
        sums.append(partial_sums(x, square))
        x = np.tanh(x @ square)
    full, _ = fitted(three_turns, square, X)
    np.testing.assert_allclose(full, np.max(sums, axis=(0, 1, 2)), rtol=1e-3)


@pytest.mark.parametrize("inputs", ["rails", "offset"])
def test_inputs_beyond_a_fixed_range_clip_at_either_end(inputs):
    """Full drive is the most there is and dark the least, which an offset source reaches at the most negative input."""
    core = optics.today(rows=16, columns=16).replace(
        {"effects": Effects.only("dac_clipping"), "encoding": optics.Encoding(inputs=inputs)}
    )
    x, w = X[:, :16], W[:16, :16]
    limit = np.float32(np.median(np.abs(x).max(axis=1)))
    ranges = {"000 weights 16x16": optics.SiteRange(jnp.full(16, 100.0), limit)}
    y = quickly(optics.emulate(product))(optics.FixedRangeCore(core, ranges), KEY, w, x)
    truth = np.clip(x, -limit, limit).astype(np.float64) @ w
    np.testing.assert_allclose(y, truth, atol=1e-4 * np.abs(w).sum(axis=0).max() * limit)
    assert np.mean(x < -limit) > 0.05
