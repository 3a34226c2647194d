"""Hidden scores are found where a mask is known at trace time, against counts by hand and against gradients."""

import dataclasses
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from optics.interpreter import causal, folding

SHAPE = jax.ShapeDtypeStruct
LENGTH, WIDTH = 8, 3
SEEN = (LENGTH + 1) / (2 * LENGTH)
TRIANGLE = np.tril(np.ones((LENGTH, LENGTH), bool))
BAND = TRIANGLE & ~np.tril(np.ones((LENGTH, LENGTH), bool), -3)


def weights_and_data(length=LENGTH):
    return SHAPE((WIDTH, 3 * WIDTH), jnp.float32), SHAPE((length, WIDTH), jnp.float32)


def attention(shown, product=lambda p, v: p @ v):
    """fun(weights, x): one head, `shown(scores)` -> shares of the keys."""

    def fun(w, x):
        q, k, v = jnp.split(x @ w, 3, axis=1)
        return product(shown(q @ k.T), v)

    return fun


def shares(fun, *args, **options):
    """Of the products of two activations, in order."""
    return [site.share for site in optics.trace(fun, **options)(*(args or weights_and_data())) if not site.stationary]


def by_iota(scores):
    query, key = (jax.lax.broadcasted_iota(jnp.int32, scores.shape, d) for d in (0, 1))
    return jax.nn.softmax(jnp.where(query >= key, scores, -jnp.inf), axis=-1)


def by_arange(scores):
    place = jnp.arange(scores.shape[0])
    return jax.nn.softmax(jnp.where(place[:, None] - place[None, :] < 0, jnp.finfo(jnp.float32).min, scores), axis=-1)


def by_bias(scores):
    return jax.nn.softmax(scores / math.sqrt(WIDTH) + jnp.triu(jnp.full(scores.shape, -1e9), 1), axis=-1)


def by_bias_before_the_scale(scores):
    return jax.nn.softmax((scores + jnp.triu(jnp.full(scores.shape, -1e9), 1)) * 0.125, axis=-1)


def by_product(scores):
    unnormed = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True)) * jnp.asarray(TRIANGLE, jnp.float32)
    return unnormed / jnp.sum(unnormed, axis=-1, keepdims=True)


def by_where_of_softmax(scores):
    return jax.nn.softmax(scores, axis=-1, where=jnp.asarray(TRIANGLE))


def by_captured_numpy(scores):
    return jax.nn.softmax(jnp.where(TRIANGLE, scores, -1e30), axis=-1)


def in_a_jit(scores):
    return jax.jit(by_iota)(scores)


def in_a_checkpoint(scores):
    return jax.checkpoint(by_iota)(scores)


def in_another_type(scores):
    return by_iota(scores.astype(jnp.bfloat16).astype(jnp.float32)).astype(jnp.bfloat16).astype(jnp.float32)


ATTENTIONS = [
    by_iota, by_arange, by_bias, by_bias_before_the_scale, by_captured_numpy, by_where_of_softmax, in_a_jit,
    in_a_checkpoint, in_another_type,
]  # fmt: skip


@pytest.mark.parametrize("shown", ATTENTIONS)
def test_causal_scores_are_counted_to_their_own_key(shown):
    """Query i meets i keys, in both products: (L + 1) / (2 L) of L^2."""
    assert shares(attention(shown)) == [SEEN, SEEN]


def test_zeroed_shares_need_no_values_and_their_scores_are_still_asked_for():
    """A mask after the exponential hides nothing from the row's largest score."""
    assert shares(attention(by_product)) == [1.0, SEEN]


def test_a_band_counts_its_own_entries():
    banded = attention(lambda s: jax.nn.softmax(jnp.where(BAND, s, -jnp.inf), axis=-1))
    assert shares(banded) == [BAND.mean()] * 2


def test_what_is_hidden_by_data_too_is_hidden():
    """Causal and not padding: the causal half is known, whatever the data say of the rest."""

    def fun(w, x, padding):
        return attention(lambda s: jax.nn.softmax(jnp.where(TRIANGLE & padding[None, :], s, -jnp.inf), axis=-1))(w, x)

    assert shares(fun, *weights_and_data(), SHAPE((LENGTH,), bool)) == [SEEN, SEEN]


def test_jax_attention_with_groups():
    """jax.nn.dot_product_attention of two heads on one key head, vmapped over nothing and over a batch."""

    def fun(w, x):
        q, k, v = jnp.split(x @ w, 3, axis=-1)
        heads = jnp.stack([q, q], axis=2), k[:, :, None], v[:, :, None]
        return jax.nn.dot_product_attention(*heads, is_causal=True)

    w, x = weights_and_data()
    batch = SHAPE((2, *x.shape), x.dtype)
    assert shares(fun, w, batch) == [SEEN, SEEN]
    one = jax.vmap(lambda w, x: fun(w, x[None])[0], (None, 0))
    assert shares(one, w, batch) == [SEEN, SEEN]


