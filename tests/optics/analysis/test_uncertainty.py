"""Distributions of constants and what they do to a figure of merit, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import optics
from electronics import Constant


def constant(low, value, high, unit="J"):
    return Constant(name="x", value=value, low=low, high=high, unit=unit, year=2026, mark="assumed", source="a test")


def triangular_quantile(u, low, mode, high):
    """The inverse of the distribution function, written out."""
    share = (mode - low) / (high - low)
    rising = low + np.sqrt(u * (high - low) * (mode - low))
    falling = high - np.sqrt((1 - u) * (high - low) * (high - mode))
    return np.where(u < share, rising, falling)


def triangular_variance(low, mode, high):
    return (low**2 + mode**2 + high**2 - low * mode - low * high - mode * high) / 18


@pytest.mark.parametrize("bounds", [(1.0, 2.0, 8.0), (0.0, 0.5, 0.6), (-3.0, -3.0, 1.0), (2.0, 5.0, 5.0)])
def test_quantiles_are_those_of_the_triangle(bounds):
    u = np.linspace(0, 1, 21)
    found = optics.Spread(*bounds, logarithmic=False).ppf(u)
    np.testing.assert_allclose(found, triangular_quantile(u, *bounds), atol=1e-12)


def test_a_logarithmic_spread_is_the_triangle_of_the_logarithm():
    u = np.linspace(0, 1, 21)
    found = optics.Spread(1e-8, 1e-6, 16e-3, logarithmic=True).ppf(u)
    np.testing.assert_allclose(np.log(found), triangular_quantile(u, *np.log([1e-8, 1e-6, 16e-3])), atol=1e-12)


@pytest.mark.parametrize(
    ("given", "logarithmic"),
    [
        (constant(1e-13, 1e-12, 1e-11), True),
        (constant(0.0, 1e-12, 1e-11), False),
        (constant(-0.01, -0.007, -0.005), False),
        (constant(1.0, 2.0, 3.0, unit="dB"), False),
        (constant(7.0, 8.0, 9.7, unit="bit"), False),
    ],
)
def test_which_constants_spread_on_a_logarithmic_axis(given, logarithmic):
    assert optics.Spread.of(given).logarithmic is logarithmic


def test_points_and_held_constants_do_not_spread():
    constants = optics.constants_of("physical_limit")
    every = optics.spreads(constants)
    assert "source.bias_power" not in every and "digital.mac_energy" in every
    assert set(every) - set(optics.spreads(constants, ["clock"])) == {"clock"}
    with pytest.raises(ValueError, match="no constant 'clok' to hold; did you mean 'clock'"):
        optics.spreads(constants, ["clok"])


def test_choices_are_constants_of_every_scenario():
    for name in ("today", "projected_2029", "physical_limit"):
        assert set(optics.CHOICES) <= set(optics.constants_of(name))


@pytest.mark.parametrize(
    ("bounds", "message"), [((2.0, 1.0, 3.0), "low <= nominal"), ((0.0, 1.0, 3.0), "low = 0 must be above 0")]
)
def test_impossible_spreads(bounds, message):
    with pytest.raises(ValueError, match=message):
        optics.Spread(*bounds, logarithmic=True)


SPREADS = {
    "digital.add_energy": optics.Spread(0.1e-12, 0.2e-12, 0.6e-12, logarithmic=False),
    "digital.rescale_energy": optics.Spread(0.0, 0.2e-12, 1.0e-12, logarithmic=False),
}


def picojoules(core):
    return (core.digital.add_energy + 3 * core.digital.rescale_energy) * 1e12


def test_mean_and_variance_of_a_sum():
    """4,096 points of a scrambled Sobol sequence: the mean to 1e-4, where as many random draws would give 1e-2."""
    over = optics.Uncertainty(picojoules, optics.today(), SPREADS)
    found = over.at(over.draw(4096, seed=0))
    mean = (0.1 + 0.2 + 0.6) / 3 + 3 * (0.0 + 0.2 + 1.0) / 3
    variance = triangular_variance(0.1, 0.2, 0.6) + 9 * triangular_variance(0.0, 0.2, 1.0)
    assert found.shape == (4096,)
    assert np.mean(found) == pytest.approx(mean, rel=1e-3)
    assert np.var(found) == pytest.approx(variance, rel=1e-2)
    assert np.array_equal(over.draw(8, seed=1), over.draw(8, seed=1))
    assert not np.array_equal(over.draw(8, seed=1), over.draw(8, seed=2))


def test_the_vmapped_cores_are_those_of_a_loop():
    sites = optics.trace(lambda w, x: x @ w)(
        jax.ShapeDtypeStruct((2048, 1024), np.float32), jax.ShapeDtypeStruct((64, 2048), np.float32)
    )

    def watts(core):
        return optics.price(optics.with_effective_bits(core, 7.0), sites).watts_at()

    core = optics.projected_2029()
    over = optics.Uncertainty(watts, core, optics.spreads(optics.constants_of("projected_2029"), optics.CHOICES))
    values = over.draw(8, seed=3)
    by_hand = [watts(core.replace(dict(zip(over.spreads, map(float, row), strict=True)))) for row in values]
    np.testing.assert_allclose(over.at(values), by_hand, rtol=1e-4)


def test_tornado_by_hand():
    swings = optics.Uncertainty(picojoules, optics.today(), SPREADS).tornado()
    assert list(swings) == ["digital.rescale_energy", "digital.add_energy"]
    assert swings["digital.rescale_energy"] == pytest.approx((0.2, 3.2), rel=1e-5)
    assert swings["digital.add_energy"] == pytest.approx((0.7, 1.2), rel=1e-5)
    assert swings["digital.rescale_energy"].width == pytest.approx(3.0, rel=1e-5)


def test_sobol_indices_of_a_product_are_shares_of_variance():
    """ln(a b^2) = ln a + 2 ln b: first and total index of each are its share of the variance; c has none."""
    spread_a, spread_b = (1e-14, 1e-13, 1e-11), (1e-11, 2e-11, 8e-11)
    over = optics.Uncertainty(
        lambda core: core.digital.sram_energy * 1e13 * (core.digital.wire_energy * 1e11) ** 2,
        optics.today(),
        {
            "digital.sram_energy": optics.Spread(*spread_a, logarithmic=True),
            "digital.wire_energy": optics.Spread(*spread_b, logarithmic=True),
            "digital.mac_energy": optics.Spread(1e-13, 2e-13, 3e-13, logarithmic=True),
        },
    )
    found = over.sobol(2048, seed=0)
    parts = triangular_variance(*np.log(spread_a)), 4 * triangular_variance(*np.log(spread_b))
    share = parts[0] / sum(parts)
    assert found["digital.sram_energy"].first == pytest.approx(share, abs=0.02)
    assert found["digital.sram_energy"].total == pytest.approx(share, abs=0.02)
    assert found["digital.wire_energy"].total == pytest.approx(1 - share, abs=0.02)
    assert found["digital.mac_energy"] == pytest.approx((0, 0, 0, 0), abs=1e-6)
    assert list(found)[-1] == "digital.mac_energy"
    index = found["digital.sram_energy"]
    assert index.total_low < index.total < index.total_high
    assert over.sobol(2048, seed=0) == found  # the bootstrap has a seed too
    by_scipy = stats.sobol_indices(
        func=lambda values: np.log(over.at(values.T)), n=2048, dists=list(over.spreads.values()), rng=0
    )
    for field, first, total in zip(over.spreads, by_scipy.first_order, by_scipy.total_order, strict=True):
        assert (found[field].first, found[field].total) == pytest.approx((first, total), abs=1e-5)


def test_break_even_is_where_a_line_meets_the_target():
    """0.2 + 3 r = 2 at r = 0.6; a + 0.6 = 2 at a = 1.4, which is out of range."""
    found = optics.Uncertainty(picojoules, optics.today(), SPREADS).break_even(2.0)
    assert found == pytest.approx({"digital.rescale_energy": 0.6e-12}, rel=1e-3, abs=0)


def test_pairs_that_close_together_are_where_the_plane_meets_the_target():
    """a + 3 r: from its nominal value both go the same share s of the way to their low ends."""
    over = optics.Uncertainty(picojoules, optics.today(), SPREADS)
    add, rescale = (SPREADS[f"digital.{name}_energy"] for name in ("add", "rescale"))
    start = float(over.at(over.nominal()[None])[0])
    least = 1e12 * (add.low + 3 * rescale.low)
    alone = min(1e12 * (add.low + 3 * rescale.mode), 1e12 * (add.mode + 3 * rescale.low))
    target = (least + alone) / 2
    (found,) = over.break_even_pairs(target, list(SPREADS))
    assert {found.first, found.second} == set(SPREADS)
    assert picojoules(
        optics.today().replace({found.first: found.first_value, found.second: found.second_value})
    ) == pytest.approx(target, rel=1e-3)
    assert 0 < found.share < 1
    assert over.break_even_pairs(0.99 * least, list(SPREADS)) == []
    assert over.break_even_pairs(1.01 * start, list(SPREADS)) == []
    with pytest.raises(ValueError, match="'digital.ad_energy' has no distribution; did you mean 'digital.add_energy'"):
        over.break_even_pairs(target, ["digital.ad_energy"])


def test_what_cannot_be_drawn_is_refused():
    over = optics.Uncertainty(picojoules, optics.today(), SPREADS)
    with pytest.raises(ValueError, match="draws = 1000 must be a power of two"):
        over.draw(1000, seed=0)
    with pytest.raises(ValueError, match="no number 'digital.ad_energy'; did you mean 'digital.add_energy'"):
        optics.Uncertainty(picojoules, optics.today(), {"digital.ad_energy": SPREADS["digital.add_energy"]})


def test_held_constants_stay_nominal_and_the_rest_is_drawn_as_before():
    over = optics.Uncertainty(picojoules, optics.today(), SPREADS)
    free, held = over.draw(16, seed=0), over.draw(16, seed=0, held=["digital.add_energy"])
    assert np.all(held[:, 0] == 0.2e-12)
    assert np.array_equal(held[:, 1], free[:, 1])


def test_a_tree_of_figures_and_the_number_made_of_it():
    over = optics.Uncertainty(
        lambda core: {"a": core.digital.add_energy * 1e12, "b": 3 * core.digital.rescale_energy * 1e12},
        optics.today(),
        SPREADS,
        lambda parts: parts["a"] + parts["b"],
    )
    assert over.at(over.draw(4, seed=0))["a"].shape == (4,)
    assert over.tornado()["digital.add_energy"] == pytest.approx((0.7, 1.2), rel=1e-5)


@pytest.mark.parametrize("fields", [[], ["digital.add_energy"]])
def test_one_constant_or_none_is_all_there_is_to_decide(fields):
    over = optics.Uncertainty(picojoules, optics.today(), {field: SPREADS[field] for field in fields})
    assert over.at(over.draw(4, seed=0)).shape == (4,)
    assert {field: index.total for field, index in over.sobol(8, seed=0).items()} == dict.fromkeys(fields, 1.0)
    assert list(over.tornado()) == fields


@pytest.mark.parametrize("count", [0, 1, 256, 257])
def test_any_number_of_cores_is_evaluated_in_full_blocks(count):
    """Of a closed form, each number of each core, and by one program."""
    shapes = []

    def merit(core):
        shapes.append(jnp.shape(core.digital.add_energy))
        return {"sum": core.digital.add_energy + 2 * core.digital.rescale_energy}

    values = np.random.default_rng(0).uniform(1, 2, (count, 2)).astype(np.float32)
    over = optics.Uncertainty(merit, optics.today(), SPREADS)
    found = over.at(values)["sum"]
    assert found.shape == (count,)
    np.testing.assert_allclose(found, values @ [1, 2], rtol=1e-6)
    over.at(values[: count // 2])
    assert shapes == [()]
