"""Servers of the user's own cores and designs, and the ranges of a core's own constants."""

import dataclasses

import pytest

import models
import optics
from experiments.common.workload import Workload
from experiments.serving.model import Model, precision_named
from experiments.serving.model.transformer_cost import attention_flops, causal_pairs
from experiments.serving.optical import optical_systems
from experiments.serving.optical.unit_costs import shares_of_kinds
from optics.core.by_site import host_core

SHAPE = models.CONFIGS["llama-3.1-8b"]
MODEL = Model(SHAPE, precision_named("int8"))
DESIGN = """
core = "projected_2029"

[[site]]
sites = "layers.down"
change = { "source.power" = 0.05 }

[[site]]
sites = "head"
core = "digital"
"""


HEADS = """
core = "projected_2029"

[[site]]
sites = "*activations*"
steps = [30, 31]
heads = [0, 1]
core = "digital"
"""


FIRST_TOKENS = """
core = "projected_2029"

[[site]]
sites = ["layers.q", "layers.k", "layers.v", "layers.o", "layers.gate", "layers.up", "layers.down", "head"]
positions = [0, 1]
core = "digital"
"""


def servers(*names, taken=(), ranges=("projected_2029",), attention=("digital",)):
    return optical_systems([str(name) for name in names], 7.0, ranges, SHAPE, taken, attention)


@pytest.fixture(scope="module")
def preset():
    return servers("projected_2029")[0]


@pytest.fixture
def core_file(tmp_path):
    file = tmp_path / "mine.toml"
    optics.serialise.save(optics.projected_2029(), file)
    return file


def test_core_of_a_file_costs_what_the_same_preset_does(core_file, preset):
    (mine,) = servers(core_file)
    assert (mine.name, mine.file, mine.preset) == ("mine", core_file, "")
    assert mine.costs(SHAPE) == preset.costs(SHAPE)


def test_ranges_of_the_core_widen_the_brackets_and_hold_the_nominal_costs(preset):
    nominal, best, worst = (preset.costs(SHAPE, corner) for corner in ("nominal", "best", "worst"))
    for low, middle, high in zip(best.layers, nominal.layers, worst.layers, strict=True):
        assert low <= middle * (1 + 1e-4) and middle <= high * (1 + 1e-4)
    assert worst.layers.token_joules > 1.2 * best.layers.token_joules
    assert worst.layers.load_joules > 1.2 * best.layers.load_joules
    assert best.bias_watts < worst.bias_watts
    joules = [preset.at(1, corner).prefill(MODEL, 1, 2048).joules for corner in ("best", "nominal", "worst")]
    assert joules == sorted(joules) and joules[0] < joules[2]


