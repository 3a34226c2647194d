"""Ranges by rule against NumPy loops in float64, and what they do to a product."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects, RangeRule

KEY = jax.random.key(0)
NOISE = np.random.default_rng(4)
BITS = {"dac.bits": 5.0, "dac.enob": 5.0, "mask.bits": 4.0, "adc.bits": 6.0, "adc.enob": 5.5}
ROUNDING = ("dac_rounding", "dac_clipping", "weight_rounding", "adc_rounding", "adc_clipping")
CORE = optics.today(rows=64, columns=16).replace({**BITS, "effects": Effects.only(*ROUNDING)})
# Heavy tails, as of activations, and vectors and columns of unlike size.
X = (NOISE.standard_t(3, (96, 64)) * np.geomspace(0.3, 3, 96)[:, None]).astype(np.float32)
W = (NOISE.standard_t(4, (64, 12)) * np.geomspace(0.1, 10, 12)).astype(np.float32)
quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def product(w, x):
    return x @ w


def fitted(core=CORE, x=X, w=W, fun=product, **rules):
    (found,) = quickly(optics.fit_ranges(fun, **rules))(core, KEY, w, x).values()
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), found)


def rounded(values, scale, highest):
    """Clipped to +- scale and rounded to `highest` steps of magnitude, float64."""
    values = np.asarray(values, np.float64)
    return np.rint(np.clip(values, -scale, scale) / scale * highest) / highest * scale


def least(error, largest, octaves, per_octave=8):
    """The least error over ranges below the largest magnitude: those of the search, or as many as are asked for."""
    return min(error(largest * 2.0**-octave) for octave in np.arange(octaves * per_octave) / per_octave)


def test_least_squares_of_inputs_has_the_least_error_of_all_ranges():
    def error(scale):
        return np.sum((rounded(X, scale, 2**5 - 1) - X) ** 2)

    found = fitted(inputs=RangeRule("least squares"))
    assert error(found.input_scale) < 1.0001 * least(error, np.abs(X).max(), 6)
    assert error(found.input_scale) < 1.01 * least(error, np.abs(X).max(), 6, per_octave=200)
    # Between an absolute range of half and of a twentieth, so that neither end of the grid is what is found.
    assert 0.05 < found.input_scale / np.abs(X).max() < 0.9


def test_least_squares_of_inputs_that_follow_has_the_least_error_of_all_shares():
    largest = np.abs(X).max(axis=1, keepdims=True).astype(np.float64)

    def error(share):
        return np.sum((rounded(X, share * largest, 2**2 - 1) - X) ** 2)

    found = fitted(CORE.replace({"dac.bits": 2.0, "dac.enob": 1.9}), inputs=RangeRule("least squares", follows=True))
    assert found.input_scale is None
    assert error(found.input_share) < 1.0001 * least(error, 1.0, 4)
    assert 0.2 < found.input_share < 0.95


def test_noise_of_a_dac_narrows_its_range():
    """It is a share of full drive, so it weighs as clipping does not: n r^2 sigma^2 is added to the error."""
    noisy = CORE.replace({"dac.enob": 3.0, "effects": Effects.only(*ROUNDING, "dac_noise")})
    variance = float(noisy.dac.noise_variance())

    def error(scale):
        return np.sum((rounded(X, scale, 2**5 - 1) - X) ** 2) + X.size * variance * scale**2

    found = fitted(noisy, inputs=RangeRule("least squares"))
    assert error(found.input_scale) < 1.0001 * least(error, np.abs(X).max(), 6)
    assert found.input_scale < fitted(inputs=RangeRule("least squares")).input_scale


def test_least_squares_of_weights_is_found_for_each_column():
    found = fitted(mask=RangeRule("least squares"))
    for column, share in zip(W.T, found.weight_share, strict=True):

        def error(scale, column=column):
            return np.sum((rounded(column, scale, 2**4 - 1) - column) ** 2)

        assert error(share * np.abs(column).max()) < 1.0001 * least(error, np.abs(column).max(), 3)
    assert 0.2 < found.weight_share.min() < 0.95


@pytest.mark.parametrize("percentile", [90.0, 99.0])
def test_percentile_leaves_that_share_of_the_values_beyond(percentile):
    """Of 6,144 inputs, of the 64 weights of a column, and of the conversions of a column; within one value each."""
    rule = RangeRule("percentile", percentile)
    found = fitted(inputs=rule, mask=rule, adc=None)
    beyond = 1 - percentile / 100
    assert np.mean(np.abs(X) > found.input_scale) == pytest.approx(beyond, rel=0.15, abs=1 / X.size)
    relative = np.abs(W) / np.abs(W).max(axis=0)
    assert np.mean(relative > found.weight_share, axis=0) == pytest.approx(beyond, abs=2.1 / 64)


def test_percentile_of_inputs_that_follow_is_of_shares_of_each_vectors_largest():
    """Of 64 elements the largest is always at a share of 1, so that percentiles above 98.4 are 1."""
    found = fitted(inputs=RangeRule("percentile", 90.0, follows=True), adc=None)
    relative = np.abs(X) / np.abs(X).max(axis=1, keepdims=True)
    assert np.mean(relative > found.input_share) == pytest.approx(0.1, rel=0.05)


def test_percentile_of_receivers_leaves_that_share_of_the_conversions_out_of_range():
    """Sums in full products of a vector's and a column's largest elements; the receivers follow nothing else."""
    quiet = CORE.replace({"effects": Effects.only("adc_clipping")})
    found = fitted(quiet, adc=RangeRule("percentile", 95.0))
    x, w = X.astype(np.float64), W.astype(np.float64)
    sums = np.abs(x / np.abs(x).max(axis=1, keepdims=True) @ (w / np.abs(w).max(axis=0)))
    assert np.mean(sums > found.full_scale, axis=0) == pytest.approx(0.05, abs=2.1 / 96)


def test_least_squares_of_receivers_has_the_least_error_of_the_product():
    """6 bits: 63 codes, -31 to 31. The error is that of the product in the user's scale, so large vectors decide."""
    quiet = CORE.replace({"effects": Effects.only("adc_clipping", "adc_rounding")})
    found = fitted(quiet, adc=RangeRule("least squares"))
    x, w = X.astype(np.float64), W.astype(np.float64)
    unit = np.abs(x).max(axis=1, keepdims=True)
    sums = x / unit @ (w / np.abs(w).max(axis=0))
    for column, full_scale in zip(sums.T, found.full_scale, strict=True):

        def error(scale, column=column):
            return np.sum((unit[:, 0] * (rounded(column, scale, 31) - column)) ** 2)

        assert error(full_scale) < 1.001 * least(error, np.abs(column).max(), 3)


