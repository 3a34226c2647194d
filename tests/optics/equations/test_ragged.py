"""Mixtures of experts on the core: against XLA's ragged product, against the rows of each expert, and their bill."""

from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import optics
from optics.equations import ragged

CASES, ROUTINGS = 20, 5
KEY = jax.random.key(3)
CORE = optics.ideal(optics.preset("today", rows=64, columns=16))
SHAPE = jax.ShapeDtypeStruct


class Exact:
    """A core that multiplies as the function does, and compiles in a tenth of the time of an optical one."""

    def matmul(self, x, w, *, key):
        return jnp.matmul(x, w, precision="highest")


def experts(w, x, sizes):
    return lax.ragged_dot(x, w, sizes, precision="highest")


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def drawn_sizes(draw: np.random.Generator, groups: int, rows: int, *outer: int) -> np.ndarray:
    """Group sizes [routings, *outer, groups] with zeros among them, of which a third leave rows without a group."""
    sizes = np.zeros((ROUTINGS, *outer, groups), np.int32)
    for place in np.ndindex(*sizes.shape[:-1]):
        used = rows if draw.random() < 0.66 else int(draw.integers(0, rows + 1))
        of_row = draw.choice(groups, used, p=draw.dirichlet(np.full(groups, draw.choice([0.1, 1.0, 10.0]))))
        sizes[place] = np.bincount(of_row, minlength=groups)
    return sizes


def drawn(number: int):
    """(w, x, group sizes of each routing, dimensions) of a ragged product: a quarter are those of `lax.ragged_dot`."""
    draw = np.random.default_rng(number)
    groups, rows = int(draw.choice([1, 2, 3, 5, 40])), int(draw.integers(1, 70))
    k, n = (int(size) for size in draw.integers(1, 7, 2))
    if number % 4 == 0:
        plain = lax.RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), [0], [0])
        return normal(number, groups, k, n), normal(number + 1, rows, k), drawn_sizes(draw, groups, rows), plain
    # Letters: b batch, o outer, m ragged, i inner, k and l contracted, g groups, n and p columns.
    extent = {"b": 2, "o": 3, "m": rows, "i": 2, "k": k, "l": 2, "g": groups, "n": n, "p": 2}
    some = [letter for letter in "boilp" if draw.random() < 0.4]
    kept = "o" * ("o" in some) + "m" + "i" * ("i" in some)
    summed, batch = "k" + "l" * ("l" in some), "b" * ("b" in some)
    left = list(draw.permutation([*summed, *batch, *kept]))
    # A group's rows are counted along the ragged dimension for each index of the dimensions before it.
    outer = [d for d in left[: left.index("m")] if d in "oi"]
    right = list(draw.permutation([*summed, *batch, "g", "n", *("p" * ("p" in some))]))
    contract = [[side.index(letter) for letter in summed] for side in (left, right)]
    batched = [[side.index(letter) for letter in batch] for side in (left, right)]
    numbers = lax.RaggedDotDimensionNumbers((contract, batched), [left.index("m")], [right.index("g")])
    prefix = [extent[d] for d in (*batch, *outer)] if draw.random() < 0.7 else []
    w, x = (normal(number + i, *(extent[d] for d in side)) for i, side in enumerate((right, left)))
    return w, x, drawn_sizes(draw, groups, rows, *prefix), numbers


PARTS = [(part, Exact()) for part in np.array_split(np.arange(CASES), 4)]
PARTS += [(np.array([0, 5]), CORE)]


