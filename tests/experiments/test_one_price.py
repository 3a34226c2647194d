"""Every way to a bill gives the same energy for one core, model, prompt and drive."""

import jax
import jax.numpy as jnp
import pytest

import models
import optics
from experiments import sweeps
from experiments.common import billing, candidates, verdict
from experiments.common.workload import Workload
from experiments.evaluation.records import Evaluation
from experiments.headline.rows import ModelPricer
from optics.analysis.ablation import ablations

DRIVE, PROMPT = 0.07, 24


@pytest.fixture
def core():
    return optics.projected_2029(rows=64, columns=64).replace({"source.mean_drive": DRIVE})


def as_the_readme_does(core, config, tokens, batch=1):
    """Price `forward` on shapes with the steps of the README: trace, elementwise operations, memory traffic."""

    def forward(params, given):
        return models.forward(config, params, given)

    shapes = models.parameter_shapes(config), jax.ShapeDtypeStruct((batch, tokens), jnp.int32)
    kept = batch * tokens * 2 * config.layers * config.kv_heads * config.head_dim * 8
    traffic = {"KV cache": 2 * kept, "embedding": batch * tokens * config.hidden * 8}
    work = optics.count_elementwise_ops(forward)(*shapes)
    return optics.price(core, optics.trace(forward)(*shapes), operations=work, memory_bits=traffic)


def test_bills_of_all_programs_agree(core, byte_model, text_file, monkeypatch):
    """README, `bill`, `headline`, `target` and `sweep` agree to 1e-5, and state the same basis."""
    checkpoint = models.load_gguf(byte_model)
    config = checkpoint.config
    monkeypatch.setattr(billing, "shapes_named", {"tiny": config}.__getitem__)
    by_hand = as_the_readme_does(core, config, PROMPT)
    expected = float(by_hand.total) / PROMPT
    found = {}

    printed = billing.token_bills(core, ("tiny",), PROMPT, 1)[0]
    found["bill"] = printed["joules_per_token"]

    workload = Workload(config=config, context=PROMPT)
    drives = {site.name: DRIVE for site in workload.on_core}
    own = ModelPricer(checkpoint, PROMPT, "a text").optical(core, Evaluation(drives=drives, mean_drive=DRIVE))
    found["headline"] = own["energy_per_token_j"]

    candidate = verdict.Candidate(
        name="mine", core=core, constants=optics.constants_of("projected_2029"), effective_bits=None
    ).at_drive(DRIVE, "a text")
    components = verdict._Components(candidate, workload)(candidate.core)
    found["target"] = float(sum(components.values())) * by_hand.macs / PROMPT

    loaded = sweeps.Text(text=str(text_file), model=str(byte_model), windows=1, window_tokens=PROMPT).load()
    for name, drives_of_it in (("sweep, its drive set", {}), ("sweep, its drive measured", drives)):
        total, tokens = loaded.price(core, drives_of_it)
        found[name] = float(total.total) / tokens

    assert found == pytest.approx(dict.fromkeys(found, expected), rel=1e-5)
    attention = [text for text in by_hand.basis if "attention" in text]
    assert attention == ["measured: attention counted for the scores that the function's own mask leaves"]
    for statements in (
        by_hand.basis,
        printed["bill_rests_on"],
        own["bill_rests_on"],
        own["llama_3_1_70b"]["bill_rests_on"],
    ):
        assert [text for text in statements if "attention" in text] == attention
        assert any("drive of full scale" in text and text.endswith(f": {DRIVE}") for text in statements)


def test_kilowatts_of_the_readme_are_those_of_the_programs():
    """Llama 3.1 70B, a prompt of 8,192 tokens, projected_2029: README against headline, target and bill."""
    core = optics.projected_2029()
    by_hand = as_the_readme_does(core, models.LLAMA_3_1_70B, 8192)
    programs = Workload(config=models.LLAMA_3_1_70B, context=8192).price(core)
    assert Workload(config=models.LLAMA_3_1_70B, context=8192) == Workload(config=models.LLAMA_3_1_70B)
    assert set(by_hand.components) == set(programs.components)
    for line, joules in programs.components.items():
        assert float(by_hand.components[line]) == pytest.approx(float(joules), rel=1e-6, abs=0), line
    around = optics.system(core, by_hand, weights=70e9)
    assert float(around.total_watts) == pytest.approx(float(programs.watts_at()), rel=1e-5)
    # Billed for all scores, at the drive of Gaussian inputs, it would be far above this.
    assert float(programs.watts_at()) < 20e3


