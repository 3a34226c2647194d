"""The plain Gaussian noise that training under emulation is compared with."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.training.method.gaussian import GaussianCore

KEY = jax.random.key(0)
X, W = (jax.random.normal(jax.random.key(number), shape) for number, shape in ((1, (400, 16)), (2, (16, 50))))


def product(w, x):
    return x @ w


def in_steps(ws, x):
    def step(x, w):
        y = x @ w
        return y, y

    return jax.lax.scan(step, x, ws)[1]


@pytest.mark.parametrize("relative, scale", [(True, 1.0), (False, 1.0), (True, 7.0), (False, 7.0)])
def test_noise_has_its_size(relative, scale):
    core = GaussianCore({"000 weights 16x50": jnp.float32(0.2)}, relative)
    exact = scale * X @ W
    error = np.std(optics.emulate(product)(core, KEY, W, scale * X) - exact)
    expected = 0.2 * (np.sqrt(np.mean(np.square(exact))) if relative else 1.0)
    # 20,000 draws: a relative standard error of 0.5 %.
    assert error == pytest.approx(expected, rel=0.02)


def test_each_step_of_a_scan_has_its_own_size():
    core = GaussianCore({"000 weights 16x16": jnp.array([0.1, 0.4])}, False)
    ws = jnp.stack([jnp.eye(16), jnp.eye(16)])
    first, second = optics.emulate(in_steps)(core, KEY, ws, X)
    assert np.std(first - X) == pytest.approx(0.1, rel=0.05)
    assert np.std(second - first) == pytest.approx(0.4, rel=0.05)


def test_like_takes_relative_and_absolute_sizes_from_diagnostics():
    seen = {"site": SimpleNamespace(error=np.float32(8), signal=np.float32(200), outputs=np.float32(2))}
    assert GaussianCore.like(seen).sizes["site"] == pytest.approx(0.2)
    assert GaussianCore.like(seen, relative=False).sizes["site"] == pytest.approx(2.0)


def test_site_without_a_size_is_refused():
    with pytest.raises(ValueError, match="site '000 weights 16x50' has no size of noise; there are: other"):
        optics.emulate(product)(GaussianCore({"other": jnp.float32(1)}), KEY, W, X)
