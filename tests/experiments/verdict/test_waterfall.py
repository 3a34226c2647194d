"""Steps from the first verdict to a best design, and the machines of structures."""

import pytest

import optics
from experiments.adapt.bills import Drives
from experiments.adapt.setting import Setting
from experiments.verdict.prices import Prices
from experiments.verdict.space import FIRST, PLACES, Design, Space, Structure, shares_of
from experiments.verdict.variants import AS_IT_IS, Variant
from experiments.verdict.waterfall import START, steps_to

KINDS = tuple(f"layers.{name}" for name in ("q", "k", "v", "o", "gate", "up", "down")) + ("head",)
SPACE = Space("projected_2029")


class Shapes:
    """A checkpoint of which only the shapes matter."""

    config = None


def variant(name, light=None):
    setting = Setting(sinks=2 if light else 0, light=light or {}, kinds=KINDS)
    drives = Drives(dict.fromkeys(KINDS, 0.063), dict.fromkeys(KINDS, 1.0), 0.063)
    return Variant(name, Shapes, setting, drives, (), 1536, name)  # pyright: ignore


def test_steps_change_one_choice_at_a_time():
    last = Structure(2048, 2048, 4, "light")
    knobs = {**SPACE.scenario_knobs(last), "light_bits": 8.0}
    prepared = variant("prepared", {"head": 2.0})
    steps = steps_to(SPACE, [variant(AS_IT_IS), prepared], [(0.05, prepared, Design(last, knobs))])
    assert [step.name for step in steps] == [
        START,
        "attention light",
        "2048 x 2048",
        "4 tiles a conversion",
        "prepared, sites alike",
        "light by kind of site",
        "searched, within 0.05 nats",
    ]
    assert steps[0].design == Design(FIRST, SPACE.scenario_knobs(FIRST))
    assert not steps[4].variant.setting.light and steps[5].variant.setting.light
    assert [step.variant.model for step in steps[4:6]] == ["prepared", "prepared"]
    assert steps[-1].design.knobs["light_bits"] == 8.0


@pytest.mark.filterwarnings("ignore::electronics.PlausibilityWarning")
def test_first_design_is_the_preset_and_has_its_price():
    core = SPACE.core(FIRST, SPACE.scenario_knobs(FIRST))
    preset = optics.projected_2029()
    for name, value in preset.numbers().items():
        assert float(core.numbers()[name]) == pytest.approx(float(value), rel=1e-5), name
    prices = Prices(SPACE, "smollm2-135m", "nothing")
    plain = variant(AS_IT_IS)
    own = float(prices.bill(FIRST, SPACE.scenario_knobs(FIRST), plain).watts_at())
    many = prices.watts(FIRST, shares_of(SPACE.scenario_knobs(FIRST))[None], plain)
    workload = prices.workload(Design(FIRST, {}), plain)
    billed = workload.price(preset.replace({"source.mean_drive": 0.063}))
    assert own == pytest.approx(float(many[0]), rel=1e-5) == pytest.approx(float(billed.watts_at()), rel=1e-5)


def test_bill_of_a_share_of_the_heads_lies_between_digital_and_light():
    """In proportion to the heads, in every component."""
    prices, plain = Prices(SPACE, "smollm2-135m", "nothing"), variant(AS_IT_IS)
    digital, half, most, light = (
        prices.bill(Structure(attention=place), SPACE.scenario_knobs(FIRST), plain).components for place in PLACES
    )
    assert "digital products" not in light
    for line in {*digital, *light}:
        none, every = (float(components.get(line, 0.0)) for components in (digital, light))
        for share, components in ((0.5, half), (0.9, most)):
            assert float(components[line]) == pytest.approx(none + share * (every - none), rel=1e-4), line


def test_heads_that_lose_most_are_digital_in_the_run():
    """Layer 1 wholly, and of layers 0 and 2 a head each; the last of the order stay digital."""
    heads = [(0, 1), (2, 0), (2, 2), (0, 2), (2, 1), (0, 0), (1, 0), (1, 1), (1, 2)]
    structure = Structure(attention="half")
    core = SPACE.core(structure, SPACE.scenario_knobs(structure))
    machine = SPACE.placed(core, structure, Setting(), heads)
    assert isinstance(machine, optics.CoresBySite)
    assert [(rule.steps, rule.heads) for rule in machine.rules] == [((0,), (0,)), ((1,), ()), ((2,), (1,))]
    assert SPACE.placed(core, FIRST, Setting(), heads) is core
