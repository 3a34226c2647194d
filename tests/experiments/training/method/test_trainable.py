"""What is trained: which parameters a word selects, low-rank additions in every layout, clipping of columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.training.method.trainable import Trainable, by_path, clip_columns, select

KEY = jax.random.key(0)


def network(params, batch):
    """Every layout: a plain matrix, one stored transposed, a stack in a scan, kernels of a convolution, heads."""
    x = jax.lax.conv_general_dilated(
        batch, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).reshape(batch.shape[0], -1)
    x = x @ params["plain"] * params["norm"][None] + params["plain_bias"][None]
    x = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["stack"])[0]
    x = jnp.einsum("bi,ihd->bhd", x, params["heads"]).reshape(len(x), -1)
    return x @ params["head"].T


@pytest.fixture(scope="module")
def params():
    draws = np.random.default_rng(0)
    shapes = {
        "kernel": (3, 3, 1, 2),
        "plain": (8, 6),
        "norm": (6,),
        "plain_bias": (6,),
        "stack": (3, 6, 6),
        "heads": (6, 2, 5),
        "head": (7, 10),
        "unused": (4, 4),
    }
    return {name: draws.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def sites(params):
    return optics.trace(network)(params, np.ones((2, 2, 2, 1), np.float32))


def selected(trainable, params, sites, clipped=False):
    return [leaf.path for leaf in select(trainable, params, sites, clipped).leaves]


def test_select_takes_the_parameters_of_its_word(params, sites):
    assert selected(Trainable(), params, sites) == sorted(params)
    assert selected(Trainable(kind="lora"), params, sites) == ["head", "heads", "kernel", "plain", "stack"]
    assert selected(Trainable(kind="norms"), params, sites) == ["norm", "plain_bias"]
    assert selected(Trainable(where=lambda path: path.startswith("plain")), params, sites) == ["plain", "plain_bias"]


def test_select_without_a_parameter_names_those_there_are(params, sites):
    with pytest.raises(ValueError, match="selects no parameter; there are: head, heads"):
        select(Trainable(kind="lora", where=lambda path: False), params, sites, False)
    with pytest.raises(ValueError, match="clip_sigmas clips matrices on the mask, and train = 'norms' trains none"):
        select(Trainable(kind="norms"), params, sites, True)


def test_integers_are_left_as_they_are(params, sites):
    whole = {**params, "table": np.arange(3)}
    trained = select(Trainable(), whole, sites, False)
    merged = trained.merge(whole, trained.start(whole, KEY))
    assert merged["table"] is whole["table"] and "table" not in [leaf.path for leaf in trained.leaves]


@pytest.mark.parametrize(
    "name, rows, view",
    [
        ("plain", 8, lambda w: w),
        ("head", 10, lambda w: w.T),
        ("kernel", 9, lambda w: w.reshape(9, 2)),
        ("heads", 6, lambda w: w.reshape(6, 10)),
    ],
)
def test_low_rank_addition_equals_numpy_in_every_layout(params, sites, name, rows, view):
    trained = select(Trainable(kind="lora", rank=2, alpha=6.0), params, sites, False)
    start = trained.start(params, KEY)
    assert all(
        np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (trained.merge(params, start), params)), strict=True)
    )
    factors = start[name] | {"b": jnp.ones_like(start[name]["b"])}
    assert factors["a"].shape == (rows, 2)
    merged = np.asarray(trained.merge(params, start | {name: factors})[name])
    expected = view(params[name]) + 3.0 * np.asarray(factors["a"]) @ np.asarray(factors["b"])
    np.testing.assert_allclose(view(merged), expected, rtol=1e-5, atol=1e-6)


def test_low_rank_addition_to_a_stack_is_one_for_each_step(params, sites):
    trained = select(Trainable(kind="lora", rank=2), params, sites, False)
    start = trained.start(params, KEY)["stack"]
    assert start["a"].shape == (3, 6, 2) and start["b"].shape == (3, 2, 6)
    assert not np.allclose(start["a"][0], start["a"][1])


def test_clip_columns_equals_numpy():
    w = np.random.default_rng(1).normal(size=(3, 50, 4)).astype(np.float32)
    bound = 1.5 * np.std(w, axis=1, keepdims=True)
    np.testing.assert_allclose(clip_columns(jnp.asarray(w), 1.5), np.clip(w, -bound, bound), rtol=1e-6)


def test_clip_takes_columns_of_the_mask_and_leaves_norms(params, sites):
    trained = select(Trainable(), params, sites, True)
    clipped = trained.clip(trained.start(params, KEY), 1.0)
    assert np.array_equal(clipped["norm"], params["norm"])
    # The head is stored transposed: a column of the mask is one of its rows.
    bound = np.std(params["head"], axis=1, keepdims=True)
    np.testing.assert_allclose(clipped["head"], np.clip(params["head"], -bound, bound), rtol=1e-6)


def test_low_rank_addition_is_clipped_with_its_matrix(params, sites):
    trained = select(Trainable(kind="lora", rank=2), params, sites, True)
    merged = trained.merge(params, trained.start(params, KEY), 1.0)
    bound = np.std(params["plain"], axis=0, keepdims=True)
    np.testing.assert_allclose(merged["plain"], np.clip(params["plain"], -bound, bound), rtol=1e-6)


def test_paths_are_those_of_trace(params, sites):
    assert {site.path for site in sites if site.optical} <= set(by_path(params))
    assert list(by_path(np.ones(3))) == ["weights"]


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("kind", "lorra", "train = 'lorra' is nothing to train; did you mean 'lora'?"),
        ("rank", 0, "rank = 0 must be a whole number, at least 1"),
        ("alpha", -1.0, "alpha = -1.0 must be a number above 0"),
    ],
)
def test_trainable_out_of_range_is_refused(field, value, message):
    with pytest.raises(ValueError) as error:
        Trainable(**{field: value}).check()
    assert message in str(error.value)
