"""Operations outside products, counted by hand: one each for + x <, four for a special function, n for a sum of n."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics

SHAPE = jax.ShapeDtypeStruct
X = SHAPE((4, 8), jnp.float32)
SIZE = 4 * 8
SPECIAL = 4


def count(fun, *args, **kwargs):
    return optics.count_elementwise_ops(fun)(*(args or (X,)), **kwargs)


@pytest.mark.parametrize(
    ("name", "fun", "operations"),
    [
        ("an addition", lambda x: x + 1, SIZE),
        ("a multiplication and a difference", lambda x: x * x - x, 2 * SIZE),
        ("a comparison", lambda x: x > 0.5, SIZE),
        ("the larger of two", lambda x: jnp.maximum(x, 0.0), SIZE),
        ("a sign and a magnitude", lambda x: -jnp.abs(x), 2 * SIZE),
        ("exp", jnp.exp, SPECIAL * SIZE),
        ("a division", lambda x: 1 / x, SPECIAL * SIZE),
        ("a root of a logarithm", lambda x: jnp.sqrt(jnp.log(x)), 2 * SPECIAL * SIZE),
        ("tanh, sine, logistic", lambda x: jax.nn.sigmoid(jnp.sin(jnp.tanh(x))), 3 * SPECIAL * SIZE),
        ("a sum of all", jnp.sum, SIZE),
        ("a sum over rows, then a root of each", lambda x: jnp.sqrt(jnp.sum(x, axis=1)), SIZE + SPECIAL * 4),
        ("the largest, and where it is", lambda x: (jnp.max(x, axis=0), jnp.argmax(x, axis=1)), 2 * SIZE),
        ("running sums", lambda x: jnp.cumsum(x, axis=1), SIZE),
        # A mean is a sum and one division for each of the four rows.
        ("a mean", lambda x: jnp.mean(x, axis=1), SIZE + SPECIAL * 4),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_operations_by_hand(name, fun, operations):
    assert count(fun) == {"element-wise": operations}


@pytest.mark.parametrize(
    ("name", "fun"),
    [
        ("reshape, transpose", lambda x: x.reshape(8, 4).T),
        ("slices and rolls", lambda x: jnp.roll(x[1:3, ::2], 1, axis=0)),
        ("broadcast and join", lambda x: jnp.concatenate([x, jnp.ones((2, 8))])),
        ("pad, reverse", lambda x: jnp.pad(x, ((0, 1), (2, 0)))[::-1]),
        ("look up", lambda x: x[jnp.array([3, 1])]),
        ("take where", lambda x: jnp.take(x, jnp.array([0, 2]), axis=1)),
        ("choose", lambda x: jnp.where(jnp.arange(8)[None] < 3, x, 0.0)),
        ("write into", lambda x: jax.lax.dynamic_update_slice(x, jnp.zeros((1, 8)), (2, 0))),
        ("other words", lambda x: x.astype(jnp.bfloat16)),
        ("no gradient", jax.lax.stop_gradient),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_to_move_data_is_no_operation(name, fun):
    assert count(fun) == {}


def test_products_are_not_counted():
    """x @ w and its convolution are on the other bill; what is done to their results is here."""
    w = SHAPE((8, 3), jnp.float32)
    assert count(lambda x, w: x @ w, X, w) == {}
    assert count(lambda x, w: jax.nn.relu(x @ w) + 1, X, w) == {"element-wise": 2 * 4 * 3}
    image, kernel = SHAPE((1, 1, 9, 9), jnp.float32), SHAPE((2, 1, 3, 3), jnp.float32)
    assert count(lambda x, k: jax.lax.conv(x, k, (1, 1), "SAME"), image, kernel) == {}


def test_integers_are_bookkeeping():
    whole = SHAPE((4, 8), jnp.int32)
    assert count(lambda n: n * 2 + jnp.sum(n) - n % 3, whole) == {}
    assert count(lambda n: (n > 1) & (n < 5), whole) == {}
    # Counted from where numbers are real: the conversion moves them, the square root does not.
    assert count(lambda n: jnp.sqrt((n * 2).astype(jnp.float32)), whole) == {"element-wise": SPECIAL * SIZE}


def test_random_bits_are_not_counted_and_what_is_made_of_them_is():
    key = jax.random.key(0)
    assert count(lambda key: jax.random.bits(key, (100,)), key) == {}
    assert count(lambda key: jnp.exp(jax.random.key_data(jax.random.split(key)).astype(jnp.float32)), key) == {
        "element-wise": SPECIAL * 4
    }


def test_names_are_the_outermost_scopes():
    def fun(x):
        with jax.named_scope("outer"):
            x = jnp.exp(x)
            with jax.named_scope("inner"):
                x = x + 1
        with jax.named_scope("second"):
            x = x * 2
        with jax.named_scope("outer"):
            x = x - 1
        return x / 3

    assert count(fun) == {"outer": (SPECIAL + 2) * SIZE, "second": SIZE, "element-wise": SPECIAL * SIZE}


def test_a_jit_is_looked_into_and_its_name_is_that_around_it():
    @jax.jit
    def inside(x):
        with jax.named_scope("deep"):
            return jnp.exp(x)

    @jax.jit
    def nested(x):
        return inside(x) + 1

    def fun(x):
        with jax.named_scope("around"):
            x = nested(x)
        return nested(x)

    found = count(fun)
    assert found == {"around": (SPECIAL + 1) * SIZE, "deep": SPECIAL * SIZE, "element-wise": SIZE}


def test_a_scan_counts_for_each_of_its_turns():
    """Three turns of an exp and, twice in each, an inner scan of an addition."""

    def fun(x):
        def inner(x, _):
            return x + 1, None

        def outer(x, _):
            with jax.named_scope("turn"):
                x = jnp.exp(x)
            return jax.lax.scan(inner, x, length=2)[0], None

        return jax.lax.scan(outer, x, length=3)[0]

    assert count(fun) == {"turn": 3 * SPECIAL * SIZE, "element-wise": 3 * 2 * SIZE}
    assert count(lambda x: jax.lax.map(jnp.sin, x)) == {"element-wise": SPECIAL * SIZE}
    assert count(lambda x: jax.lax.fori_loop(0, 5, lambda _, x: x - 1, x)) == {"element-wise": 5 * SIZE}


def test_of_a_cond_all_branches_are_counted():
    def fun(x, number):
        return jax.lax.switch(number, [jnp.exp, lambda x: x + 1, lambda x: x], x)

    assert count(fun, X, SHAPE((), jnp.int32)) == {"element-wise": (SPECIAL + 1) * SIZE}


def test_a_while_is_counted_for_one_turn():
    """A turn: the test, a sum and a comparison; the body, a subtraction."""
    found = count(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) > 0, lambda x: x - 1, x))
    assert found == {"element-wise": 2 * SIZE + 1}


def test_of_custom_derivatives_the_function_alone_counts():
    """What the rules hold is not run: 100 tanh of a jvp, and of a vjp, are not there."""

    def costly(x):
        for _ in range(100):
            x = jnp.tanh(x)
        return x

    forwards = jax.custom_jvp(lambda x: x + 1)
    forwards.defjvp(lambda primals, tangents: (costly(primals[0]), costly(tangents[0])))
    backwards = jax.custom_vjp(lambda x: x * 2)
    backwards.defvjp(lambda x: (costly(x), None), lambda _, slope: (costly(slope),))
    assert count(lambda x: backwards(forwards(x))) == {"element-wise": 2 * SIZE}
    # x times logistic(x), and the larger of x and 0.
    assert count(jax.nn.silu) == {"element-wise": (SPECIAL + 1) * SIZE}
    assert count(jax.nn.relu) == {"element-wise": SIZE}
    assert count(jax.checkpoint(jnp.sin)) == {"element-wise": SPECIAL * SIZE}


def one_row(row):
    with jax.named_scope("norm"):
        row = row / jnp.sum(row)
    return row + 1


def test_vmap_counts_for_all_members():
    """By row: a sum of 8, 8 divisions, 8 additions."""
    assert sum(count(jax.vmap(one_row)).values()) == 4 * (8 + SPECIAL * 8 + 8)


@pytest.mark.parametrize("transformed", [jax.vmap(one_row), jax.vmap(jax.jit(one_row))], ids=["vmap", "vmap of jit"])
def test_names_pass_through_vmap(transformed):
    assert count(transformed) == {"norm": 4 * (8 + SPECIAL * 8), "element-wise": 4 * 8}


@pytest.mark.parametrize(
    ("fun", "operations"),
    [
        (lambda x: jax.lax.reduce(x, jnp.float32(0), jax.lax.add, (0, 1)), SIZE),
        (lambda x: jax.lax.reduce(x, jnp.float32(0), lambda a, b: a + b * 2, (0, 1)), SIZE),
        (lambda x: x.at[1].add(1.0), 8),
    ],
    ids=["sum", "any function", "add into a row"],
)
def test_a_reduction_of_any_function_counts_for_each_number(fun, operations):
    assert count(fun) == {"element-wise": operations}


def test_shapes_arrays_and_keywords_count_alike():
    def fun(params, x, *, power=1.0):
        return {"y": params["scale"] * x**2 * power}

    shapes = {"scale": SHAPE((), jnp.float32)}, X
    arrays = {"scale": jnp.float32(2)}, np.ones((4, 8), np.float32)
    assert count(fun, *shapes) == count(fun, *arrays) == {"element-wise": 3 * SIZE}
    assert count(fun, *shapes, power=3.0) == {"element-wise": 3 * SIZE}
    # A terabyte of numbers: nothing is run.
    assert count(jnp.exp, SHAPE((2**19, 2**19), jnp.float32)) == {"element-wise": SPECIAL * 2**38}


def test_llama_by_hand():
    """SmolLM2-135M on 64 tokens, from the published equations and the shape of the model.

    RMSNorm of h numbers: h squares, a sum of h, the mean's division (4), epsilon, a root's reciprocal (4), h times
    that, h times the weight: 4 h + 9. Rotation: four products and two sums for two numbers. SwiGLU: logistic (4) and
    two products. Softmax: scale, largest, difference, exp (4), sum, division (4): 12 a score that the mask leaves, and
    one comparison of each row's largest with -infinity, with which JAX guards an empty row.
    """
    config, length = models.SMOLLM2_135M, 64
    found = count(
        lambda params, tokens: models.forward(config, params, tokens),
        models.parameter_shapes(config),
        SHAPE((1, length), jnp.int32),
    )
    rows = config.layers * config.heads * length
    half = config.head_dim // 2
    by_hand = {
        "norms": (2 * config.layers + 1) * length * (4 * config.hidden + 9),
        "softmax": 12 * rows * (length + 1) / 2 + rows,
        "activations": config.layers * length * config.intermediate * (4 + 2),
        "rotary embedding": config.layers * length * (config.heads + config.kv_heads) * half * 6,
        # Two residual sums a layer; once, the table: a position each, an angle, its cosine and sine.
        "element-wise": config.layers * length * 2 * config.hidden + length * (1 + half * (1 + 4 + 4)),
    }
    assert found == by_hand
