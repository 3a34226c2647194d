"""`otc verdict` on a tiny model: one price with the other programs, a changed constant moves it, figures are drawn."""

import dataclasses
import json
import os
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from experiments.common.candidates import design_candidate, load_machine
from experiments.common.workload import Workload, attention_policy, shapes_named
from experiments.evaluation.agreement import scored
from experiments.serving.optical import optical_systems
from experiments.verdict import program as verdict
from experiments.verdict import reprice
from experiments.verdict.losses import LADDER, scaled
from experiments.verdict.prices import Prices
from experiments.verdict.report import tables
from experiments.verdict.space import FIRST, KNOBS, Space
from optics.core.by_site import host_core

SHAPES = "smollm2-135m"
TURNED_BESIDE_LIGHT = tuple(knob for knob in KNOBS if knob != "light_bits")


@pytest.fixture
def options(given, text_file):
    def make(**changes) -> verdict.VerdictOptions:
        small = {
            "scenarios": ("projected_2029",),
            "limits": (0.5,),
            "prepared": ("sinks",),
            "sizes": (64,),
            "accumulate": (1,),
            "attention": ("digital",),
            "evaluations": 8,
            "shapes": SHAPES,
            "calibrate_on": str(text_file),
            "curve_windows": 4,
            "draws": 16,
            "sobol_draws": 4,
        }
        return verdict.VerdictOptions(**given | small | changes)

    return make


