"""Every product is a site, with the place where it runs and the reason; the warnings name what a core could do."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas, sparse

import optics
from optics.interpreter.notices import missed_share

MASK = np.tril(np.ones((16, 16), np.float32))
ORDER = np.random.default_rng(0).permutation(16)


def shape(*dims, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(dims, dtype)


W, X, INDEX = shape(2, 16, 16), shape(8, 16), shape(dtype=jnp.int32)


def sites_of(forward, *args, **options):
    """The sites and the messages of all warnings of `optics` on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sites = optics.trace(forward, **options)(*args)
    return sites, [str(warning.message) for warning in caught]


MASKED = {
    "product with a mask": lambda w, x: x @ (w[0] * MASK),
    "select by a mask": lambda w, x: x @ jnp.where(MASK > 0, w[0], 0),
    "permutation": lambda w, x: x @ w[0][ORDER],
    "scale of each column": lambda w, x: x @ (w[0] * MASK[5:6]),
    "mask inside a jit": lambda w, x: x @ jax.jit(lambda w: w * MASK)(w[0]),
    "mask in a scan": lambda w, x: lax.scan(lambda x, w: (x @ (w * MASK), None), x, w)[0],
}


@pytest.mark.parametrize("name", MASKED)
def test_weights_combined_with_captured_arrays_run_on_the_core(name):
    (site,), said = sites_of(MASKED[name], W, X)
    assert (site.optical, site.path, site.reason, said) == (True, "weights", "", [])


DIGITAL = {
    "image of weights": (
        lambda w, x: lax.conv(w[:, None], x[None, None, :3, :3], (1, 1), "VALID"),
        (),
        "image of weights, kernel of data",
    ),
    "ragged contraction": (
        lambda w, x, sizes: lax.ragged_dot_general(
            x, w[0], sizes, lax.RaggedDotDimensionNumbers((((1,), (0,)), ((), ())), [1], [])
        ),
        (shape(2, dtype=jnp.int32),),
        "ragged product whose groups are summed over",
    ),
    "triangular solve": (lambda w, x: jax.scipy.linalg.solve_triangular(w[0], x.T), (), "triangular solve"),
    "captured array": (lambda w, x: (x + w[0, :1]) @ MASK, (), "captured array"),
    "captured array and weights": (lambda w, x: x @ (MASK @ w[0]), (), "captured array: weights"),
    "gather": (lambda w, x, i: x @ w[i], (INDEX,), "chosen by data: weights"),
    "select": (lambda w, x, i: x @ jnp.where(i > 0, w[0], w[1]), (INDEX,), "chosen by data: weights"),
    "random mask": (lambda w, x: x @ jnp.where(x[:, :1] > 0, w[0, :8], 0).T, (), "chosen by data: weights"),
    "vmap of a cond": (
        lambda w, x: jax.vmap(lambda v: lax.cond(v.sum() > 0, lambda v: v @ w[0], lambda v: v @ w[1], v))(x),
        (),
        "chosen by data: weights",
    ),
}


@pytest.mark.parametrize("name", DIGITAL)
def test_a_digital_product_of_weights_gives_its_reason_and_one_warning(name):
    forward, more, reason = DIGITAL[name]
    sites, said = sites_of(forward, W, X, *more)
    report = optics.report(sites)
    digital = [row for row in report.rows if row.runs_on == "digital"]
    assert digital and {row.reason for row in digital} == {reason}
    assert len(said) == 1 and f"{report.missed_share:.0%} of the MACs with weights stay digital" in said[0]
    assert all(f"{row.site.name!r} ({reason})" in said[0] for row in digital)
    with pytest.warns(optics.DigitalProductWarning):
        optics.trace(forward)(W, X, *more)


