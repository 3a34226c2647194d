"""A single vector, which has no row before it, against the same vector as the first of several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics

KEY = jax.random.key(2)
NOISE = np.random.default_rng(4)
X, W = (jnp.asarray(NOISE.normal(size=size), jnp.float32) for size in ((3, 130), (130, 140)))
SLOW = optics.today(rows=130, columns=140).replace({"tia.bandwidth": 1e9, "clock": 1e9, "source.rin_in_common": 0.5})
CORES = {
    "factored light": SLOW,
    "exact light": SLOW.replace({"detector.light": "exact"}),
    "coherent neighbours": SLOW.replace({"space.coherence": 0.7, "space.input_crosstalk_later": 0.02}),
    "rows of 65": SLOW.replace({"rows": 65, "accumulate": 2}),
}


@jax.jit
def first_of(core, x, w):
    """The first vector's outputs, and the gradient of the sum of their squares in x and the core."""

    def square(core, x):
        y = core.matmul(x, w, key=KEY)[0]
        return jnp.sum(y**2), y

    (_, y), (core, x) = jax.value_and_grad(square, argnums=(0, 1), has_aux=True)(core, x)
    return y, x[0], core.tia.bandwidth * 1e9, core.source.power, core.adc.loading


@pytest.mark.parametrize("name", CORES)
def test_a_single_vector_gives_the_numbers_of_the_first_of_several(name):
    """Samples are those of the place, and what was before is dark. Sums in another order differ in the last digits."""
    alone, among = first_of(CORES[name], X[:1], W), first_of(CORES[name], X, W)
    for one, other in zip(alone, among, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())
    # A symbol leaves 16 % of its charge to the next one.
    fast = first_of(CORES[name].replace({"tia.bandwidth": 1e12}), X[:1], W)
    assert np.std(fast[0] - alone[0]) > 0.1 * np.std(alone[0])


def test_vectors_mapped_one_by_one_give_the_numbers_of_a_loop():
    def one(x):
        return SLOW.matmul(x[None], W, key=KEY)[0]

    mapped = np.asarray(jax.jit(jax.vmap(one))(X))
    np.testing.assert_allclose(mapped, [jax.jit(one)(x) for x in X], rtol=1e-4, atol=1e-4 * np.abs(mapped).max())
