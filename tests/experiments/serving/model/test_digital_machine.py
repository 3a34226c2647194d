"""The roofline of one machine, by hand."""

import dataclasses

import pytest

import models
from experiments.serving.model import SYSTEMS, Model, Request, largest_batch_within, precision_named, serve
from experiments.serving.model.transformer_cost import prefill_flops


@pytest.fixture
def bare():
    """A machine without latencies, whose joules are those of operations and bytes alone."""
    machine = SYSTEMS["h100"].at(1)
    quiet = dataclasses.replace(machine.software, step_seconds=0.0, sequence_seconds=0.0, tokens_per_pass=2**20)
    return dataclasses.replace(
        machine,
        compute_utilisation=0.5,
        weight_utilisation=0.8,
        kv_utilisation=0.4,
        layer_seconds=0.0,
        chip_memory=1e12,
        chip_watts=1e6,
        chip_idle_watts=0.0,
        flop_joules=1e-12,
        byte_joules=0.0,
        wall_factor=1.25,
        software=quiet,
    )


@pytest.fixture
def model():
    return Model(models.CONFIGS["llama-3.1-8b"], precision_named("bf16"))


def test_a_single_sequence_waits_for_the_weights(bare, model):
    weights = model.weight_bytes(1) / (0.8 * 3.35e12)
    keys = 1000 * model.kv_bytes_per_token / (0.4 * 3.35e12)
    activations = model.activation_bytes / (0.8 * 3.35e12)
    assert bare.decode_step(model, 1, 1000).seconds == pytest.approx(weights + keys + activations)


def test_a_long_prompt_waits_for_the_arithmetic(bare, model):
    flops = prefill_flops(model.config, 8192)
    activations = 8192 * model.activation_bytes / (0.8 * 3.35e12)
    assert bare.prefill(model, 1, 8192).seconds == pytest.approx(flops / (0.5 * 989.4e12) + activations, rel=1e-9)


def test_an_operation_costs_its_joules_at_the_wall(bare, model):
    assert bare.prefill(model, 1, 8192).joules == pytest.approx(1.25e-12 * prefill_flops(model.config, 8192), rel=1e-6)


def test_power_stops_at_the_limit(bare, model):
    limited = dataclasses.replace(bare, chip_watts=300.0, chip_idle_watts=100.0)
    cost = limited.prefill(model, 1, 8192)
    assert cost.joules == pytest.approx(200.0 * 1.25 * cost.seconds, rel=0.05)


def test_chips_share_the_work_and_pay_for_the_sums(bare, model):
    """Four chips: a quarter of the work, but 10 D of each layer moved by every chip, and two sums in each layer.

    A ring of four takes three times the steps of a ring of two.
    """
    four = dataclasses.replace(bare, chips=4, link_bandwidth=1e30, reduce_seconds=1e-5)
    alone, shared = bare.decode_step(model, 8, 500).seconds, four.decode_step(model, 8, 500).seconds
    repeated = 0.75 * 8 * model.config.layers * 10 * model.config.hidden * 2 / (0.8 * 3.35e12)
    assert shared == pytest.approx(alone / 4 + 2 * model.config.layers * 3e-5 + repeated)


@pytest.mark.parametrize(("chips", "steps"), [(2, 2), (4, 6), (8, 14), (16, 14)])
def test_latency_of_a_sum_grows_with_the_steps_of_a_ring(bare, model, chips, steps):
    """1.9 us per step; a ring of n chips takes 2 (n - 1), and one node has eight."""
    ring = dataclasses.replace(bare, chips=chips, link_bandwidth=1e30, reduce_seconds=3.8e-6, reduce_growth=1.0)
    free = dataclasses.replace(ring, reduce_seconds=0.0)
    waits = ring.decode_step(model, 8, 500).seconds - free.decode_step(model, 8, 500).seconds
    assert waits == pytest.approx(2 * model.config.layers * steps * 1.9e-6)


def test_serving_is_its_prompts_and_its_steps(bare, model):
    request = Request(prompt=1024, output=256)
    served = serve(bare, model, request, 16)
    step = bare.decode_step(model, 16, 1024 + 128).seconds
    prompts = bare.prefill(model, 16, 1024).seconds
    assert served.tpot_s == pytest.approx(step + prompts / 256)
    assert served.tokens_per_s == pytest.approx(16 / served.tpot_s)


def test_the_largest_batch_within_a_limit_is_the_last_that_keeps_it(bare, model):
    request = Request(prompt=1024, output=256)
    batch = largest_batch_within(bare, model, request, 0.02)
    assert 1 < batch < 2048
    assert serve(bare, model, request, batch).tpot_s <= 0.02 < serve(bare, model, request, batch + 1).tpot_s
    assert largest_batch_within(bare, model, request, 1e-6) == 0
