"""Weights that stand on the mask: the same numbers as when each call loads them, to the last bit."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics

KEY = jax.random.key(3)


def assert_same_numbers(found, expected):
    """To the last bit; where nothing is optimised, XLA rounds two programs with the same operations differently."""
    found, expected = np.asarray(found), np.asarray(expected)
    last_digits = 2e-6 * np.max(np.abs(expected)) if jax.config.read("jax_disable_most_optimizations") else 0.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=last_digits)


def core(**structure) -> optics.TensorCore:
    return optics.today(rows=32, columns=16).replace({"device": 5, "source.gain_mismatch": 0.05} | structure)


@pytest.fixture(scope="module")
def params() -> dict[str, jax.Array]:
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = {"layers": (3, 40, 40), "experts": (2, 40, 8), "out": (40, 24)}
    return {name: jax.random.normal(key, shape) / 6 for key, (name, shape) in zip(keys, shapes.items(), strict=True)}


def forward(params, x):
    """A scan, a product of several matrices, one in a cond, one in a while, and a plain one."""
    x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["layers"])
    several = jnp.einsum("evk,ekn->evn", jnp.stack([x, -x]), params["experts"])
    chosen = jax.lax.cond(x[0, 0] > 0, lambda x: x @ params["out"], lambda x: -(x @ params["out"]), x)
    turned = jax.lax.while_loop(lambda x: jnp.sum(x**2) > 1, lambda x: 0.3 * jnp.tanh(x @ params["layers"][0]), x)
    return x @ params["out"], several, chosen, turned


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (6, 40))


@pytest.fixture(scope="module")
def run():
    """`forward` on a core, compiled once for cores that hold its weights and once for those that do not."""
    return jax.jit(optics.emulate(forward))


@pytest.fixture(scope="module")
def loaded(params, x):
    return optics.load(forward)(core(), params, x)


STRUCTURES = {
    "rails": {},
    "exact light": {"detector.light": "exact"},
    "offset": {"encoding.weights": "offset", "encoding.inputs": "slots"},
    "slices": {"encoding.weight_slices": 2, "encoding.input_slices": 2, "dac.bits": 4, "dac.enob": 4, "mask.bits": 4},
    "scales of tiles": {"encoding.scales": "tile"},
    "bfloat16": {"arithmetic": "bfloat16"},
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_matrix_that_was_loaded_gives_the_same_numbers(name):
    noise = np.random.default_rng(1)
    x, w = noise.normal(size=(5, 70)).astype(np.float32), noise.normal(size=(70, 20)).astype(np.float32)
    w[:, 3] = 0
    one = core(**STRUCTURES[name])
    assert_same_numbers(one.load(w).matmul(x, key=KEY), one.matmul(x, w, key=KEY))


def test_a_function_whose_weights_were_loaded_gives_the_same_numbers(params, x, run, loaded):
    paths = {name.split()[1] for name in loaded.sites}
    assert paths == {"layers", "out"}
    assert len(loaded.sites) == 2
    for with_mask, without in zip(run(loaded, KEY, params, x), run(core(), KEY, params, x), strict=True):
        assert_same_numbers(with_mask, without)


def test_only_the_shapes_of_the_data_matter_and_not_the_batch(params, x, run):
    compiled = jax.jit(optics.load(forward))(core(), params, jnp.zeros((2, 40)))
    shapes = optics.load(forward)(core(), params, jax.ShapeDtypeStruct((1, 40), jnp.float32))
    assert_same_numbers(run(compiled, KEY, params, x)[0], run(shapes, KEY, params, x)[0])


def test_what_stands_on_the_mask_is_not_looked_at_again(params, x, run, loaded):
    """Weights that are passed where others stand make no difference; that of the experts is loaded in each call."""
    others = jax.tree.map(lambda w: 2 * w, params)
    first, second = run(loaded, KEY, params, x), run(loaded, KEY, others, x)
    assert_same_numbers(first[0], second[0])
    assert np.any(first[1] != second[1])


def test_a_loaded_core_keeps_its_ranges(params, x):
    def model(params, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["layers"])[0] @ params["out"]

    ranged = optics.FixedRangeCore(core(), optics.fit_ranges(model)(core(), KEY, params, x))
    run = jax.jit(optics.emulate(model))
    loaded = optics.load(model)(ranged, params, x)
    assert_same_numbers(run(loaded, KEY, params, x), run(ranged, KEY, params, x))


STACK = jax.random.normal(jax.random.key(8), (2, 40, 24)) / 6
DATA = jax.random.normal(jax.random.key(9), (6, 40))


def counted_product(w, x, n):
    """n times the product with a stack's first matrix, which a loop of as many turns puts in place."""
    return x @ jax.lax.fori_loop(0, n, lambda i, w_now: w_now + w[1], w[0])