def test_verdict_searches_judges_and_saves_designs_of_one_price(options, drawn, nothing_collides, capsys):
    given = options(compare=1)
    summary = verdict.main(given)
    assert summary == json.loads((given.out / "summary.json").read_text(encoding="utf-8"))
    record = summary["scenarios"]["projected_2029"]
    assert set(record["variants"]) == {"as it is", "prepared"}
    assert len(record["trials"]) == 2 * given.evaluations
    assert record["variants"]["prepared"]["sinks"] == given.sinks

    for judged in record["judged"]:
        design = judged["design"]
        assert design["excess"] <= judged["limit"]
        others = [each for each in record["best"] if each["limit"] == judged["limit"] and each["design"] is not None]
        assert design["watts"] == min(each["design"]["watts"] for each in others)
        # The file of the design, priced by itself, costs the same.
        machine = load_machine("", None, given.out / judged["file"])
        config = shapes_named(SHAPES)
        work = Workload(config=config, context=config.context, attention=judged["place"])
        assert float(work.price(machine).watts_at()) == pytest.approx(design["watts"], rel=1e-5)
        assert judged["energy"]["watts_at_exaops"]["nominal"] == pytest.approx(design["watts"], rel=1e-5)
        # So it does as `otc target --cores` reads it, and put together from what `otc serve --optical` pays for a
        # token, a pair of a query and a key, and a load of all masks.
        candidate = design_candidate(given.out / judged["file"], "projected_2029", [])
        assert float(candidate.priced(work, candidate.core).watts_at()) == pytest.approx(design["watts"], rel=1e-5)
        joules = as_served(given.out / judged["file"], config)
        bill = work.price(machine)
        assert joules == pytest.approx(float(bill.total), rel=1e-4)

    # The neighbour of the best design, with the other inputs, was run where it is not far dearer.
    (best,) = (judged["design"] for judged in record["judged"])
    other = {"rails/rails": "slots/rails", "slots/rails": "rails/rails"}
    beside = [each for each in record["designs"] if each["encoding"] == other[best["encoding"]]]
    same = [each for each in beside if all(each[knob] == best[knob] for knob in TURNED_BESIDE_LIGHT)]
    assert same and min(each["watts"] for each in same if each["excess"] <= 0.5) >= best["watts"]

    # The other model was run at the knobs of the best one too, with its own light.
    turned_so = [each for each in record["designs"] if all(each[knob] == best[knob] for knob in TURNED_BESIDE_LIGHT)]
    assert {each["variant"] for each in turned_so if each["structure"] == best["structure"]} == {"as it is", "prepared"}

    curves = summary["curves"]
    assert curves["windows"] == 4 and set(curves["models"]) == {"as it is", "prepared"}
    for each in curves["models"].values():
        assert each["kl"] == sorted(each["kl"]) and len(each["kl"]) == 1 + len(LADDER)
        assert each["kl"][0] == pytest.approx(0.0, abs=1e-6)

    steps = summary["waterfall"]
    assert steps[0]["step"] == "as first judged" and steps[0]["design"]["variant"] == "as it is"
    assert [each["design"]["watts"] for each in steps[-len(record["judged"]) :]] == [
        each["design"]["watts"] for each in sorted(record["judged"], key=lambda each: -each["limit"])
    ]
    # Ranges cost nothing, slots a second conversion, and an offset up to five times the light.
    plain, fixed, slots, offset = summary["otherwise"]
    assert [each["ranges"] for each in summary["otherwise"]] == ["follow", "fixed", "follow", "follow"]
    assert (slots["encoding"], offset["encoding"]) == ("slots/rails", "rails/offset")
    assert fixed["watts"] == plain["watts"] < slots["watts"] and fixed["kl"] != plain["kl"]
    assert 1.5 < offset["photons_per_mac"] / plain["photons_per_mac"] < 5.1
    assert plain["delta_nll_stderr"] > 0
    assert summary["comparison"][0]["evaluations"] == given.evaluations
    assert set(drawn) == {"verdict_front", "verdict_steps", "waterfall"}
    for figure in drawn.values():
        nothing_collides(figure)
    (judged,) = record["judged"]
    early = f"{judged['design']['watts'] / 1e3:.3g} kW, model {judged['design']['variant']}, "
    printed = capsys.readouterr().out
    assert printed.index(f"projected 2029 within 0.5 nats: {early}") < printed.index("Verdict: projected 2029 within")

    cost = {name: int(count.replace(",", "")) for name, count in tables.cost_rows(summary)[1:]}
    assert cost["searches"] == 2 * given.evaluations
    assert cost["designs of fronts, turned to limits, and neighbours"] == len(record["designs"]) * given.windows * 3
    assert cost["curves"] == 2 * (len(LADDER) + 1) * 4 and cost["all"] == sum(cost.values()) - cost["all"]
    assert {each["mask"] for each in summary["masks"]} == {"", *optics.MASK_TECHNOLOGIES}

    # The summary alone prices the designs, as they were and at another price of a part.
    again = repriced(given.out)
    assert len(again["judged"]) == 1 and not again["judged"][0]["run_anew"]
    assert again["judged"][0]["energy"]["watts_at_exaops"] == pytest.approx(judged["energy"]["watts_at_exaops"])
    assert again["judged"][0]["energy"]["sobol"] == judged["energy"]["sobol"]
    cheaper = repriced(given.out, "overhead.host_share=0")["judged"][0]
    assert repriced(given.out, "mask.extinction_ratio=300")["judged"][0]["run_anew"]
    touched = repriced(given.out, "source.wall_plug_efficiency=0.1", "vectors_per_load=64")["judged"][0]
    assert not touched["run_anew"] and touched["energy"]["watts_at_exaops"]["nominal"] > 1.5 * judged["design"]["watts"]

    # Another price of a part prices the same designs anew; no model is run for it.
    changed = verdict.main(dataclasses.replace(given, set=("overhead.host_share=0",), compare=0))
    after = changed["scenarios"]["projected_2029"]
    share = optics.constants_of("projected_2029")["overhead.host_share"].value
    # Designs judged before are priced anew before anything is run.
    good = [each["watts"] for each in record["designs"] if each["excess"] <= 0.5 and each["rows"] == 64]
    best = (1 - share) * min(good)
    printed = capsys.readouterr().out
    assert cheaper["design"]["watts"] == pytest.approx(best, rel=1e-5)
    assert cheaper["watts_before"] == judged["design"]["watts"] and not cheaper["run_anew"]
    said = f"within 0.5 nats of the designs judged before, at their losses: {best / 1e3:.3g} kW, model"
    assert said in printed and printed.index(said) < printed.index("projected 2029 within 0.5 nats: ")
    assert [each["kl"] for each in after["trials"]] == [each["kl"] for each in record["trials"]]
    before = {_key(each): each for each in record["designs"]}
    same = [(before[_key(now)], now) for now in after["designs"] if _key(now) in before]
    assert len(same) >= 4
    for one, now in same:
        assert now["kl"] == one["kl"]
        assert now["watts"] == pytest.approx((1 - share) * one["watts"], rel=1e-5)


def repriced(folder, *changes):
    options = reprice.RepriceOptions(
        verdict=folder / "summary.json", set=changes, draws=16, sobol_draws=4, out=folder / "repriced"
    )
    return reprice.main(options)


def test_verdict_on_fixed_ranges_alone_names_them_everywhere(options):
    given = options(prepared=("none",), limits=(2.0,), ranges=("fixed",), encodings=("rails/rails", "rails/offset"))
    summary = verdict.main(given)
    record = summary["scenarios"]["projected_2029"]
    assert {each["structure"].rpartition(", ")[2] for each in record["trials"]} == {"ranges fixed"}
    assert {"rails/offset" in each["structure"] for each in record["trials"]} == {True, False}
    (judged,) = record["judged"]
    assert judged["design"]["ranges"] == judged["confirmed"]["ranges"] == "fixed"
    assert "ranges fixed" in [each["step"] for each in summary["waterfall"]]
    assert [each["ranges"] for each in summary["otherwise"]][:2] == ["fixed", "follow"]
    assert tables.otherwise_rows(summary)[1][:2] == ("fixed", judged["design"]["encoding"])