def test_the_gradient_has_hidden_products_too():
    """Forward two, backward four (of scores to queries and keys, of shares to values and to shares), each half."""

    def loss(w, x):
        return jnp.sum(attention(by_iota)(w, x) ** 2)

    assert shares(jax.grad(loss, argnums=1)) == [SEEN] * 6


NOT_KNOWN = {
    "no mask": lambda s: jax.nn.softmax(s, axis=-1),
    "a mask of the scores themselves": lambda s: jax.nn.softmax(jnp.where(s > 0, s, -jnp.inf), axis=-1),
    "a small bias": lambda s: jax.nn.softmax(s + jnp.triu(jnp.full(s.shape, -10.0), 1), axis=-1),
    "a mask that is carried": lambda s: jax.nn.softmax(
        jnp.where(jax.lax.fori_loop(0, 3, lambda i, m: m & (i < 9), jnp.asarray(TRIANGLE)), s, -jnp.inf), axis=-1
    ),
}


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_what_is_not_known_is_counted_whole(name):
    fun = attention(NOT_KNOWN[name])
    assert shares(fun) == [1.0, 1.0]
    sites = optics.trace(fun)(*weights_and_data())
    assert not any(site.hidden_by for site in sites)


def test_scores_that_something_else_looks_at_are_all_asked_for():
    def fun(w, x):
        q, k, v = jnp.split(x @ w, 3, axis=1)
        scores = q @ k.T
        return by_iota(scores) @ v, jnp.sum(scores)

    assert shares(fun) == [1.0, SEEN]


def test_a_row_that_is_hidden_as_a_whole_is_not_zero():
    """Softmax of scores that are all hidden is an even share of all, so nothing of that row is left out of the values'
    product; of the scores' product it is."""
    rows = TRIANGLE.copy()
    rows[0] = False
    fun = attention(lambda s: jax.nn.softmax(jnp.where(rows, s, -1e9), axis=-1))
    whole = rows.copy()
    whole[0] = True
    assert shares(fun) == [rows.mean(), whole.mean()]


def test_one_jitted_function_with_and_without_a_mask():
    """Both calls share a jaxpr; each has its own mask."""

    @jax.jit
    def shown(scores, mask):
        return jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)

    def fun(w, x):
        q, k, v = jnp.split(x @ w, 3, axis=1)
        whole = np.ones((LENGTH, LENGTH), bool)
        return shown(q @ k.T, jnp.asarray(TRIANGLE)) @ v + shown(k @ q.T, jnp.asarray(whole)) @ v

    assert sorted(shares(fun)) == [SEEN, SEEN, 1.0, 1.0]


