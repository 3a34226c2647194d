"""A hidden layer that is rotated as the model runs: digital work of the bill, and no reason for a warning."""

import dataclasses
import warnings

import jax
import numpy as np
import pytest

import models
import optics
from experiments.common.workload import Workload

SMOLLM2 = models.SMOLLM2_135M
ROTATED = dataclasses.replace(SMOLLM2, down_rotation=models.Rotation(seed=0))
CONTEXT = 128


@pytest.fixture(scope="module")
def loads() -> tuple[Workload, Workload]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Workload(config=SMOLLM2, context=CONTEXT), Workload(config=ROTATED, context=CONTEXT)


def test_rotation_is_seven_rounds_of_sums_signs_and_a_digital_product_of_twelve(loads):
    """1,536 = 12 x 128: of each number a sign, seven sums, and twelve MACs with a Hadamard matrix of order 12."""
    plain, rotated = loads
    numbers = CONTEXT * SMOLLM2.intermediate * SMOLLM2.layers
    assert rotated.operations["rotation"] == 8 * numbers
    assert "rotation" not in plain.operations
    more = [site for site in rotated.sites if site.name not in {each.name for each in plain.sites} and not site.optical]
    own = [site for site in more if 12 in (site.rows, site.columns)]
    assert [site.macs for site in own] == [12 * numbers]
    assert {site.reason for site in own} == {"made of data"}
    assert [site.path for site in rotated.on_core] == [site.path for site in plain.on_core]
    assert sum(site.macs for site in rotated.on_core) == sum(site.macs for site in plain.on_core)


def test_rotation_costs_a_few_percent_of_the_bill(loads):
    core = optics.projected_2029()
    plain, rotated = (load.price(core) for load in loads)
    assert float(rotated.components["rotation"]) > 0
    assert 1.02 < float(rotated.total) / float(plain.total) < 1.08


def test_rotated_model_runs_on_an_ideal_core_without_a_warning(config, params):
    """Of a tiny model the rotation is a tenth of the MACs, so a warning of missed weights would be given."""
    rotated = dataclasses.replace(config, down_rotation=models.Rotation(seed=0))
    tokens = np.arange(8, dtype=np.int32)[None]

    def forward(params, tokens):
        return models.forward(rotated, params, tokens)

    digital = jax.jit(forward)(params, tokens)
    run = optics.emulate(forward, policy=lambda site: site.path == "layers.down")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sites = optics.trace(forward)(params, tokens)
        emulated = jax.jit(run)(optics.ideal(), jax.random.key(0), params, tokens)
    assert not [site for site in sites if site.reason not in ("", "made of data")]
    np.testing.assert_allclose(emulated, digital, atol=1e-4 * float(np.abs(digital).max()))
