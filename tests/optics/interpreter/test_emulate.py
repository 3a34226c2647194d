"""The transformation: every way that JAX nests a product, and nothing else touched."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics import IntegerCore
from optics import Effects

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (6, 16))
W = jax.random.normal(jax.random.key(2), (16, 16)) / 4
STACK = jax.random.normal(jax.random.key(3), (3, 16, 16)) / 4


@jax.custom_vjp
def tripled_gradient(x, w):
    return x @ w


tripled_gradient.defvjp(lambda x, w: (x @ w, (x, w)), lambda saved, g: (3 * g @ saved[1].T, saved[0].T @ g))


@jax.custom_jvp
def doubled_tangent(x, w):
    return x @ w


doubled_tangent.defjvp(lambda p, t: (p[0] @ p[1], t[0] @ p[1] + 2 * p[0] @ t[1]))


def loop(x, stack):
    return jax.lax.fori_loop(0, 3, lambda i, x: jnp.tanh(x @ stack[i]), x)


def unknown_turns(x, w):
    return jax.lax.while_loop(lambda s: (s[0] < 4) & (jnp.sum(s[1]) < 1e3), lambda s: (s[0] + 1, s[1] @ w), (0, x))[1]


def product_in_the_test(x, w):
    return jax.lax.while_loop(lambda s: jnp.sum(s @ w) < 1e9, lambda s: s * 10 + 1, jnp.abs(x))


FORWARDS = {
    "plain": lambda p, x: x @ p["w"],
    "weights first": lambda p, x: (p["w"] @ x.T).T,
    "einsum": lambda p, x: jnp.einsum("vk,emk->evm", x, p["stack"]),
    "expert by expert": lambda p, x: jnp.einsum("evk,ekm->evm", jnp.stack([x, 2 * x, -x]), p["stack"]),
    "dequantised": lambda p, x: x @ ((p["w"] * 8).astype(jnp.int8).astype(jnp.float32) / 8).T,
    "vector": lambda p, x: x[0] @ p["w"],
    "jit": lambda p, x: jax.jit(lambda x: jnp.tanh(x @ p["w"]))(x),
    "vmap": lambda p, x: jax.vmap(lambda row: p["w"] @ row)(x),
    "vmap of both": lambda p, x: jax.vmap(lambda x, w: x @ w, (None, 0))(x, p["stack"]),
    "scan": lambda p, x: jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), x.sum()), x, p["stack"]),
    "reverse scan": lambda p, x: jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), x.sum()), x, p["stack"], reverse=True),
    "nested scan": lambda p, x: jax.lax.scan(lambda x, _: (loop(x, p["stack"]), None), x, None, length=2)[0],
    "fori": lambda p, x: loop(x, p["stack"]),
    "while": lambda p, x: unknown_turns(x, p["w"]),
    "while tested by a product": lambda p, x: product_in_the_test(x, p["w"]),
    "cond": lambda p, x: jax.lax.cond(x.sum() > 0, lambda x: x @ p["w"], lambda x: x @ p["w"] @ p["w"], x),
    "switch": lambda p, x: jax.lax.switch(2, [lambda x: x, lambda x: x @ p["w"], lambda x: 2 * x @ p["w"].T], x),
    "checkpoint": lambda p, x: jax.checkpoint(lambda x: jnp.tanh(x @ p["w"]) @ p["w"])(x),
    "custom vjp": lambda p, x: jnp.tanh(tripled_gradient(x, p["w"])),
    "custom jvp": lambda p, x: jnp.tanh(doubled_tangent(x, p["w"])),
    "custom rules outside": lambda p, x: jax.nn.silu(x @ p["w"]) + jax.nn.logsumexp(x @ p["w"]),
    "attention": lambda p, x: jax.nn.softmax((x @ p["w"]) @ (x @ p["w"]).T) @ (x @ p["stack"][0]),
    "integers beside": lambda p, x: {"y": x @ p["w"], "n": jnp.arange(3) + 1},
}
PARAMS = {"w": W, "stack": STACK}
# A while loop cannot be differentiated backwards, and an int8 cast has no gradient at all, emulated or not.
REVERSIBLE = [name for name in FORWARDS if "while" not in name and name not in ("integers beside", "dequantised")]


def assert_close(a, b, tolerance=1e-5):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        scale = np.linalg.norm(np.asarray(right, np.float64)) + 1e-30
        assert np.linalg.norm(np.asarray(left, np.float64) - np.asarray(right, np.float64)) / scale < tolerance


# A real core passes through the same rules of JAX as the small one, so it is tested in one form of each kind.
WITH_A_REAL_CORE = ["plain", "scan", "while", "checkpoint"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NoisyProduct:
    """The exact product and additive noise: compiles in a hundredth of the time of a core with every imperfection."""

    level: float

    def matmul(self, x, w, *, key):
        exact = jnp.matmul(x, w, precision="highest")
        return exact + self.level * jax.random.normal(key, exact.shape)


SMALL = [pytest.param(name, NoisyProduct(0.0), NoisyProduct(0.1), id=name) for name in FORWARDS]
REAL = [
    pytest.param(name, optics.ideal(), optics.today(effective_bits=3), id=f"{name}, on a real core")
    for name in WITH_A_REAL_CORE
]


@functools.cache
def emulated(name):
    """The compiled emulation of a form, which all cores of one structure share."""
    return jax.jit(optics.emulate(FORWARDS[name]))


@pytest.mark.parametrize(("name", "exact", "noisy"), SMALL + REAL)
def test_emulate_every_form_gives_the_digital_result_and_noise_moves_it(name, exact, noisy):
    """Every form has at least one product on the core: on a noisy core the result moves."""
    run, digital = emulated(name), FORWARDS[name](PARAMS, X)
    out = run(exact, KEY, PARAMS, X)
    assert jax.tree.structure(out) == jax.tree.structure(digital)
    assert_close(out, digital)
    moved = [
        np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)))
        for a, b in zip(jax.tree.leaves(run(noisy, KEY, PARAMS, X)), jax.tree.leaves(out), strict=True)
    ]
    assert max(moved) > 1e-3 or name == "while tested by a product"


@pytest.mark.parametrize(
    ("name", "core"),
    [pytest.param(name, NoisyProduct(0.0), id=name) for name in REVERSIBLE]
    + [pytest.param(name, optics.ideal(), id=f"{name}, on a real core") for name in ("scan", "checkpoint")],
)
def test_gradient_through_an_exact_core_is_the_functions_own(name, core):
    """Custom rules included: `custom vjp` triples, `custom jvp` doubles, and both must still do so."""

    def loss(forward):
        return jax.jit(
            jax.grad(lambda p, x: sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(forward(p, x))), (0, 1))
        )

    run = optics.emulate(FORWARDS[name])
    assert_close(loss(lambda p, x: run(core, KEY, p, x))(PARAMS, X), loss(FORWARDS[name])(PARAMS, X), 1e-4)


STILL = optics.today(effective_bits=4).replace(
    {f"effects.{effect}": 0.0 for effect in ("dac_rounding", "weight_rounding", "adc_rounding", "adc_clipping")}
)


def with_power(power):
    return dataclasses.replace(STILL, source=dataclasses.replace(STILL.source, power=power))


@pytest.mark.parametrize(
    ("name", "core", "at", "sign"),
    [
        pytest.param(name, NoisyProduct, 0.1, 1, id=name)
        for name in ("plain", "custom vjp", "custom jvp", "scan", "checkpoint", "cond")
    ]
    + [
        pytest.param(name, with_power, STILL.source.power, -1, id=f"{name}, on a real core")
        for name in ("scan", "checkpoint")
    ],
)
def test_gradient_reaches_the_hardware_through(name, core, at, sign):
    """More noise costs accuracy, and more light gains it."""
    run = optics.emulate(FORWARDS[name])

    @jax.jit
    @jax.value_and_grad
    def loss_and_gradient(number):
        out, exact = run(core(number), KEY, PARAMS, X), FORWARDS[name](PARAMS, X)
        return sum(jnp.sum((a - b) ** 2) for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(exact), strict=True))

    at = jnp.float32(at)
    difference = (loss_and_gradient(at * 1.01)[0] - loss_and_gradient(at * 0.99)[0]) / (0.02 * at)
    gradient = float(loss_and_gradient(at)[1])
    assert gradient == pytest.approx(float(difference), rel=0.05)
    assert sign * gradient > 0


def test_checkpoint_is_emitted_again():
    """Inlined, training would lose its memory saving: the primitive must still be there."""
    jaxpr = jax.make_jaxpr(optics.emulate(FORWARDS["checkpoint"]))(optics.ideal(), KEY, PARAMS, X)
    assert any(eqn.primitive is jax.extend.core.primitives.remat_p for eqn in jaxpr.eqns)


def errors(run, core, *args, key=KEY):
    return [
        np.ravel(np.asarray(a, np.float64) - np.asarray(b, np.float64))
        for a, b in zip(
            jax.tree.leaves(run(core, key, *args)),
            jax.tree.leaves(run(NoisyProduct(0.0), key, *args)),
            strict=True,
        )
    ]


def thermal_only(**sizes):
    return optics.today(**sizes).replace({"effects": Effects.uniform(0.0), "effects.thermal": 1.0})


def correlated(a, b):
    """Correlation of n pairs of independent errors has standard error 1 / sqrt(n); the bar is five of them."""
    return abs(np.corrcoef(a, b)[0, 1]) > 5 / np.sqrt(len(a))


def test_noise_differs_between_sites_turns_keys_and_vmapped_members():
    w = jnp.eye(64)
    x = jnp.ones((64, 64))

    def forward(w, x):
        turns = jax.lax.scan(lambda c, _: (c, x @ w), None, None, length=2)[1]
        members = jax.vmap(lambda x: x @ w)(jnp.stack([x, x]))
        both = jnp.einsum("evk,ekm->evm", jnp.stack([x, x]), jnp.stack([w, w]))
        return [x @ w, x @ w, *turns, *members, *both]

    run = jax.jit(optics.emulate(forward))
    found = errors(run, NoisyProduct(1.0), w, x)
    found += errors(run, NoisyProduct(1.0), w, x, key=jax.random.key(9))
    assert all(np.std(each) > 0 for each in found)
    pairs = [(i, j) for i in range(len(found)) for j in range(i)]
    # 120 pairs at five standard errors: below 1e-4 for a right program.
    assert not [pair for pair in pairs if correlated(found[pair[0]], found[pair[1]])]


def test_same_key_gives_the_same_noise_and_a_site_added_behind_leaves_it(optimised):
    run = jax.jit(optics.emulate(lambda w, x: x @ w))
    longer = jax.jit(optics.emulate(lambda w, x: (x @ w, x @ w.T)))
    core = optics.today()
    np.testing.assert_array_equal(run(core, KEY, W, X), run(core, KEY, W, X))
    np.testing.assert_array_equal(run(core, KEY, W, X), longer(core, KEY, W, X)[0])


@pytest.mark.parametrize("name", ["plain", "scan", "cond"])
def test_vmap_over_cores_is_a_loop(name):
    run = optics.emulate(FORWARDS[name])
    cores = [thermal_only().replace({"tia.noise_density": n}) for n in (1e-12, 2e-11, 1e-10)]
    stack = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *cores)
    together = jax.jit(jax.vmap(run, (0, None, None, None)))(stack, KEY, PARAMS, X)
    for i, core in enumerate(cores):
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], together), jax.jit(run)(core, KEY, PARAMS, X), 1e-5)


COMPILED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: COMPILED.append(event) if event == "/jax/core/compile/backend_compile_duration" else None
)


def test_changing_a_leaf_compiles_nothing():
    traces = 0

    def forward(p, x):
        nonlocal traces
        traces += 1
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, p["stack"])[0]

    run = jax.jit(optics.emulate(forward))
    core = optics.today(rows=32, columns=32)
    keys = [jax.random.key(seed) for seed in range(2)]
    as_array = {name: jnp.float32(value) for name, value in core.numbers().items()}
    before = len(COMPILED)
    run(core, keys[0], PARAMS, X)
    assert len(COMPILED) > before
    before = len(COMPILED)
    for name, value in core.numbers().items():
        run(core.replace({name: float(value)}), keys[0], PARAMS, X)
        run(core.replace({name: as_array[name]}), keys[0], PARAMS, X)
    for changes in ({"adc.enob": 6}, {"adc.bits": 9.0}, {"mask.bits": np.float64(5)}):
        run(core.replace(changes), keys[1], PARAMS, X)
    sizes = {"rows": 32, "columns": 32}
    for other in (optics.projected_2029(**sizes), optics.physical_limit(**sizes), optics.ideal(core)):
        run(other, keys[1], PARAMS, X)
    assert (traces, len(COMPILED) - before) == (1, 0)


def test_readings_are_stacked_over_scans_and_summed_over_whiles():
    core = optics.today()
    run = jax.jit(optics.emulate(FORWARDS["nested scan"], diagnostics=True))
    out, seen = run(core, KEY, PARAMS, X)
    assert [(name, reading.signal.shape) for name, reading in seen.items()] == [("000 stack 16x16", (2, 3))]
    np.testing.assert_allclose(out, emulated("nested scan")(core, KEY, PARAMS, X), rtol=1e-5, atol=1e-6)
    _, seen = jax.jit(optics.emulate(FORWARDS["while"], diagnostics=True))(core, KEY, PARAMS, X)
    assert float(seen["000 w 16x16"].outputs) == 4 * 6 * 16
    _, seen = jax.jit(optics.emulate(FORWARDS["cond"], diagnostics=True))(core, KEY, PARAMS, X)
    taken = {name: float(reading.outputs) for name, reading in seen.items()}
    assert sorted(taken.values()) in ([0.0, 0.0, 96.0], [0.0, 96.0, 96.0])
    _, seen = jax.jit(optics.emulate(FORWARDS["custom vjp"], diagnostics=True))(core, KEY, PARAMS, X)
    assert 0 < float(seen["000 w 16x16"].snr_db()) < 60


def test_a_policy_chooses_the_sites():
    forward = FORWARDS["attention"]
    nothing = jax.jit(optics.emulate(forward, policy=lambda site: False))(optics.today(), KEY, PARAMS, X)
    assert_close(nothing, forward(PARAMS, X), 1e-6)
    sites = optics.trace(forward, policy=optics.everything)(PARAMS, X)
    assert [site.optical for site in sites] == [True] * 5
    everything = jax.jit(optics.emulate(forward, policy=optics.everything))
    assert_close(everything(optics.ideal(), KEY, PARAMS, X), forward(PARAMS, X), 1e-5)


def test_any_core_will_do():
    """W8A8 through the same transformation, against rounding by hand."""
    core = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=1e-12)
    out = emulated("plain")(core, KEY, PARAMS, X)
    x_scale, w_scale = np.abs(X).max(axis=1, keepdims=True) / 127, np.abs(W).max(axis=0, keepdims=True) / 127
    truth = (np.round(X / x_scale) @ np.round(W / w_scale)) * x_scale * w_scale
    assert_close(out, truth, 1e-5)


class Block(eqx.Module):
    """A pre-norm transformer block made of equinox's own layers, none of them written here."""

    attention: eqx.nn.MultiheadAttention
    norms: list[eqx.nn.LayerNorm]
    mlp: eqx.nn.MLP

    def __init__(self, width: int, key: jax.Array):
        attention_key, mlp_key = jax.random.split(key)
        self.attention = eqx.nn.MultiheadAttention(4, width, key=attention_key)
        self.norms = [eqx.nn.LayerNorm(width), eqx.nn.LayerNorm(width)]
        self.mlp = eqx.nn.MLP(width, width, 2 * width, 1, activation=jax.nn.gelu, key=mlp_key)

    def __call__(self, x):
        normed = jax.vmap(self.norms[0])(x)
        x = x + self.attention(normed, normed, normed)
        return x + jax.vmap(self.mlp)(jax.vmap(self.norms[1])(x))