SELECTED = {
    "switch": lambda w, x, i: x @ jax.lax.switch(i, [lambda: w[0], lambda: w[1]]),
    "cond": lambda w, x, i: x @ jax.lax.cond(i > 0, lambda w: w[1], lambda w: w[0], w),
    "turns of a loop": counted_product,
    "cond in a jit": lambda w, x, i: x @ jax.jit(lambda i: jax.lax.cond(i > 0, lambda: w[1], lambda: w[0]))(i),
    "counter": lambda w, x, i: x @ (w[0] * jax.lax.while_loop(lambda n: n < i, lambda n: n + 1, 0).astype(jnp.float32)),
}


@pytest.mark.parametrize("name", SELECTED)
def test_load_leaves_weights_that_data_select_to_each_call(name):
    """Loaded with index 0, a call with index 1 multiplies with what index 1 selects."""
    forward = SELECTED[name]
    loaded = optics.load(forward)(core(), STACK, DATA, jnp.int32(0))
    assert loaded.sites == {}
    run = optics.emulate(forward)
    (site,) = optics.trace(forward)(STACK, DATA, jnp.int32(0))
    assert (site.optical, site.stationary, site.selected) == (True, True, True)
    for index in (jnp.int32(0), jnp.int32(1)):
        found = run(loaded, KEY, STACK, DATA, index)
        assert_same_numbers(found, run(core(), KEY, STACK, DATA, index))
        ideal = run(optics.ideal(core()), KEY, STACK, DATA, index)
        np.testing.assert_allclose(ideal, forward(STACK, DATA, index), rtol=1e-4, atol=1e-5)
    assert not np.allclose(*(forward(STACK, DATA, jnp.int32(i)) for i in (0, 1)))


CONSTANT = {
    "branch of a constant": lambda w, x: x @ jax.lax.switch(1, [lambda: w[0], lambda: w[1]]),
    "branch of weights": lambda w, x: x @ jax.lax.cond(w[0, 0, 0] > 1e9, lambda: w[0], lambda: w[1]),
    "branch beside a product": lambda w, x: (lambda y, v: y + x @ v)(
        *jax.lax.cond(w[0, 0, 0] > 1e9, lambda: (x @ w[0], w[0]), lambda: (x @ w[1], w[1]))
    ),
    "loop of weights": lambda w, x: x @ jax.lax.while_loop(lambda v: jnp.sum(v**2) < 99, lambda v: 2 * v, w[0]),
    "loop that carries data and weights": lambda w, x: (lambda y, v, n: y @ v)(
        *jax.lax.while_loop(lambda s: s[2] < 3, lambda s: (s[0] @ s[1] @ w[1].T, s[1] * 2, s[2] + 1), (x, w[0], 0))
    ),
    "mask": lambda w, x: x @ (w[0] * np.tri(40, 24, dtype=np.float32)),
    "product of captured arrays": lambda w, x: x @ (w[0] * (np.tri(40, 3, dtype=np.float32) @ jnp.ones((3, 24)))),
    "scan of weights": lambda w, x: x @ jax.lax.scan(lambda s, v: (s + v, v.sum()), jnp.zeros((40, 24)), w)[0],
}


@pytest.mark.parametrize("name", CONSTANT)
def test_load_evaluates_weights_that_no_data_select(name):
    forward = CONSTANT[name]
    loaded = optics.load(forward)(core(), STACK, DATA)
    assert len(loaded.sites) == 1
    run = optics.emulate(forward)
    assert_same_numbers(run(loaded, KEY, STACK, DATA), run(core(), KEY, STACK, DATA))


def test_load_does_not_evaluate_what_is_made_of_data():
    """Doubling zeros until they reach one has no end."""

    def forward(w, x):
        return jax.lax.while_loop(lambda x: jnp.max(jnp.abs(x)) < 9, lambda x: 2 * x, x) @ w[0]

    loaded = optics.load(forward)(core(), STACK, jax.ShapeDtypeStruct(DATA.shape, jnp.float32))
    run = optics.emulate(forward)
    assert_same_numbers(run(loaded, KEY, STACK, DATA), run(core(), KEY, STACK, DATA))


def test_readings_of_a_loaded_core_are_of_the_weights_that_were_loaded(params, x):
    """Not of those that are passed, in a scan and beside it."""

    def model(params, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["layers"])[0] @ params["out"]

    look = jax.jit(optics.emulate(model, diagnostics=True))
    others = jax.tree.map(lambda w: w[..., ::-1] * 3, params)
    loaded = optics.load(model, diagnostics=True)(core(), params, x)
    y, seen = look(loaded, KEY, others, x)
    again, truth = look(core(), KEY, params, x)
    assert_same_numbers(y, again)
    for found, expected in zip(jax.tree.leaves(seen), jax.tree.leaves(truth), strict=True):
        assert_same_numbers(found, expected)
    assert_same_numbers(y, jax.jit(optics.emulate(model))(loaded, KEY, others, x))