@pytest.mark.parametrize(("numbers", "core"), PARTS)
def test_an_ideal_core_gives_the_ragged_product(numbers, core):
    for number in numbers:
        w, x, routings, dimensions = drawn(number)

        def product(w, x, sizes, dimensions=dimensions):
            return lax.ragged_dot_general(x, w, sizes, dimensions, precision="highest")

        @jax.jit
        def outcomes(w, x, sizes, product=product):
            return optics.emulate(product)(core, KEY, w, x, sizes), product(w, x, sizes)

        # Every third is cut into the shortest blocks there are.
        with mock.patch.object(ragged, "LEAST", 1 if number % 3 == 0 else ragged.LEAST):
            for sizes in routings:
                found, expected = outcomes(w, x, sizes)
                scale = max(float(jnp.max(jnp.abs(expected))), 1.0)
                message = f"{number}: {x.shape} {w.shape} {sizes}"
                np.testing.assert_allclose(found, expected, atol=1e-6 * scale, err_msg=message)


def test_blocks_suffice_for_every_routing_and_are_few():
    """Against all ways of dividing up to 7 rows between 3 experts, and the bound m + E L of their rows."""
    for extent in range(1, 8):
        w, x = np.zeros((3, 1, 1), np.float32), np.zeros((extent, 1), np.float32)
        eqn = jax.make_jaxpr(experts)(w, x, np.zeros(3, np.int32)).eqns[0]
        for least in (1, 2, 3):
            with mock.patch.object(ragged, "LEAST", least):
                shape = ragged.Geometry.of(eqn)
                assert shape.blocks * shape.length <= extent + 3 * shape.length
                for sizes in np.ndindex(*(extent + 1,) * 3):
                    if sum(sizes) <= extent:
                        assert sum(-(-size // shape.length) for size in sizes) <= shape.blocks
    large = ragged.Geometry((), (), 1, 1, 8192, 1, 64, 64, 64)
    assert (large.length, large.blocks) == (128, 127)


SIZES = jnp.array([11, 0, 30])


@pytest.fixture(scope="module")
def operands():
    """40 x 20 weights of three experts, and 48 rows, of which 7 have none."""
    return normal(1, 3, 40, 20), normal(2, 48, 40)


def test_the_noise_of_each_row_has_the_variance_of_its_experts_product(operands):
    """400 draws: the log of a ratio of two variances has a standard deviation of 10 %, its mean of 0.4 %."""
    w, x = operands
    core = optics.today(rows=64, columns=32).replace(
        {"effects": optics.Effects.uniform(0.0), "effects.thermal": 1.0, "effects.shot": 1.0, "source.power": 1e-6}
    )

    def drawn_by(key):
        of_rows = [core.matmul(x[a:b], w[i], key=key) for i, a, b in ((0, 0, 11), (2, 11, 41))]
        return optics.emulate(experts)(core, key, w, x, SIZES), jnp.concatenate(of_rows)

    ys, expected = (np.asarray(y) for y in jax.jit(jax.vmap(drawn_by))(jax.random.split(KEY, 400)))
    assert not ys[:, 41:].any()
    np.testing.assert_allclose(ys[:, :41].mean(0), expected.mean(0), atol=9 * expected.std(0).max() / 20)
    ratio = np.log(ys[:, :41].var(0) / expected.var(0))
    assert np.abs(ratio).max() < 0.55
    assert abs(ratio.mean()) < 0.02


def test_the_gradient_is_that_of_a_loop_over_groups(operands):
    """Without noise; experts and rows that meet nothing have none."""
    w, x = operands
    cotangent = normal(5, 48, 20)

    def looped(w, x):
        return jnp.sum(jnp.concatenate([x[:11] @ w[0], x[11:41] @ w[2]]) * cotangent[:41])

    def at_once(w, x, sizes):
        return jnp.sum(experts(w, x, sizes) * cotangent)

    expected = jax.grad(looped, (0, 1))(w, x)
    for core in (Exact(), optics.ideal(optics.today(rows=64, columns=32))):
        found = jax.jit(jax.grad(partial(optics.emulate(at_once), core), (1, 2)))(KEY, w, x, SIZES)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)
        assert not found[0][1].any() and not found[1][41:].any()


def test_readings_leave_out_what_fills_the_blocks(operands):
    """Counts to the number, and errors against the exact product, of the 41 rows that have an expert."""
    w, x = operands
    core = optics.today(rows=64, columns=32)

    @jax.jit
    def observed(w, x, sizes):
        by_hand = [core.observe(x[a:b], w[i], key=KEY)[1] for i, a, b in ((0, 0, 11), (2, 11, 41))]
        args = core, KEY, w, x, sizes
        return optics.emulate(experts, diagnostics=True)(*args), optics.emulate(experts)(*args), by_hand

    (y, readings), unobserved, by_hand = observed(w, x, SIZES)
    np.testing.assert_allclose(y, unobserved, rtol=2e-6, atol=2e-5)
    (seen,) = readings.values()
    assert (float(seen.outputs), float(seen.conversions), float(seen.macs)) == (41 * 20, 41 * 20, 41 * 20 * 40)
    assert float(seen.inputs) == 41 * 40
    drive = np.abs(x[:41]) / np.abs(x[:41]).max(axis=1, keepdims=True)
    assert float(seen.mean_drive()) == pytest.approx(float(drive.mean()), rel=1e-4)
    exact = np.asarray(experts(w, x, SIZES))
    assert float(seen.error) == pytest.approx(np.sum((np.asarray(y) - exact) ** 2), rel=1e-3)
    for name in ("launched", "detected", "light", "signal"):
        assert float(getattr(seen, name)) == pytest.approx(float(sum(getattr(s, name) for s in by_hand)), rel=1e-3)


def test_loaded_experts_and_fixed_ranges(operands):
    w, x = operands
    core = optics.today(rows=64, columns=32)
    run, look = optics.emulate(experts), optics.emulate(experts, diagnostics=True)

    @jax.jit
    def outcomes(w, x, sizes):
        loaded = optics.load(experts, diagnostics=True)(core, w, x, sizes)
        fixed = optics.FixedRangeCore(core, optics.fit_ranges(experts)(core, KEY, w, x, sizes))
        return loaded, [run(each, KEY, v, x, sizes) for each, v in ((core, w), (loaded, 0 * w), (fixed, w))]

    loaded, (y, y_loaded, y_fixed) = outcomes(w, x, SIZES)
    assert list(loaded.sites) == ["000 weights 40x20"]
    np.testing.assert_allclose(y_loaded, y, atol=1e-4)
    assert jax.eval_shape(look, loaded, KEY, w, x, SIZES)[0].shape == y.shape
    exact = experts(w, x, SIZES)
    assert 0 < jnp.std(y_fixed - exact) < 2 * jnp.std(y - exact)


def test_vmap_and_scan_equal_a_loop(operands):
    w, x = operands
    ws, xs, sizes = jnp.stack([w, 2 * w]), jnp.stack([x, x + 1]), jnp.stack([SIZES, SIZES[::-1]])
    expected = jnp.stack([experts(*each) for each in zip(ws, xs, sizes, strict=True)])
    mapped = jax.jit(partial(optics.emulate(jax.vmap(experts)), Exact()))(KEY, ws, xs, sizes)
    np.testing.assert_allclose(mapped, expected, atol=1e-4)

    def scanned(ws, xs, sizes):
        return lax.scan(lambda _, each: (0, experts(*each)), 0, (ws, xs, sizes))[1]

    loaded = jax.jit(partial(optics.load(scanned), CORE))(ws, xs, sizes)
    for run in (partial(optics.emulate(scanned), Exact()), partial(optics.emulate(scanned), loaded)):
        np.testing.assert_allclose(jax.jit(run)(KEY, ws, xs, sizes), expected, atol=1e-4)
    outer = jax.jit(jax.vmap(partial(optics.emulate(experts), Exact()), (None, 0, 0, 0)))(KEY, ws, xs, sizes)
    np.testing.assert_allclose(outer, expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.complex64, jnp.int32])
