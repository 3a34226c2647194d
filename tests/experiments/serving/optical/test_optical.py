"""An optical system as a serving machine: what it costs is what its core is billed, and what it waits for."""

import dataclasses

import pytest

import models
import optics
from experiments.common.workload import Workload
from experiments.serving.model import SYSTEMS, Model, Request, precision_named, predict
from experiments.serving.optical import OpticalSystem, from_preset
from experiments.serving.overtake import joules_per_token, overtaking

SHAPE = models.CONFIGS["llama-3.1-8b"]
MODEL = Model(SHAPE, precision_named("int8"))


@pytest.fixture(scope="module")
def system() -> OpticalSystem:
    return from_preset("projected_2029", 7.0)


@pytest.mark.parametrize("name", ["llama-3.1-8b", "gpt-oss-120b"])
def test_unit_costs_give_the_bill_of_another_prompt(system, name):
    """Tokens, pairs and loads of 5,000 tokens on masks that stay for 2,500 vectors: the bill itself, head included.

    A load of a mixture writes every expert, whose masks stay for K / E of the vectors; half of the layers see 128
    keys.
    """
    shape = models.CONFIGS[name]
    layers, head = system.costs(shape)[:2]
    core = system.core.replace({"vectors_per_load": 2500.0})
    bill = Workload(config=shape, context=5000).price(core)
    pairs = sum(min(seen, kind.window or seen) for kind in shape.layer_kinds for seen in range(1, 5001)) / shape.layers
    joules = 5000 * (layers.token_joules + head.token_joules) + pairs * layers.pair_joules
    joules += 2 * (layers.load_joules + head.load_joules)
    assert joules == pytest.approx(float(bill.total), rel=1e-4)
    seconds = 5000 * (layers.token_seconds + head.token_seconds) + 2 * (layers.load_seconds + head.load_seconds)
    assert seconds == pytest.approx(float(bill.core_seconds), rel=1e-4)


def test_cores_multiply_at_the_stated_rate(system):
    machine = system.at(1)
    core = system.core
    rate = machine.cores * 2 * core.rows * core.columns * float(core.clock) / core.encoding.symbols
    assert 1e18 <= rate < 1.01e18


def test_a_step_of_decode_waits_for_the_weights(system):
    """All 8B weights once from memory at 8 TB/s, however fast the light is."""
    step = system.at(1).decode_step(MODEL, 1, 0)
    assert step.seconds == pytest.approx(MODEL.weight_bytes(1) / 8e12, rel=1e-6)


def test_a_step_of_decode_loads_the_experts_that_it_touches(system):
    """gpt-oss: 4 of 128 experts of a token; a load of all costs the same joules as in a prompt that touches all."""
    model = Model(models.CONFIGS["gpt-oss-120b"], precision_named("int8"))
    machine = system.at(1)
    one, many = machine.decode_step(model, 1, 0), machine.decode_step(model, 2000, 0)
    assert one.seconds == pytest.approx(model.weight_bytes(1) / 8e12, rel=1e-6)
    layers = system.costs(model.config).layers
    assert many.joules > 0.8 * layers.load_joules
    assert one.joules < 0.1 * many.joules
    assert model.weight_bytes(1) < 0.06 * model.weight_bytes(2000)


def test_masks_that_hold_the_model_are_never_loaded(system):
    many = dataclasses.replace(system.at(1), chips=20)
    assert many.cores * 1024 * 1024 > MODEL.linear_parameters
    assert many.decode_step(MODEL, 1, 0).seconds < 1e-5


def test_faster_memory_and_attention_shorten_what_waits_for_them(system):
    slow, fast = system.at(1, "worst"), system.at(1, "best")
    assert fast.prefill(MODEL, 1, 8192).seconds < slow.prefill(MODEL, 1, 8192).seconds
    assert fast.decode_step(MODEL, 8, 4000).seconds < slow.decode_step(MODEL, 8, 4000).seconds


def test_it_predicts_as_any_system(system):
    found = predict(system, SHAPE, precision="int8", prompt=1024, output=256, batch=16)
    assert found.chips == 1 and found.j_per_token.low <= found.j_per_token.nominal <= found.j_per_token.high
    with pytest.raises(ValueError, match="has no fp8 rate; it has int8"):
        predict(system, SHAPE, precision="fp8", prompt=1024, output=256)


def test_less_light_costs_less():
    cheap, dear = (
        OpticalSystem(name="x", core=optics.with_effective_bits(optics.today(), bits)) for bits in (5.0, 8.0)
    )
    assert cheap.costs(SHAPE).layers.token_joules < dear.costs(SHAPE).layers.token_joules


def test_an_engine_that_is_varied_and_one_that_is_billed_agree(system):
    """With the J per MAC and the load time that the core's own bill gives, the server is the same."""
    layers = system.costs(SHAPE).layers
    weights = 32 * MODEL.layer_parameters
    loads = -(-weights // 2**20)
    same = system.with_engine(SHAPE, layers.token_joules / weights, layers.load_seconds / loads)
    request = Request(prompt=2048, output=1)
    found, billed = (joules_per_token(each.at(1), MODEL, request) for each in (same, system))
    assert found == pytest.approx(billed, rel=0.03)


def test_it_overtakes_where_it_draws_level(system):
    """At the fJ/MAC that the map reports, the server and the machine read a token for the same joules."""
    request = Request(prompt=2048, output=1)
    found = overtaking(SHAPE, system, [system], [SYSTEMS["b200"]], request)
    level = system.with_engine(SHAPE, found.below("b200") * 1e-15, 1e-9)
    assert joules_per_token(level.at(1), MODEL, request) == pytest.approx(found.digital["b200"], rel=0.03)
    assert (found.joules[1:] >= found.joules[:-1] - 1e-12).all()
    assert (found.joules[:, 1:] > found.joules[:, :-1]).all()
    assert "b200 below" in found.sentence()
