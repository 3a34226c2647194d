"""Which arrays are the weights: those of an argument, those that a function captures, or those of some paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics

DRAWS = np.random.default_rng(0)
W, V = (DRAWS.normal(size=size).astype(np.float32) for size in ((8, 4), (4, 8)))
X = jnp.asarray(DRAWS.normal(size=(5, 8)), jnp.float32)
KEY = jax.random.key(0)
CORE = optics.today(rows=8, columns=8)


def captures(x):
    """A scan and a jit around captured arrays, one of which is used twice."""

    def layer(h, _):
        return jnp.tanh(jax.jit(lambda h: h @ W)(h) @ V), None

    return jax.lax.scan(layer, x, length=2)[0] @ W


def takes(weights, x):
    w, v = weights

    def layer(h, _):
        return jnp.tanh(jax.jit(lambda h: h @ w)(h) @ v), None

    return jax.lax.scan(layer, x, length=2)[0] @ w


def test_captured_arrays_on_the_mask_give_what_they_give_as_an_argument():
    found = jax.jit(optics.emulate(captures, "captured"))(CORE, KEY, X)
    wanted = jax.jit(optics.emulate(takes))(CORE, KEY, (W, V), X)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert jnp.std(found - captures(X)) > 1e-3
    paths = [site.path for site in optics.trace(captures, "captured")(X)]
    assert len(set(paths)) == 2 and paths[0] == paths[-1] and all(path.startswith("captured.") for path in paths)


def test_captured_arrays_are_loaded_once():
    loaded = optics.load(captures, "captured")(CORE, X)
    assert len(loaded.sites) == 3
    found = jax.jit(optics.emulate(captures, "captured"))(loaded, KEY, X)
    np.testing.assert_allclose(found, jax.jit(optics.emulate(captures, "captured"))(CORE, KEY, X), atol=1e-5)


def test_captured_whole_numbers_and_masks_are_no_weights():
    order, keep = np.arange(8)[::-1], np.tri(8, dtype=bool)
    (site,) = optics.trace(lambda x: x[:, order] @ np.where(keep, W @ V, 0), "captured")(X)
    assert site.optical and site.path == "captured.0"


def test_captured_and_an_argument_are_weights_together():
    sites = optics.trace(lambda w, x: x @ w @ V, (0, "captured"))(W, X)
    assert [(site.path, site.optical) for site in sites] == [("weights", True), ("captured.0", True)]


def test_function_of_paths_selects_weights_in_any_argument():
    params = {"encoder": {"w": W}, "decoder": {"w": V}}

    def forward(scale, params, *, more, x):
        return scale * (x @ params["encoder"]["w"] @ params["decoder"]["w"] @ more["w"])

    paths = []

    def frozen(path):
        paths.append(path)
        return "encoder" in path or path == "more.w"

    sites = optics.trace(forward, frozen)(1.0, params, more={"w": W}, x=X)
    assert {site.path: site.optical for site in sites} == {"encoder.w": True, "activations": False, "w": True}
    assert set(paths) == {"0", "1.encoder.w", "1.decoder.w", "more.w", "x"}


REFUSED = {
    "no path": (
        lambda: optics.trace(takes, lambda path: False)((W, V), X),
        "none of the arrays, whose paths are",
    ),
    "nothing captured": (lambda: optics.trace(takes, "captured")((W, V), X), "captures no array of floating-point"),
    "a word": (lambda: optics.trace(takes, "params")((W, V), X), "weights = 'params' must be the number of an arg"),
    "not finite": (
        lambda: optics.emulate(lambda x: x @ (W * np.nan), "captured")(CORE, KEY, X),
        "captured, the weights, must be finite.*captured.0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_name_nothing_are_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()
