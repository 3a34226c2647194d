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


def test_blocks_have_the_noise_of_the_whole(operands):
    """43 columns in 8 tiles of 6: three blocks of two tiles, and a rest of two whose last columns are idle."""
    x, w = operands
    realized = optics.projected_2029(rows=8, columns=6).prepare()
    whole = np.asarray(realized.matmul(x, w, key=KEY))
    assert np.abs(whole - np.asarray(x @ w)).max() > 0.1
    run = jax.jit(blocks.multiply_in_blocks, static_argnums=6)
    found = run(realized.core, realized.variation, realized.site_range, x, w, KEY, 240)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_matmul_of_a_large_matrix_goes_by_blocks(monkeypatch, operands):
    """Only what is larger, and only without diagnostics."""
    x, w = operands
    used = []
    monkeypatch.setattr(blocks, "LARGEST_LOAD", w.size - 1)
    monkeypatch.setattr(blocks, "multiply_in_blocks", lambda *given: used.append(given) or jnp.zeros((3, 43)))
    tensor_core._multiply.clear_cache()
    core = optics.today(rows=8, columns=7)
    assert jax.eval_shape(lambda x, w: core.matmul(x, w, key=KEY), x, w).shape == (3, 43)
    assert len(used) == 1
    jax.eval_shape(lambda x, w: core.matmul(x, w[1:], key=KEY), x[:, 1:], w)
    jax.eval_shape(lambda x, w: core.observe(x, w, key=KEY), x, w)
    assert len(used) == 1
    tensor_core._multiply.clear_cache()
