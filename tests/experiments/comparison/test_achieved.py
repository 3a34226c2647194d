"""One price: machines at peak and achieved against their bills, the model of serving, and arithmetic by hand."""

import dataclasses

import pytest

import models
import optics
from experiments.common import billing
from experiments.common.workload import Workload
from experiments.comparison import digital, optical
from experiments.comparison.achieved import achieved, tops_per_watt
from experiments.comparison.facility import claims
from experiments.comparison.schedule import SCHEDULE, schedule_at
from experiments.serving.model import Model, Request, precision_named, serve, system_named
from experiments.serving.model.transformer_cost import attention_flops
from optics.energy.waiting import at_plug, idle_watts

CONFIG = models.DecoderConfig(
    hidden=96, intermediate=200, layers=3, heads=4, kv_heads=2, head_dim=24, vocabulary=150, context=4096,
    tied_head=False, rope_theta=1e4,
)  # fmt: skip
TOKENS = 48


@pytest.fixture
def core():
    return optics.today(rows=64, columns=64).replace({"vectors_per_load": 64.0})


@pytest.fixture
def workload():
    return Workload(config=CONFIG, context=TOKENS)


def exactly(**values):
    """The schedule with constants at one value each, the others nominal."""
    return {
        name: dataclasses.replace(c, low=values[name], value=values[name], high=values[name])
        if name in values
        else dataclasses.replace(c, low=c.value, high=c.value)
        for name, c in SCHEDULE.items()
    }


BILLED = {"overlap": 1.0, "converters": 0.0, "unused": 0.0, "packed": 1.0, "chunk": 1.0, "pue": 1.0}


def test_bill_of_a_comparison_is_that_of_otc_bill(core, workload, monkeypatch):
    monkeypatch.setattr(billing, "shapes_named", {"tiny": CONFIG}.__getitem__)
    printed = billing.token_bills(core, ("tiny",), TOKENS, 1)[0]
    found = achieved(core, workload, name="mine")
    assert found["bill_watts_at_exaops"] == pytest.approx(printed["fj_per_mac"] * 1e-15 * 5e17, rel=1e-6)
    total = found["bill_watts_at_exaops"] + sum(cause["nominal"] for cause in found["waits_w"].values())
    assert found["watts_at_exaops"]["achieved"]["plug"]["nominal"] == pytest.approx(total, rel=1e-6)


def test_machine_that_never_waits_takes_its_bill(core, workload):
    schedule = dataclasses.replace(schedule_at("best", SCHEDULE), chunk=1e-12)
    found = optical.achieved_watts(core, workload, schedule)
    assert found.watts == pytest.approx(float(workload.price(core).watts_at()), rel=1e-5)
    assert sum(found.waits.values()) < 1e-5 * found.watts


@pytest.mark.parametrize("accumulate", [1, 3])
def test_peak_is_the_price_of_full_tiles_that_are_never_reloaded(core, workload, accumulate):
    core = dataclasses.replace(core, accumulate=accumulate)
    site = next(site for site in workload.sites if site.stationary)
    full = dataclasses.replace(site, rows=64 * accumulate, columns=64 * 2, vectors=1000, matrices=1, executions=1)
    never = core.replace({"vectors_per_load": 1e15})
    expected = float(optics.price(never, [full], operations={}, memory_bits={}).watts_at())
    assert optical.peak_watts(core, workload) == pytest.approx(expected, rel=1e-4)


def test_cores_that_wait_for_digital_arithmetic_draw_their_idle_power(core, workload):
    """One after the other, and as long as each other: each core idles for as long as it is held."""
    constants = exactly(**BILLED | {"overlap": 0.0, "converters": 0.7})
    found = achieved(core, workload, constants=constants)
    bill = workload.price(core)
    joules = float(bill.core_seconds) * float(idle_watts(core, 0.7)) * float(at_plug(core))
    expected = joules / float(bill.macs) * 5e17
    assert found["waits_w"][optical.DIGITAL]["nominal"] == pytest.approx(expected, rel=1e-5)


