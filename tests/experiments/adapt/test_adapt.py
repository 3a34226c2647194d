"""`otc adapt` on a tiny model: its rows hang together, the figure is drawn, what is saved is what was judged."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from experiments.adapt import program as adapt
from experiments.adapt.setting_search import RATE
from experiments.common.workload import Workload
from experiments.evaluation.agreement import scored

LIGHT = (0.5, 1.0, 2.0)


@pytest.fixture
def options(given, text_file):
    def make(**changes) -> adapt.AdaptOptions:
        small = {
            "methods": ("rotate-down",),
            "light": LIGHT,
            "shapes": "smollm2-135m",
            "calibrate_on": str(text_file),
            "keys": 2,
        }
        return adapt.AdaptOptions(**given | small | changes)

    return make


# The rotation of a hidden layer of 48 is 5 % of this tiny model's work, and 0.6 % of SmolLM2's.
@pytest.mark.filterwarnings("ignore:5% of the MACs with weights stay digital.*captured array")
def test_adapt_judges_draws_and_saves_what_it_prepared(options, drawn, capsys):
    given = options()
    summary = adapt.main(given)
    assert summary == json.loads((given.out / "summary.json").read_text(encoding="utf-8"))
    plain, rotated = summary["rows"]
    assert [plain["name"], rotated["name"]] == ["none", "rotate-down"]
    assert plain["digital_difference"] == 0 and rotated["digital_difference"] < 1e-5
    assert plain["digital_kl"] == 0 and rotated["digital_kl"] < 1e-6
    for row in summary["rows"]:
        assert [point["light"] for point in row["points"]] == list(LIGHT)
        assert all(point["kl"] > 0 and len(point["kl_by_window"]) == 2 for point in row["points"])
        powers = [point["source_power_w"] for point in row["points"]]
        assert powers == pytest.approx([float(optics.projected_2029().source.power) * light for light in LIGHT])
    assert plain["against_unprepared"]["watts_at_exaops"]["recovered"] == pytest.approx(0)

    # The bill of a model that rotates as it runs, at twice the light and the drive that was measured.
    config = dataclasses.replace(models.CONFIGS["smollm2-135m"], down_rotation=models.Rotation(seed=0))
    core = optics.projected_2029()
    bright = optics.with_source_power(core, 2 * core.source.power)
    workload = Workload(config=config, context=8192)
    drives = {
        site.name: rotated["drives"]["head" if site.path == "embedding" else site.path] for site in workload.on_core
    }
    bill = workload.price(bright, drives)
    assert rotated["points"][2]["watts_at_exaops"] == pytest.approx(float(bill.watts_at()), rel=1e-5)
    assert drives["000 layers.q 576x576"] == pytest.approx(rotated["sites"]["layers.q"]["mean_drive"], rel=0.2)

    # The model that was saved, on the core that was saved: the first window under both draws of the noise.
    model, original = models.load(given.out / "model"), models.load_gguf(given.model)
    tokens = jnp.asarray(models.windows(original.tokenizer.encode(models.load_text(given.text)), 1, 24))
    best = next(row for row in summary["rows"] if row["name"] == summary["best"])
    run = jax.jit(optics.emulate(scored(model.forward)))
    reference, saved_core = original.forward(original.params, tokens), optics.serialise.load(given.out / "core.toml")
    found = [
        float(run(saved_core, jax.random.fold_in(jax.random.key(0), number), model.params, tokens, reference).kl)
        for number in (0, 2)
    ]
    assert np.mean(found) == pytest.approx(best["points"][1]["kl_by_window"][0], rel=1e-2)

    assert_drawn(drawn["adapt"], summary)
    printed = capsys.readouterr().out
    assert "rotate-down" in printed and "kW at KL 0.05" in printed and str(given.out / "model") in printed


def assert_drawn(figure, summary):
    panels = figure.axes
    assert [axes.get_xlabel() for axes in panels] == [
        "launched photons per MAC [thousands]",
        "peak power of a source [mW]",
        "kW at 1 exaOPS",
    ]
    for axes, (criterion, unit) in zip(
        panels, (("photons_per_mac", 1e-3), ("source_power_w", 1e3), ("watts_at_exaops", 1e-3)), strict=True
    ):
        curves = [line for line in axes.lines if len(line.get_xdata()) == len(LIGHT)]
        for curve, row in zip(curves, summary["rows"], strict=True):
            np.testing.assert_allclose(
                np.asarray(curve.get_xdata(), float), [point[criterion] * unit for point in row["points"]]
            )
            np.testing.assert_allclose(np.asarray(curve.get_ydata(), float), [point["kl"] for point in row["points"]])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["as it is", "rotate-down"]


@pytest.mark.filterwarnings("ignore:[0-9]+% of the MACs with weights stay digital")
def test_adapt_states_the_loss_on_each_device(options, capsys):
    given = options(methods=("sinks",), light=(1.0,), keys=1, windows=1, devices=(0, 3), save=False)
    summary = adapt.main(given)
    model = models.load_gguf(given.model)
    tokens = jnp.asarray(models.windows(model.tokenizer.encode(models.load_text(given.text)), 1, 24))
    run = jax.jit(optics.emulate(scored(model.forward)))
    plain, key = summary["rows"][0], jax.random.fold_in(jax.random.key(0), 0)
    for device, found in zip((0, 3), plain["points"][0]["by_device"], strict=True):
        core = optics.projected_2029().replace({"device": device})
        kl = float(run(core, key, model.params, tokens, model.forward(model.params, tokens)).kl)
        assert found["kl"] == pytest.approx(kl, rel=1e-4) and found["kl_stderr"] is None
    for row in summary["rows"]:
        (point,) = row["points"]
        assert point["kl"] == pytest.approx(np.mean([each["kl"] for each in point["by_device"]]))
        assert point["by_device"][0]["kl"] != point["by_device"][1]["kl"]
    printed = capsys.readouterr().out
    assert "On each device alone" in printed and "device 3" in printed


def test_adapt_compares_a_trained_model_with_the_digital_one_it_came_from(options, tmp_path):
    """Here one whose head was scaled: another function, so that it differs from the reference without any light."""
    given = options(methods=(), light=(1.0,), keys=1, windows=1, save=False)
    original = models.load_gguf(given.model)
    untied = models.equivalent.untie_head(original)
    changed = dataclasses.replace(untied, params={**untied.params, "head": 1.1 * untied.params["head"]})
    models.save(changed, tmp_path / "trained")
    summary = adapt.main(dataclasses.replace(given, trained=(tmp_path / "trained",), trained_method="sinks"))
    trained = summary["rows"][1]
    assert trained["name"] == "trained+sinks" and trained["sinks"] == 2
    assert trained["trained"] and trained["digital_difference"] is None
    assert trained["digital_kl"] > 1e-4
    assert "saved" not in summary and not (given.out / "model").exists()


@pytest.mark.filterwarnings("ignore:[0-9]+% of the MACs with weights stay digital")
def test_adapt_sets_light_by_site_at_the_watts_of_equal_light(options, capsys):
    """What is saved is a design that gives the loss and the watts of its row."""
    methods = ("sinks+least-squares", "sinks+ranges+light")
    given = options(methods=methods, light=(1.0,), keys=1, windows=1, search_steps=4)
    summary = adapt.main(given)
    plain, squared, lit = summary["rows"]
    assert (plain["sinks"], lit["sinks"]) == (0, 2) and not plain["light_by_site"]
    assert set(lit["light_by_site"]) == {f"layers.{name}" for name in ("q", "k", "v", "o", "gate", "up", "down")} | {
        "head"
    }
    assert all(factor > 0 for factor in lit["light_by_site"].values())
    (even,), (by_site,) = plain["points"], lit["points"]
    # Inputs differ a little under other noise, and so do the drives that are billed.
    assert by_site["watts_at_exaops"] == pytest.approx(even["watts_at_exaops"], rel=2e-2)
    brightest = max(lit["light_by_site"].values())
    assert by_site["source_power_w"] == pytest.approx(brightest * even["source_power_w"], rel=1e-6)
    assert "sinks+ranges+light: light by site: layers.q" in (printed := capsys.readouterr().out)
    begun, found = squared["loading_by_site"], lit["loading_by_site"]
    assert set(found) == set(lit["light_by_site"]) and not plain["loading_by_site"]
    # Four steps of Adam from the least squared error, and from the core's own range at the head.
    assert set(begun) == set(found) - {"head"}
    begun = {"head": float(optics.projected_2029().adc.loading), **begun}
    assert 0 < max(abs(np.log(found[kind] / begun[kind])) for kind in found) < 4 * RATE
    octaves = 4 * np.log2([begun[kind] for kind in squared["loading_by_site"]])
    np.testing.assert_allclose(octaves, np.rint(octaves), atol=1e-3)
    assert "full scale of the ADCs in rms of the product by site: layers.q" in printed

    # What is saved is the best.
    best = next(row for row in summary["rows"] if row["name"] == summary["best"])
    assert best["name"] != "none" and summary["machine"] == "design.toml"
    design = optics.load_by_site(given.out / "design.toml")
    model = models.load_gguf(given.model)
    tokens = jnp.asarray(models.windows(model.tokenizer.encode(models.load_text(given.text)), 1, 24))
    run = jax.jit(optics.emulate(scored(model.forward)))
    key = jax.random.fold_in(jax.random.key(0), 0)
    found = run(design, key, model.params, tokens, model.forward(model.params, tokens))
    assert float(found.kl) == pytest.approx(best["points"][0]["kl"], rel=1e-2)


def test_adapt_reads_exponents_that_it_has_searched(options, monkeypatch):
    given = options(methods=("rescale",), light=(1.0,), keys=1, windows=1, save=False)
    searched = adapt.main(given)
    monkeypatch.setattr(models.equivalent, "search_rescaling", None)
    again = adapt.main(given)
    assert again["rows"] == searched["rows"] and again["rows"][1]["tried"] > 5 and again["rows"][1]["exponents"]


def test_adapt_refuses_light_by_site_for_shapes_without_such_sites(options):
    with pytest.raises(ValueError, match="shapes = deepseek-v3 has no site layers.k"):
        adapt.main(options(methods=("light",), shapes="deepseek-v3", light=(1.0,), keys=1, windows=1))


def test_adapt_refuses_ranges_for_a_core_whose_full_scale_follows_no_rms(options):
    with pytest.raises(ValueError, match='lightmatter_2025 follows its rows, adc.span = "rows": use the step gain'):
        adapt.main(options(methods=("sinks+least-squares",), preset="lightmatter_2025", shapes="smollm2-135m"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "fold+rescal"], "no step 'rescal'; did you mean 'rescale'"),
        (["--light", "0.5", "2"], "light = (0.5, 2.0) must have 1 among its factors"),
        (["--light", "2", "1"], "light = (2.0, 1.0) must be factors above 0 that rise"),
        (["--trained-method", "fold+light"], "trained_method = fold+light changes the model by fold"),
        (["--sinks", "0"], "sinks = 0 must be a whole number, at least 1"),
        (["--search-steps", "1"], "search_steps = 1 must be a whole number, at least 2"),
        (["--keys", "0"], "keys = 0 must be a whole number, at least 1"),
        (["--kl", "0"], "kl = 0.0 must be above 0"),
        (["--shapes", "llama-3.1-7b"], "no model 'llama-3.1-7b'"),
        (["--calibrate-on", "nowhere.txt"], "there is no file nowhere.txt"),
        (["--trained", "nowhere"], "nowhere"),
    ],
)
def test_adapt_refuses_what_the_user_can_mend_in_one_line(arguments, message, assert_refused):
    assert_refused(["adapt", *arguments], message)