def test_product_in_ranges_is_that_of_clipped_and_rounded_operands():
    ranges = fitted(inputs=RangeRule("percentile", 99.0), mask=RangeRule("percentile", 95.0), adc=None)
    core = CORE.replace({"effects": Effects.only("dac_rounding", "dac_clipping", "weight_rounding")})
    site = optics.trace(product)(W, X)[0].name
    y = optics.emulate(product)(optics.FixedRangeCore(core, {site: jax.tree.map(jnp.float32, ranges)}), KEY, W, X)
    scale = ranges.weight_share * np.abs(W).max(axis=0)
    expected = rounded(X, ranges.input_scale, 31) @ rounded(W, scale, 15)
    np.testing.assert_allclose(y, expected, atol=2e-5 * np.abs(expected).max())
    assert np.abs(expected - X @ W).max() > 0.1 * np.abs(expected).max()


def test_ranges_lower_the_error_in_the_order_of_what_they_know():
    """absmax, then least squares of inputs and weights, then also of receivers, whose largest may be the best."""
    site = optics.trace(product)(W, X)[0].name
    fixed = {"inputs": RangeRule("absmax")}
    least_squares = {"inputs": RangeRule("least squares"), "mask": RangeRule("least squares")}
    errors = []
    for rules in (fixed, least_squares, least_squares | {"adc": RangeRule("least squares")}):
        ranges = quickly(optics.fit_ranges(product, **rules))(CORE, KEY, W, X)
        y = optics.emulate(product)(optics.FixedRangeCore(CORE, ranges), KEY, W, X)
        errors.append(float(jnp.mean((y - X @ W) ** 2)))
        assert list(ranges) == [site]
    assert errors[0] > 1.2 * errors[1]
    assert errors[1] >= errors[2]


