"""Analyses of a design with a core for each site: each against the same analysis of its cores alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import DIGITAL, CoresBySite, Effects, SiteRule
from optics.analysis.ablation import ablations, groups

KEY = jax.random.key(2)
DRAW = np.random.default_rng(3)
LAYERS, WIDTH = 3, 12
QUIET = optics.today(rows=8, columns=8).replace({"effects": Effects.uniform(0.0)})
WIDE = QUIET.replace({"rows": 16})
COARSE = {"effects.adc_rounding": 1.0, "adc.bits": 5.0, "adc.enob": 5.0}
PARAMS = {
    "first": DRAW.normal(size=(WIDTH, WIDTH)).astype(np.float32) / 3,
    "layers": DRAW.normal(size=(LAYERS, WIDTH, WIDTH)).astype(np.float32) / 3,
    "head": DRAW.normal(size=(WIDTH, 5)).astype(np.float32) / 3,
}
X = DRAW.normal(size=(6, WIDTH)).astype(np.float32)


def forward(params, x):
    x = jnp.tanh(x @ params["first"])
    x, _ = jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, params["layers"])
    return x @ params["head"]


def by_path(ranges):
    return {name.split()[1]: found for name, found in ranges.items()}


@functools.cache
def fit(core):
    return jax.jit(optics.fit_ranges(forward))(core, KEY, PARAMS, X)


def test_each_site_of_a_design_has_the_range_of_its_own_core():
    """Partial sums of 8 rows and of 16 have other peaks. Without noise each site sees the exact inputs."""
    design = CoresBySite(
        QUIET, [SiteRule("head", WIDE), SiteRule("first", DIGITAL), SiteRule("layers", DIGITAL, (0, -1))]
    )
    found, narrow, wide = by_path(fit.__wrapped__(design)), by_path(fit(QUIET)), by_path(fit(WIDE))
    assert set(found) == {"layers", "head"}
    np.testing.assert_allclose(found["head"].full_scale, wide["head"].full_scale, rtol=1e-5)
    np.testing.assert_allclose(found["layers"].full_scale[1], narrow["layers"].full_scale[1], rtol=1e-5)
    np.testing.assert_array_equal(found["layers"].full_scale[jnp.array([0, 2])], np.ones((2, WIDTH)))
    assert not np.allclose(narrow["head"].full_scale, wide["head"].full_scale, rtol=0.01)


def test_a_design_of_equal_cores_with_fixed_ranges_is_that_core_with_them():
    """Rounding alone, to 5 bits of the fixed range, in one core and in a design that names it by site and by step."""
    core = QUIET.replace(COARSE)
    rules = [SiteRule("head", core), SiteRule("layers", core, (0,)), SiteRule("layers", core)]
    design, ranges = CoresBySite(core.replace({"clock": 2e9}), rules), fit(QUIET)
    run = jax.jit(optics.emulate(forward))
    expected = run(optics.FixedRangeCore(core, ranges), KEY, PARAMS, X)
    fixed = optics.FixedRangeCore(design, ranges)
    np.testing.assert_allclose(run(fixed, KEY, PARAMS, X), expected, rtol=1e-5, atol=1e-5)
    loaded = jax.jit(optics.load(forward))(fixed, PARAMS, X)
    assert len(loaded.sites) == 2
    np.testing.assert_allclose(run(loaded, KEY, PARAMS, X), expected, rtol=1e-5, atol=1e-5)


def test_a_design_without_sites_and_a_site_without_a_range_are_one_error():
    design = CoresBySite(QUIET, {"head": WIDE})
    with pytest.raises(ValueError, match="run it through optics.emulate"):
        optics.FixedRangeCore(design, {}).prepare()
    with pytest.raises(ValueError, match="site '000 first 12x12' has no calibrated range"):
        optics.emulate(forward)(optics.FixedRangeCore(design, {}), KEY, PARAMS, X)
    with pytest.raises(ValueError, match="the rule 'haed' holds for none of the sites; did you mean 'head'"):
        optics.fit_ranges(forward)(CoresBySite(QUIET, {"haed": WIDE}), KEY, PARAMS, X)


def linear(design):
    """A figure that is linear in its effects, with a weight of its own for each core."""
    default, first = design.cores
    return 1 + 3 * default.effects.shot + 5 * default.effects.rin + 10 * first.effects.shot


@pytest.fixture
def noisy():
    return CoresBySite(QUIET, {"head": WIDE}).replace({"effects": Effects.uniform(1.0)})


def test_ablation_of_a_design_is_of_all_its_cores_at_once_or_of_one(noisy):
    found = optics.ablate(linear, noisy, groups(noisy, by_core=True))
    assert (float(found.everything), float(found.nothing)) == (19.0, 1.0)
    costs = {name: pair for name, pair in found.costs().items() if pair != (0.0, 0.0)}
    assert costs == {
        "shot": (13.0, 13.0),
        "rules.0.core": (10.0, 10.0),
        "rules.0.core.shot": (10.0, 10.0),
        "default": (8.0, 8.0),
        "rin": (5.0, 5.0),
        "default.rin": (5.0, 5.0),
        "default.shot": (3.0, 3.0),
    }
    plain = optics.ablate(linear, noisy)
    assert set(plain.alone) == set(groups(QUIET))
    assert [name for _, name, _ in ablations(QUIET)] == [name for _, name, _ in ablations(noisy)]


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ("rules.1.core.shot", "'rules.1.core.shot' names no core of the design; did you mean 'rules.0.core'"),
        ("default.shto", "there is no effect 'shto'; did you mean 'shot'"),
    ],
)
def test_an_effect_that_is_not_there_is_one_error(noisy, effects, message):
    with pytest.raises(ValueError, match=message):
        optics.ablate(linear, noisy, {"own": (effects,)})


def test_draws_of_one_core_of_a_design_are_its_own_and_draws_of_all_are_common():
    """Two clocks that are drawn apart, and an energy that is drawn once for both cores."""
    design = CoresBySite(QUIET, {"head": WIDE})
    flat = optics.Spread(1.0, 2.0, 3.0, logarithmic=False)
    spreads = {"digital.rescale_energy": flat, "default.clock": flat, "rules.0.core.clock": flat}
    energies = [f"{name}.digital.rescale_energy" for name in design.by_name]
    names = ("default.clock", "rules.0.core.clock", *energies)
    seen = optics.Uncertainty(lambda d: {name: jnp.asarray(d.numbers()[name]) for name in names}, design, spreads)
    values = seen.draw(256, seed=1)
    found = seen.at(values)
    np.testing.assert_array_equal(*(found[name] for name in energies))
    np.testing.assert_allclose(found["default.clock"], values[:, 1], rtol=1e-6)
    np.testing.assert_allclose(found["rules.0.core.clock"], values[:, 2], rtol=1e-6)
    assert abs(np.corrcoef(values[:, 1], values[:, 2])[0, 1]) < 0.1
    for name, wrong in (("rules.0.core.clokc", "rules.0.core.clock"), ("clokc", "clock")):
        with pytest.raises(ValueError, match=f"no number '{name}'; did you mean '{wrong}'"):
            optics.Uncertainty(linear, design, {name: flat})


def test_calibration_of_a_design_is_that_of_each_device(monkeypatch):
    """Two rules with the same core are one device; another serial number is another, with a correction of its own."""
    core = optics.today(rows=16, columns=8).replace(
        {"device": 7, "source.gain_mismatch": 0.1, "detector.gain_mismatch": 0.1, "drift.age": 0.0}
    )
    other = core.replace({"device": 8})
    design = CoresBySite(core, [SiteRule("head", other), SiteRule("first", core), SiteRule("layers", DIGITAL)])
    found = optics.calibrate(design, key=KEY, rounds=1, averages=4)
    assert list(found.devices) == ["default", "rules.0.core"]
    assert found.core.rules[1].core == found.core.default != core
    assert found.core.rules[2].core == DIGITAL
    alone = {
        name: optics.calibrate(each, key=jax.random.fold_in(KEY, number), rounds=1, averages=4)
        for number, (name, each) in enumerate({"default": core, "rules.0.core": other}.items())
    }
    for name, expected in alone.items():
        assert found.core.by_name[name] == expected.core
        assert found.devices[name].after < 0.7 * found.devices[name].before
    gains = [np.asarray(each.correction.output_gain) for each in found.core.by_name.values()]
    assert not np.allclose(gains[0], gains[1], rtol=0.01)
    assert found.vectors == sum(each.vectors for each in alone.values())
    assert found.joules == pytest.approx(sum(each.joules for each in alone.values()))
    residual = groups(found.core)["calibrated residual"]
    assert "output_crosstalk" in residual


def test_calibration_names_the_core_that_it_cannot_measure():
    design = CoresBySite(QUIET, {"head": QUIET.replace({"encoding.weights": "offset"})})
    with pytest.raises(ValueError, match="one slice of each, and rules.0.core has others"):
        optics.calibrate(design, key=KEY)


def test_the_system_of_a_design_has_as_many_of_each_core_as_its_sites_take():
    """All on one core of two: the system of that core. Head on another: the cores of both add."""
    sites = optics.trace(forward)(PARAMS, X)
    weights = sum(site.rows * site.columns * site.executions for site in sites)
    alone = optics.system(QUIET, optics.price(QUIET, sites), weights=weights)
    same = CoresBySite(WIDE, {"*": QUIET})
    both = optics.system(same, optics.price(same, sites), weights=weights)
    for name, value in alone._asdict().items():
        np.testing.assert_allclose(
            list(value.values()) if isinstance(value, dict) else value,
            list(getattr(both, name).values()) if isinstance(value, dict) else getattr(both, name),
            rtol=1e-5,
            err_msg=name,
        )
    design = CoresBySite(QUIET, {"head": WIDE})
    bill = optics.price(design, sites)
    assert sum(map(float, bill.seconds_by_core)) == pytest.approx(float(bill.core_seconds))
    mixed = optics.system(design, bill, weights=weights)
    head = [site for site in sites if site.path == "head"]
    wide = optics.price(WIDE, head).core_seconds
    assert float(bill.seconds_by_core[1]) == pytest.approx(float(wide))
    calls = float(mixed.ops) / 2 / float(bill.macs)
    counts = [calls * float(seconds) for seconds in bill.seconds_by_core]
    assert float(mixed.cores) == pytest.approx(sum(counts))
    sources = counts[0] * 8 * QUIET.encoding.sources + counts[1] * 16 * WIDE.encoding.sources
    assert float(mixed.sources) == pytest.approx(sources, rel=1e-5)
    with pytest.raises(ValueError, match="the bill is of another machine"):
        optics.system(design, optics.price(QUIET, sites), weights=weights)