def test_a_transformer_of_others_runs_unmodified():
    block = Block(32, jax.random.key(4))
    params, rest = eqx.partition(block, eqx.is_array)

    def forward(params, x):
        return eqx.combine(params, rest)(x)

    x = jax.random.normal(jax.random.key(5), (10, 32))
    assert_close(jax.jit(optics.emulate(forward))(NoisyProduct(0.0), KEY, params, x), forward(params, x), 1e-5)
    sites = optics.trace(forward)(params, x)
    stationary = [(site.path, site.rows, site.columns, site.vectors) for site in sites if site.stationary]
    assert stationary == [
        ("attention.query_proj.weight", 32, 32, 10),
        ("attention.key_proj.weight", 32, 32, 10),
        ("attention.value_proj.weight", 32, 32, 10),
        ("attention.output_proj.weight", 32, 32, 10),
        ("mlp.layers.0.weight", 32, 64, 10),
        ("mlp.layers.1.weight", 64, 32, 10),
    ]
    assert sum(site.macs for site in sites if not site.stationary) == 2 * 10 * 10 * 32


def test_bfloat16_stays_bfloat16():
    run = optics.emulate(lambda w, x: x @ w)
    out = run(optics.ideal(), KEY, W.astype(jnp.bfloat16), X.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    assert_close(out, X.astype(jnp.bfloat16) @ W.astype(jnp.bfloat16), 1e-2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optics.emulate(lambda w, x: x @ w)(optics.today(), KEY, W.at[3, 4].set(jnp.nan), X), "weights.*NaN"),
        (
            lambda: optics.emulate(lambda p, x: x @ p["w"])(optics.today(), KEY, {"w": W.at[0, 0].set(jnp.inf)}, X),
            "in w$",
        ),
        (lambda: optics.emulate(lambda w, x: x @ w)(optics.today(), KEY, W[:, :0], X), "'000 weights 16x0'.*of 0"),
        (lambda: optics.emulate(lambda w, x: x @ w)(optics.today(), KEY, W, X[:0]), "with a dimension of 0"),
        (lambda: optics.trace(lambda w, x: x @ w)(W[:0], X[:, :0]), "with a dimension of 0"),
        (lambda: optics.trace(lambda w, x: x @ w, weights=2)(W, X), "weights=2 names no argument: the function got 2"),
        (lambda: optics.trace(lambda w, x: x @ w, weights=1)(W, {}), "argument 1, named by `weights`, holds no array"),
    ],
)
def test_what_cannot_be_emulated_is_refused_before_it_compiles(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_module_with_functions_in_it_needs_no_taking_apart():
    mlp = eqx.nn.MLP(16, 8, 32, 2, key=jax.random.key(6))
    run = optics.emulate(lambda mlp, x: jax.vmap(mlp)(x))
    assert_close(run(NoisyProduct(0.0), KEY, mlp, X), jax.vmap(mlp)(X), 1e-6)
    assert_close(eqx.filter_jit(run)(optics.ideal(), KEY, mlp, X), jax.vmap(mlp)(X), 1e-6)
    assert [site.path for site in optics.trace(lambda mlp, x: jax.vmap(mlp)(x))(mlp, X)] == [
        f"layers.{i}.weight" for i in range(3)
    ]


def test_integers_are_rounded():
    run = optics.emulate(lambda w, x: x @ w)
    out = run(optics.ideal(), KEY, jnp.full((100, 50), 2), jnp.full((64, 100), 3))
    assert out.dtype == jnp.int32
    np.testing.assert_array_equal(out, np.full((64, 50), 600))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda run: run(optics.today, KEY, W, X), TypeError, "such as optics.today.*; call it to make the core"),
        (lambda run: run("today", KEY, W, X), TypeError, "such as optics.today.*got 'today'"),
        (lambda run: run(optics.today(), KEY, w=W, x=X), ValueError, "the function got 0 by position"),
        (lambda run: optics.trace(lambda w, x: x @ w, weights="w")(W, X), ValueError, "weights = 'w' must be"),
        (lambda run: optics.price(X, optics.trace(lambda w, x: x @ w)(W, X)), TypeError, "a core with a method 'cost'"),
        (lambda run: optics.price(optics.today(), ()), ValueError, "no product to price"),
        (lambda run: optics.today().replace({"adc": 6}), ValueError, "'adc' is a part.*adc.bits, adc.enob"),
    ],
)
def test_slips_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(optics.emulate(lambda w, x: x @ w))


def test_nothing_on_the_core_is_said():
    with pytest.warns(optics.DigitalProductWarning, match="nothing runs on the core.*captures are not weights"):
        out = optics.emulate(lambda unused, x: x @ W)(optics.today(), KEY, jnp.ones(3), X)
    np.testing.assert_array_equal(out, X @ W)
    with pytest.warns(UserWarning, match="a `while` loop is billed for a single turn"):
        optics.price(optics.today(), optics.trace(FORWARDS["while"])(PARAMS, X))