def test_slow_digital_units_make_cores_wait_although_both_run_side_by_side(core, workload):
    """Digital units of half the speed that would keep up: the cores wait for as long as they work."""
    bill = workload.price(core)
    operations = 2 * float(bill.macs - bill.optical_macs) + sum(workload.operations.values())
    busy = float(bill.core_seconds) * 2 * 64 * 64 * float(core.clock) / 1e18
    constants = exactly(**BILLED)
    found = achieved(core, workload, constants=constants, digital_ops=operations / busy / 2)
    idle = float(bill.core_seconds) * float(idle_watts(core, 0.0)) * float(at_plug(core)) / float(bill.macs) * 5e17
    assert found["waits_w"][optical.DIGITAL]["nominal"] == pytest.approx(idle, rel=1e-4)
    assert found["utilisation"]["nominal"] < 0.51


@pytest.mark.parametrize(("tokens", "factor"), [(64, 1.0), (32, 2.0), (96, 4 / 3)])
def test_batch_that_does_not_fill_its_last_load_pays_for_whole_loads(core, tokens, factor):
    """Loads of 64 vectors: a prompt of 96 takes two, where the bill counts one and a half."""
    work = Workload(config=CONFIG, context=tokens)
    found = achieved(core, work, constants=exactly(**BILLED | {"packed": 0.0}))
    bill = work.price(core)
    lines = sum(float(bill.components[line]) for line in optical.RELOADED) * float(at_plug(core))
    expected = (factor - 1) * lines / float(bill.macs) * 5e17
    assert found["waits_w"][optical.LOADS]["nominal"] == pytest.approx(expected, rel=1e-3, abs=2.0)


def test_ends_of_a_batch_wait_where_layers_stand_on_different_cores(core, workload):
    """Three layers on cores of their own, 48 tokens in chunks of 16: (3 - 1) / 3 of the time."""
    found = achieved(core, workload, constants=exactly(**BILLED | {"chunk": 16.0, "converters": 1.0}))
    bill = workload.price(core)
    idle = float(bill.core_seconds) * float(idle_watts(core, 1.0)) * float(at_plug(core)) / float(bill.macs) * 5e17
    assert found["waits_w"][optical.DRAIN]["nominal"] == pytest.approx(2 / 3 * idle, rel=1e-5)


def test_design_of_equal_cores_is_that_core(core, workload):
    design = optics.CoresBySite(core, {"*.down": core})
    one, two = achieved(core, workload), achieved(design, workload)
    for basis, places in one["watts_at_exaops"].items():
        for place, watts in places.items():
            assert two["watts_at_exaops"][basis][place] == pytest.approx(watts, rel=1e-4), (basis, place)
    assert two["waits_w"].keys() == one["waits_w"].keys()
    for cause, watts in one["waits_w"].items():
        assert two["waits_w"][cause] == pytest.approx(watts, rel=1e-3, abs=1.0), cause


def test_attention_on_light_is_billed_as_everywhere(core):
    work = Workload(config=CONFIG, context=TOKENS, attention="light")
    found = achieved(core, work)
    assert found["bill_watts_at_exaops"] == pytest.approx(float(work.price(core).watts_at()), rel=1e-6)
    assert found["delta_nll"] is None