def test_steps_lead_over_the_models_of_the_label_of_the_best(options, byte_model):
    few = {"windows": 1, "devices": (0,), "confirming_devices": (3,), "limits": (2.0,), "encodings": ("rails/rails",)}
    given = options(prepared=("sinks", "other=sinks"), trained=(f"other={byte_model}",), trained_method="sinks", **few)
    summary = verdict.main(given)
    record = summary["scenarios"]["projected_2029"]
    assert list(record["variants"]) == ["as it is", "prepared", "prepared, other", "trained, other"]
    assert len(record["trials"]) == 4 * given.evaluations
    (judged,) = record["judged"]
    kind, _, label = judged["design"]["variant"].partition(", ")
    on_the_way = [each["design"]["variant"] for each in summary["waterfall"]]
    assert {name.partition(", ")[2] for name in on_the_way if name != "as it is"} <= {label}
    folders = {
        ("as it is", ""): "",
        ("prepared", ""): "models/prepared",
        ("prepared", "other"): "models/prepared-other",
        ("trained", "other"): os.path.relpath(byte_model, given.out),
    }
    assert judged["model"] == folders[kind, label]


def test_tiled_verdict_measures_every_loss_on_smaller_cores_and_all_devices(options, capsys):
    given = options(prepared=("none",), limits=(2.0,))
    plain, tiled = (verdict.main(dataclasses.replace(given, tiled=tiled)) for tiled in (False, True))
    assert "of sums of as many row tiles as those of smollm2-135m" in capsys.readouterr().out
    one, other = (summary["scenarios"]["projected_2029"] for summary in (plain, tiled))
    # The searches begin at the same design, and neither takes the other's from the cache.
    assert one["trials"][0]["watts"] == other["trials"][0]["watts"]
    assert one["trials"][0]["kl"] != other["trials"][0]["kl"]
    assert one["judged"][0]["tiled"] is not None and other["judged"][0]["tiled"] is None

    model = models.load_gguf(given.model)
    scale = model.config.hidden / shapes_named(SHAPES).hidden
    space = Space("projected_2029")
    core = scaled(space.core(FIRST, space.scenario_knobs(FIRST)), scale)
    assert core.rows == round(scale * 1024)
    run = jax.jit(optics.emulate(scored(model.forward)))
    windows = models.windows(model.tokenizer.encode(models.load_text(given.text)), 2, 24)
    found = []
    for device, (number, window) in product(given.devices, enumerate(windows)):
        machine = core.replace({"device": device})
        tokens, key = jnp.asarray(window[None]), jax.random.fold_in(jax.random.key(0), number)
        found.append(float(run(machine, key, model.params, tokens, model.forward(model.params, tokens)).kl))
    assert len(found) == 2 * len(given.devices) == 6
    judged = tiled["waterfall"][0]["design"]
    assert judged["kl"] == pytest.approx(np.mean(found), rel=1e-4)


def test_best_design_is_confirmed_on_further_windows_and_devices_under_noise_of_its_own(options):
    given = options(prepared=("none",), limits=(2.0,), attention=("digital",), windows=2, keys=2)
    (judged,) = verdict.main(given)["scenarios"]["projected_2029"]["judged"]

    machine = load_machine("", None, given.out / judged["file"])
    model = models.load_gguf(given.model)
    windows = models.windows(model.tokenizer.encode(models.load_text(given.text)), 4, given.window_tokens)[2:]
    run, exact = jax.jit(optics.emulate(scored(model.forward))), jax.jit(model.forward)
    found = []
    for device in given.confirming_devices:
        # Numbers 0 to 3 are those of two windows, twice each, that judge.
        for number, window in enumerate(np.tile(windows, (2, 1)), start=4):
            tokens, key = jnp.asarray(window[None]), jax.random.fold_in(jax.random.key(given.seed), number)
            placed = machine.replace({"device": device})
            found.append(float(run(placed, key, model.params, tokens, exact(model.params, tokens)).kl))
    assert len(found) == 12 and judged["confirmed"]["kl"] == pytest.approx(np.mean(found), rel=1e-4)


