"""Weights that a function reads itself and names: sites as if they had been an argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

import models
import optics
from models.transformer.stored import WEIGHTS
from optics.equations import _jax

STACKED = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
X = jnp.asarray(np.random.default_rng(1).normal(size=(5, 8)), jnp.float32)
KEY = jax.random.key(2)


def in_memory(params, x):
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["layers"]["w"])[0] @ params["head"]


def read(number):
    w = jax.pure_callback(lambda n: STACKED[n], jax.ShapeDtypeStruct((8, 8), jnp.float32), number)
    return checkpoint_name(w, "weights: layers.w")


def reading(params, x):
    return jax.lax.scan(lambda x, n: (jnp.tanh(x @ read(n)), None), x, params["layers"]["number"])[0] @ params["head"]


HEAD = jnp.asarray(np.random.default_rng(3).normal(size=(8, 4)), jnp.float32)
WHOLE = {"layers": {"w": jnp.asarray(STACKED)}, "head": HEAD}
NUMBERED = {"layers": {"number": jnp.arange(3)}, "head": HEAD}


def test_models_and_optics_agree_on_the_name():
    """Neither imports the other."""
    assert WEIGHTS == _jax.WEIGHTS
    assert models.forward is not None


def test_named_weights_have_the_sites_of_an_argument():
    found, expected = optics.trace(reading)(NUMBERED, X), optics.trace(in_memory)(WHOLE, X)
    assert found == expected
    assert [site.name for site in found] == ["000 layers.w 8x8", "001 head 8x4"]
    assert all(site.optical and site.stationary for site in found)


def test_named_weights_have_the_noise_of_an_argument():
    core = optics.today(rows=4, columns=4)
    found = jax.jit(optics.emulate(reading))(core, KEY, NUMBERED, X)
    expected = jax.jit(optics.emulate(in_memory))(core, KEY, WHOLE, X)
    assert np.abs(np.asarray(expected - in_memory(WHOLE, X))).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_named_weights_that_data_choose_stay_digital():
    """As experts that a callback reads by the number that a router gives."""

    def routed(params, x):
        chosen = jnp.argmax(x[0]) % 3
        return x @ read(chosen) @ params["head"]

    with pytest.warns(optics.DigitalProductWarning, match="chosen by data"):
        sites = optics.trace(routed)(NUMBERED, X)
    assert [(site.path, site.optical) for site in sites] == [("activations", False), ("head", True)]
    assert sites[0].weights == "layers.w"


def test_callback_without_arguments_gives_weights_too():
    def of_one(params, x):
        w = jax.pure_callback(lambda: STACKED[0], jax.ShapeDtypeStruct((8, 8), jnp.float32))
        return x @ checkpoint_name(w, "weights: elsewhere") @ params["head"]

    assert [site.name for site in optics.trace(of_one)(NUMBERED, X)] == ["000 elsewhere 8x8", "001 head 8x4"]


def test_other_checkpoint_names_are_no_weights():
    def named(params, x):
        y = checkpoint_name(x @ params["head"], "saved")
        return y @ y.T

    assert [site.stationary for site in optics.trace(named)(NUMBERED, X)] == [True, False]