def test_types_are_those_of_the_ragged_product(dtype):
    w, x = ((4 * normal(seed, *shape)).astype(dtype) for seed, shape in ((1, (3, 6, 5)), (2, (9, 6))))
    if dtype == jnp.complex64:
        w, x = w * (1 + 2j), x * (2 - 1j)
    for preferred in (None, jnp.float32 if dtype == jnp.bfloat16 else None):

        def product(w, x, sizes, preferred=preferred):
            return lax.ragged_dot(x, w, sizes, precision="highest", preferred_element_type=preferred)

        y, expected = jax.jit(lambda *args, f=product: (optics.emulate(f)(Exact(), KEY, *args), f(*args)))(
            w, x, jnp.array([2, 4, 1])
        )
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y.astype(np.complex64), expected.astype(np.complex64), rtol=0.02, atol=1e-4)


def test_a_site_is_that_of_the_experts():
    """Numbered after the products that are no ragged ones, whose noise it leaves alone."""

    def layer(p, x, sizes):
        return experts(p["up"], x, sizes) @ p["down"]

    shapes = {"up": SHAPE((8, 64, 512), jnp.float32), "down": SHAPE((512, 64), jnp.float32)}
    sites = optics.trace(layer)(shapes, SHAPE((32, 64), jnp.float32), SHAPE((8,), jnp.int32))
    assert [(s.name, s.optical, s.experts, s.macs) for s in sites] == [
        ("000 down 512x64", True, 1, 32 * 512 * 64),
        ("001 up 64x512", True, 8, 32 * 64 * 512),
    ]
    assert "001 up 64x512: each vector passes one of 8 experts" in str(optics.report(sites))


