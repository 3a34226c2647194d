"""Random functions of jit, scan, cond, vmap and their like: without errors, emulation changes nothing."""

from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import optics
from optics.interpreter.protocols import index_scan

KEY = jax.random.key(0)
WEIGHTS = jax.random.normal(jax.random.key(1), (3, 16, 16)) / 4
MASK = np.tri(16, dtype=np.float32)
ORDER = np.random.default_rng(0).permutation(16)


class Exact(NamedTuple):
    """A core without errors, on which the weights of some sites may stand."""

    sites: dict = {}
    held: jax.Array | None = None

    def prepare(self):
        return self

    def load(self, w):
        return SimpleNamespace(weights=w)

    def at(self, name):
        return Exact(held=self.sites.get(name))

    def at_scan_step(self, step, names):
        return Exact(index_scan(self.sites, step, names))

    def at_expert(self, number):
        return self if self.held is None else Exact(held=self.held[number])

    def matmul(self, x, w, *, key):
        return x @ (w if self.held is None else self.held)


@jax.custom_vjp
def product(x, w):
    return x @ w


product.defvjp(lambda x, w: (x @ w, (x, w)), lambda saved, g: (g @ saved[1].T, saved[0].T @ g))


def turns_of(x):
    """A number from 0 to 2 that the data decide."""
    return (jnp.abs(x[0, 0]) * 10).astype(jnp.int32) % 3


LAYERS = {
    "product": lambda w, x: x @ w[0],
    "masked": lambda w, x: x @ (w[1] * MASK),
    "permuted": lambda w, x: x @ w[2][ORDER],
    "captured": lambda w, x: x @ MASK / 4,
    "attention": lambda w, x: jax.nn.softmax((x @ w[0]) @ (x @ w[1]).T) @ (x @ w[2]),
    "jit": lambda w, x: jax.jit(lambda w, x: jnp.sin(x @ w[1]))(w, x),
    "scan": lambda w, x: lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0],
    "scan of weights": lambda w, x: x @ lax.scan(lambda s, v: (s + v, None), w[0], w)[0],
    "cond": lambda w, x: lax.cond(x[0, 0] > 0, lambda x: x @ w[0], lambda x: 2 * x, x),
    "branch of weights": lambda w, x: x @ lax.switch(turns_of(x), [lambda: w[0], lambda: w[1], lambda: w[2]]),
    "gathered": lambda w, x: x @ w[turns_of(x)],
    "loop": lambda w, x: lax.fori_loop(0, turns_of(x), lambda i, x: jnp.tanh(x @ w[i]), x),
    "loop of weights": lambda w, x: x @ lax.fori_loop(0, turns_of(x), lambda i, v: v / 2 + w[1], w[0]),
    "vmap": lambda w, x: jax.vmap(lambda v: w[2] @ v)(x),
    "vmap of a cond": lambda w, x: jax.vmap(lambda v: lax.cond(v[0] > 0, lambda v: v @ w[0], lambda v: v @ w[1], v))(x),
    "checkpoint": lambda w, x: jax.checkpoint(lambda x: jnp.tanh(x @ w[0]) @ w[1])(x),
    "custom derivative": lambda w, x: product(x, w[2]),
    "complex": lambda w, x: jnp.real(lax.complex(x, x[::-1]) @ lax.complex(w[0], w[1])),
    "ragged": lambda w, x: lax.ragged_dot(x, w, jnp.array([3, 0, 5])),
    "several matrices": lambda w, x: jnp.einsum("vk,ekm->evm", x, w).sum(0),
    "gradient": lambda w, x: jax.grad(lambda x: jnp.sum(jnp.sin(x @ w[0])))(x),
}


def random_function(seed: int):
    """Three layers, some of them in a jit, a scan or a cond of their own."""
    random = np.random.default_rng(seed)
    names = random.choice(list(LAYERS), 3, replace=False)
    wraps = random.choice(["plain", "jit", "scan", "cond"], 3, p=[0.4, 0.2, 0.2, 0.2])

    def wrapped(layer, wrap, w, x):
        match wrap:
            case "jit":
                return jax.jit(layer)(w, x)
            case "scan":
                return lax.scan(lambda x, turn: (layer(w, x) / (2 + turn), None), x, jnp.arange(2.0))[0]
            case "cond":
                return lax.cond(x[1, 1] > 0, lambda x: layer(w, x), jnp.cos, x)
            case _:
                return layer(w, x)

    def forward(w, x):
        for name, wrap in zip(names, wraps, strict=True):
            x = x / 2 + wrapped(LAYERS[name], wrap, w, x) / 2
        return x

    return forward, [f"{name} in {wrap}" for name, wrap in zip(names, wraps, strict=True)]


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
@pytest.mark.parametrize("seed", range(20))
def test_a_random_function_without_errors_is_itself_loaded_or_not(seed):
    """Loaded with one batch, it is right for others, of which some take other branches and other turns."""
    forward, layers = random_function(seed)
    batches = jax.random.normal(jax.random.key(seed), (3, 8, 16))
    loaded = optics.load(forward)(Exact(), WEIGHTS, batches[0])
    core = Exact({name: site.weights for name, site in loaded.sites.items()})
    run = optics.emulate(forward)

    @jax.jit
    def outcomes(w, x):
        return forward(w, x), run(Exact(), KEY, w, x), run(core, KEY, w, x)

    for x in batches:
        truth, *emulated = outcomes(WEIGHTS, x)
        for found in emulated:
            np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-4, err_msg=str(layers))
    _, other, standing = outcomes(2 * WEIGHTS[::-1], batches[1])
    assert not core.sites or not np.allclose(other, standing)


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
@pytest.mark.parametrize("seed", range(100, 102))
def test_a_random_function_on_the_ideal_core_is_itself(seed):
    forward, layers = random_function(seed)
    x = jax.random.normal(jax.random.key(seed), (8, 16))
    found = jax.jit(optics.emulate(forward))(optics.ideal(), KEY, WEIGHTS, x)
    np.testing.assert_allclose(found, forward(WEIGHTS, x), rtol=1e-4, atol=1e-4, err_msg=str(layers))
