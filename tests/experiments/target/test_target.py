"""The verdict on a tiny model: its numbers hang together, the figures are there, a changed constant moves it."""

import dataclasses
import json

import numpy as np
import pytest

import models
import optics
from experiments.common import candidates, overrides, verdict
from experiments.common.workload import Workload
from experiments.programs import bill
from experiments.target import budget
from experiments.target import program as target
from experiments.target.design_space import front
from experiments.target.sentences import sentences


@pytest.fixture
def options(given):
    def make(**other):
        small = {
            "keys": 2,
            "map": None,
            "shapes": "smollm2-135m",
            "context": 64,
            "rows": 64,
            "draws": 256,
            "sobol_draws": 16,
        }
        return target.TargetOptions(**given | small | other)

    return make


def assert_waterfall(figure, summary):
    (axes,) = figure.axes
    scenario = summary["scenarios"]["projected_2029"]
    bars = [bar.get_width() for bar in axes.patches]
    assert bars[-1] == pytest.approx(scenario["fj_per_mac"], rel=1e-4)
    assert sorted(bars[:-1]) == pytest.approx(sorted(line["nominal"] for line in scenario["components"].values()))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[-1] == "total" and {"ADC", "digital products", "KV cache"} <= set(labels)
    assert axes.get_title(loc="left") == "projected 2029"


def assert_tornado(figure, summary):
    (axes,) = figure.axes
    scenario = summary["scenarios"]["projected_2029"]
    fields = [label.get_text().rstrip("*") for label in axes.get_yticklabels()]
    assert fields == list(scenario["tornado"])[:10]
    nominal = scenario["watts_at_exaops"]["nominal"] / 1e3
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    swings = [scenario["tornado"][field][end] / 1e3 for field in fields for end in ("low", "high")]
    assert ends == pytest.approx(swings)
    assert all(bar.get_x() == pytest.approx(nominal) for bar in axes.patches)
    indices = [text.get_text() for text in axes.texts][: len(fields)]
    assert indices == [f"{scenario['sobol'][field]['total']:.2f}" for field in fields]


def assert_pareto(figure, summary):
    (axes,) = figure.axes
    drawn, scale = summary["map"], summary["map"]["nll_per_kl"]
    assert axes.get_xlabel() == "kW at 1 exaOPS"
    points = {
        (float(x), float(y))
        for line in axes.lines
        if line.get_marker() == "o"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert points == {(point["watts"] / 1e3, scale * point["kl"]) for point in drawn["points"]}
    (star,) = (line for line in axes.lines if line.get_marker() == "*")
    scenario = summary["scenarios"]["projected_2029"]
    assert list(star.get_xdata()) == [scenario["watts_at_exaops"]["nominal"] / 1e3]
    assert "digital W8A8" in [text.get_text() for text in axes.texts]


def assert_map(figure, descent=None):
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["64 rows, 0.5 GHz", "64 rows, 1 GHz", "64 rows, 2 GHz"]
    assert all(axes.get_ylim() == (5.0, 8.0) for axes in panels)
    assert panels[0].get_ylabel() == "ENOB of the ADC" and panels[0].get_xlabel() == "photons per MAC launched"
    paths = [line for axes in panels for line in axes.lines if line.get_marker() == "."]
    if descent is None:
        assert not paths
    else:
        (path,) = paths
        assert list(path.get_ydata()) == [point["enob"] for point in descent["path"]]


SMALL_MAP = {
    "scenarios": ("projected_2029",),
    "map": "projected_2029",
    "sizes": (64,),
    "light": (5.0, 7.0),
    "enob": (5.0, 8.0),
    "map_windows": 2,
}


def test_verdict_is_consistent_and_drawn(options, drawn, capsys):
    given = options(**SMALL_MAP, steps=None)
    summary = target.main(given)
    assert summary == json.loads((given.out / "summary.json").read_text(encoding="utf-8"))
    found = summary["scenarios"]["projected_2029"]
    watts = found["watts_at_exaops"]
    assert watts["p05"] < watts["p50"] < watts["p95"]
    assert watts["nominal"] == pytest.approx(found["fj_per_mac"] * 1e-15 * 5e17)
    assert sum(line["nominal"] for line in found["components"].values()) == pytest.approx(found["fj_per_mac"], rel=1e-4)
    assert set(found["tornado"]) == set(found["sobol"])
    assert {"delta_nll", "kl", "system", "break_even", "probability_of_closing", "assumptions"} <= set(found)
    dim = summary["full_scale_light"]["projected_2029"]
    assert dim["watts_at_exaops"] < watts["nominal"] and dim["kl"] > found["kl"]
    accuracy = summary["map"]
    assert len(accuracy["points"]) == 2 * 2 * 2
    for how in ("as they are", "calibrated away"):
        own = [p for p in accuracy["points"] if p["imperfections"] == how]
        assert [(p["watts"], p["kl"]) for p in accuracy["fronts"][how]] == pareto([(p["watts"], p["kl"]) for p in own])
        # More light and more ADC bits lose less, and cost more.
        by_light = {(p["size"], p["light_bits"], p["enob"]): p for p in own}
        assert by_light[64, 7.0, 8.0]["kl"] < by_light[64, 5.0, 5.0]["kl"]
        assert by_light[64, 7.0, 8.0]["watts"] > by_light[64, 5.0, 5.0]["watts"]
    for entry in accuracy["cheapest"]:
        assert entry["core"] is None or entry["core"]["delta_nll"] <= entry["most"] + 1e-9
    assert summary["descent"] is None
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in sentences(summary))
    for name in ("waterfall", "tornado", "map", "pareto"):
        assert (given.out / f"{name}.png").is_file() and (given.out / f"{name}.pdf").is_file()
    assert_waterfall(drawn["waterfall"], summary)
    assert_tornado(drawn["tornado"], summary)
    assert_map(drawn["map"])
    assert_pareto(drawn["pareto"], summary)


