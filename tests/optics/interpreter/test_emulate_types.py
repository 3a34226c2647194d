"""What `emulate` does with complex, boolean and integer products, and with leaves that are no arrays."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(5)


class Exact:
    """A core without errors, which compiles in no time."""

    def matmul(self, x, w, *, key):
        assert x.dtype == w.dtype == jnp.float32
        return x @ w


class Low(Exact):
    """A core whose results are too low by 0.7, as noise may make them."""

    def matmul(self, x, w, *, key):
        return x @ w - 0.7


NOISY = optics.today(rows=16, columns=16)


def complex_array(*dims: int) -> np.ndarray:
    return (RANDOM.normal(size=dims) + 1j * RANDOM.normal(size=dims)).astype(np.complex64)


W, X = complex_array(16, 12), complex_array(6, 16)
COMPLEX = {
    "weights last": (lambda w, x: x @ w, W, X),
    "weights first": (lambda w, x: (w.T @ x.T).T, W, X),
    "conjugate": (lambda w, x: x @ jnp.conj(w), W, X),
    "several matrices": (
        lambda w, x: jnp.einsum("evk,ekm->evm", x, w),
        complex_array(2, 16, 12),
        complex_array(2, 6, 16),
    ),
    "real data": (lambda w, x: x.astype(jnp.complex64) @ w, W, X.real),
    "real weights": (lambda w, x: x @ w.astype(jnp.complex64), W.real, X),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_emulate_complex_product_keeps_both_parts(name):
    forward, w, x = COMPLEX[name]
    y = optics.emulate(forward)(Exact(), KEY, w, x)
    assert y.dtype == jnp.complex64
    np.testing.assert_allclose(y, np.asarray(forward(jnp.asarray(w), jnp.asarray(x))), rtol=1e-4, atol=1e-4)


def test_emulate_complex_product_is_the_real_product_of_its_parts():
    """The same noise as [Re x, Im x] @ [[Re w, Im w], [-Im w, Re w]], which has four times the MACs."""
    forward = lambda w, x: x @ w  # noqa: E731
    x, w = np.hstack([X.real, X.imag]), np.block([[W.real, W.imag], [-W.imag, W.real]])
    y = np.asarray(optics.emulate(forward)(NOISY, KEY, W, X))
    parts = optics.emulate(forward)(NOISY, KEY, w, x)
    np.testing.assert_allclose(np.hstack([y.real, y.imag]), parts, rtol=1e-5, atol=1e-5)
    assert np.std(y.imag - (X @ W).imag) > 0
    (site,), (real,) = optics.trace(forward)(W, X), optics.trace(forward)(w, x)
    assert (site.rows, site.columns, site.macs) == (32, 24, 4 * 6 * 16 * 12)
    assert (site.name, site.macs) == (real.name, real.macs)


def test_emulate_complex_product_has_the_gradient_of_the_function():
    def loss(forward):
        return jax.grad(lambda w: jnp.sum(jnp.abs(forward(w, X)) ** 2))(jnp.asarray(W))

    run = optics.emulate(COMPLEX["weights last"][0])
    found = loss(lambda w, x: run(Exact(), KEY, w, x))
    np.testing.assert_allclose(found, loss(COMPLEX["weights last"][0]), rtol=1e-3, atol=1e-2)


def test_load_and_diagnose_complex_products():
    forward = COMPLEX["weights last"][0]
    loaded = optics.load(forward, diagnostics=True)(NOISY, W, X)
    y, seen = optics.emulate(forward, diagnostics=True)(loaded, KEY, W, X)
    np.testing.assert_allclose(y, optics.emulate(forward)(NOISY, KEY, W, X), rtol=1e-5, atol=1e-5)
    (reading,) = seen.values()
    assert float(reading.signal) == pytest.approx(np.sum(np.abs(X @ W) ** 2), rel=1e-4)
    assert float(reading.error) == pytest.approx(np.sum(np.abs(np.asarray(y) - X @ W) ** 2), rel=1e-3)


def bool_product(w, x):
    return jax.lax.dot_general(x, w, (((1,), (0,)), ((), ())), preferred_element_type=jnp.bool_)


def test_emulate_bool_product_is_true_from_one_half_on():
    """A product of zeros and ones with noise of a standard deviation far below one half is exact."""
    w, x = RANDOM.random((64, 32)) < 0.02, RANDOM.random((50, 64)) < 0.05
    exact = (x.astype(int) @ w.astype(int)) > 0
    assert 0.02 < exact.mean() < 0.3
    quiet = optics.with_photons_per_mac(NOISY, 1e5)
    counts = optics.emulate(lambda w, x: x @ w)(quiet, KEY, w.astype(np.float32), x.astype(np.float32))
    noise = np.asarray(counts) - x.astype(np.float32) @ w.astype(np.float32)
    assert 0 < np.max(np.abs(noise)) < 0.5
    found = optics.emulate(bool_product)(quiet, KEY, w, x)
    assert found.dtype == jnp.bool_
    np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.int32, jnp.uint32])
def test_emulate_integer_product_wraps_as_integers_do_and_unsigned_stays_positive(dtype):
    w, x = np.full((16, 12), 4, dtype), np.full((6, 16), 5, dtype)
    found = optics.emulate(lambda w, x: x @ w)(Exact(), KEY, w, x)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, jnp.asarray(x) @ jnp.asarray(w))
    least = optics.emulate(lambda w, x: x @ w)(Low(), KEY, w, 0 * x)
    np.testing.assert_array_equal(least, np.full((6, 12), 0 if jnp.issubdtype(dtype, jnp.unsignedinteger) else -1))


class Settings(eqx.Module):
    """A module with leaves of every kind."""

    weight: jax.Array
    bias: np.ndarray
    transposed: bool
    power: int
    name: str
    scale: float
    nothing: None = None

    def __call__(self, x, flip=False, times=1):
        y = x @ (self.weight.T if self.transposed else self.weight)
        if flip:
            y = -y
        for _ in range(times * self.power):
            y = y * self.scale
        return y + self.bias if self.name == "biased" else y


def test_emulate_takes_python_bools_ints_and_strings_as_part_of_the_function():
    module = Settings(jnp.asarray(W.real), W.imag[:1], False, 2, "biased", 0.5)
    x = jnp.asarray(X.real)
    run = optics.emulate(lambda module, *args: module(*args))
    for more in ((), (True,), (True, 3)):
        np.testing.assert_allclose(run(Exact(), KEY, module, x, *more), module(x, *more), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        optics.emulate(lambda module, x, **kw: module(x, **kw))(Exact(), KEY, module, x, flip=True, times=2),
        module(x, True, 2),
        rtol=1e-5,
        atol=1e-5,
    )
    assert [site.path for site in optics.trace(lambda module, *args: module(*args))(module, x, True)] == ["weight"]


def test_emulate_runs_equinox_dropout_and_attention_unmodified():
    keys = jax.random.split(jax.random.key(1), 3)
    x = jax.random.normal(jax.random.key(2), (6, 16))
    layers = eqx.nn.MultiheadAttention(2, 16, dropout_p=0.25, key=keys[0]), eqx.nn.Dropout(0.5)

    def forward(layers, x, key, inference):
        attention, dropout = layers
        return dropout(attention(x, x, x, key=key, inference=inference), key=key, inference=inference)

    for inference in (True, False):
        y = optics.emulate(forward)(Exact(), KEY, layers, x, keys[1], inference)
        np.testing.assert_allclose(y, forward(layers, x, keys[1], inference), rtol=1e-4, atol=1e-5)
    sites = optics.trace(forward)(layers, x, keys[1], False)
    assert sum(site.optical for site in sites) == 4


def test_a_weights_argument_of_python_numbers_alone_is_refused():
    with pytest.raises(ValueError, match="argument 0, named by `weights`, holds no array"):
        optics.trace(lambda n, x: n * x)(3, X)


def test_emulate_leaves_floats_inside_a_module_to_python():
    """Equinox's dropout of rate 0 asks whether its rate is a Python number, and needs a key where it is none."""
    attention = eqx.nn.MultiheadAttention(2, 16, key=jax.random.key(1))
    x = jax.random.normal(jax.random.key(2), (6, 16))
    y = optics.emulate(lambda attention, x: attention(x, x, x))(Exact(), KEY, attention, x)
    np.testing.assert_allclose(y, attention(x, x, x), rtol=1e-4, atol=1e-5)
