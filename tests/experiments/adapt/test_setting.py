"""Settings of a core as designs by site."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments.adapt.setting import Setting, kinds

CORE = optics.today(rows=16, columns=16)
PARAMS = {
    "layers": {name: jnp.full((3, 8, 8), 0.1) for name in ("q", "down")},
    "embedding": jnp.full((32, 8), 0.1),
}
TOKENS = jnp.asarray(np.random.default_rng(0).normal(size=(1, 5, 8)), jnp.float32)


def forward(params, x):
    def layer(x, weights):
        return jnp.tanh(x @ weights["q"]) @ weights["down"], None

    x, _ = jax.lax.scan(layer, x, params["layers"])
    return x @ params["embedding"].T


SITES = optics.trace(forward)(PARAMS, TOKENS)


def test_kinds_are_paths_and_a_tied_head_is_a_head():
    assert kinds(SITES) == ("layers.q", "layers.down", "head")


def test_a_setting_without_anything_is_the_core_itself():
    assert Setting(kinds=kinds(SITES)).machine(CORE) is CORE


def test_a_setting_has_brighter_sources_at_its_kinds_and_digital_first_tokens():
    """Noise of the core, and none at the first two tokens."""
    light, gain = {"layers.q": 2.0, "head": 0.5}, {"head": 1.5}
    loading = {"layers.q": 0.75}
    setting = Setting(sinks=2, light=light, gain=gain, loading=loading, kinds=kinds(SITES))
    design = setting.machine(CORE)
    assert isinstance(design, optics.CoresBySite)
    powers = [float(core.source.power / CORE.source.power) for core in design.by_name.values()]
    assert powers == pytest.approx([1, 2, 0.5])
    gains = [float(core.adc.gain) for core in design.by_name.values()]
    assert gains == pytest.approx([1, 1, 1.5])
    loadings = [float(core.adc.loading / CORE.adc.loading) for core in design.by_name.values()]
    assert loadings == pytest.approx([1, 0.75, 1])
    placed = design.assign(SITES)
    for site, power in zip((SITES[0], SITES[1], SITES[-1]), (2, 1, 0.5), strict=True):
        digital, light = sorted(placed.shares(site.name), key=lambda share: share.core is not None)
        assert digital.core is None and digital.vectors == pytest.approx(2 / 5)
        assert float(light.core.source.power / CORE.source.power) == pytest.approx(power)
    exact = forward(PARAMS, TOKENS)
    found = optics.emulate(forward)(design, jax.random.key(0), PARAMS, TOKENS)
    np.testing.assert_allclose(found[:, :2], exact[:, :2], rtol=1e-5, atol=1e-5)
    assert not np.allclose(found[:, 2:], exact[:, 2:], rtol=1e-3)


def test_a_range_changes_no_bill():
    bills = [
        optics.price(setting.machine(CORE), SITES)
        for setting in (
            Setting(kinds=kinds(SITES)),
            Setting(loading={"layers.q": 0.5, "head": 2.0}, kinds=kinds(SITES)),
        )
    ]
    assert float(bills[1].watts_at()) == pytest.approx(float(bills[0].watts_at()), rel=1e-6)