@pytest.mark.slow
def test_descent_with_grid_is_reported_and_drawn(options, drawn, capsys):
    given = options(**SMALL_MAP, steps=3, grid=2)
    summary = target.main(given)
    descent = summary["descent"]
    assert [len(descent["path"]), descent["grid"]["evaluations"]] == [3, 8]
    assert descent["best"]["merit"] == min(point["merit"] for point in descent["path"])
    assert descent["grid"]["best"]["on_fresh_noise"]["keys"] == descent["best"]["on_fresh_noise"]["keys"]
    assert "Descended in 3 evaluations" in capsys.readouterr().out
    assert_map(drawn["map"], descent)


def pareto(points):
    """Those that no other beats in both, the slow way."""
    kept = [p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)]
    return sorted(kept)


def judged(candidate):
    return verdict.energy(candidate, Workload(config=models.SMOLLM2_135M, context=64), 256, 16, seed=0)


def test_a_doubted_constant_moves_the_verdict():
    """Attention at a tenth of its energy, in one scenario and not in the other."""
    changes_of = ["today.digital.mac_energy=0.0444e-12"]
    for name, factor in (("today", 0.1), ("projected_2029", 1.0)):
        before, after = (judged(candidates.scenario_candidate(name, given, 64, 7.0)) for given in ([], changes_of))
        line = [found["components"]["digital products"]["nominal"] for found in (before, after)]
        assert line[1] == pytest.approx(factor * line[0], rel=1e-4)
        assert "digital.mac_energy" in before["sobol"]
        assert ("digital.mac_energy" in after["sobol"]) is (factor == 1.0)
        assert any("set on the command line" in text for text in after["assumptions"]) is (factor != 1.0)


def test_a_core_of_ones_own(tmp_path):
    """What it shares with a scenario keeps the ranges of that, its own numbers are exact, its light is not resized."""
    core = optics.projected_2029(rows=64, columns=64).replace({"digital.mac_energy": 0.1e-12, "source.power": 0.2})
    optics.serialise.save(core, tmp_path / "mine.toml")
    own = candidates.file_candidate(tmp_path / "mine.toml", "projected_2029", ["core.adc.survey_factor=0.5"])
    found = judged(own)
    assert "digital.mac_energy" not in found["sobol"] and "adc.survey_factor" not in found["sobol"]
    assert "digital.wire_energy" in found["sobol"]
    assert found["system"]["source_power_w"] == pytest.approx(0.2)
    assert float(own.core.adc.survey_factor) == pytest.approx(0.5)
    assert float(
        own.with_source_power(own.core.replace({"detector.quantum_efficiency": 0.5})).source.power
    ) == pytest.approx(0.2)


def test_the_mean_drive_that_was_measured_is_billed():
    candidate = candidates.scenario_candidate("projected_2029", [], 64, 7.0).at_drive(0.005, "a model")
    constant = candidate.constants["source.mean_drive"]
    assert (constant.low, constant.value, constant.high, constant.mark) == (0.005, 0.005, 0.2, "measured")
    assert "a model" in constant.source
    assert float(candidate.core.source.mean_drive) == pytest.approx(0.005)
    (drive,) = (text for text in judged(candidate)["bill_rests_on"] if "drive" in text)
    assert drive == "assumed: mean drive of full scale, measured on a model: 0.005"


