"""Which inputs of products are never negative, by the function itself, and a core without a negative rail for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics

DRAWS = np.random.default_rng(0)
W = DRAWS.normal(size=(8, 8)).astype(np.float32)
X = jnp.asarray(DRAWS.normal(size=(5, 8)), jnp.float32)
PIECES = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "sigmoid": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
    "masked softmax": lambda x: jax.nn.softmax(jnp.where(jnp.tri(5, 8, dtype=bool), x, -1e30)),
    "square": jnp.square,
    "even power": lambda x: x**4,
    "product with itself": lambda x: x * x,
    "absolute": jnp.abs,
    "clip": lambda x: jnp.clip(x, 0.0, 1.0),
    "norm of vectors": lambda x: jnp.broadcast_to(jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True)), x.shape),
    "maximum of windows": lambda x: jax.lax.reduce_window(
        jax.nn.relu(x), -jnp.inf, jax.lax.max, (1, 1), (1, 1), "SAME"
    ),
    "one-hot": lambda x: jax.nn.one_hot(jnp.argmax(x, axis=-1), 8),
    "padded": lambda x: jnp.pad(jax.nn.relu(x)[:, 1:], ((0, 0), (0, 1))),
    "checkpoint and jit": lambda x: jax.checkpoint(jax.jit(jax.nn.relu))(x),
}
SIGNED = {
    "linear": lambda x: x,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "odd power": lambda x: x**3,
    "difference": lambda x: jax.nn.relu(x) - jax.nn.sigmoid(x),
    "minimum": lambda x: jnp.minimum(jax.nn.relu(x), x),
    "clip below": lambda x: jnp.clip(x, -1.0, 1.0),
    "logarithm": lambda x: jnp.log(jax.nn.softmax(x)),
    "mean removed": lambda x: jax.nn.relu(x) - jnp.mean(jax.nn.relu(x), axis=-1, keepdims=True),
    "padded with negative numbers": lambda x: jnp.pad(jax.nn.relu(x)[:, 1:], ((0, 0), (0, 1)), constant_values=-1.0),
}


@pytest.mark.parametrize("name", PIECES)
def test_inputs_after_a_nonnegative_function_need_no_sign(name):
    function = PIECES[name]
    assert jnp.min(function(X)) >= 0
    (site,) = optics.trace(lambda w, x: function(x) @ w)(W, X)
    assert optics.nonnegative_inputs(site) and site.nonnegative == ("left",)


@pytest.mark.parametrize("name", SIGNED)
def test_inputs_after_a_signed_function_need_one(name):
    function = SIGNED[name]
    assert jnp.min(function(X)) < 0
    (site,) = optics.trace(lambda w, x: function(x) @ w)(W, X)
    assert not optics.nonnegative_inputs(site)


def test_product_of_nonnegative_arrays_may_be_negative_on_light():
    """Its noise is."""
    first, second = optics.trace(lambda w, x: jax.nn.relu(x) @ jnp.abs(w) @ w)(W, X)
    assert optics.nonnegative_inputs(first) and not optics.nonnegative_inputs(second)


def test_weights_first_look_at_the_right_operand():
    (site,) = optics.trace(lambda w, x: w @ jax.nn.relu(x.T))(W, X)
    assert site.weights_first and optics.nonnegative_inputs(site)


def attention(w, x):
    return jax.nn.softmax(x @ w @ x.T) @ x


def attention_of_columns(w, x):
    """The same, transposed: the probabilities are the right operand."""
    return x.T @ jax.nn.softmax(x @ w @ x.T, axis=0)


def test_design_sends_probabilities_and_relu_without_a_negative_rail():
    """The signed sites stay on rails; ideal parts give the digital result, which negative inputs would not survive."""
    core = optics.ideal(optics.today(rows=8, columns=8))
    unsigned = core.replace({"encoding.inputs": "unsigned"})
    design = optics.CoresBySite(core, [optics.SiteRule(optics.nonnegative_inputs, unsigned)])
    policy = optics.AttentionOnLight(core, "right")
    run = jax.jit(optics.emulate(attention, policy=policy))
    np.testing.assert_allclose(run(design, jax.random.key(0), W, X), attention(W, X), rtol=1e-4, atol=1e-4)
    assert jnp.max(jnp.abs(run(unsigned, jax.random.key(0), W, X) - attention(W, X))) > 0.1
    sites = optics.trace(attention, policy=policy)(W, X)
    assert [optics.nonnegative_inputs(site) for site in sites] == [False, False, True]
    assert optics.price(design, sites).total < optics.price(core, sites).total
    # The other way round, the probabilities stand on the mask, on one pixel each.
    policy = optics.AttentionOnLight(core, "right")
    by_pixel = core.replace({"encoding.weights": "unsigned"})
    design = optics.CoresBySite(core, [optics.SiteRule(optics.nonnegative_weights, by_pixel)])
    sites = optics.trace(attention_of_columns, policy=policy)(W, X)
    assert [optics.nonnegative_weights(site) for site in sites] == [False, False, True]
    run = jax.jit(optics.emulate(attention_of_columns, policy=policy))
    wanted = attention_of_columns(W, X)
    np.testing.assert_allclose(run(design, jax.random.key(0), W, X), wanted, rtol=1e-4, atol=1e-4)
    assert optics.price(design, sites).total < optics.price(core, sites).total
