"""`otc target`, `ablation` and `sweep` with attention on light and with a core for each site, on a tiny model."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments import sweeps
from experiments.common import candidates
from experiments.common.billing import token_bills
from experiments.programs import ablation
from experiments.sweeps import program as sweep_program
from experiments.sweeps.definition import toml_file
from experiments.sweeps.plots import tables
from experiments.target import budget
from experiments.target import program as target
from experiments.target.sentences import sentences

DESIGN = """
core = "core.toml"

[[site]]
sites = "layers.down"
change = { "source.power" = 8e-3, "adc.enob" = 6.5 }

[[site]]
sites = "layers.up"
core = "digital"
"""


@pytest.fixture
def design_file(tmp_path):
    core = optics.projected_2029(rows=64, columns=64)
    optics.serialise.save(core, tmp_path / "core.toml")
    (tmp_path / "design.toml").write_text(DESIGN, encoding="utf-8")
    return tmp_path / "design.toml"


def test_target_judges_a_design_with_attention_on_light(given, design_file, drawn, capsys, monkeypatch):
    monkeypatch.setattr(target, "SHOWN_BILLS", ("smollm2-135m",))
    monkeypatch.setattr(budget, "BY_HAND", budget.BY_HAND[:1])
    options = target.TargetOptions(
        **given,
        scenarios=(),
        cores=design_file,
        attention="light-left",
        set=("cores.rules.0.core.adc.enob=6:7:8",),
        keys=1,
        map=None,
        shapes="smollm2-135m",
        context=64,
        draws=64,
        sobol_draws=2,
    )
    summary = target.main(options)
    assert summary == json.loads((given["out"] / "summary.json").read_text(encoding="utf-8"))
    found = summary["scenarios"]["design.toml"]
    assert summary["attention"] == "light-left"
    assert set(found["operands_on_mask"].values()) == {"left"} and len(found["operands_on_mask"]) == 2
    sizes = {size["rule"]: size for size in found["system"]["by_core"]}
    assert list(sizes) == ["all other sites", "'layers.down'"]
    assert sum(size["cores"] for size in sizes.values()) == pytest.approx(found["system"]["cores"])
    assert [size["adc_enob"] for size in sizes.values()] == [8.0, 7.0]
    assert sizes["'layers.down'"]["source_power_w"] == pytest.approx(8e-3)
    assert {"default.adc.enob", "rules.0.core.adc.enob", "adc.survey_factor"} <= set(found["tornado"])
    assert "rules.0.core.source.power" not in found["tornado"]
    design = optics.load_by_site(design_file).replace(
        {"rules.0.core.adc.enob": 7.0, "source.mean_drive": found["mean_drive"]}
    )
    (bill, _) = token_bills(design, ("smollm2-135m",), 64, 1, attention="light-left")
    assert found["joules_per_token"] == pytest.approx(bill["joules_per_token"], rel=1e-5)
    assert found["kl"] > 0
    printed = capsys.readouterr().out
    assert all(sentence in printed for sentence in sentences(summary))
    assert "attention on light, left operand on the mask" in printed
    assert "Attention on light in the bills and in the losses; the operand on the mask, as chosen" in printed
    (panel,) = drawn["waterfall"].axes
    assert panel.get_title(loc="left") == "design.toml"
    assert "attention on light" in drawn["waterfall"].get_suptitle().replace("\n", " ")


def test_ablation_of_a_design_has_all_its_cores_and_each(given, design_file, drawn, capsys):
    options = ablation.AblationOptions(**given | {"windows": 1}, cores=design_file, by_core=True, attention="light")
    summary = ablation.main(options)
    rows = {row["effect"]: row for row in summary["rows"]}
    assert summary["rules"] == {"default": "all other sites", "rules.0.core": "'layers.down'"}
    assert {"thermal", "default.thermal", "rules.0.core.thermal", "default", "rules.0.core"} <= set(rows)
    assert summary["nothing"]["kl"] == pytest.approx(0, abs=1e-5)
    # Both cores have noise; less light makes it matter in the core of `down` alone.
    assert rows["thermal"]["alone"]["kl"] > rows["default.thermal"]["alone"]["kl"] > 0
    assert rows["rules.0.core"]["alone"]["kl"] > rows["rules.0.core.thermal"]["alone"]["kl"] * 0.5
    printed = capsys.readouterr().out
    lines = [line.split("  ")[0] for line in printed.splitlines()]
    assert {"thermal", "thermal of all other sites", "thermal of 'layers.down'", "all of 'layers.down'"} <= set(lines)
    assert "design.toml, attention on light: KL" in printed
    (axes,) = drawn["attribute"].axes
    assert "on design,\nattention on light: " in axes.get_title(loc="left")


def test_ablation_by_core_of_one_core_is_refused(given):
    with pytest.raises(ValueError, match="by_core = True is of a design of several cores"):
        ablation.main(ablation.AblationOptions(**given, by_core=True))


@pytest.fixture
def definition(byte_model, text_file, design_file):
    """Two points along the ADC of `down`, of a design whose ADC has two more bits everywhere."""
    path = design_file.parent / "sweep.toml"
    path.write_text(
        f'cores = "{design_file}"\nattention = "light"\nmetrics = ["delta_nll", "kl", "joules_per_token"]\n'
        f'[on]\ntext = "{text_file}"\nmodel = "{byte_model}"\nwindows = 1\nwindow_tokens = 24\n'
        "[set]\nadc.bits = 10\n[axes]\nrules.0.core.adc.enob = [5, 8]\n"
    )
    return path


def test_sweep_of_a_design_is_billed_as_each_design_and_resumes_no_other(definition, design_file, tmp_path):
    out = tmp_path / "run"
    sweep_program.main(sweep_program.SweepOptions(file=definition, out=out))
    found = sweeps.SweepResults(out)
    kl, joules = (found.estimate(name).mean for name in ("kl", "joules_per_token"))
    assert kl[0] > kl[1] and joules[0] < joules[1]
    design = optics.load_by_site(design_file).replace({"adc.bits": 10.0})
    drives = found.manifest["drive of group 0"]
    subject = sweeps.load(definition).subject
    assert isinstance(subject, sweeps.Text)
    loaded = subject.load().placed_on(design, None)
    for number, enob in enumerate((5.0, 8.0)):
        own = design.replace({"rules.0.core.adc.enob": enob})
        bill, tokens = loaded.price(own.replace({"source.mean_drive": drives["mean"]}), drives["by_site"])
        assert joules[number] == pytest.approx(float(bill.total) / tokens, rel=1e-5)
    # The one digital site has no drive.
    assert len(drives["by_site"]) == len(loaded._run.sites) - 1
    assert tables.subject(found).endswith(", attention on light")
    assert found.definition["design"] == {
        "default": "all other sites",
        "rules.0.core": "'layers.down'",
        "rules.1.core": "'layers.up', digital",
    }
    header = tables.table(found).splitlines()[0]
    assert "rules.0.core.adc.enob [bit]" in header
    for changes, message in (
        ({"attention": "digital"}, 'on.attention was "light" and is "digital"'),
        ({"attention": "light-left"}, 'on.attention was "light" and is "light-left"'),
        ({"cores": str(_brighter(design_file))}, "core.rules.0.core.source.power was"),
    ):
        with pytest.raises(ValueError, match=message):
            sweeps.run(sweeps.load(definition, changes), out, progress=False)


def _brighter(design_file):
    path = design_file.parent / "brighter.toml"
    path.write_text(DESIGN.replace("8e-3", "9e-3"), encoding="utf-8")
    return path


def test_a_function_on_a_design_is_emulated_and_billed_as_that_design(tmp_path):
    """One batch of one draw, whose key is the one that the documentation of `Function` gives."""
    draw = np.random.default_rng(0)
    params = {name: draw.normal(size=(6, 6)).astype(np.float32) for name in "ab"}
    data = draw.normal(size=(1, 5, 6)).astype(np.float32)

    def forward(params, batch):
        return jnp.tanh(batch @ params["a"]) @ params["b"]

    def score(params, batch, reference):
        return {"error": jnp.mean((forward(params, batch) - reference) ** 2)}

    function = sweeps.Function(
        score, params, data, {"error": sweeps.Metric("error", "1", better="less")}, forward=forward, tokens=5
    )
    design = optics.CoresBySite(optics.today(rows=8, columns=8), {"b": optics.today(rows=8, columns=8)})
    sweep = sweeps.Sweep(
        core=design,
        dimensions=(sweeps.listed("rules.0.core.adc.enob", [4, 8]), sweeps.listed("default.rows", [4, 8])),
        fixed={"source.mean_drive": 0.25},
        subject=function,
        metrics=("error", "joules_per_token"),
    )
    found = sweeps.run(sweep, tmp_path / "run", progress=False)
    assert (found.points, len(sweep.groups)) == (4, 2)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 0)
    exact = forward(params, data[0])
    for point in range(4):
        own = design.replace(
            {
                "source.mean_drive": 0.25,
                "rules.0.core.adc.enob": float(found.axis("rules.0.core.adc.enob")[point]),
                "default.rows": int(found.axis("default.rows")[point]),
            }
        )
        error = jax.jit(optics.emulate(score))(own, key, params, data[0], exact)["error"]
        assert found.estimate("error").mean[point] == pytest.approx(float(error), rel=1e-3)
        bill = optics.price(own, optics.trace(forward)(params, data[0]))
        assert found.estimate("joules_per_token").mean[point] == pytest.approx(float(bill.total) / 5, rel=1e-5)
    with pytest.raises(ValueError, match="the rule 'c' holds for none of the sites"):
        sweeps.Sweep(
            core=optics.CoresBySite(design.default, {"c": optics.DIGITAL}), subject=function, metrics=("error",)
        )


def test_drive_of_a_design_is_that_of_its_cores_at_their_sites():
    """Unsigned inputs of one core, rails of the other: each site as its own core sees it."""
    core = optics.today(rows=8, columns=8)
    unsigned = core.replace({"encoding.inputs": "unsigned"})
    draw = np.random.default_rng(0)
    params = {name: draw.normal(size=(6, 6)).astype(np.float32) for name in ("a", "b", "c")}
    x = draw.normal(size=(5, 6)).astype(np.float32)

    def run(params, x):
        return x @ params["a"], x @ params["b"], x @ params["c"]

    design = optics.CoresBySite(core, {"b": unsigned, "c": optics.DIGITAL})
    found = sweeps.measure_drive(design, run, [(params, x)])
    largest = np.abs(x).max(axis=1, keepdims=True)
    top = np.maximum(x, 0).max(axis=1, keepdims=True)
    expected = {"a": np.mean(np.abs(x) / largest), "b": np.mean(np.maximum(x, 0) / top)}
    assert {name.split()[1]: value for name, value in found.by_site.items()} == pytest.approx(expected, rel=1e-5)
    assert found.mean == pytest.approx(np.mean(list(expected.values())), rel=1e-5)


def test_constants_that_a_later_core_alone_has_are_drawn(tmp_path):
    """Threshold and rollover are of a laser; the core of all other sites has a modulator."""
    modulator = optics.MachZehnder(bias_error=0.01, extinction_ratio=100.0)
    optics.serialise.save(optics.projected_2029().replace({"transfer": modulator}), tmp_path / "modulator.toml")
    file = tmp_path / "design.toml"
    file.write_text('core = "modulator.toml"\n[[site]]\nsites = "head"\ncore = "projected_2029"\n')
    found = candidates.design_candidate(file, "projected_2029", []).constants
    assert {"rules.0.core.transfer.threshold", "rules.0.core.transfer.rollover"} <= set(found)


def test_attention_of_the_command_line_is_in_place_of_that_of_the_file(definition):
    text = definition.read_text().replace('attention = "light"\n', "")
    definition.write_text(text.replace("[on]\n", '[on]\nattention = "light"\n'), encoding="utf-8")
    given = toml_file.load(definition, {"attention": "digital"}).subject
    assert (toml_file.load(definition).subject.attention, given.attention) == ("light", "digital")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("layers.down", "layers.dwon"), "rule 'layers.dwon' holds for none of the sites; did you mean 'layers.down'"),
        (("layers.up", "layers.down"), "[[site]] 1 and 2 are both for 'layers.down'"),
        (('"layers.up"', '"layers.up"\nsteps = [40]'), "has 2 steps, and no step 40"),
    ],
)
def test_a_design_that_cannot_hold_is_one_line_in_each_program(
    design_file, definition, byte_model, text_file, edit, message, assert_refused
):
    """Step 40 is there in the models that are billed, and not in the one that is run."""
    design_file.write_text(DESIGN.replace(*edit), encoding="utf-8")
    on = ["--text", str(text_file), "--model", str(byte_model), "--windows", "2", "--window-tokens", "24"]
    for program in ("headline", "target", "ablation"):
        given = [program, "--cores", str(design_file), *on, "--out", str(design_file.parent / program)]
        assert_refused(given, message if program != "target" else message.replace("2 steps", "32 steps"))
    assert_refused(["sweep", str(definition), "--out", str(design_file.parent / "refused")], message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("[axes]\nrules.0", "[axes]\nrules.3"),
            "no field 'rules.3.core.adc.enob' to vary or set; did you mean",
        ),
        (
            ("[axes]\nrules.0", "[axes]\nrules.1"),
            "no field 'rules.1.core.adc.enob' to vary or set; did you mean",
        ),
        (
            ("[axes]\nrules.0.core.adc.enob", "[axes]\nrules.1.core.light.effective_bits"),
            "no field 'rules.1.core.light.eff",
        ),
        (("adc.bits = 10", "adc.bist = 10"), "no field 'adc.bist' to vary or set; did you mean 'adc.bits'"),
        (('attention = "light"', 'attention = "left"'), "attention = 'left' must be one of digital, light, light-left"),
        (('attention = "light"', 'core = "today"'), "core = 'today' and cores = "),
        (('"joules_per_token"', '"photons_per_mac"'), "metric 'photons_per_mac' is of one core"),
        (("[on]\n", '[on]\nattention = "light"\n'), "attention is given twice"),
    ],
)
def test_a_sweep_of_a_design_that_cannot_be_is_one_line(definition, changes, message, assert_refused):
    definition.write_text(definition.read_text().replace(*changes), encoding="utf-8")
    assert_refused(["sweep", str(definition), "--out", str(definition.parent / "refused")], message)


def test_one_product_takes_no_design_and_no_attention(design_file, tmp_path, assert_refused):
    path = tmp_path / "product.toml"
    path.write_text(f'cores = "{design_file}"\nmetrics = ["snr_db"]\n[on]\nkind = "product"\n')
    assert_refused(
        ["sweep", str(path)], "product runs on one core: a design with a core for each site needs a function"
    )
    path.write_text('core = "today"\nattention = "light"\n[on]\nkind = "product"\n')
    assert_refused(["sweep", str(path)], "attention = 'light' is of a language model, and not of kind = 'product'")


def test_a_map_of_a_design_and_two_candidates_of_one_name_are_refused(design_file, assert_refused):
    cores = ["--cores", str(design_file)]
    assert_refused(["target", *cores, "--map", "design.toml"], "design.toml is a design of several cores")
    renamed = design_file.rename(design_file.with_name("today"))
    assert_refused(["target", "--cores", str(renamed)], "a candidate is named 'today' already")
