"""Loops over tiles: at once or one after the other, the results are those of each tile by itself."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.datapath import tiling

TILES = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
FACTORS = np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)


def scaled(tile, factor):
    return {"sum": jnp.sum(tile, axis=0), "scaled": tile * factor}


@pytest.mark.parametrize(("at_once", "loops"), [(0, 1), (TILES.size, 0)], ids=["in a loop", "at once"])
def test_each_gives_the_results_of_each_tile(monkeypatch, at_once, loops):
    monkeypatch.setattr(tiling, "AT_ONCE", at_once)

    def all_of(tiles, factors):
        return tiling.each(scaled, tiles, factors, axes=2)

    found = all_of(jnp.asarray(TILES), jnp.asarray(FACTORS))
    np.testing.assert_allclose(found["sum"], TILES.sum(axis=2), rtol=1e-5)
    np.testing.assert_array_equal(found["scaled"], TILES * FACTORS)
    assert str(jax.make_jaxpr(all_of)(TILES, FACTORS)).count("scan[") == loops


def test_sum_over_of_known_shapes_traces_the_product_once():
    traced = []

    def product(tile):
        traced.append(tile.shape)
        return tile * 2

    shape: Any = jax.ShapeDtypeStruct((4, 5), jnp.float32)
    found = tiling.sum_over(product, jnp.asarray(TILES[0]), shapes=shape)
    np.testing.assert_allclose(found, 2 * TILES[0].sum(axis=0), rtol=1e-5)
    assert traced == [(4, 5)]
