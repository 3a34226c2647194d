"""Rules with positions: each vector equals what its own core makes of it alone, and the bill counts its own vectors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics.numerics.matmul import product
from optics import DIGITAL, CoresBySite, SiteRule

KEY = jax.random.key(4)
BATCH, TOKENS, WIDTH, COLUMNS = 2, 5, 12, 6
CORE = optics.today(rows=16, columns=16)
# Rounding to 4 bits alone, which no key changes.
COARSE = CORE.replace(
    {"effects": optics.Effects.uniform(0.0), "effects.adc_rounding": 1.0, "adc.bits": 4.0, "adc.enob": 4.0}
)
DRAW = np.random.default_rng(0)
W = {
    "layers": jnp.asarray(DRAW.normal(size=(3, WIDTH, WIDTH)) / WIDTH**0.5, jnp.float32),
    "head": jnp.asarray(DRAW.normal(size=(WIDTH, COLUMNS)) / WIDTH**0.5, jnp.float32),
}
X = jnp.asarray(DRAW.normal(size=(BATCH, TOKENS, WIDTH)), jnp.float32)
SINKS = (0, -1)
OURS = np.array([False, True, True, True, False])  # sent to the core where the positions SINKS are digital


def head(params, x):
    return x @ params["head"]


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def run(design, x=X, **options):
    return optics.emulate(head, **options)(design, KEY, W, x)


@pytest.fixture
def sinks():
    return CoresBySite(CORE, [SiteRule("head", DIGITAL, positions=SINKS)])


def test_vectors_at_digital_positions_are_exact_and_the_others_are_the_cores(sinks):
    """The core is sent zeros for the others, and with the same key draws the same noise."""
    found = run(sinks)
    exact = product(X.reshape(-1, WIDTH), W["head"]).reshape(BATCH, TOKENS, COLUMNS)
    np.testing.assert_array_equal(found[:, ~OURS], exact[:, ~OURS])
    sent = jnp.where(OURS[:, None], X, 0.0)
    alone = CORE.matmul(sent.reshape(-1, WIDTH), W["head"], key=jax.random.fold_in(KEY, 0)).reshape(exact.shape)
    np.testing.assert_array_equal(found[:, OURS], alone[:, OURS])
    assert not np.allclose(alone[:, OURS], exact[:, OURS], rtol=1e-3)


def test_without_noise_each_position_is_that_of_its_core_everywhere():
    """On three cores, and mapped over inputs."""
    rules = [SiteRule("head", COARSE, positions=(1,)), SiteRule("head", DIGITAL, positions=SINKS)]
    design = CoresBySite(optics.ideal(COARSE), rules)
    ideal, coarse = run(optics.ideal(COARSE)), run(COARSE)
    expected = np.array(head(W, X))
    expected[:, 1], expected[:, 2:4] = coarse[:, 1], ideal[:, 2:4]
    np.testing.assert_allclose(run(design), expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(coarse, ideal, atol=0.02)
    twice = jax.vmap(lambda x: run(design, x))(jnp.stack([X, 2 * X[:, ::-1]]))
    np.testing.assert_allclose(twice[0], expected, rtol=1e-5, atol=1e-5)


def test_positions_combine_with_the_steps_of_a_scan():
    """Against a loop over the layers of products that are selected by hand."""

    def forward(params, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["layers"])[0]

    rules = [
        SiteRule("layers", DIGITAL, (1,)),
        SiteRule("layers", DIGITAL, (-1,), positions=(0, 1)),
        SiteRule("layers", DIGITAL, positions=(-1,)),
    ]
    design = CoresBySite(COARSE, rules)
    digital = np.array([[0, 0, 0, 0, 1], [1, 1, 1, 1, 1], [1, 1, 0, 0, 1]], bool)
    expected = X
    for of_step, w in zip(digital, W["layers"], strict=True):
        on_core = COARSE.matmul(expected, w, key=KEY)
        expected = jnp.tanh(
            jnp.where(of_step[:, None], product(expected.reshape(-1, WIDTH), w).reshape(X.shape), on_core)
        )
    found, readings = jax.jit(optics.emulate(forward, diagnostics=True))(design, KEY, W, X)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    (seen,) = readings.values()
    sent = BATCH * np.sum(~digital, axis=1)
    np.testing.assert_allclose(seen.outputs, sent * WIDTH)
    np.testing.assert_allclose(seen.macs, sent * WIDTH * WIDTH)
    sites = optics.trace(forward)(W, X)
    bill = optics.price(design, sites)
    assert bill.optical_macs == pytest.approx(sum(sent) * WIDTH * WIDTH)
    shares = design.assign(sites).shares(sites[0].name)
    assert sum(part.macs for part in shares) == pytest.approx(1)
    assert sorted((part.core is None, part.executions, part.vectors) for part in shares) == [
        (False, 1 / 3, 2 / 5),
        (False, 1 / 3, 4 / 5),
        (True, 1 / 3, 1 / 5),
        (True, 1 / 3, 3 / 5),
        (True, 1 / 3, 1.0),
    ]


def test_diagnostics_are_those_of_the_vectors_sent(sinks):
    _, readings = run(sinks, diagnostics=True)
    (seen,) = readings.values()
    own = X[:, OURS].reshape(-1, WIDTH)
    assert float(seen.outputs) == own.shape[0] * COLUMNS
    assert float(seen.signal) == pytest.approx(float(jnp.sum((own @ W["head"]) ** 2)), rel=1e-5)
    scaled = jnp.abs(own) / jnp.max(jnp.abs(own), axis=1, keepdims=True)
    assert float(seen.mean_drive()) == pytest.approx(float(jnp.mean(scaled)), rel=0.02)


def test_diagnostics_by_position_count_more_macs_than_an_int32_holds(sinks):
    """As the head of a language model has: 2,600 vectors of 1,024 through 1,024 columns, traced alone."""
    wide = {"head": shape(1024, 1024)}
    run = jax.jit(optics.emulate(head, diagnostics=True)).trace(sinks, KEY, wide, shape(1, 2600, 1024))
    assert run.out_info[0].shape == (1, 2600, 1024)


def test_the_leaf_of_a_core_is_seen_by_its_own_positions_alone(sinks):
    def loss(design, at):
        return jnp.sum(jnp.where(at[:, None], run(design), 0.0) ** 2)

    gradient = jax.jit(jax.grad(loss))
    assert gradient(sinks, OURS).numbers()["default.source.power"] != 0
    assert gradient(sinks, ~OURS).numbers()["default.source.power"] == 0


def test_loaded_equals_not_loaded_at_every_length(sinks):
    """By positions too; the last token of another length is another position."""

    def forward(params, x):
        return jnp.tanh(x @ params["layers"][0]) @ params["head"]

    design = sinks.replace({"effects": COARSE.effects, "adc.bits": 4.0, "adc.enob": 4.0})
    loaded = optics.load(forward)(design, W, X)
    assert [name.split()[1] for name in loaded.sites] == ["layers", "head"]
    longer = jnp.concatenate([X, X[:, 1:2]], axis=1)
    for x in (X, longer):
        found, expected = (optics.emulate(forward)(each, KEY, W, x) for each in (loaded, design))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(found[:, 4], optics.emulate(forward)(design, KEY, W, X)[:, 4], atol=1e-3)


def test_a_site_loaded_with_one_position_is_not_loaded_for_more():
    design = CoresBySite(optics.ideal(COARSE), [SiteRule("head", COARSE, positions=(0,))])
    loaded = optics.load(head)(design, W, X[:, :1])
    np.testing.assert_allclose(run(loaded), run(design), rtol=1e-5, atol=1e-5)


def test_ranges_do_not_see_digital_vectors():
    """A sink of a hundred times the other vectors sets the range of a core that it is sent to, and of no other."""
    sink = X.at[:, 0].mul(100.0)
    design = CoresBySite(COARSE, [SiteRule("head", DIGITAL, positions=(0,))])
    fit = optics.fit_ranges(head, fixed_inputs=True)
    (found,), (whole,) = (fit(each, KEY, W, sink).values() for each in (design, COARSE))
    (own,) = fit(COARSE, KEY, W, X[:, 1:]).values()
    np.testing.assert_allclose(found.full_scale, own.full_scale, rtol=1e-5)
    np.testing.assert_allclose(found.input_scale, own.input_scale, rtol=1e-6)
    assert float(whole.input_scale) > 20 * float(own.input_scale)
    fixed = optics.FixedRangeCore(design, {name: found for name in fit(design, KEY, W, sink)})
    np.testing.assert_allclose(run(fixed, sink)[:, 0], head(W, sink)[:, 0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        run(fixed, sink)[:, 1:], run(optics.FixedRangeCore(COARSE, fixed.ranges), X)[:, 1:], rtol=1e-5, atol=1e-5
    )


def test_the_bill_is_that_of_the_vectors_of_each_core():
    """By hand: 6 of 10 vectors of 12 rows are sent once, since one tile holds the 6 columns; 4 are digital. The weights
    are written for the 6, on a mask that is written once for 100."""
    core = CORE.replace({"vectors_per_load": 100.0})
    bill = optics.price(CoresBySite(core, [SiteRule("head", DIGITAL, positions=SINKS)]), optics.trace(head)(W, X))
    sent, digital = 6, 4
    dac = sent * WIDTH * core.encoding.symbols * float(core.dac.energy(core.clock))
    assert float(bill.components["DAC"]) == pytest.approx(dac, rel=1e-6)
    products = digital * WIDTH * COLUMNS * core.digital.mac_energy
    assert float(bill.components["digital products"]) == pytest.approx(products, rel=1e-6)
    assert (bill.macs, bill.optical_macs) == pytest.approx((10 * WIDTH * COLUMNS, sent * WIDTH * COLUMNS))
    assert float(bill.loads) == pytest.approx(sent / 100 * core.encoding.passes)
    alone = optics.price(core, optics.trace(head)(W, X[:, OURS]))
    for line in ("DAC", "ADC", "laser light", "mask write", "weight fetch", "idle at reload"):
        assert float(bill.components[line]) == pytest.approx(float(alone.components[line]), rel=1e-5)
    assert bill.core_seconds == pytest.approx(alone.core_seconds, rel=1e-5)


def test_positions_come_before_steps_and_these_before_the_rest():
    def forward(params, x):
        return jax.lax.scan(lambda x, w: (x @ w, None), x, params["layers"])[0]

    sites = optics.trace(forward)(W, X)
    rules = [
        SiteRule("layers", COARSE),
        SiteRule("layers", DIGITAL, (0,)),
        SiteRule("*", CORE, positions=(2,)),
        SiteRule("layers", DIGITAL, positions=(-2,)),
    ]
    choices = dict(CoresBySite(CORE, rules).assign(sites).choices)[sites[0].name]
    assert [each.by_part.tolist() for each in choices] == [[2, 2, 3, 2, 2], [1, 1, 3, 2, 1], [1, 1, 3, 2, 1]]
    everywhere = CoresBySite(CORE, [SiteRule("layers", DIGITAL, positions=tuple(range(TOKENS)))]).assign(sites)
    assert everywhere.shares(sites[0].name) == [(None, 1.0, 1.0)]


def test_positions_are_those_of_the_last_axis_of_the_vectors():
    def forward(w, x, y):
        left = jnp.einsum("ij,bjt->bit", w, x)  # the weights come first
        heads = jnp.einsum("bjt,jhk->bthk", x, w.reshape(4, 2, 2))
        image = jax.lax.conv_general_dilated(x, w.reshape(4, 4, 1), (1,), "SAME")
        return left, heads, y[0, :4] @ w, y[:, :4] @ w, image, y @ y.T

    sites = optics.trace(forward)(shape(4, 4), shape(3, 4, 7), shape(6, 9))
    assert [site.positions for site in sites] == [7, 7, 0, 1, 6, 0]


def ragged(w, x):
    return jax.lax.ragged_dot(x, w.reshape(2, 2, 4), jnp.array([2, 4], jnp.int32))


def image(w, x):
    return jax.lax.conv_general_dilated(x.reshape(1, 1, 12), w.reshape(4, 1, 4), (1,), "SAME")


@pytest.mark.parametrize(
    ("function", "rules", "message"),
    [
        (
            lambda w, x: x @ w[:2],
            [SiteRule("*", DIGITAL, positions=(0, 6))],
            r"the rule '\*' at positions \[0, 6\]: .* has 6 positions, and no position 6",
        ),
        (
            lambda w, x: x @ w[:2],
            [SiteRule("*", DIGITAL, positions=(-7,))],
            "has 6 positions, and no position -7",
        ),
        (image, [SiteRule("*", DIGITAL, positions=(0,))], "is a conv_general_dilated, and only the vectors of a dot"),
        (ragged, [SiteRule("*", DIGITAL, positions=(0,))], "is a ragged_dot_general, and only"),
        (
            lambda w, x: x @ x.T @ (x @ w[:2]),
            [SiteRule("*", DIGITAL, positions=(0,))],
            "activations 2x6' is a product of two activations, and only",
        ),
        (
            lambda w, x: x @ w[:2],
            [SiteRule("*", DIGITAL, positions=(0, 1)), SiteRule("*", COARSE, positions=(-5,))],
            r"the rules '\*' at positions \[0, 1\] and '\*' at positions \[-5\] both hold for site",
        ),
    ],
)
def test_a_position_that_cannot_be_is_one_error(function, rules, message):
    design, given = CoresBySite(CORE, rules), (jnp.ones((4, 4)), jnp.ones((6, 2)))
    sites = optics.trace(function, policy=optics.everything)(*given)
    with pytest.raises(ValueError, match=message):
        optics.price(design, sites)
    with pytest.raises(ValueError, match=message):
        optics.emulate(function, policy=optics.everything)(design, KEY, *given)


def test_positions_that_are_no_tuple_of_whole_numbers_are_one_error():
    wrong: Any
    for wrong in ([0], 0, (0.0,), (True,)):
        with pytest.raises(ValueError, match=r"positions = .* must be a tuple of whole numbers"):
            SiteRule("head", DIGITAL, positions=wrong)


def test_products_of_activations_that_stay_digital_have_no_say():
    """A pattern for all sites holds for attention too, which the policy leaves digital."""

    def attend(w, x):
        return x @ x.T @ (x @ w[:2])

    sites = optics.trace(attend)(shape(4, 4), shape(6, 2))
    bill = optics.price(CoresBySite(CORE, [SiteRule("*", DIGITAL, positions=(0,))]), sites)
    assert bill.optical_macs == pytest.approx(5 / 6 * 6 * 2 * 4)
