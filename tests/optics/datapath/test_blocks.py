"""A large matrix that is loaded block by block gives what it gives when it is loaded at once, noise included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics.core import tensor_core
from optics.datapath import blocks

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def operands():
    x, w = jax.random.normal(jax.random.key(1), (3, 20)), jax.random.normal(jax.random.key(2), (20, 43))
    return x, w


@pytest.mark.parametrize("core", [optics.today(rows=8, columns=6), optics.projected_2029(rows=8, columns=6)])
def test_blocks_have_the_noise_of_the_whole(core, operands):
    """43 columns in 8 tiles of 6: blocks of one tile, of two with a rest of less, and one block that holds them all."""
    x, w = operands
    realized = core.prepare()
    whole = np.asarray(realized.matmul(x, w, key=KEY))
    exact = np.asarray(x @ w)
    assert np.abs(whole - exact).max() > 0.1
    for most in (1, 240, 360, 10**6):
        run = jax.jit(blocks.multiply_in_blocks, static_argnums=6)
        found = run(realized.core, realized.variation, realized.site_range, x, w, KEY, most)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_matmul_of_a_large_matrix_goes_by_blocks(monkeypatch, operands):
    x, w = operands
    core = optics.today(rows=8, columns=7)
    whole = np.asarray(core.matmul(x, w, key=KEY))
    monkeypatch.setattr(blocks, "LARGEST_LOAD", 500)
    used = []
    original = blocks.multiply_in_blocks
    monkeypatch.setattr(blocks, "multiply_in_blocks", lambda *given: used.append(1) or original(*given, most=320))
    tensor_core._multiply.clear_cache()
    found = core.matmul(x, w, key=KEY)
    tensor_core._multiply.clear_cache()
    assert used
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_gradient_passes_the_blocks(operands):
    x, w = operands
    realized = optics.today(rows=8, columns=6).prepare()

    def of_blocks(w):
        return jnp.sum(blocks.multiply_in_blocks(realized.core, realized.variation, None, x, w, KEY, 240) ** 2)

    found = jax.jit(jax.grad(of_blocks))(w)
    whole = jax.jit(jax.grad(lambda w: jnp.sum(realized.matmul(x, w, key=KEY) ** 2)))(w)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-4 * np.abs(whole).max())