def test_curve_is_of_further_windows_each_on_a_device_in_turn(options):
    given = options(prepared=("none",), windows=1, devices=(5, 9), confirming_devices=(3,))
    found = verdict.main(given)["curves"]["models"]["as it is"]

    model = models.load_gguf(given.model)
    windows = models.windows(model.tokenizer.encode(models.load_text(given.text)), 6, given.window_tokens)[2:]
    exact = jax.jit(model.forward)
    curve = []
    space = Space("projected_2029")
    cores = [
        Space(scenario).core(FIRST, {**Space(scenario).scenario_knobs(FIRST), **changes})
        for scenario, changes in LADDER
    ]
    on_light = space.core(FIRST, space.scenario_knobs(FIRST))
    place = Prices(space, SHAPES, "").attention(dataclasses.replace(FIRST, attention="light"))
    for core in (*cores, on_light):
        policy = attention_policy(on_light, place) if core is on_light else optics.stationary
        run = jax.jit(optics.emulate(scored(model.forward), policy=policy))
        losses = []
        for number, window in enumerate(windows):
            machine = core.replace({"device": given.devices[number % 2]})
            tokens, key = jnp.asarray(window[None]), jax.random.fold_in(jax.random.key(0), number // 2)
            each = run(machine, key, model.params, tokens, exact(model.params, tokens))
            plain = scored(model.forward)(model.params, tokens, exact(model.params, tokens))
            losses.append((float(each.kl), float(each.nll - plain.nll)))
        curve.append(np.mean(losses, axis=0))
    kl, delta_nll = curve.pop()
    curve = np.array(sorted(curve, key=lambda point: point[0]))
    read = np.interp(kl, [0.0, *curve[:, 0]], [0.0, *curve[:, 1]])
    above = found["attention_on_light"]
    assert above["kl"] == pytest.approx(kl, rel=1e-4)
    assert above["delta_nll"] == pytest.approx(delta_nll - read, rel=1e-2, abs=2e-5)
    assert found["kl"][1:] == pytest.approx(curve[:, 0], rel=1e-4)
    assert found["delta_nll"][1:] == pytest.approx(curve[:, 1], rel=1e-2, abs=1e-5)


def as_served(file, config):
    """Joules of a prompt of all the context by the unit costs of a server."""
    tokens = config.context
    (server,) = optical_systems([str(file)], 7.0, ("projected_2029",), config, ())
    layers, head = server.costs(config)[:2]
    loads = tokens / float(host_core(server.core).vectors_per_load)
    joules = tokens * (layers.token_joules + head.token_joules) + loads * (layers.load_joules + head.load_joules)
    return joules + tokens * (tokens + 1) / 2 * layers.pair_joules + layers.prompt_joules + head.prompt_joules


def _key(design):
    return design["variant"], design["structure"], *(design[knob] for knob in KNOBS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limits": ()}, "limits is empty"),
        ({"limits": (-0.1,)}, "limits = .* above 0"),
        ({"scenarios": ("2029",)}, "scenarios = 2029 must be among today, projected_2029, physical_limit"),
        ({"sizes": (16,)}, "sizes = .* from 64 to 4096"),
        (
            {"shapes": "deepseek-v3", "attention": ("half",)},
            "attention = half leaves some heads of like layers digital, and deepseek-v3 has layers",
        ),
        ({"attention": ("lght",)}, "attention = lght must be among digital, half, most, light"),
        ({"prepared": ("fold+rescle",)}, "no step 'rescle'; did you mean 'rescale'"),
        ({"prepared": ("sinks", "fold")}, "prepared has sinks and fold of one label: write them as LABEL=VALUE"),
        ({"prepared": ("A b=sinks",)}, "has the label 'A b', which may have a to z"),
        ({"draws": 1000}, "draws = 1000 must be a power of two"),
        ({"set": ("digital.mac_enrgy=1",)}, "no constant 'digital.mac_enrgy'; did you mean 'digital.mac_energy'"),
        ({"set": ("clock=2e9",)}, "--set clock: it is searched or measured"),
        ({"set": ("source.mean_drive=0.2",)}, "--set source.mean_drive: it is searched or measured"),
        ({"set": ("today.tia.power=1e-3",)}, "today is not judged; judged are projected_2029"),
        ({"set": ("core.tia.power=1e-3",)}, "core is not judged"),
        ({"scenarios": ("today",), "compare": 1}, "compare = 1 needs projected_2029 among the scenarios"),
        ({"masks": ("dmdd",)}, "'dmdd'; did you mean 'dmd'"),
        ({"devices": (0, 4)}, "confirming_devices = .* has 4, on which designs are chosen"),
        ({"confirming_devices": (0,)}, "confirming_devices = .* has 0, on which"),
        ({"devices": ()}, "devices is empty"),
        ({"ranges": ("fix",)}, "ranges = fix must be among follow, fixed"),
        ({"encodings": ("rails",)}, "encodings = rails must be among rails/rails, slots/rails"),
    ],
)
def test_options_out_of_range_are_refused(options, changes, message):
    with pytest.raises(ValueError, match=message):
        options(**changes).check()