def test_scan_sites_have_ranges_by_step_and_a_loaded_core_keeps_them():
    stack = np.stack([np.eye(16) + 0.1 * NOISE.standard_t(3, (16, 16)) for _ in range(3)]).astype(np.float32)

    def layers(w, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]

    x = X[:8, :16]
    rules = {"inputs": RangeRule("percentile", 99.0), "mask": RangeRule("least squares")}
    ((name, found),) = quickly(optics.fit_ranges(layers, **rules, adc=RangeRule("percentile", 99.0)))(
        CORE, KEY, stack, x
    ).items()
    assert jax.tree.map(jnp.shape, found) == optics.SiteRange((3, 16), (3,), None, (3, 16))
    for step in range(3):
        # Of 128 values; two lie beyond at most.
        assert np.mean(np.abs(x) > float(found.input_scale[step])) == pytest.approx(0.01, abs=1.5 / 128)
        x = np.tanh(x @ stack[step])
    ranged = optics.FixedRangeCore(CORE, {name: found})
    run = quickly(optics.emulate(layers))
    y = run(ranged, KEY, stack, X[:8, :16])
    np.testing.assert_allclose(
        run(optics.load(layers)(ranged, stack, X[:8, :16]), KEY, stack, X[:8, :16]), y, rtol=1e-6, atol=1e-6
    )
    both = jax.vmap(lambda scale: run(ranged.__class__(CORE, {name: found._replace(input_scale=scale)}), KEY, stack,
                                      X[:8, :16]))(jnp.stack([found.input_scale, 2 * found.input_scale]))  # fmt: skip
    np.testing.assert_allclose(both[0], y, rtol=1e-5, atol=1e-5)
    assert np.abs(both[1] - both[0]).max() > 1e-3


def test_design_has_the_ranges_of_each_core_and_none_at_digital_sites():
    def two(params, x):
        return x @ params["first"] @ params["second"] @ params["third"]

    params = {"first": W[:, :8], "second": W[:8, :8], "third": W[:8, :4]}
    coarse = CORE.replace({"dac.bits": 2.0, "dac.enob": 1.9})
    design = optics.CoresBySite(CORE, {"first": coarse, "third": optics.DIGITAL})
    found = quickly(optics.fit_ranges(two, inputs=RangeRule("least squares", follows=True), adc=None))(
        design, KEY, params, X[:8]
    )
    assert [name.split()[1] for name in found] == ["first", "second"]
    shares = [float(each.input_share) for each in found.values()]
    assert shares[0] < 0.9 * shares[1]
    assert jnp.isfinite(optics.emulate(two)(optics.FixedRangeCore(design, found), KEY, params, X[:8])).all()


def test_what_follows_each_vector_can_be_asked_for():
    site = optics.SiteRange
    one = jnp.ones(3)
    assert site(None).follows_vectors == ("inputs", "receivers")
    assert site(one).follows_vectors == ("inputs",)
    assert site(None, input_scale=1.0).follows_vectors == ("receivers",)
    assert site(one, input_scale=1.0, weight_share=one).follows_vectors == ()
    fixed = optics.FixedRangeCore(CORE, {"a": site(one, 1.0), "b": site(one, None, 0.5)})
    assert fixed.follows_vectors() == {"a": (), "b": ("inputs",)}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"inputs": RangeRule(), "fixed_inputs": True}, "fixed_inputs is True and inputs is RangeRule"),
        ({"mask": RangeRule(), "loading": 4.0}, "loading is 4.0; it goes with no rules"),
        ({"mask": RangeRule(), "fixed_inputs": True}, "fixed_inputs goes with no other rules"),
        ({"adc": RangeRule(follows=True)}, "only the range of inputs follows each vector"),
        ({"adc": None}, "no range is to be found"),
        ({"adc": None, "inputs": RangeRule(follows=True), "mask": RangeRule()}, "no range is to be found"),
    ],
)
def test_rules_that_exclude_each_other_are_refused(rules, message):
    with pytest.raises(ValueError, match=message):
        optics.fit_ranges(product, **rules)


def test_unknown_method_wrong_percentile_shares_of_tiles_and_two_input_ranges_are_refused():
    with pytest.raises(ValueError, match="RangeRule.method is 'mse'; it must be one of absmax, percentile, least sq"):
        RangeRule("mse")
    with pytest.raises(ValueError, match="RangeRule.percentile is 0; it must be above 0 and at most 100"):
        RangeRule("percentile", 0)
    tiles = CORE.replace({"encoding": optics.Encoding(scales="tile")})
    with pytest.raises(ValueError, match='encoding.scales is "tile"; shares of a largest element'):
        optics.fit_ranges(product, mask=RangeRule("percentile"))(tiles, KEY, W, X)
    site = optics.trace(product)(W, X)[0].name
    both = optics.FixedRangeCore(CORE, {site: optics.SiteRange(None, 1.0, 0.5)})
    with pytest.raises(ValueError, match="has both input_scale and input_share"):
        optics.emulate(product)(both, KEY, W, X)