EXPECTED = {
    "activations": (lambda w, x: (x @ w[0]) @ (x @ w[1]).T, {}, "made of data"),
    "policy": (lambda w, x: x @ w[0], {"policy": lambda site: False}, "policy"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_the_policy_leaves_digital_is_no_warning(name):
    forward, options, reason = EXPECTED[name]
    sites, said = sites_of(forward, W, X, **options)
    assert said == []
    assert [site.reason for site in sites if not site.optical] == [reason]


def test_an_embedding_is_an_activation_once_it_is_multiplied():
    """Token indices select rows of weights; queries, keys and values of them are activations like any other."""

    def attention(w, tokens):
        h = w[0][tokens]
        q, k, v = h @ w[0], h @ w[1], h @ w[1]
        return jax.nn.softmax(q @ k.T) @ v

    sites, said = sites_of(attention, W, shape(8, dtype=jnp.int32))
    assert [(site.path, site.optical) for site in sites] == [("weights", True)] * 3 + [("activations", False)] * 2
    assert [site.reason for site in sites if not site.optical] == ["made of data"] * 2
    assert not any(site.selected for site in sites if site.optical)
    assert said == []


def test_less_than_one_percent_is_no_warning():
    small = np.ones((16, 1), np.float32)
    sites, said = sites_of(lambda w, x: lax.scan(lambda x, _: (x @ w[0], None), x, None, length=7)[0] @ small, W, X)
    assert missed_share(sites) == pytest.approx(1 / 113) and said == []
    sites, said = sites_of(lambda w, x: lax.scan(lambda x, _: (x @ w[0], None), x, None, length=5)[0] @ small, W, X)
    assert missed_share(sites) == pytest.approx(1 / 81) and len(said) == 1


def test_macs_of_products_that_are_no_dot_general():
    """The router's 131,072 and the experts' 1,048,576 of one layer; triangles and sparse matrices by their elements."""

    def layer(p, x, sizes):
        return lax.ragged_dot(x @ p["router"], p["experts"], sizes)

    params = {"experts": shape(4, 64, 512), "router": shape(64, 64)}
    sites, _ = sites_of(layer, params, shape(32, 64), shape(4, dtype=jnp.int32))
    assert [(s.name, s.kind, s.macs) for s in sites] == [
        ("000 router 64x64", "dot_general", 131_072),
        ("001 experts 64x512", "ragged_dot_general", 1_048_576),
    ]
    assert optics.report(sites).macs == 1_179_648

    (solve,), _ = sites_of(
        lambda w, x: lax.linalg.triangular_solve(w, x, left_side=True), shape(3, 5, 5), shape(3, 5, 7)
    )
    assert (solve.kind, solve.macs) == ("triangular_solve", 3 * 15 * 7)
    (right,), _ = sites_of(lambda w, x: lax.linalg.triangular_solve(w, x, left_side=False), shape(5, 5), shape(7, 5))
    assert right.macs == 15 * 7

    matrix = sparse.BCOO.fromdense(jnp.asarray(np.eye(16, dtype=np.float32)[:, :12]))
    for forward, x in ((lambda m, x: m @ x, shape(12, 5)), (lambda m, x: x @ m, shape(5, 16))):
        (found,), _ = sites_of(forward, matrix, x)
        assert (found.kind, found.macs, found.reason) == ("bcoo_dot_general", 12 * 5, "sparse product")
    rows = sparse.BCSR.fromdense(jnp.eye(6))
    assert [site.macs for site in sites_of(lambda m, x: m @ x, rows, shape(6, 4))[0]] == [6 * 4]


def test_the_gradient_of_a_ragged_product_has_the_macs_of_three():
    """Forward, to the inputs and to the weights: each multiplies every row with one group, or adds it to one."""

    def gradient(w, x, sizes):
        loss = lambda w, x: jnp.sum(lax.ragged_dot(x, w, sizes) ** 2)  # noqa: E731
        return jax.grad(loss, (0, 1))(w, x)

    sites, _ = sites_of(gradient, shape(4, 6, 10), shape(8, 6), shape(4, dtype=jnp.int32))
    assert [site.macs for site in sites] == [8 * 6 * 10] * 3


def test_new_kinds_of_sites_leave_the_numbers_of_the_others():
    """Noise keys derive from the numbers."""
    plain, _ = sites_of(lambda w, x: (x @ w[0]) @ w[1], W, X)
    between, _ = sites_of(lambda w, x: lax.linalg.triangular_solve(w[0], x @ w[0], left_side=False) @ w[1], W, X)
    assert [site.name for site in plain] == ["000 weights 16x16", "001 weights 16x16"]
    assert [site.name for site in between] == [*(site.name for site in plain), "002 weights 136x1"]


def host(w, x):
    return x @ w


UNKNOWN = {
    "pure_callback": lambda w, x: jax.pure_callback(host, shape(8, 16), w[0], x) @ w[1],
    "inside a scan": lambda w, x: lax.scan(lambda x, w: (jax.pure_callback(host, shape(8, 16), w, x) @ w, None), x, w)[
        0
    ],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_primitive_that_takes_weights_is_named(name):
    sites, said = sites_of(UNKNOWN[name], W, X)
    assert [(site.kind, site.macs > 0) for site in sites] == [("dot_general", True), ("pure_callback", False)]
    assert len(said) == 1 and "'pure_callback' takes weights" in said[0]
    table = str(optics.report(sites))
    assert "unknown primitive" in table and "neither emulated nor counted" in table


def test_unknown_primitive_of_weights_alone_is_no_site():
    (site,), said = sites_of(lambda w, x: x @ jax.pure_callback(np.sin, shape(16, 16), w[0]), W, X)
    assert site.optical and said == []


def test_call_of_what_is_not_jax_is_a_row_without_warning():
    (site, call), said = sites_of(lambda w, x: jax.pure_callback(np.sin, X, x) @ w[0], W, X)
    assert site.optical and said == []
    assert (call.kind, call.reason, call.macs) == ("pure_callback", "not written in JAX", 0)


def kernel(x_ref, y_ref, out_ref):
    out_ref[...] = x_ref[...] @ y_ref[...].T


def by_kernel(x, y):
    return pallas.pallas_call(kernel, out_shape=shape(8, y.shape[0]), interpret=True)(x, y)


def test_kernel_that_multiplies_activations_is_a_row_and_a_warning():
    (site, call), said = sites_of(lambda w, x: by_kernel(x @ w[0], x), W, X)
    assert site.optical and (call.kind, call.reason) == ("pallas_call", "primitive that is not entered")
    assert len(said) == 1 and "neither emulated nor counted: 'pallas_call'" in said[0]
    assert f"{call.name}: products inside this primitive" in str(optics.report([site, call]))


def test_kernel_that_multiplies_weights_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="'pallas_call', which optics.emulate does not enter; give the function a ker"):
        optics.trace(lambda w, x: by_kernel(x, w[0]))(W, X)


product_with_vmap_rule = jax.custom_batching.custom_vmap(lambda w, x: x @ w)
product_with_vmap_rule.def_vmap(lambda size, batched, w, x: (x @ w, True))
ENTERED = {
    "composite": lambda w, x: lax.composite(lambda w, x: x @ w, name="my.product")(w[0], x),
    "custom_vmap": lambda w, x: product_with_vmap_rule(w[0], x),
}


@pytest.mark.parametrize("name", ENTERED)
def test_primitive_that_calls_a_jaxpr_is_entered(name):
    forward = ENTERED[name]
    (site,), said = sites_of(forward, W, X)
    assert site.optical and said == []
    w, x = np.ones(W.shape, np.float32), np.eye(8, 16, dtype=np.float32)
    y = optics.emulate(forward)(optics.today(rows=16, columns=16), jax.random.key(0), w, x)
    np.testing.assert_allclose(y, 1, atol=0.5)
    assert jnp.std(y) > 0


def test_the_census_names_primitives_that_it_does_not_know():
    with pytest.warns(optics.UnknownPrimitiveWarning, match="one operation per output element: lu, pure_callback"):
        counted = optics.count_elementwise_ops(lambda x: (jax.pure_callback(np.sin, X, x), lax.linalg.lu(x)[0]))(X)
    assert counted == {"element-wise": 2 * 8 * 16}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optics.count_elementwise_ops(lambda x: jax.debug.print("{}", x))(X)


ONLY_DATA = {
    "closure": (lambda x: x @ MASK, X),
    "module": (lambda x: jax.vmap(lambda v: MASK @ v)(x), X),
}


@pytest.mark.parametrize("name", ONLY_DATA)
def test_weights_argument_that_is_the_only_array_is_a_warning(name):
    forward, x = ONLY_DATA[name]
    with pytest.warns(optics.WeightsArgumentWarning, match="argument 0.*is the only one that holds an array"):
        optics.trace(forward)(x)
    with pytest.warns(optics.WeightsArgumentWarning):
        optics.emulate(forward)(optics.ideal(), jax.random.key(0), jnp.ones((8, 16)))


def test_weights_argument_beside_data_is_no_warning():
    assert sites_of(lambda w, x: x @ w[0], W, X)[1] == []


def test_arrays_by_keyword_are_data():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (site,) = optics.trace(lambda w, *, x, flip: (-x if flip else x) @ w[0])(W, x=X, flip=True)
    assert (site.optical, site.captured) == (True, False)


def test_a_report_prints_sites_shares_and_what_is_assumed():
    def forward(w, x, i):
        x = lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ w[0], x)
        x = lax.cond(i > 0, lambda x: x @ w[0], lambda x: -x, x)
        return x @ lax.switch(i, [lambda: w[0], lambda: w[1]]) @ MASK

    sites, said = sites_of(forward, W, X, INDEX)
    report = optics.report(sites)
    assert report.core_share == pytest.approx(3 / 4) and report.missed_share == pytest.approx(1 / 4)
    assert [row.share for row in report.rows] == [0.25] * 4
    assert [row.runs_on for row in report.rows] == ["core", "core", "core", "digital"]
    lines = str(report).splitlines()
    assert " ".join(lines[0].split()) == "site primitive vectors x rows x columns times MACs share runs on reason"
    assert " ".join(lines[1].split()) == "000 weights 16x16 dot_general 8 x 16 x 16 1 2.05e+03 25.0% core"
    assert lines[4].endswith("captured array") and "75.0% core" in lines[5]
    assert report.notes == (
        "000 weights 16x16: in a `while`, whose number of steps is unknown; one step is counted",
        "001 weights 16x16: in a branch of a `cond`; all branches are counted",
        "002 weights 16x16: data choose its weights, so `optics.load` does not keep them on the mask",
    )
    assert len(said) == 1


def test_an_emulated_call_warns_once():
    def forward(w, x):
        return (x @ w) @ MASK

    args = optics.ideal(), jax.random.key(0), jnp.eye(16), jnp.ones((8, 16))
    with pytest.warns(optics.DigitalProductWarning, match="'001 activations 16x16' \\(captured array\\)") as caught:
        optics.emulate(forward)(*args)
    assert len(caught) == 1


def everything_in_one(w, x):
    """A product of each kind, each where a core does it or with the reason why none does."""
    experts = jnp.stack([w["plain"], w["plain"]])
    y = x @ w["plain"]
    y = y @ (w["plain"] * MASK) + jnp.einsum("vk,vkm->vm", y, w["experts"][jnp.argmax(y[:, :2], axis=1)])
    y = lax.ragged_dot(y, experts, jnp.array([3, 5]))
    y = jax.nn.softmax(y @ y.T) @ y
    y = lax.conv_general_dilated(y[None, None], w["kernel"], (1, 1), "SAME")[0, 0]
    y, _ = lax.scan(lambda y, w: (jax.checkpoint(lambda y, w: y @ w)(y, w), None), y, w["layers"])
    y = lax.cond(y[0, 0] > 0, lambda y: y @ w["branch"], lambda y: y, y)
    y = lax.while_loop(lambda y: jnp.sum(y) > 100, lambda y: y @ w["plain"], y)
    y = sparse.bcoo_fromdense(w["plain"] * MASK, nse=136) @ y.T + MASK @ y.T
    y = lax.linalg.triangular_solve(w["plain"], y, left_side=True, lower=True).T
    y = lax.composite(lambda w, y: y @ w, name="my.product")(w["plain"], y)
    return jax.pure_callback(np.sin, X, by_kernel(y, y) @ jnp.ones((8, 16)))


def test_report_of_a_function_with_every_case_names_each_and_the_reason():
    square = shape(16, 16)
    weights = {"plain": square, "branch": square, "kernel": shape(1, 1, 3, 3), "layers": W, "experts": W}
    sites, said = sites_of(everything_in_one, weights, X)
    rows = optics.report(sites).rows
    assert all(row.runs_on == "core" or row.reason for row in rows)
    reasons = {(row.site.kind, row.reason) for row in rows}
    assert {kind for kind, reason in reasons if not reason} == {
        "dot_general", "ragged_dot_general", "conv_general_dilated",
    }  # fmt: skip
    assert {(kind, reason.partition(":")[0]) for kind, reason in reasons if reason} == {
        ("dot_general", "made of data"),
        ("dot_general", "chosen by data"),
        ("dot_general", "captured array"),
        ("bcoo_fromdense", "unknown primitive"),
        ("bcoo_dot_general", "sparse product"),
        ("triangular_solve", "triangular solve"),
        ("pallas_call", "primitive that is not entered"),
        ("pure_callback", "not written in JAX"),
    }
    assert len(said) == 1
