"""The W8A8 baseline against a loop over Python integers."""

import jax
import numpy as np
import pytest

from electronics import IntegerCore


def quantised(values, highest):
    """Integer codes and scale of one vector, symmetric, nearest."""
    scale = max(abs(float(v)) for v in values) / highest
    return [round(float(v) / scale) if scale else 0 for v in values], scale


@pytest.mark.parametrize("bits", [4, 8])
def test_product_is_that_of_integers(bits):
    noise = np.random.default_rng(0)
    x = noise.normal(size=(5, 33)).astype(np.float32)
    w = noise.normal(size=(33, 7)).astype(np.float32)
    x[2] = 0.0
    highest = 2 ** (bits - 1) - 1
    rows = [quantised(row, highest) for row in x]
    columns = [quantised(column, highest) for column in w.T]
    truth = [[sum(a * b for a, b in zip(r, c, strict=True)) * s * t for c, t in columns] for r, s in rows]
    core = IntegerCore(activation_bits=bits, weight_bits=bits, mac_energy=1e-12)
    np.testing.assert_allclose(core.matmul(x, w, key=jax.random.key(0)), truth, rtol=1e-4, atol=1e-5)


def test_cost_is_energy_times_macs():
    core = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=2e-12)
    assert core.cost(rows=3, columns=4, vectors=5.0, resident=True) == {"digital": pytest.approx(120e-12, abs=0)}