@pytest.fixture
def design_file(core, tmp_path):
    """A design whose first layer and head are others, as a file."""
    optics.serialise.save(core.replace({"source.power": 2e-3}), tmp_path / "first.toml")
    optics.serialise.save(core, tmp_path / "second.toml")
    path = tmp_path / "design.toml"
    path.write_text(
        'core = "first.toml"\n[[site]]\nsites = "layers.*"\nsteps = [0]\ncore = "digital"\n'
        '[[site]]\nsites = ["head", "embedding"]\ncore = "second.toml"\n'
    )
    return path


@pytest.mark.parametrize(("attention", "by_site"), [("light-left", False), ("light", True), ("digital", True)])
def test_bills_of_designs_and_of_attention_on_light_agree(
    core, design_file, byte_model, text_file, tmp_path, monkeypatch, attention, by_site
):
    """By hand and in all programs, for one core and for a core by site whose first layer and head are others."""
    checkpoint = models.load_gguf(byte_model)
    config = checkpoint.config
    monkeypatch.setattr(billing, "shapes_named", {"tiny": config}.__getitem__)
    machine = optics.load_by_site(design_file) if by_site else core
    workload = Workload(config=config, context=PROMPT, attention=attention)
    policy = optics.stationary
    if attention != "digital":
        first = machine.default if by_site else core
        policy = optics.AttentionOnLight(first, "left" if attention == "light-left" else "cheaper")
    sites = optics.trace(lambda params, given: models.forward(config, params, given), policy=policy)(
        models.parameter_shapes(config), jax.ShapeDtypeStruct((1, PROMPT), jnp.int32)
    )
    by_hand = optics.price(machine, sites, operations=workload.operations, memory_bits=workload.memory_bits)
    expected = float(by_hand.total) / PROMPT
    assert all(site.optical for site in sites) == (attention != "digital")
    found = {}
    printed = billing.token_bills(machine, ("tiny",), PROMPT, 1, attention=attention)[0]
    found["bill"] = printed["joules_per_token"]
    pricer = ModelPricer(checkpoint, PROMPT, "a text", attention)
    drives = {site.name: DRIVE for site in sites if site.optical}
    own = pricer.optical(machine, Evaluation(drives=drives, mean_drive=DRIVE))
    found["headline"] = own["energy_per_token_j"]
    assert own["energy_per_mac_on_core_j"] <= own["energy_per_mac_j"]

    file = design_file
    if not by_site:
        file = tmp_path / "core.toml"
        optics.serialise.save(core, file)
    candidate = (candidates.design_candidate if by_site else candidates.file_candidate)(file, "projected_2029", [])
    candidate = candidate.at_drive(DRIVE, "a text")
    found["target"] = float(workload.price(candidate.core).total) / PROMPT
    components = verdict._Components(candidate, workload)(candidate.core)
    found["target, as its draws price it"] = float(sum(components.values())) * by_hand.macs / PROMPT
    on_mask = workload.operands_on_mask(candidate.core)
    assert len(on_mask) == (0 if attention == "digital" else 2)
    assert attention != "light-left" or set(on_mask.values()) == {"left"}

    for _, _, ablated in ablations(machine)[:3]:
        found["ablation"] = float(workload.price(ablated, chosen_by=machine).total) / PROMPT
        assert found["ablation"] == pytest.approx(expected, rel=1e-5)

    subject = sweeps.Text(
        text=str(text_file), model=str(byte_model), windows=1, window_tokens=PROMPT, attention=attention
    )
    sweep = sweeps.Sweep(core=machine, subject=subject, metrics=("joules_per_token",))
    (group,) = sweep.groups
    loaded = subject.load()
    placed = loaded.placed_on(group.nominal, None)
    for name, drives_of_it in (("sweep, its drive set", {}), ("sweep, its drive measured", drives)):
        total, tokens = placed.price(group.core, drives_of_it)
        found[name] = float(total.total) / tokens
    assert found == pytest.approx(dict.fromkeys(found, expected), rel=1e-5)
