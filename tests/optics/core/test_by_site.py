"""Cores by site: each site equals its own core alone, in every transformation, and so does the bill."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import DIGITAL, CoresBySite, SiteRule

KEY = jax.random.key(4)
LAYERS, WIDTH = 3, 12
CORE = optics.today(rows=16, columns=16)
DIM = CORE.replace({"source.power": 1e-5})


def forward(params, x):
    x = jnp.tanh(x @ params["first"])
    x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w["up"]) @ w["down"], None), x, params["layers"])
    return x @ params["head"]


@pytest.fixture(scope="module")
def params():
    draw = np.random.default_rng(0)

    def weights(*shape):
        return jnp.asarray(draw.normal(size=shape) / WIDTH**0.5, jnp.float32)

    layers = {"up": weights(LAYERS, WIDTH, WIDTH), "down": weights(LAYERS, WIDTH, WIDTH)}
    return {"first": weights(WIDTH, WIDTH), "layers": layers, "head": weights(WIDTH, 5)}


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(1).normal(size=(6, WIDTH)), jnp.float32)


def run(core, params, x):
    return jax.jit(optics.emulate(forward))(core, KEY, params, x)


def test_one_core_everywhere_is_that_core(params, x):
    design = CoresBySite(DIM, {"head": CORE, "layers.*": CORE, "first": CORE})
    np.testing.assert_allclose(run(design, params, x), run(CORE, params, x), rtol=1e-5, atol=1e-6)
    sites = optics.trace(forward)(params, x)
    bill, alone = optics.price(design.each(lambda _: CORE), sites), optics.price(CORE, sites)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), bill.components, alone.components)
    assert (bill.loads, bill.core_seconds) == pytest.approx((alone.loads, alone.core_seconds), rel=1e-5)


def test_everything_digital_but_one_site(params, x):
    """The noise of the one site alone: what comes before it is exact."""
    design = CoresBySite(DIGITAL, {"head": CORE})
    exact = forward({**params, "head": jnp.eye(WIDTH)}, x)
    sites = optics.trace(forward)(params, x)
    (head,) = (site for site in sites if site.path == "head")
    expected = CORE.matmul(exact, params["head"], key=jax.random.fold_in(KEY, head.index))
    np.testing.assert_allclose(run(design, params, x), expected, rtol=1e-5, atol=1e-5)
    _, readings = optics.emulate(forward, diagnostics=True)(design, KEY, params, x)
    assert list(readings) == [head.name]
    bill = optics.price(design, sites, readings=readings)
    assert bill.optical_macs == head.macs
    digital = CORE.digital_cost(sum(site.macs for site in sites if site is not head))
    assert float(bill.components["digital products"]) == pytest.approx(float(digital))


@pytest.mark.parametrize("steps", [(0,), (-1,), (0, -1), (0, 1, 2)])
def test_steps_of_a_scan_are_those_of_the_loop_written_out(params, x, steps):
    """Rounding to 4 bits alone, which no key changes, so that both forms give the same numbers."""
    coarse = CORE.replace(
        {"effects": optics.Effects.uniform(0.0), "effects.adc_rounding": 1.0, "adc.bits": 4.0, "adc.enob": 4.0}
    )

    def written_out(params, x):
        x = jnp.tanh(x @ params["first"])
        for layer in params["layers"]:
            x = jnp.tanh(x @ layer["up"]) @ layer["down"]
        return x @ params["head"]

    layers = [jax.tree.map(lambda w, number=number: w[number], params["layers"]) for number in range(LAYERS)]
    by_layer = CoresBySite(DIGITAL, {f"layers.{step % LAYERS}.down": coarse for step in steps})
    expected = jax.jit(optics.emulate(written_out))(by_layer, KEY, {**params, "layers": layers}, x)
    design = CoresBySite(DIGITAL, [SiteRule("layers.down", coarse, steps)])
    np.testing.assert_allclose(run(design, params, x), expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(expected, forward(params, x), atol=0.02)
    bill = optics.price(design, optics.trace(forward)(params, x))
    assert bill.optical_macs == pytest.approx(6 * WIDTH * WIDTH * len(steps))


def test_a_step_that_is_digital_is_exact(params, x):
    """First and last layer digital, as published designs have it: with the one between on an ideal core, all is."""
    ideal = optics.ideal(CORE)
    rules = [SiteRule("layers.*", DIGITAL, (0, -1)), SiteRule("layers.*", ideal)]
    design = CoresBySite(DIM, [*rules, SiteRule("first", DIGITAL), SiteRule("head", DIGITAL)])
    np.testing.assert_allclose(run(design, params, x), forward(params, x), atol=1e-5)


def test_a_function_of_the_site_and_the_order_of_rules(params, x):
    def narrow(site):
        return site.columns < WIDTH

    design = CoresBySite(CORE, {narrow: DIGITAL, "layers.*": DIM, "layers.up": CORE})
    sites = optics.trace(forward)(params, x)
    assigned = design.assign(sites)
    runs_on = {site.path: assigned.shares(site.name) for site in sites}
    assert runs_on == {
        "first": [(CORE, 1.0, 1.0)],
        "layers.up": [(CORE, 1.0, 1.0)],
        "layers.down": [(DIM, 1.0, 1.0)],
        "head": [(None, 1.0, 1.0)],
    }


def test_loaded_equals_not_loaded(params, x):
    design = CoresBySite(
        CORE, [SiteRule("layers.up", DIGITAL, (0,)), SiteRule("head", DIM), SiteRule("first", DIGITAL)]
    )
    loaded = jax.jit(optics.load(forward))(design, params, x)
    assert sorted(name.split()[1] for name in loaded.sites) == ["head", "layers.down"]
    np.testing.assert_allclose(run(loaded, params, x), run(design, params, x), rtol=1e-4, atol=1e-5)


def test_a_leaf_of_one_core_traces_and_differentiates(params, x):
    design = CoresBySite(CORE, {"head": DIM})
    assert design.numbers()["rules.0.core.source.power"] == DIM.source.power

    def loss(design):
        return jnp.sum(optics.emulate(forward)(design, KEY, params, x) ** 2)

    gradient = jax.jit(jax.grad(loss))(design).numbers()
    assert gradient["rules.0.core.source.power"] != 0 and gradient["default.source.power"] != 0
    sites = optics.trace(forward)(params, x)
    priced = jax.grad(lambda design: optics.price(design, sites).total)(design).numbers()
    alone = jax.grad(lambda core: optics.price(core, [site for site in sites if site.path == "head"]).total)(DIM)
    assert float(priced["rules.0.core.source.power"]) == pytest.approx(float(alone.numbers()["source.power"]), rel=1e-5)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"layer.up": DIM}, "the rule 'layer.up' holds for none of the sites; did you mean 'layers.up'"),
        ({"layers.*": DIM, "*.up": CORE}, r"the rules 'layers.\*' and '\*.up' both hold for site '001 layers.up"),
        ([SiteRule("head", DIM, (1,))], r"the rule 'head' in steps \[1\]: '003 head 12x5' has 1 steps, and no step 1"),
        ([SiteRule("head", DIM), SiteRule("head", CORE)], "the rules 'head' and 'head' both hold"),
    ],
)
def test_a_rule_that_cannot_hold_is_one_error(params, x, rules, message):
    design = CoresBySite(CORE, rules)
    for call in (
        lambda: optics.emulate(forward)(design, KEY, params, x),
        lambda: optics.load(forward)(design, params, x),
        lambda: optics.price(design, optics.trace(forward)(params, x)),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_design_needs_a_core():
    with pytest.raises(ValueError, match="all sites are digital"):
        CoresBySite(DIGITAL, {"head": DIGITAL})
    with pytest.raises(ValueError, match="a site runs on a TensorCore"):
        CoresBySite(CORE, {"head": "today"})
    with pytest.raises(ValueError, match="run it through optics.emulate"):
        CoresBySite(CORE, {"head": DIM}).matmul(jnp.ones((2, 2)), jnp.ones((2, 2)), key=KEY)


@pytest.fixture(scope="module")
def too_dim():
    """A design whose head and last two layers get some five photo-electrons per output."""
    dim = optics.with_photons_per_mac(optics.physical_limit(rows=16, columns=16), 0.5)
    return CoresBySite(optics.today(rows=16, columns=16), [SiteRule("head", dim), SiteRule("layers.up", dim, (1, 2))])


def test_a_design_warns_of_few_electrons_as_its_cores_do_and_names_the_rule(params, x, too_dim):
    """By expectation where its numbers are known while it is traced, and never where they are arguments."""
    with pytest.warns(UserWarning) as caught:
        jax.jit(lambda x: optics.emulate(forward)(too_dim, KEY, params, x)).lower(x)
    texts = sorted(str(each.message) for each in caught)
    assert [text.split(":")[0] for text in texts] == [
        "001 layers.up 12x12 (core of 'layers.up' in steps [1, 2])",
        "003 head 12x5 (core of 'head')",
    ]
    assert all("photo-electrons are expected per output" in text for text in texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.jit(optics.emulate(forward)).lower(too_dim, KEY, params, x)


def test_a_compiled_run_of_a_design_is_reviewed_by_its_diagnostics(params, x, too_dim):
    """As `otc headline` does. The first layer runs on a bright core, and does not hide the others."""
    run = jax.jit(optics.emulate(forward, diagnostics=True))
    _, readings = run(too_dim, KEY, params, x)
    sites = optics.trace(forward)(params, x)
    with pytest.warns(UserWarning) as caught:
        too_dim.review(sites, readings)
    named = sorted(str(each.message).split(":")[0] for each in caught)
    assert named == ["001 layers.up 12x12 (core of 'layers.up' in steps [1, 2])", "003 head 12x5 (core of 'head')"]
    assert all("of the outputs have fewer than 36" in str(each.message) for each in caught)
    digital = CoresBySite(DIGITAL, [SiteRule("head", CORE), SiteRule("layers.up", too_dim.rules[1].core, (1, 2))])
    _, readings = run(digital, KEY, params, x)
    with pytest.warns(UserWarning, match="layers.up 12x12 .*: 100% of the outputs have fewer than 36"):
        digital.review(sites, readings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rules.1.core.adc.enob": 7.0},
            "names no core of the design: it is digital, by the rule 'first'",
        ),
        (
            {"rules.2.core.adc.enob": 7.0},
            "'rules.2.core.adc.enob' names no core of the design; did you mean 'rules.0.core'",
        ),
        ({"rules.0.core.adc.enbo": 7.0}, "ADC has no field 'enbo'"),
        ({"default": 7.0}, "'default' is a core; a value goes into one of its fields"),
        ({"rules.0.adc.enob": 7.0}, "TensorCore has no field 'rules'"),
    ],
)
def test_a_change_of_what_is_not_there_is_one_error(changes, message):
    with pytest.raises(ValueError, match=message):
        CoresBySite(CORE, {"head": DIM, "first": DIGITAL}).replace(changes)


def test_fields_of_one_core_come_after_those_of_all():
    design = CoresBySite(CORE, {"head": DIM, "first": DIGITAL})
    found = design.replace({"rules.0.core.adc.bits": 10.0, "adc.bits": 12.0, "adc.enob": 9.0})
    assert {name: float(value) for name, value in found.numbers().items() if name.endswith(".adc.bits")} == {
        "default.adc.bits": 12.0,
        "rules.0.core.adc.bits": 10.0,
    }
    assert found.default.adc.enob == found.rules[0].core.adc.enob == 9.0
    only = design.replace({"default.clock": 2e9})
    assert only.rules[0].core == DIM and only.default == CORE.replace({"clock": 2e9})