DIGITAL = {
    "contraction": ((((1,), (0,)), ((), ())), ragged.CONTRACTED),
    "batch": ((((), ()), ((1,), (0,))), ragged.BATCH),
}


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
@pytest.mark.parametrize("name", DIGITAL)
def test_other_modes_stay_digital_with_their_reason(name):
    dimensions, reason = DIGITAL[name]
    numbers = lax.RaggedDotDimensionNumbers(dimensions, [1], [])
    stays_digital(lambda w, x, sizes: lax.ragged_dot_general(x, w, sizes, numbers), reason, normal(1, 6, 4))


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
def test_rows_of_weights_stay_digital():
    stays_digital(
        lambda w, x, sizes: lax.ragged_dot(w, x.reshape(2, 6, 4), sizes), ragged.ROWS_OF_WEIGHTS, normal(1, 4, 6)
    )


def stays_digital(function, reason: str, w: jax.Array) -> None:
    x, sizes = normal(2, 8, 6), jnp.array([2, 3])
    (site,) = optics.trace(function)(w, x, sizes)
    assert (site.optical, site.reason) == (False, reason)
    np.testing.assert_array_equal(optics.emulate(function)(Exact(), KEY, w, x, sizes), function(w, x, sizes))


def test_a_product_without_a_row_names_its_experts():
    with pytest.raises(ValueError, match=r"'000 weights 4x3' multiplies .* 1 x 0 vectors .* of 2 experts"):
        optics.trace(experts)(jnp.zeros((2, 4, 3)), jnp.zeros((0, 4)), jnp.array([0, 0]))