def test_design_pays_each_core_and_computes_digital_sites_on_digital_units(tmp_path, preset):
    file = tmp_path / "design.toml"
    file.write_text(DESIGN)
    (design,) = servers(file)
    shares = shares_of_kinds(design.core, SHAPE)
    assert len(shares) == 2 and sum(shares) == pytest.approx(1)
    # `down` has F D of the 2 D h d + 2 D g d + 3 D F weights of a layer, on cores of equal speed.
    down = 4096 * 14336 / MODEL.layer_parameters
    assert shares[1] == pytest.approx(down, rel=0.02)
    assert design.digital_share(SHAPE) == pytest.approx(4096 * 128256 / MODEL.linear_parameters)
    assert design.costs(SHAPE).head.token_seconds == 0
    assert design.costs(SHAPE).layers.token_joules > preset.costs(SHAPE).layers.token_joules
    head_flops = 2 * 4096 * 128256 * 2048
    machine = design.at(1)
    waits = machine.prefill(MODEL, 1, 2048).seconds - preset.at(1).prefill(MODEL, 1, 2048).seconds
    assert waits == pytest.approx(head_flops / machine.constants["digital_ops"], rel=0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows = ", "mine.toml"),
        ('core = "today"\n[[site]]\nsites = "layers.upp"\ncore = "digital"\n', "layers.upp"),
        ("rows = 16\n", "lacks"),
        (
            'core = "digital"\n[[site]]\nsites = "head"\npositions = [1]\ncore = "today"\n',
            r"mine.toml: its cores stand only in rules for positions \(.*head.*\)",
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        servers(file)


def test_each_file_has_the_ranges_of_its_own_scenario(core_file, tmp_path):
    """A core of today's numbers has today's ranges, and is exact to the ranges of 2029 where the two differ."""
    today = tmp_path / "today.toml"
    optics.serialise.save(optics.today(), today)
    first, second = servers(core_file, "today", today, ranges=("projected_2029", "today"))[::2]
    field = "mask.update_time"
    assert first.constants[field] == optics.constants_of("projected_2029")[field]
    assert second.constants[field] == optics.constants_of("today")[field]
    exact = servers(today)[0].constants[field]
    assert exact.low == exact.value == exact.high
    with pytest.raises(ValueError, match="must be one scenario, or one for each of 1 files"):
        servers(core_file, "today", ranges=("projected_2029", "today"))


def test_two_systems_of_one_name_are_refused(core_file):
    with pytest.raises(ValueError, match="another system is named 'mine'"):
        servers(core_file, taken=("mine",))


@pytest.mark.parametrize(("heads", "tokens"), [(False, 2048), (False, 300), (True, 1000)])
def test_prompt_with_attention_on_light_costs_its_bill(tmp_path, heads, tokens):
    """One price: masks of keys and values fill with the prompt, so no cost per pair gives the bill at all lengths."""
    name = "projected_2029"
    if heads:
        name = tmp_path / "heads.toml"
        name.write_text(HEADS)
    (server,) = servers(name, attention=("light",))
    config = dataclasses.replace(SHAPE, context=tokens)
    work = Workload(config=config, context=tokens, attention="light")
    bill = work.price(server.core)
    costs, prompt = server.costs(SHAPE), server.attention_on_light(SHAPE, tokens)
    loads = tokens / float(host_core(server.core).vectors_per_load)
    joules = prompt.product_joules + prompt.other_joules
    seconds = prompt.product_seconds
    for unit in costs[:2]:
        joules += tokens * unit.token_joules + loads * unit.load_joules
        seconds += tokens * unit.token_seconds + loads * unit.load_seconds
    assert joules == pytest.approx(float(bill.total), rel=1e-4)
    assert seconds == pytest.approx(float(bill.core_seconds), rel=1e-4)
    # 2 layers of 32 leave 2 of 8 heads of keys digital.
    assert prompt.digital_share == pytest.approx(2 / 32 * 2 / 8 if heads else 0.0, abs=1e-6)


@pytest.mark.parametrize("tokens", [300, 8192])
def test_first_tokens_that_a_design_leaves_digital_are_billed_once_a_prompt(preset, tmp_path, tokens):
    """Two digital tokens cost the same in a short prompt and in a long one, and no decoded token is one of them."""
    file = tmp_path / "first.toml"
    file.write_text(FIRST_TOKENS)
    (server,) = servers(file)
    bill = Workload(config=dataclasses.replace(SHAPE, context=tokens), context=tokens).price(server.core)
    costs = server.costs(SHAPE)
    loads = tokens / float(host_core(server.core).vectors_per_load)
    joules, seconds = tokens * (tokens + 1) / 2 * costs.layers.pair_joules, 0.0
    for unit in costs[:2]:
        joules += tokens * unit.token_joules + loads * unit.load_joules + unit.prompt_joules
        seconds += tokens * unit.token_seconds + loads * unit.load_seconds + unit.prompt_seconds
    assert joules == pytest.approx(float(bill.total), rel=1e-5)
    assert seconds == pytest.approx(float(bill.core_seconds), rel=1e-5)

    # The digital units take 2 tokens of each prompt; with memory so fast that the cores decide.
    machine, plain = (
        dataclasses.replace(each, constants=each.constants | {"memory_bandwidth": 1e18})
        for each in (server.at(1), preset.at(1))
    )
    one, other = machine.prefill(MODEL, 4, tokens), plain.prefill(MODEL, 4, tokens)
    waited = 4 * 2 * 2 * (MODEL.linear_parameters - SHAPE.hidden * SHAPE.vocabulary) / machine.constants["digital_ops"]
    assert one.seconds - other.seconds == pytest.approx(waited, rel=0.1)
    assert one.joules > other.joules
    decoded = machine.decode_step(MODEL, 4, tokens), plain.decode_step(MODEL, 4, tokens)
    cached = machine.prefill(MODEL, 4, tokens, 1024), plain.prefill(MODEL, 4, tokens, 1024)
    for one, other in (decoded, cached):
        assert (one.joules, one.seconds) == pytest.approx((other.joules, other.seconds), rel=1e-6)


def test_server_with_attention_on_light_waits_for_no_digital_unit_and_decodes_as_before(preset):
    (server,) = servers("projected_2029", attention=("light-right",))
    # With memory so fast that the cores decide.
    machine, digital = (
        dataclasses.replace(each, constants=each.constants | {"memory_bandwidth": 1e18})
        for each in (server.at(1), preset.at(1))
    )
    one, other = machine.prefill(MODEL, 4, 8192), digital.prefill(MODEL, 4, 8192)
    prompt = server.attention_on_light(SHAPE, 8192)
    waited = 4 * attention_flops(SHAPE, causal_pairs(SHAPE, 8192)) / digital.constants["digital_ops"]
    assert other.seconds - one.seconds == pytest.approx(waited - 4 * prompt.product_seconds / machine.cores, rel=1e-4)
    assert one.joules < other.joules
    assert machine.decode_step(MODEL, 4, 8192) == digital.decode_step(MODEL, 4, 8192)
    assert machine.prefill(MODEL, 4, 512, 4096) == digital.prefill(MODEL, 4, 512, 4096)
    for corner in ("best", "worst"):
        ends = server.attention_on_light(SHAPE, 8192, corner)
        assert (ends.product_joules < prompt.product_joules) == (corner == "best")
    with pytest.raises(ValueError, match="must be one place, or one for each of 1 systems"):
        servers("projected_2029", attention=("light", "digital"))
