"""A product whose inputs and weights are clipped, in every encoding, against NumPy in float64; and its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects, SiteRange
from optics.core.tensor_core import RealizedCore
from optics.datapath import blocks

KEY = jax.random.key(0)
NOISE = np.random.default_rng(2)
X, W = NOISE.normal(size=(5, 20)).astype(np.float32), NOISE.normal(size=(20, 11)).astype(np.float32)
SHARE, SHARES = 0.6, NOISE.uniform(0.3, 1.0, 11).astype(np.float32)
# Two tiles by three, the last of each partly idle.
CORE = optics.today(rows=16, columns=4).replace({"effects": Effects.only("dac_clipping")})
ENCODINGS = {
    "rails": {},
    "slots": {"encoding.inputs": "slots"},
    "offset": {"encoding.inputs": "offset", "encoding.weights": "offset"},
    "unsigned": {"encoding.inputs": "unsigned", "encoding.weights": "unsigned"},
    "slices": {"encoding.input_slices": 2, "encoding.weight_slices": 2},
}


def in_ranges(core, ranges):
    found = core.prepare()
    return RealizedCore(found.core, found.variation, ranges)


def clipped(core, scale=None):
    x, w = X.astype(np.float64), W.astype(np.float64)
    x = np.maximum(x, 0) if core.encoding.inputs == "unsigned" else x
    w = np.maximum(w, 0) if core.encoding.weights == "unsigned" else w
    of_vector = SHARE * np.abs(x).max(axis=1, keepdims=True) if scale is None else scale
    of_column = SHARES * np.abs(w).max(axis=0)
    return np.clip(x, -of_vector, of_vector) @ np.clip(w, -of_column, of_column)


@pytest.mark.parametrize("name", ENCODINGS)
def test_product_in_shares_of_the_largest_is_that_of_clipped_operands(name):
    core = CORE.replace(ENCODINGS[name])
    ranged = in_ranges(core, SiteRange(None, None, SHARE, SHARES))
    y, seen = ranged.observe(X, W, key=KEY)
    np.testing.assert_allclose(y, clipped(core), atol=1e-4)
    assert float(seen.error) == pytest.approx(np.sum((clipped(core) - X @ W.astype(np.float64)) ** 2), rel=1e-3)
    if name == "rails":
        relative = np.abs(X) / (SHARE * np.abs(X).max(axis=1, keepdims=True))
        assert float(seen.mean_drive()) == pytest.approx(np.minimum(relative, 1).mean(), rel=1e-5)


def test_loaded_product_with_one_input_range_is_that_of_clipped_operands():
    ranged = in_ranges(CORE, SiteRange(None, jnp.float32(1.1), None, jnp.asarray(SHARES)))
    np.testing.assert_allclose(ranged.load(W).matmul(X, key=KEY), clipped(CORE, scale=1.1), atol=1e-5)


def test_receivers_that_follow_norms_follow_those_of_clipped_inputs():
    """FS = 1 + loading |u| |t| / sqrt(20), u and t relative to the ranges; codes of 6 bits in that full scale."""
    core = optics.today(rows=32, columns=16).replace(
        {"effects": Effects.only("dac_clipping", "adc_rounding", "adc_clipping"), "adc.bits": 6.0, "adc.enob": 5.5}
    )
    y = in_ranges(core, SiteRange(None, None, SHARE, jnp.asarray(SHARES))).matmul(X, W, key=KEY)
    of_vector = SHARE * np.abs(X).max(axis=1, keepdims=True).astype(np.float64)
    of_column = SHARES * np.abs(W).max(axis=0).astype(np.float64)
    u, t = np.clip(X / of_vector, -1, 1), np.clip(W / of_column, -1, 1)
    rms = np.linalg.norm(u, axis=1, keepdims=True) * np.linalg.norm(t, axis=0) / np.sqrt(20)
    full_scale = 1 + float(core.adc.loading) * rms
    codes = np.clip(np.rint(u @ t / full_scale * 31), -31, 31) / 31
    np.testing.assert_allclose(y, codes * full_scale * of_vector * of_column, rtol=1e-4, atol=1e-4)


def test_large_matrix_in_blocks_has_the_shares_of_its_columns():
    ranged = in_ranges(CORE, SiteRange(None, None, SHARE, jnp.asarray(SHARES)))
    run = jax.jit(blocks.multiply_in_blocks, static_argnums=6)
    found = run(ranged.core, ranged.variation, ranged.site_range, X, W, KEY, 160)
    np.testing.assert_allclose(found, clipped(CORE), atol=1e-5)


def test_shares_of_one_change_nothing():
    core = optics.today(rows=16, columns=4)
    all_of_it = in_ranges(core, SiteRange(None, None, jnp.float32(1), jnp.ones(11)))
    np.testing.assert_allclose(all_of_it.matmul(X, W, key=KEY), core.matmul(X, W, key=KEY), rtol=1e-5, atol=1e-4)


def test_gradient_of_a_range_is_that_of_what_it_clips():
    """PACT: a value beyond passes nothing to itself, and to the range its sign; one within passes straight through."""

    def loss(share, shares, x, w):
        return jnp.sum(COTANGENT * in_ranges(CORE, SiteRange(None, None, share, shares)).matmul(x, w, key=KEY))

    found = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(jnp.float32(SHARE), jnp.asarray(SHARES), X, W)
    x, w = X.astype(np.float64), W.astype(np.float64)
    largest_x, largest_w = np.abs(x).max(axis=1, keepdims=True), np.abs(w).max(axis=0)
    out_x, out_w = np.abs(x) > SHARE * largest_x, np.abs(w) > SHARES * largest_w
    clipped_x = np.clip(x, -SHARE * largest_x, SHARE * largest_x)
    clipped_w = np.clip(w, -SHARES * largest_w, SHARES * largest_w)
    to_x, to_w = COTANGENT @ clipped_w.T, clipped_x.T @ COTANGENT
    beyond_x, beyond_w = to_x * out_x * np.sign(x), to_w * out_w * np.sign(w)
    assert float(found[0]) == pytest.approx(np.sum(beyond_x * largest_x), rel=1e-4)
    np.testing.assert_allclose(found[1], np.sum(beyond_w * largest_w, axis=0), rtol=1e-3, atol=1e-4)
    # The largest element also moves the range.
    top_x = (np.abs(x) == largest_x) * np.sign(x) * SHARE * beyond_x.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found[2], to_x * ~out_x + top_x, rtol=1e-3, atol=1e-4)
    top_w = (np.abs(w) == largest_w) * np.sign(w) * SHARES * beyond_w.sum(axis=0)
    np.testing.assert_allclose(found[3], to_w * ~out_w + top_w, rtol=1e-3, atol=1e-4)


COTANGENT = NOISE.normal(size=(5, 11)).astype(np.float32)


def test_gradient_of_an_input_range_within_it_is_the_error_of_rounding():
    """LSQ: x within a range S, sent as S k / n, passes (x sent - x) / S to the range; nothing is clipped here."""
    core = CORE.replace({"effects": Effects.only("dac_clipping", "dac_rounding"), "dac.bits": 3.0, "dac.enob": 3.0})
    scale = np.float32(1.5 * np.abs(X).max())

    def loss(scale):
        return jnp.sum(COTANGENT * in_ranges(core, SiteRange(None, scale)).matmul(X, W, key=KEY))

    sent = np.rint(X / scale * 7) / 7 * scale
    expected = np.sum(COTANGENT * ((sent - X).astype(np.float64) / scale @ W))
    assert float(jax.jit(jax.grad(loss))(scale)) == pytest.approx(expected, rel=1e-3)
