"""Rules with heads: each matrix of a product of several is what its own core makes of it, and is billed there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import DIGITAL, CoresBySite, SiteRule

KEY = jax.random.key(7)
BATCH, LAYERS, HEADS, TOKENS, WIDTH = 2, 3, 4, 6, 8
CORE = optics.today(rows=16, columns=16)
# Rounding to 4 bits alone, which no key changes.
COARSE = CORE.replace(
    {"effects": optics.Effects.uniform(0.0), "effects.adc_rounding": 1.0, "adc.bits": 4.0, "adc.enob": 4.0}
)
DRAW = np.random.default_rng(0)
W = jnp.asarray(DRAW.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5, jnp.float32)
Q, K = (jnp.asarray(DRAW.normal(size=(BATCH, TOKENS, HEADS, WIDTH)), jnp.float32) for _ in range(2))
ATTENTION = "*activations*"


def scores(w, q, k):
    return jnp.einsum("bqhd,bkhd->bhqk", q, k)


def layered(w, x):
    """Layers whose queries and keys are alike; the scan has a product by head in each step."""

    def layer(x, _):
        return jnp.tanh(jnp.einsum("bhqk,bkhd->bqhd", jnp.einsum("bqhd,bkhd->bhqk", x, x) / TOKENS, x) @ w), None

    return jax.lax.scan(layer, x, None, length=LAYERS)[0]


def run(design, function=scores, *args, **options):
    return optics.emulate(function, policy=optics.AttentionOnLight(CORE, "right"), **options)(design, KEY, W, *args)


def some_digital(*heads, core=CORE, steps=()):
    return CoresBySite(core, [SiteRule(ATTENTION, DIGITAL, steps, heads=heads)])


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
@pytest.mark.parametrize("compiled", [False, True], ids=["as it is", "jit"])
def test_digital_heads_are_exact_and_the_others_those_of_a_core_for_all(compiled):
    """To the last bit: the key of a head does not depend on where the others run."""
    design = some_digital(0, -1)
    found = (jax.jit(lambda design: run(design, scores, Q, K)) if compiled else lambda d: run(d, scores, Q, K))(design)
    exact, light = scores(W, Q, K), run(CORE, scores, Q, K)
    np.testing.assert_allclose(found[:, [0, 3]], exact[:, [0, 3]], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found[:, [1, 2]], light[:, [1, 2]], rtol=1e-5, atol=1e-5)
    assert not np.allclose(light, exact, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
def test_each_head_is_that_of_its_core_on_three_cores_against_a_loop():
    """A NumPy loop in float64 rounds the sums of one head; the ideal core and digital arithmetic leave theirs exact."""
    rules = [SiteRule(ATTENTION, COARSE, heads=(2,)), SiteRule(ATTENTION, DIGITAL, heads=(1,))]
    design = CoresBySite(optics.ideal(CORE), rules)
    found = run(design, scores, Q, K)
    expected = np.einsum("bqhd,bkhd->bhqk", np.float64(Q), np.float64(K))
    np.testing.assert_allclose(found[:, [0, 1, 3]], expected[:, [0, 1, 3]], rtol=1e-5, atol=1e-5)
    for batch in range(BATCH):
        alone = COARSE.matmul(Q[batch, :, 2], K[batch, :, 2].T, key=KEY)
        np.testing.assert_allclose(found[batch, 2], alone, rtol=1e-5, atol=1e-5)
        assert not np.allclose(alone, expected[batch, 2], atol=0.02)


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
def test_heads_combine_with_the_steps_of_a_scan():
    """Against a loop over layers and heads of products that are selected by hand; the bill counts the same."""
    rules = [
        SiteRule(ATTENTION, DIGITAL, (1,)),
        SiteRule(ATTENTION, DIGITAL, (-1,), heads=(0, 1)),
        SiteRule(ATTENTION, DIGITAL, heads=(-1,)),
        SiteRule("weights", DIGITAL),
    ]
    design = CoresBySite(COARSE, rules)
    digital = np.array([[0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 0, 1]], bool)
    expected = Q
    for of_step in digital:
        heads = []
        for head, stays in enumerate(of_step):
            x = expected[:, :, head]
            multiply = (
                jnp.matmul
                if stays
                else lambda a, b: jnp.stack(
                    [COARSE.matmul(each, other, key=KEY) for each, other in zip(a, b, strict=True)]
                )
            )
            heads.append(multiply(multiply(x, x.swapaxes(1, 2)) / TOKENS, x))
        expected = jnp.tanh(jnp.stack(heads, axis=2) @ W)
    policy = optics.AttentionOnLight(CORE, "right")
    found, readings = jax.jit(optics.emulate(layered, policy=policy, diagnostics=True))(design, KEY, W, Q)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    sites = optics.trace(layered, policy=policy)(W, Q)
    ours = [site for site in sites if not site.stationary]
    assert [site.heads for site in ours] == [HEADS, HEADS]
    on_light = BATCH * np.sum(~digital, axis=1)
    for site in ours:
        np.testing.assert_allclose(readings[site.name].macs, on_light * TOKENS * TOKENS * WIDTH)
    bill = optics.price(design, sites)
    assert bill.optical_macs == pytest.approx(2 * on_light.sum() * TOKENS * TOKENS * WIDTH)
    shares = design.assign(sites).shares(ours[0].name)
    assert sum(part.macs for part in shares) == pytest.approx(1)
    assert sum(part.executions for part in shares if part.core is not None) == pytest.approx((~digital).mean())


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
def test_bill_of_some_heads_is_between_that_of_none_and_of_all():
    """Linear in the heads, in joules and in loads of the mask: every head writes a mask of its own."""
    sites = optics.trace(scores, policy=optics.AttentionOnLight(CORE, "right"))(W, Q, K)
    bills = [optics.price(some_digital(*heads), sites) for heads in [(), (0,), (0, 1), (0, 1, 2)]]
    bills[0] = optics.price(CORE, sites)
    joules, loads = np.array([float(bill.total) for bill in bills]), np.array([float(bill.loads) for bill in bills])
    np.testing.assert_allclose(np.diff(joules), np.diff(joules)[0], rtol=1e-4)
    np.testing.assert_allclose(loads, loads[0] * np.array([1, 0.75, 0.5, 0.25]), rtol=1e-6)


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
def test_gradient_of_each_head_is_that_of_its_core():
    """Of light heads that of light everywhere under the same key, of digital ones the digital one."""

    def loss(q, function):
        return jnp.sum(jnp.sin(function(q)))

    mixed = jax.grad(loss)(Q, lambda q: run(some_digital(0, 2), scores, q, K))
    light = jax.grad(loss)(Q, lambda q: run(CORE, scores, q, K))
    exact = jax.grad(loss)(Q, lambda q: scores(W, q, K))
    np.testing.assert_allclose(mixed[:, :, [0, 2]], exact[:, :, [0, 2]], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mixed[:, :, [1, 3]], light[:, :, [1, 3]], rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::optics.DigitalProductWarning")
def test_mapped_over_keys_as_one_by_one():
    design, policy = some_digital(1), optics.AttentionOnLight(CORE, "right")
    keys = jax.random.split(KEY, 3)
    emulated = optics.emulate(scores, policy=policy)
    together = jax.vmap(lambda key: emulated(design, key, W, Q, K))(keys)
    for each, key in zip(together, keys, strict=True):
        np.testing.assert_allclose(each, emulated(design, key, W, Q, K), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"heads": (4,)}, "has 4 heads, and no head 4"),
        ({"heads": (-5,)}, "has 4 heads, and no head -5"),
    ],
)
def test_head_that_a_site_does_not_have_is_refused(rule, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        run(CoresBySite(CORE, [SiteRule(ATTENTION, DIGITAL, **rule)]), scores, Q, K)


def test_heads_of_a_single_matrix_are_refused():
    design = CoresBySite(CORE, [SiteRule("weights", DIGITAL, heads=(0,))])
    with pytest.raises(
        ValueError, match="no dot_general with an axis that numbers its matrices, and only these have heads"
    ):
        optics.emulate(lambda w, x: x @ w)(design, KEY, W, Q)


def test_rule_of_positions_and_heads_is_refused():
    with pytest.raises(ValueError, match="has both positions and heads: make two rules of it"):
        SiteRule(ATTENTION, DIGITAL, positions=(0,), heads=(0,))
    with pytest.raises(ValueError, match=re.escape("heads = [0] must be a tuple of whole numbers")):
        SiteRule(ATTENTION, DIGITAL, heads=[0])  # pyright: ignore[reportArgumentType]


def test_two_rules_for_one_head_are_refused():
    design = CoresBySite(CORE, [SiteRule("*", COARSE, heads=(0,)), SiteRule(ATTENTION, DIGITAL, heads=(0, 1))])
    with pytest.raises(ValueError, match="both hold for site"):
        run(design, scores, Q, K)


def test_design_with_heads_is_read_back_from_its_file(tmp_path):
    design = CoresBySite(optics.today(), [SiteRule(ATTENTION, DIGITAL, (1,), heads=(0, -1))])
    optics.save_by_site(design, tmp_path / "design.toml")
    assert "heads = [\n    0,\n    -1,\n]" in (tmp_path / "design.toml").read_text(encoding="utf-8")
    again = optics.load_by_site(tmp_path / "design.toml")
    assert jax.tree.structure(again) == jax.tree.structure(design)
    assert again.rules[0].label == "'*activations*' in steps [1] for heads [0, -1]"
