"""Every program that runs a design on a text finds the same loss."""

import numpy as np
import pytest

import optics
from experiments import sweeps
from experiments.evaluation.measure import Evaluator
from experiments.evaluation.paired import digital_cases
from experiments.evaluation.records import EvaluationCase
from experiments.headline import program as headline
from experiments.programs import ablation
from experiments.target import program as target

WINDOWS, TOKENS = 2, 24
WITHOUT_NOISE = ("dac_rounding", "weight_rounding", "extinction", "output_crosstalk", "adc_rounding", "adc_clipping")


@pytest.fixture
def design(tmp_path):
    """Makes a design of two cores and saves it."""

    def make(effects):
        core = optics.projected_2029(rows=64, columns=64).replace({"effects": effects})
        brighter = core.replace({"source.power": 4 * core.source.power})
        machine = optics.CoresBySite(core, [optics.SiteRule(("head", "embedding"), brighter)])
        optics.save_by_site(machine, tmp_path / "design.toml")
        return machine, tmp_path / "design.toml"

    return make


@pytest.mark.parametrize(("noise", "attention"), [(True, "digital"), (True, "light-left"), (False, "light-left")])
def test_loss_of_a_design_is_the_same_in_all_programs(design, given, noise, attention):
    """Headline, target, ablation and what the verdict measures by share keys; a sweep has its own, so without noise."""
    machine, file = design(optics.Effects.uniform(1.0) if noise else optics.Effects.only(*WITHOUT_NOISE))
    texts = given | {"windows": WINDOWS, "window_tokens": TOKENS}
    found = {}

    def run(program):
        # Each in a folder of its own: they would read the losses of the others.
        return {**texts, "cores": file, "attention": attention, "out": texts["out"] / program}

    rows = headline.main(headline.HeadlineOptions(**run("headline"), presets=("today",), light=()))["rows"]
    found["headline"] = next(row["kl"] for row in rows if row["name"] == file.name)
    options = target.TargetOptions(
        **run("target"), scenarios=(), keys=1, map=None, shapes="smollm2-135m", context=64, draws=16, sobol_draws=4
    )
    (scenario,) = target.main(options)["scenarios"].values()
    found["target"] = scenario["kl"]
    found["ablation"] = ablation.main(ablation.AblationOptions(**run("ablation")))["everything"]["kl"]

    checkpoint, windows = headline.HeadlineOptions(**run("headline")).load()
    cases = [*digital_cases(WINDOWS), EvaluationCase(name="own", core=machine, windows=WINDOWS, attention=attention)]
    with Evaluator(checkpoint, 0, texts["out"] / "own.sqlite") as evaluator:
        own = evaluator.measure(checkpoint, windows, cases, "own", keep_bar=False)["own"]
    found["verdict"] = sum(window["kl"] for window in own.windows) / WINDOWS

    if not noise:
        subject = sweeps.Text(
            text=texts["text"], model=str(texts["model"]), windows=WINDOWS, window_tokens=TOKENS, attention=attention
        )
        sweep = sweeps.Sweep(core=machine, subject=subject, metrics=("kl",))
        swept = sweeps.run(sweep, texts["out"] / "sweep", progress=False)
        found["sweep"] = float(np.ravel(swept.estimate("kl").mean)[0])
    assert found == pytest.approx(dict.fromkeys(found, found["headline"]), rel=1e-3)
    assert found["headline"] > 1e-4