def test_readings_of_a_core_that_was_loaded_without_its_matrices_are_refused(params):
    model = lambda params, x: x @ params["out"]  # noqa: E731
    loaded = optics.load(model)(core(), params, DATA)
    with pytest.raises(ValueError, match=r"site '000 out 40x24' .*optics.load\(..., diagnostics=True\)"):
        optics.emulate(model, diagnostics=True)(loaded, KEY, params, DATA)


def test_load_takes_arrays_by_keyword_as_data():
    def forward(w, *, x):
        return x @ (w[0] @ w[1].T) + (x * w[0, :1].sum()) @ w[0] @ w[1].T

    loaded = optics.load(forward)(core(), STACK, x=DATA)
    run = optics.emulate(forward)
    assert_same_numbers(run(loaded, KEY, STACK, x=2 * DATA), run(core(), KEY, STACK, x=2 * DATA))


def test_a_loaded_function_keeps_its_python_numbers():
    """An int is part of the function: with another one the weights on the mask would be those of another function."""
    forward = SELECTED["switch"]
    loaded = optics.load(forward)(core(), STACK, DATA, 0)
    assert len(loaded.sites) == 1
    run = optics.emulate(forward)
    assert_same_numbers(run(loaded, KEY, STACK, DATA, 0), run(core(), KEY, STACK, DATA, 0))
    with pytest.raises(ValueError, match="argument 2 was 0 when the weights were loaded and is 1 in this call"):
        run(loaded, KEY, STACK, DATA, 1)
    with pytest.raises(ValueError, match="argument 2 was 0 when the weights were loaded and is an array in this call"):
        jax.jit(run)(loaded, KEY, STACK, DATA, 1)


def test_wrong_use_is_one_clear_error(params):
    loaded = core().load(params["out"])
    with pytest.raises(ValueError, match="40 rows|40"):
        loaded.matmul(jnp.zeros((2, 39)), key=KEY)
    with pytest.raises(ValueError, match="float32"):
        core().load(jnp.zeros((3, 3), jnp.int32))
    with pytest.raises(ValueError, match="NaN"):
        core().load(jnp.full((3, 3), jnp.nan))
    with pytest.raises(ValueError, match="through optics.emulate"):
        optics.load(forward)(core(), params, jnp.zeros((2, 40))).matmul(jnp.zeros((2, 40)), params["out"], key=KEY)


ROWS, COLUMNS, DRAWS = 256, 160, 4096


def shot_noise(light: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Variance of each output from shot noise alone, in units of that of one full product."""
    only = optics.today(rows=ROWS, columns=COLUMNS).replace({
        "effects": optics.Effects.only("shot"), "detector.dark_current": 0.0, "detector.light": light,
    })  # fmt: skip
    many = np.tile(x, (DRAWS, 1)).astype(np.float32)
    error = np.asarray(jax.jit(lambda k: only.matmul(many, w.astype(np.float32), key=k))(KEY), np.float64) - x @ w
    return error.var(axis=0) * float(only.electrons)


def test_the_light_by_factors_is_right_within_its_law():
    """Independent |x| and |w| of relative spreads c and d leave c d / sqrt(rows) rms, half-normal ones 0.57 / 16.

    Twice that is added to every output, so that the factors do not flatter. A sample variance has the relative standard
    error sqrt(2 / draws), which comes on top; 160 columns tell the rms of both together to 6 %, and the bar is five of
    that. The mean over the columns has the standard error of one over sqrt(160).
    """
    noise = np.random.default_rng(9)
    x, w = noise.normal(size=ROWS), noise.normal(size=(ROWS, COLUMNS))
    x, w = x / np.abs(x).max(), w / np.abs(w).max(axis=0)
    light = np.abs(x) @ np.abs(w)
    exact, factored = (shot_noise(kind, x, w) / light - 1 for kind in ("exact", "factored"))
    sampling, missed = 2 / DRAWS, (np.pi / 2 - 1) / math.sqrt(ROWS)
    assert np.sqrt(np.mean(exact**2)) == pytest.approx(np.sqrt(sampling), rel=0.3)
    assert np.std(factored) == pytest.approx(np.sqrt(sampling + missed**2), rel=0.3)
    # A vector's light, summed over its columns, is exact, so its mean excess is the margin alone.
    assert np.mean(factored) == pytest.approx(2 * missed, rel=0.1, abs=5 * np.sqrt(sampling / COLUMNS))


def test_alike_columns_leave_no_error():
    x = np.abs(np.random.default_rng(2).normal(size=(1, ROWS))).astype(np.float32)
    column = np.random.default_rng(3).normal(size=(ROWS, 1))
    w = (column * np.linspace(1, 2, COLUMNS)).astype(np.float32)
    both = []
    for light in ("exact", "factored"):
        only = optics.today(rows=ROWS, columns=COLUMNS).replace({
            "effects": optics.Effects.only("shot"), "detector.light": light,
        })  # fmt: skip
        both.append(only.matmul(x, w, key=KEY))
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-4)