def test_layers_of_a_scan():
    def fun(w, x):
        def layer(x, w):
            return attention(by_iota)(w, x), None

        return jax.lax.scan(layer, x, w)[0]

    w, x = weights_and_data()
    sites = optics.trace(fun)(SHAPE((5, *w.shape), w.dtype), x)
    assert [(s.share, s.executions) for s in sites if not s.stationary] == [(SEEN, 5)] * 2
    assert [s.macs for s in sites if not s.stationary] == [5 * WIDTH * LENGTH * (LENGTH + 1) // 2] * 2


def test_a_mask_that_is_data_is_causal_where_the_caller_says_so():
    """Square, and with more keys than queries, whose last query sees all."""

    def fun(w, x, mask):
        return attention(lambda s: jax.nn.softmax(jnp.where(mask, s, -jnp.inf), axis=-1))(w, x)

    given = *weights_and_data(), SHAPE((LENGTH, LENGTH), bool)
    assert shares(fun, *given) == [1.0, 1.0]
    sites = optics.trace(fun, causal=True)(*given)
    assert [(s.share, s.hidden_by) for s in sites if not s.stationary] == [(SEEN, "causal=True")] * 2
    assert optics.count_elementwise_ops(fun, causal=True)(*given) == optics.count_elementwise_ops(attention(by_iota))(
        *given[:2]
    )

    def last(w, x, mask):
        return fun_of_last(w, x, mask)

    def fun_of_last(w, x, mask):
        q, k, v = jnp.split(x @ w, 3, axis=1)
        return jax.nn.softmax(jnp.where(mask, -jnp.inf, q[-2:] @ k.T), axis=-1) @ v

    given = *weights_and_data(), SHAPE((2, LENGTH), bool)
    assert shares(last, *given, causal=True) == [(2 * LENGTH - 1) / (2 * LENGTH)] * 2


def test_nothing_is_left_out_where_the_caller_says_so():
    assert shares(attention(by_iota), causal=False) == [1.0, 1.0]
    found = optics.count_elementwise_ops(attention(by_iota), causal=False)(*weights_and_data())
    assert sum(found.values()) == 11 * LENGTH**2 + LENGTH


def test_a_mask_that_is_known_is_found_and_not_said():
    sites = optics.trace(attention(by_iota), causal=True)(*weights_and_data())
    assert {site.hidden_by for site in sites if not site.stationary} == {"mask"}


def test_census_counts_the_scores_that_are_seen():
    """Largest, difference, exp (4), sum, division (4) for each, and one comparison a row with which JAX guards it."""
    found = optics.count_elementwise_ops(attention(by_iota))(*weights_and_data())
    assert found == {"element-wise": 11 * LENGTH * (LENGTH + 1) / 2 + LENGTH}


@pytest.mark.parametrize("shown", ATTENTIONS)
def test_scores_that_are_counted_are_those_that_matter(shown):
    """By the gradients of the shares and by their zeros, of which no part of the search knows."""
    scores = jax.random.normal(jax.random.key(0), (LENGTH, LENGTH))
    slopes = jax.jacobian(lambda s: shown(s))(scores)
    asked = np.any(np.asarray(slopes) != 0, axis=(0, 1))
    # The last bits of the first row, whose single share is 1 whatever its score is.
    asked[0, 0] = True
    assert asked.mean() == SEEN
    assert np.mean(np.asarray(shown(scores)) != 0) == SEEN


def test_no_share_of_products_with_weights():
    """Padding that is known to be zero is multiplied all the same."""

    def fun(w, x):
        return jnp.where(jnp.arange(LENGTH)[:, None] < 5, x, 0.0) @ w

    (site,) = optics.trace(fun)(*weights_and_data())
    assert site.share == 1.0


@pytest.mark.parametrize("operation", ["div", "rem"])
def test_integers_are_divided_as_lax_does(operation):
    """Towards zero, with the sign of the dividend: the mask of every third key is built so."""
    a, b = np.arange(-7, 8, dtype=np.int32), np.full(15, 3, np.int32)
    closed = jax.make_jaxpr(getattr(jax.lax, operation))(a, b)
    np.testing.assert_array_equal(folding.fold(closed.eqns[0], [a, b]), getattr(jax.lax, operation)(a, b))


FOLDED = {
    "iota": lambda: jax.lax.broadcasted_iota(jnp.int32, (3, 4), 1),
    "tril": lambda: jnp.tril(jnp.ones((4, 5), bool), -1),
    "modulo": lambda: jnp.arange(-4, 5) % 3 == 0,
    "blocks": lambda: jnp.arange(12)[:, None] // 4 == jnp.arange(12)[None, :] // 4,
    "concatenated": lambda: jnp.concatenate([jnp.ones((2, 3), bool), jnp.zeros((2, 2), bool)], axis=1)[::-1, 1:4],
    "reduced": lambda: jnp.any(jnp.arange(6).reshape(2, 3).T > 3, axis=1),
    "kept": lambda: jnp.tril(jnp.full((3, 3), 2.5, jnp.bfloat16))[None, :, None].astype(jnp.float32),
}


@pytest.mark.parametrize("name", FOLDED)
def test_values_are_folded_as_jax_computes_them(name):
    closed = jax.make_jaxpr(FOLDED[name])()
    (found,) = causal.analysed(closed.jaxpr, closed.consts).read(closed.jaxpr.outvars)
    expected = np.asarray(FOLDED[name]())
    assert found.value is not None
    assert found.value.dtype == expected.dtype
    np.testing.assert_array_equal(found.value, expected)


def test_seventy_billion_parameters_at_8192_tokens_are_found_causal():
    """(L + 1) / (2 L) of both products exactly, in seconds, without an array of all heads' scores (2e11 entries)."""
    config = models.LLAMA_3_1_70B
    forward = lambda params, tokens: models.forward(config, params, tokens)  # noqa: E731
    began = time.monotonic()
    sites = optics.trace(forward)(models.parameter_shapes(config), SHAPE((1, 8192), jnp.int32))
    assert time.monotonic() - began < 60
    between = [site for site in sites if not site.stationary]
    assert [(site.share, site.hidden_by) for site in between] == [(8193 / 16384, "mask")] * 2
    by_hand = config.layers * config.heads * config.head_dim * 8192 * 8193 // 2
    assert [site.macs for site in between] == [by_hand] * 2


def test_more_than_fits_is_not_folded(monkeypatch):
    """A mask larger than the limit is not known, and is counted whole."""
    monkeypatch.setattr(folding, "LARGEST", LENGTH * LENGTH - 1)
    assert shares(attention(by_iota)) == [1.0, 1.0]


def test_decoding_sees_all_that_is_in_the_cache():
    config = dataclasses.replace(models.SMOLLM2_135M, layers=1)
    cache = jax.eval_shape(lambda: models.empty_cache(config, 1, 16))
    given = models.parameter_shapes(config), cache, SHAPE((1,), jnp.int32), SHAPE((), jnp.int32)
    assert shares(lambda *args: models.decode_step(config, *args), *given) == [1.0, 1.0]