def test_the_bill_of_experts_by_hand():
    """Eight experts are written eight times as often as one matrix, for the same symbols and conversions."""
    core = optics.today(rows=64, columns=32).replace({"vectors_per_load": 4096.0})
    x = SHAPE((512, 64), jnp.float32)
    sites = optics.trace(experts)(SHAPE((8, 64, 32), jnp.float32), x, SHAPE((8,), jnp.int32))
    of_experts = optics.price(core, sites)
    dense = optics.price(core, optics.trace(lambda w, x: x @ w)(SHAPE((64, 32), jnp.float32), x))
    # 512 vectors, of which each load of an expert serves 4096 / 8.
    assert float(of_experts.loads) == pytest.approx(8 * 512 / 4096 * core.encoding.passes)
    assert float(dense.loads) == pytest.approx(512 / 4096 * core.encoding.passes)
    waiting = (core.mask.update_time + core.mask.settle_time) / (1 - core.upkeep.lost_duty(1 / core.clock))
    more = float(of_experts.core_seconds) - float(dense.core_seconds)
    assert more == pytest.approx(7 * 512 / 4096 * core.encoding.passes * waiting, rel=1e-3)
    of_loads = {"weight fetch", "mask write", "idle at reload"}
    for name, energy in dense.components.items():
        factor = 8 if name in of_loads else 1
        if name not in ("host", "power conversion", "host, network, fans"):
            assert float(of_experts.components[name]) == pytest.approx(factor * float(energy), rel=1e-5), name
    assert "assumed: vectors of a load routed evenly to the experts of a site" in of_experts.basis
    assert not any("experts" in line for line in dense.basis)
    # A load serves one vector at least, so no expert is written more often than once per vector.
    often = optics.price(core.replace({"vectors_per_load": 2.0}), sites)
    assert float(often.loads) == pytest.approx(512 * core.encoding.passes)
    # Of 4096 tokens that each pass two experts, one has 4096 x 2 / 8 vectors.
    by_token = optics.price(core, sites, experts_per_token={sites[0].name: 2})
    assert float(by_token.loads) == pytest.approx(512 / (4096 * 2 / 8) * core.encoding.passes)
    with pytest.raises(ValueError, match="experts_per_token of '000 other' belong to none of the sites"):
        optics.price(core, sites, experts_per_token={"000 other": 2})


def test_experts_of_data_are_written_for_their_vectors():
    core = optics.today(rows=64, columns=32).replace({"vectors_per_load": 4096.0})

    def product(p, x, w, sizes):
        return experts(w, x @ p, sizes)

    shapes = [SHAPE(s, jnp.float32) for s in ((64, 64), (5, 64), (8, 64, 32))]
    for rows, written in ((5, 5), (512, 8)):
        shapes[1] = SHAPE((rows, 64), jnp.float32)
        sites = optics.trace(product, policy=optics.everything)(*shapes, SHAPE((8,), jnp.int32))
        loads = float(optics.price(core, sites[1:]).loads)
        assert loads == pytest.approx(written * core.encoding.passes)


@pytest.mark.parametrize("side", ["left", "right"])
def test_gathered_experts_run_where_the_policy_routes_them(side):
    """Each token has a matrix of its own, which is written for it."""
    order = "eij,ei->ej" if side == "left" else "ei,eij->ej"

    def gathered(w, x, index):
        return jnp.einsum(order, *((w[index], x) if side == "left" else (x, w[index])), precision="highest")

    w, x, index = normal(1, 4, 40, 20), normal(2, 6, 40), jnp.array([0, 3, 3, 1, 0, 2])
    with pytest.warns(optics.DigitalProductWarning, match="chosen by data: weights"):
        optics.trace(gathered)(w, x, index)
    (site,) = optics.trace(gathered, policy=optics.routed)(w, x, index)
    assert (site.optical, site.selected, site.stationary, site.weights_first) == (True, True, False, side == "left")
    assert (site.rows, site.columns, site.vectors, site.matrices) == (40, 20, 1, 6)
    found = jax.jit(partial(optics.emulate(gathered, policy=optics.routed), Exact()))(KEY, w, x, index)
    np.testing.assert_allclose(found, gathered(w, x, index), atol=1e-4)
    core = optics.today(rows=64, columns=32)
    assert float(optics.price(core, [site]).loads) == pytest.approx(6 * core.encoding.passes)
    assert optics.load(gathered, policy=optics.routed)(core, w, x, index).sites == {}


def test_products_of_activations_stay_digital_where_experts_are_routed():
    def attention(w, tokens):
        h = w[tokens]
        return (h @ h.T) @ (h @ w.T)

    sites = optics.trace(attention, policy=optics.routed)(SHAPE((16, 8), jnp.float32), SHAPE((5,), jnp.int32))
    assert [site.optical for site in sites] == [False, True, False]