def test_light_follows_the_losses_of_a_draw():
    """Half the quantum efficiency asks for twice the power, whatever else is drawn."""
    candidate = candidates.scenario_candidate("projected_2029", [], 64, 7.0)
    dim = candidate.with_source_power(candidate.core.replace({"detector.quantum_efficiency": 0.45}))
    assert float(dim.source.power) == pytest.approx(2 * float(candidate.core.source.power), rel=1e-5)


def test_the_share_that_closes_is_counted():
    """Every constant held: one number, so all draws or none are at the target."""
    workload = Workload(config=models.SMOLLM2_135M, context=64)
    for factor, share in ((1e-3, 1.0), (1e3, 0.0)):
        fixed = [f"{field}={c.value}" for field, c in optics.constants_of("projected_2029").items()]
        fixed += ["digital.mac_energy=0.1e-12:0.15e-12:0.16e-12"]
        candidate = candidates.scenario_candidate("projected_2029", fixed, 64, 7.0)
        core = candidate.core.replace({"digital.wire_energy": candidate.core.digital.wire_energy * factor})
        cheap = {"source.power": 1e-6, "dac.energy_at_8_bits": 0.0, "adc.survey_factor": 0.0, "tia.power": 0.0}
        cheap |= {"source.bias_power": 0.0, "digital.memory_energy": 0.0, "digital.sram_energy": 0.0}
        cheap |= {"digital.rescale_energy": 0.0, "digital.add_energy": 0.0, "digital.operation_energy": 0.0}
        dark = verdict.Candidate(name="x", core=core.replace(cheap), constants=candidate.constants, effective_bits=None)
        found = verdict.energy(dark, workload, 64, 16, seed=0)
        assert found["probability_of_closing"] == share, found["watts_at_exaops"]


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("clock=2e9", "clock", (2e9, 2e9, 2e9)),
        ("clock=1e9:2e9:3e9", "clock", (1e9, 2e9, 3e9)),
        ("today.clock=2e9", "clock", (2e9, 2e9, 2e9)),
    ],
)
def test_changes_are_read(text, field, expected):
    found = overrides.with_overrides(optics.constants_of("today"), [text], "today")[field]
    assert (found.low, found.value, found.high) == expected
    assert (found.mark, found.source) == ("assumed", overrides.SOURCE)
    other = overrides.with_overrides(optics.constants_of("projected_2029"), [text], "projected_2029")[field]
    assert other.value == (1e9 if text.startswith("today") else expected[1])


def test_a_load_is_shared_by_the_vectors_that_it_serves():
    """35.1 pJ a weight of 8 bits and a sign from HBM at 3.9 pJ/bit: 35,100 vectors a load for 1 fJ/MAC, 8,775 for 4."""
    workload = Workload(config=models.LLAMA_3_1_70B)
    core = optics.today().replace({"mask.write_energy": 0.0, "mask.update_time": 0.0, "mask.settle_time": 0.0})
    share = sum(s.macs for s in workload.sites if s.optical) / sum(s.macs for s in workload.sites)
    candidate = verdict.Candidate(name="x", core=core, constants={}, effective_bits=None)
    for vectors, expected in ((35_100, 1.0), (8_775, 4.0)):
        assert verdict.reload(candidate, workload, vectors)["fj_per_mac"] == pytest.approx(expected * share, rel=1e-4)
    # Half of the time is waiting where a load takes as long as its vectors; a tile of rails has one symbol a vector.
    waiting = core.replace({"mask.update_time": 1e-5, "mask.settle_time": 0.0, "upkeep.probes": 0.0})
    waiting = dataclasses.replace(candidate, core=waiting)
    assert verdict.reload(waiting, workload, 1e4)["utilisation"] == pytest.approx(0.5, rel=0.01)


def test_omitted_costs_only_add_and_attention_adds_most():
    """What the budget by hand of a 1 exaOPS, 10 kW machine leaves out, one upon the other (2029, 1024, 8 bits)."""
    row = next(r for r in budget.BY_HAND if r.scenario == "projected_2029" and r.against == "full scale")
    found = budget.compare(row, Workload(config=models.LLAMA_3_1_70B))
    steps = found["steps"]
    assert found["ratio"] == pytest.approx(1, abs=0.05)
    # Tiles of the model itself have fewer partial sums to read back: the one step that may go down.
    names = [name for name in steps if name != "tiles of the model"]
    values = [steps[name] for name in names]
    assert values == sorted(values)
    added = dict(zip(names[1:], np.diff(values), strict=True))
    assert max(added, key=added.get) == "attention"


def test_front_keeps_the_better_of_equal_watts():
    points = [{"watts": w, "kl": kl} for w, kl in ((1.0, 3.0), (1.0, 2.0), (2.0, 2.5), (3.0, 1.0))]
    assert front(points) == [points[1], points[3]]


