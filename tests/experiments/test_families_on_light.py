"""Families other than Llama on a core: an ideal core gives the digital logits, and bills follow windows and experts."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

import models
import optics
from experiments.common.workload import Workload

FIXTURES = Path(__file__).parents[1] / "models" / "fixtures"


# Experts by ragged products; and two periods of two layers. Each product more takes seconds to compile.
@pytest.mark.parametrize(
    ("name", "layers", "on_light"), [("mixtral", 2, ("layers.router", "layers.gate")), ("gemma2", 4, ("layers.q",))]
)
def test_an_ideal_core_gives_the_digital_logits(name, layers, on_light):
    model = models.load(FIXTURES / name, progress=False)
    config = model.config
    config = dataclasses.replace(config, layers=layers, windowed=config.windowed[:layers])
    params = model.params | {"layers": jax.tree.map(lambda leaf: leaf[:layers], model.params["layers"])}
    tokens = np.arange(8, dtype=np.int32)[None]

    def forward(params, tokens):
        return model.family.forward(config, params, tokens)

    digital = jax.jit(forward)(params, tokens)
    core = optics.ideal(optics.physical_limit(rows=64, columns=64))
    run = optics.emulate(forward, policy=lambda site: site.path in on_light)
    emulated = jax.jit(run)(core, jax.random.key(0), params, tokens)
    np.testing.assert_allclose(emulated, digital, atol=1e-4 * float(np.abs(digital).max()))


def test_all_products_with_weights_are_on_light():
    sites = Workload(config=models.read_config(FIXTURES / "mixtral"), context=16).sites
    digital = {site.reason for site in sites if not site.optical}
    assert digital == {"made of data"}
    experts = [site for site in sites if site.kind == "ragged_dot_general"]
    assert [site.experts for site in experts] == [4, 4, 4]
    assert {site.vectors for site in experts} == {2 * 16}


def test_scores_outside_a_window_are_not_billed():
    """A window of 4 in two of three layers leaves 4 scores of a position there, and all before it in the third."""
    sites = Workload(config=models.read_config(FIXTURES / "gemma3"), context=32).sites
    shares = [site.share for site in sites if not site.optical][::2]
    window = (32 * 4 - (1 + 2 + 3)) / 32**2
    full = (32 * 33 / 2) / 32**2
    assert shares == pytest.approx([window, window, full, window])


@pytest.mark.parametrize("name", ["mixtral-8x7b", "qwen3-30b-a3b", "gpt-oss-120b", "deepseek-v3"])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_mixtures_are_priced_without_weights(name, phase):
    """Decoding one sequence multiplies the weights of its experts and the shared ones alone."""
    config = models.CONFIGS[name]
    load = Workload(config=config, phase=phase, context=512)
    bill = load.price(optics.projected_2029())
    macs = sum(site.macs for site in load.on_core) / load.tokens
    active = 1 - config.mixture.per_token / config.mixture.experts
    layers = config.layers - config.dense_layers
    experts = 3 * layers * config.mixture.experts * config.hidden * config.intermediate
    head = config.hidden * config.vocabulary
    # Biases, norms and the embedding are no products.
    weights = models.parameter_count(dataclasses.replace(config, biases=()))
    assert macs == pytest.approx(weights - head - active * experts, rel=1e-3)
    assert bill.total > 0
