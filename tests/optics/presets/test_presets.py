"""Presets: every number from a constant, and light that gives the bits it is sized for."""

import jax
import numpy as np
import pytest

import optics

SCENARIOS = ("today", "projected_2029", "physical_limit")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_leaf_is_a_constant_of_the_files(name):
    core, constants = optics.preset(name), optics.constants_of(name)
    derived = {"source.power", "device"} | {n for n in core.numbers() if n.startswith(("effects.", "correction."))}
    assert set(core.numbers()) - derived == set(constants)
    for field, constant in constants.items():
        assert float(core.numbers()[field]) == pytest.approx(constant.value, rel=1e-6, abs=0), field


@pytest.mark.parametrize("name", SCENARIOS)
def test_assumptions_are_what_is_marked_so(name):
    marked = {constant.name for constant in optics.constants_of(name).values() if constant.mark == "assumed"}
    assert {constant.name for constant in optics.assumptions(name)} == marked
    assert all("[assumed" in str(constant) for constant in optics.assumptions(name))


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("bits", [6.0, 8.0])
def test_light_gives_the_bits_it_is_sized_for(name, bits):
    """Gaussian operands cut at four sigma, whose moments are the design's; 0.3 dB of room for the cut and the draw."""
    x = jax.random.truncated_normal(jax.random.key(1), -4, 4, (256, 1024)) / 4
    w = jax.random.truncated_normal(jax.random.key(2), -4, 4, (1024, 256)) / 4
    # One full-scale entry each, where the other operand is dark, so that the scales are one and the signal is unmoved.
    x, w = x.at[:, 0].set(1.0).at[:, 1].set(0.0), w.at[1].set(1.0).at[0].set(0.0)
    core = optics.preset(name, effective_bits=bits)
    core = core.replace({"effects": optics.Effects.uniform(0.0), "effects.shot": 1.0, "effects.thermal": 1.0})
    _, seen = jax.jit(lambda core: core.observe(x, w, key=jax.random.key(3)))(core)
    assert float(seen.snr_db()) == pytest.approx(6.02 * bits - 7.27, abs=0.3)


def test_better_parts_cost_less():
    sites = optics.trace(lambda w, x: x @ w)(*(jax.ShapeDtypeStruct(s, np.float32) for s in ((2048, 2048), (64, 2048))))
    costs = [float(optics.price(optics.preset(name), sites).per_mac) for name in SCENARIOS]
    assert costs == sorted(costs, reverse=True)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"no preset 'projected_2092'; did you mean 'projected_2029'\?"):
        optics.preset("projected_2092")
    with pytest.raises(ValueError, match="no constants for 'todya'; did you mean 'today'"):
        optics.constants_of("todya")
