"""Losses of heads alone on light: against designs that name the heads, one program for all, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import DIGITAL, CoresBySite, SiteRule

KEY = jax.random.key(3)
LAYERS, HEADS, TOKENS, WIDTH = 3, 2, 5, 8
CORE = optics.today(rows=16, columns=16)
DRAW = np.random.default_rng(1)
W = jnp.asarray(DRAW.normal(size=(LAYERS, HEADS * WIDTH, HEADS * WIDTH)) / (HEADS * WIDTH) ** 0.5, jnp.float32)
X = jnp.asarray(DRAW.normal(size=(2, TOKENS, HEADS * WIDTH)), jnp.float32)
CALLS = []


def attend(w, x):
    by_head = x.reshape(*x.shape[:2], HEADS, WIDTH)
    scores = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", by_head, by_head))
    return jnp.einsum("bhqk,bkhd->bqhd", scores, by_head).reshape(x.shape) @ w


def loss(w, x):
    CALLS.append(None)
    return jnp.mean(jax.lax.scan(lambda x, w: (x + attend(w, x), None), x, w)[0] ** 2)


def test_each_head_alone_is_the_design_that_leaves_all_others_digital():
    CALLS.clear()
    done = []
    found = optics.losses_by_head(loss, CORE, KEY, W, X, progress=done.append)
    # Once to find the heads, once to compile for all of them.
    assert len(CALLS) == 2 and done == list(range(1, LAYERS * HEADS + 1))
    assert found.shape == (LAYERS, HEADS)
    exact = float(loss(W, X))
    assert np.all(np.abs(found - exact) > 1e-6)
    for layer, head in np.ndindex(LAYERS, HEADS):
        others = tuple(each for each in range(LAYERS) if each != layer)
        rules = [
            SiteRule("weights", DIGITAL),
            SiteRule("*activations*", DIGITAL, others),
            SiteRule("*activations*", DIGITAL, (layer,), heads=(1 - head,)),
        ]
        alone = optics.emulate(loss, policy=optics.everything)(CoresBySite(CORE, rules), KEY, W, X)
        assert found[layer, head] == pytest.approx(float(alone), rel=1e-5)


def test_function_without_a_scan_has_one_layer():
    found = optics.losses_by_head(lambda w, x: jnp.mean(attend(w[0], x) ** 2), CORE, KEY, W, X)
    assert found.shape == (1, HEADS)


def test_policy_is_asked_as_by_emulate_and_other_arguments_are_part_of_the_function():
    """The shares that a causal mask leaves reach it, and an operand on the left stands on the mask."""
    asked = []

    def policy(site):
        asked.append(site.share)
        return "left"

    policy.reads_shares = True  # pyright: ignore[reportFunctionMemberAccess]

    def causal(w, x, how):
        by_head = x.reshape(*x.shape[:2], HEADS, WIDTH)
        scores = jnp.einsum("bqhd,bkhd->bhqk", by_head, by_head)
        seen = jnp.tril(jnp.ones((TOKENS, TOKENS), bool))
        shares = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
        return getattr(jnp, how)(jnp.einsum("bhqk,bkhd->bqhd", shares, by_head) ** 2) + 0 * jnp.sum(w)

    found = optics.losses_by_head(causal, CORE, KEY, W, X, "mean", policy=policy)
    assert set(asked) == {(TOKENS + 1) / (2 * TOKENS)}
    design = CoresBySite(CORE, [SiteRule("*activations*", DIGITAL, heads=(np.int64(1),))])
    alone = optics.emulate(causal, policy=lambda site: "left")(design, KEY, W, X, "mean")
    assert found[0, 0] == pytest.approx(float(alone), rel=1e-5)


def test_design_in_place_of_a_core_is_refused():
    with pytest.raises(ValueError, match="must be one core"):
        optics.losses_by_head(loss, CoresBySite(CORE, {"*": DIGITAL}), KEY, W, X)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda w, x: jnp.mean(x @ w[0]), "no product of two activations on light has heads"),
        (lambda w, x: jnp.mean(x[0] @ x[0].T), "no product of two activations on light has heads"),
        (
            lambda w, x: loss(w, x) + jnp.mean(attend(w[0], x)),
            "differ in layers or heads: 1 layers of 2 heads, 3 layers of 2 heads",
        ),
        (
            lambda w, x: jax.lax.scan(lambda total, each: (total + loss(w, each[None]), None), 0.0, x)[0],
            "stand in a scan inside another",
        ),
    ],
)
def test_function_without_like_heads_is_refused(function, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        optics.losses_by_head(function, CORE, KEY, W, X)