def test_the_bill_of_a_token(tmp_path, capsys):
    summary = bill.main(bill.BillOptions(preset="today", context=4096, out=tmp_path))
    found = {(b["model"], b["phase"]): b for b in summary["bills"]}
    assert len(found) == 4
    for each in found.values():
        assert sum(each["components_j"].values()) == pytest.approx(each["joules_per_token"], rel=1e-4)
    small, large = (found[name, "prefill"]["macs_per_token"] for name in ("llama-3.1-8b", "llama-3.1-70b"))
    assert 8 < large / small < 10
    # Decoding alone fetches all weights for one token: 9 bits of 3.9 pJ for each of 69.5 billion.
    fetch = found["llama-3.1-70b", "decode"]["components_j"]["weight fetch"]
    assert fetch == pytest.approx(69.5e9 * 9 * 3.9e-12, rel=0.01)
    assert "weight fetch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shapes", "llama-3.1-7b"], "no model 'llama-3.1-7b'"),
        (["--scenarios", "tomorrow"], "no constants for 'tomorrow'"),
        (["--set", "adc.enbo=8"], "--set adc.enbo=8: there is no constant 'adc.enbo'; did you mean 'adc.enob'"),
        (["--set", "clock"], "must be FIELD=VALUE or FIELD=LOW:VALUE:HIGH"),
        (["--set", "clock=1:x:3"], "must be FIELD=VALUE or FIELD=LOW:VALUE:HIGH"),
        (["--set", "clock=3e9:2e9:1e9"], "low <= value <= high fails"),
        (["--set", "mask.bits=0"], "WeightMask.bits = 0"),
        (["--draws", "10000"], "draws = 10000 must be a power of two"),
        (["--map", "tomorrow"], "map = 'tomorrow' is not judged"),
        (["--light", "7"], "light_bits = (7.0,) must be at least two numbers that rise"),
        (["--enob", "8", "7"], "enob = (8.0, 7.0) must be at least two numbers that rise"),
        (["--map-windows", "9"], "map_windows = 9 must be at most windows"),
        (["--loss-scale", "0"], "loss_scale = 0.0 must be above 0"),
        (["--grid", "1"], "grid = 1 must be at least 2"),
        (["--context", "999999"], "context = 999999 is more than the model's"),
        (["--core", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments, message, assert_refused):
    assert_refused(["target", *arguments], message)


def test_a_mask_technology_is_judged_with_its_own_ranges():
    candidate = candidates.scenario_candidate("projected_2029", ["mask.settle_time=1e-6"], 64, 7.0, mask="dmd")
    own = optics.mask_constants("dmd", "projected_2029")
    assert candidate.constants["mask.update_time"] == own["mask.update_time"]
    assert candidate.constants["mask.settle_time"].source == "set on the command line"
    assert candidate.single.encoding.weight_slices == 8
    # Light is sized for the losses of the mask in every draw.
    lossy = candidate.with_source_power(candidate.core.replace({"mask.loss_db": own["mask.loss_db"].value + 10}))
    assert float(lossy.source.power) == pytest.approx(10 * float(candidate.single.source.power), rel=1e-4)
    plain, found = judged(candidates.scenario_candidate("projected_2029", [], 64, 7.0)), judged(candidate)
    assert "mask.bits" not in found["sobol"] and "mask.settle_time" not in found["sobol"]
    assert "mask.update_time" in found["sobol"]
    ends = (own["mask.update_time"].low, own["mask.update_time"].high)
    assert (found["constants"]["mask.update_time"]["low"], found["constants"]["mask.update_time"]["high"]) == ends
    converted = [each["components"]["ADC"]["nominal"] for each in (plain, found)]
    assert converted[1] == pytest.approx(8 * converted[0], rel=1e-4)


def test_a_preset_with_a_mask_is_that_of_the_verdict():
    candidate = candidates.scenario_candidate("today", [], 1024, 6.0, mask="quantum_well")
    assert candidates.masked_preset("today", "quantum_well", 6.0) == candidate.core
    assert candidates.masked_preset("today", None, 6.0) == optics.today(effective_bits=6.0)
    assert candidates.masked_preset("lumai_nova", None) == optics.device("lumai_nova")
    with pytest.raises(ValueError, match="mask = 'dmd' takes the light of a scenario, and lumai_nova is none"):
        candidates.masked_preset("lumai_nova", "dmd")
    assumed = {constant.name for constant in candidates.assumptions("today", "dmd")}
    assert "dmd.mask.mismatch.today" in assumed and "mask.mismatch.today" not in assumed


def test_a_mask_without_scenarios_is_refused():
    with pytest.raises(ValueError, match="mask = 'dmd' is that of the scenarios, and there is none"):
        target.TargetOptions(scenarios=(), mask="dmd").check()
