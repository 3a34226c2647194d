"""Decode split inside each token, by hand."""

import dataclasses

import pytest

import models
from experiments.serving.model import SYSTEMS, Model, Request, precision_named
from experiments.serving.model.split import Split, serve_split

MODEL = Model(models.CONFIGS["llama-3.1-70b"], precision_named("fp8"))
REQUEST = Request(prompt=1000, output=100)


def split(clockwork, **link) -> Split:
    given = {"link_bandwidth": 1e30, "link_seconds": 0.0, "link_joules": 0.0} | link
    return Split(attention=clockwork(), products=clockwork(), **given)


def test_activations_of_70b_cross_as_nvidia_counts_them(clockwork):
    """8,192 wide, 80 layers, two bytes: 1.31 MB a token each way."""
    assert split(clockwork).crossing_bytes(MODEL) == 2 * 80 * 8192 * 2


def test_a_step_is_attention_products_and_crossings(clockwork):
    served = serve_split(split(clockwork, link_seconds=1e-4, link_bandwidth=1e9), MODEL, REQUEST, 10)
    crossing = 160 * 1e-4 + 10 * 2 * 80 * 8192 * 2 / 1e9
    assert served.tpot_s == pytest.approx(0.3 + crossing + 10 * 1.0 / 100)
    assert served.tokens_per_s == pytest.approx(10 / served.tpot_s)
    assert served.decode_j == pytest.approx(5.0 / 10) and served.prefill_j == pytest.approx(0.5)
    assert served.idle_j == pytest.approx(60 * served.tpot_s / 10)


def test_a_second_batch_fills_the_gap_until_products_are_always_busy(clockwork):
    """Alone 0.3 s a step; two batches share it, and four are held to the 0.2 s of products each."""
    paces = [serve_split(split(clockwork), MODEL, REQUEST, 10, in_flight=n).tpot_s - n * 0.1 for n in (1, 2, 4)]
    assert paces == pytest.approx([0.3, 0.4, 0.8])


def test_the_two_parts_of_a_step_are_the_step():
    """On one machine without latencies the parts add up to what it does in one."""
    machine = SYSTEMS["b200"].at(1)
    quiet = dataclasses.replace(machine.software, sequence_seconds=0.0)
    machine = dataclasses.replace(machine, layer_seconds=0.0, software=quiet)
    parts = machine.attention_step(MODEL, 16, 1000) + machine.products_step(MODEL, 16)
    whole = machine.decode_step(MODEL, 16, 1000)
    assert parts.seconds == pytest.approx(whole.seconds)
    assert parts.joules == pytest.approx(whole.joules, rel=0.02)


def test_what_cannot_be_is_refused(clockwork):
    with pytest.raises(ValueError, match="no link joins clockwork and clockwork"):
        split(clockwork, link_bandwidth=0.0)
    with pytest.raises(ValueError, match="in_flight = 0"):
        serve_split(split(clockwork), MODEL, REQUEST, 10, in_flight=0)
    small = Split(attention=clockwork(), products=clockwork(memory_bytes=1e9), **LINK)
    with pytest.raises(ValueError, match="70.55 GB of weights do not fit in the 1 GB of 1 x clockwork"):
        serve_split(small, MODEL, REQUEST, 10)


LINK = {"link_bandwidth": 1e9, "link_seconds": 0.0, "link_joules": 0.0}