@pytest.mark.parametrize(("name", "precision"), [("h200", "fp8"), ("rubin", "fp4"), ("cs3", "bf16")])
def test_digital_joules_are_those_of_otc_serve(name, precision):
    """Prefill and idle draw of `serve`, over operations counted from the shapes alone."""
    work = Workload(config=CONFIG, context=TOKENS, batch=2)
    found = digital.achieved_watts(system_named(name), work, precision)
    model = Model(CONFIG, precision_named(precision))
    machine = system_named(name).at(found.chips)
    served = serve(machine, model, Request(prompt=TOKENS, output=1), 2)
    seconds = served.tpot_s / 2 - machine.decode_step(model, 2, TOKENS + 0.5).seconds / 2
    layers = CONFIG.layers * CONFIG.hidden * (96 + 2 * 48 + 96 + 3 * 200)
    operations = 2.0 * (layers * TOKENS + CONFIG.hidden * CONFIG.vocabulary)
    operations += attention_flops(CONFIG, TOKENS * (TOKENS + 1) / 2)
    expected = (served.prefill_j + machine.idle_watts * seconds) / operations * 1e18
    assert found.watts == pytest.approx(expected, rel=1e-6)
    assert found.utilisation == pytest.approx(operations / seconds / (found.chips * machine.peak[precision]), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "precision", "kilowatts"),
    [
        ("h200", "fp8", 10.2 / 8 / 1.979e-3),  # 10.2 kW of 8 chips of 1,979 TFLOPS
        ("rubin", "fp4", 210 / 72 / 35e-3),  # 210 kW of 72 chips of 35 PFLOPS
        ("trainium3", "fp8", 1.0 * 1.3 / 2.517e-3),  # no server's watts: 1 kW of a chip times 1.3
    ],
)
def test_digital_peak_is_the_power_of_the_server_over_its_dense_peak(name, precision, kilowatts):
    assert digital.peak_watts(system_named(name), precision) == pytest.approx(kilowatts * 1e3, rel=1e-6)


def test_facility_is_the_plug_times_pue(core, workload):
    constants = exactly(pue=1.3)
    for row in (achieved(core, workload, constants=constants), achieved(system_named("b200"), workload)):
        pue = 1.3 if row["kind"] == "optical" else SCHEDULE["pue"].value
        for places in row["watts_at_exaops"].values():
            assert places["facility"]["nominal"] == pytest.approx(pue * places["plug"]["nominal"])
            assert places["facility"]["high"] >= places["plug"]["high"]


def test_stated_facility_of_rubin_follows_from_chips_alone_at_the_highest_peak():
    """100 MW for 2 ZFLOPS are 2,500 W for each chip of 50 PFLOPS, of which the chip alone takes 2,300 W."""
    (claim,) = claims(("h200", "rubin"))
    assert claim["tops_per_watt"] == pytest.approx(20.0)
    found = [claim["accountings"][number] for number in claim["reproduced_by"]]
    assert found
    assert {(each["peak_ops"], each["chip_watts"]) for each in found} == {(50e15, 2300.0)}
    nearest = min(found, key=lambda each: abs(each["tops_per_watt"] - 20.0))
    assert nearest["tops_per_watt"] == pytest.approx(50e15 / (2300 * 1.09) / 1e12)
    # By whole racks, which is what the other rows are counted by, less than it says.
    assert max(each["tops_per_watt"] for each in claim["accountings"] if "rack" in each["watts_of"]) < 18


def test_known_accuracy_is_that_of_the_preset_alone(workload):
    preset = optics.preset("projected_2029")
    darker = preset.replace({"source.power": float(preset.source.power) / 2})
    measured = achieved(preset.replace({"source.mean_drive": 0.07}), workload, name="projected_2029")
    assert measured["delta_nll"] == 0.213
    assert achieved(darker, workload, name="projected_2029")["delta_nll"] is None


def test_tops_per_watt_of_the_target_is_100():
    found = tops_per_watt({"nominal": 10e3, "low": 5e3, "high": 20e3})
    assert found == {"nominal": 100.0, "low": 50.0, "high": 200.0}


def test_what_cannot_be_compared_is_refused(core, workload):
    decode = Workload(config=CONFIG, context=TOKENS, phase="decode")
    with pytest.raises(ValueError, match="phase = 'decode' must be 'prefill'"):
        achieved(core, decode)
    with pytest.raises(ValueError, match="overlap = 2 to 2 must be between 0 and 1"):
        achieved(core, workload, constants=exactly(overlap=2.0))
    with pytest.raises(ValueError, match="h200 has no fp4 rate; it has fp8, int8, bf16"):
        achieved(system_named("h200"), workload, precision="fp4")
    with pytest.raises(ValueError, match="digital_ops = 0.0 must be above 0"):
        achieved(core, workload, digital_ops=0.0)
