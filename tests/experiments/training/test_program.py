"""`otc train`: a study on a tiny network against training by hand, a language model, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import models
import optics
from experiments import training
from experiments.training import program, study, toml_file
from experiments.training.run.checkpoint import BEST
from experiments.training.text import TrainedText

MODULE = '''
"""A network of one layer that learns a rule of its own."""

import jax
import numpy as np

from experiments import training

draws = np.random.default_rng(0)
PARAMS = {"w": draws.normal(size=(8, 4)).astype(np.float32)}
PARTS = [{"x": draws.normal(size=(count, 8)).astype(np.float32)} for count in (32, 8, 8)]


def forward(params, batch):
    return batch["x"] @ params["w"]


TASK = training.Task(
    training.Distillation(forward), PARAMS, PARTS[0], held_out=PARTS[1], test=PARTS[2], forward=forward, name="rule"
)


def make(seed):
    return TASK


def other(a, b):
    return TASK


def nothing():
    return 3
'''
STUDY = """
function = "rule_of_test:make"
core = "projected_2029"
set = { rows = 8, columns = 8 }
photons_per_mac = [2000]
methods = ["gaussian", "light", "codesign"]
seeds = 2
draws = 4
figure = "kl"

[train]
steps = 6
batch = 8
rate = 0.01
held_out_every = 3
checkpoint_every = 3

[codesign]
price = 3.0
knob_rate = 0.1
knobs = { adc.enob = { linear = [3, 10] } }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    (made / "rule_of_test.py").write_text(MODULE, encoding="utf-8")
    (made / "rule.toml").write_text(STUDY, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def ran(folder):
    out = folder / "out"
    return program.main(program.TrainOptions(file=str(folder / "rule.toml"), out=out)), out


def test_study_has_a_row_for_each_seed_and_method(ran):
    summary, out = ran
    assert [(row["seed"], row["method"]) for row in summary["rows"]] == [
        (seed, method) for seed in (0, 1) for method in ("none", "gaussian", "light", "codesign")
    ]
    assert summary["name"] == "rule" and json.loads((out / "summary.json").read_text()) == json.loads(
        json.dumps(summary)
    )
    assert (out / "train.png").stat().st_size > 1000
    assert all(row["watts"] > 0 for row in summary["rows"])


def test_study_equals_training_by_hand(ran, folder):
    summary, out = ran
    (row,) = (row for row in summary["rows"] if row["seed"] == 1 and row["method"] == "light")
    task = study.Study(task=toml_file.load(folder / "rule.toml").task, cores={}).task(1)
    core = optics.serialise.load(out / row["folder"] / "core.toml")
    options = training.Options(steps=6, batch=8, rate=0.01, held_out_every=3, checkpoint_every=3, seed=1)
    result = training.train(
        task.loss, task.params, task.data, core=core, held_out=task.held_out, forward=task.forward, options=options,
        progress=False,
    )  # fmt: skip
    assert [(step, figures["kl"]) for step, figures in result.held_out] == row["curve"]
    # On the test examples, under the draws of the study, by emulation alone.
    base = jax.random.fold_in(jax.random.key(study.TEST_SEED + 1), 2**32 - 1)
    loss = jax.jit(optics.emulate(task.loss))
    exact = task.forward(task.params, task.test)
    keys = [jax.random.fold_in(jax.random.fold_in(base, draw), 0) for draw in range(4)]
    kl = np.mean([loss(core, key, result.params, task.test, exact)["kl"] for key in keys])
    assert row["figures"]["kl"] == pytest.approx(kl, rel=1e-4)


def test_light_of_the_study_is_launched_at_the_drive_of_the_start(ran, folder):
    summary, out = ran
    core = optics.serialise.load(out / summary["rows"][2]["folder"] / "core.toml")
    task = toml_file.load(folder / "rule.toml").task(0)
    seen = optics.emulate(task.forward, diagnostics=True)(core, jax.random.key(0), task.params, task.test)[1]
    assert float(optics.photons_per_mac(core, seen)) == pytest.approx(2000, rel=1e-3)


def test_core_that_is_trained_for_its_price_takes_fewer_watts(ran):
    summary, out = ran
    (row,) = (row for row in summary["rows"] if row["seed"] == 0 and row["method"] == "codesign")
    (alone,) = (row for row in summary["rows"] if row["seed"] == 0 and row["method"] == "light")
    assert row["watts"] < 0.99 * alone["watts"]
    core = optics.serialise.load(out / row["folder"] / "core.toml")
    assert float(core.adc.enob) == pytest.approx(row["hardware"]["adc.enob"], rel=1e-5)
    assert core.adc.enob < 7.9


def test_recovery_is_the_share_of_what_noise_costs(ran):
    summary, _ = ran
    rows = {(row["seed"], row["method"]): row["figures"]["kl"] for row in summary["rows"]}
    (light,) = (row for row in summary["recovery"] if row["method"] == "light")
    shares = np.array([1 - rows[seed, "light"] / rows[seed, "none"] for seed in (0, 1)])
    plain = np.array([1 - rows[seed, "gaussian"] / rows[seed, "none"] for seed in (0, 1)])
    assert light["recovered"] == pytest.approx(shares.mean(), abs=1e-4)
    assert light["recovered_stderr"] == pytest.approx(abs(shares[0] - shares[1]) / 2, abs=1e-4)
    assert light["over_gaussian"] == pytest.approx((shares - plain).mean(), abs=1e-4)


def test_finished_study_runs_again_without_a_step(ran, folder, monkeypatch):
    summary, out = ran
    monkeypatch.setattr("experiments.training.run.loop._Run._step", None)
    again = program.main(program.TrainOptions(file=str(folder / "rule.toml"), out=out))
    figures = [[row["figures"] for row in each["rows"]] for each in (summary, again)]
    assert figures[0] == figures[1]


@pytest.fixture
def held_out_text(tmp_path):
    path = tmp_path / "held_out.txt"
    path.write_text("Every core is trained on one text and is judged on another one, which it never saw. " * 6)
    return path


def test_language_model_is_distilled_from_itself(given, held_out_text, noisy_core):
    of_text = TrainedText(
        model=given["model"],
        text=given["text"],
        held_out_text=str(held_out_text),
        windows=6,
        held_out_windows=4,
        window_tokens=16,
        temperature=1.0,
    )
    task = of_text.load()
    tokens = of_text.checkpoint.tokenizer.encode(held_out_text.read_text())[:64].reshape(4, 16)
    assert np.array_equal(task.held_out["tokens"], tokens[:2]) and np.array_equal(task.test["tokens"], tokens[2:])
    later = dataclasses.replace(of_text, held_out_windows=2, held_out_after=2).load()
    assert np.array_equal([*later.held_out["tokens"], *later.test["tokens"]], tokens[2:])
    options = training.Options(
        steps=2, batch=2, held_out_every=2, trainable=training.Trainable(kind="lora", rank=2), rate=1e-3
    )
    result = training.train(
        task.loss,
        task.params,
        task.data,
        core=noisy_core(0.1),
        held_out=task.held_out,
        forward=task.forward,
        options=options,
        progress=False,
    )
    assert 0 < result.at_start["kl"] < np.inf and result.steps == 2
    assert set(result.figures) == {"loss", "kl", "top1"}


@pytest.mark.slow
def test_language_model_trains_on_light(given, held_out_text, tmp_path):
    """Everything from the command on; its programs take minutes to compile."""
    summary = program.main(
        program.TrainOptions(
            model=given["model"],
            text=given["text"],
            held_out_text=str(held_out_text),
            windows=6,
            held_out_windows=4,
            window_tokens=16,
            core="projected_2029",
            steps=2,
            held_out_every=2,
            rank=2,
            draws=1,
            out=tmp_path / "out",
        )
    )
    trained = summary["rows"][1]
    assert trained["method"] == "light" and trained["steps"] == 2 and set(trained["figures"]) == {"loss", "kl", "top1"}
    assert summary["exact"]["0"]["kl"] == pytest.approx(0, abs=1e-5)
    folder = tmp_path / "out" / trained["folder"]
    assert (folder / BEST).exists()
    # The model that was written is the one that was trained.
    original, saved = models.load(given["model"], progress=False), models.load(folder / "model", progress=False)
    adapted = training.load_adapted(folder, original.params)
    for new, old in zip(jax.tree.leaves(saved.params), jax.tree.leaves(adapted), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    "entry, message",
    [
        ("", "function = 'module:name' is missing"),
        ('function = "rule_of_test:TASC"', "module 'rule_of_test' has no 'TASC'; did you mean 'TASK'?"),
        ('function = "rule_of_test:PARAMS"', "must be a training.Task, or a function of a seed"),
        ('function = "rule_of_test:other"', "and takes other arguments"),
        ('function = "rule_of_test:make"\nstep = 3', "the file has no entry 'step'"),
        ('function = "rule_of_test:make"\n[train]\nstep = 3', "[train] has no entry 'step'; did you mean 'steps'?"),
        ('function = "rule_of_test:make"\n[train]\nrate = -1', "rate = -1 must be a number above 0"),
        ('function = "rule_of_test:make"\nmethods = ["ligth"]', "methods: 'ligth' is none; did you mean 'light'?"),
        ('function = "rule_of_test:make"\nmethods = ["codesign"]', "methods names 'codesign' where there is a table"),
        ('function = "rule_of_test:make"\nphotons_per_mac = [0]', "photons_per_mac = [0] must be numbers above 0"),
        ('function = "rule_of_test:make"\nseeds = 0', "seeds = 0 must be how many, or a list of them"),
        ('function = "rule_of_test:make"\ncore = 3', "core = 3 must be the name of a preset"),
        (
            'function = "rule_of_test:make"\nmethods = ["codesign"]\n[codesign]\nknobs = { clock = [1, 2] }',
            "knob 'clock' must be one of linear = [low, high] and log = [low, high]",
        ),
    ],
)
def test_file_that_is_no_study_is_refused(folder, entry, message):
    path = folder / "wrong.toml"
    path.write_text(entry, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        toml_file.load(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_function_that_returns_something_else_is_refused(folder):
    path = folder / "wrong.toml"
    path.write_text('function = "rule_of_test:nothing"', encoding="utf-8")
    with pytest.raises(ValueError, match="and returned 3"):
        toml_file.load(path).task(0)


@pytest.mark.parametrize(
    "changes, message",
    [
        (["--text", "TEXT", "--held-out-text", "TEXT"], "is the text that is trained on: give another"),
        (["--text", "TEXT", "--window-tokens", "100000"], "window_tokens = 100000 is more than the context"),
        (["--text", "TEXT", "--windows", "400"], "is too short: 400 windows of 16 tokens need 6400 tokens"),
        (["--core", "projected_2092"], "did you mean 'projected_2029'?"),
        (["--batch", "3", "--accumulate", "2"], "accumulate = 2 must divide batch = 3"),
        (["--held-out-windows", "3"], "held_out_windows = 3 must be a whole number, at least 4"),
    ],
)
def test_impossible_option_is_refused_in_one_line(given, tmp_path, assert_refused, changes, message):
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("Another text. " * 50)
    arguments = ["train", "--model", str(given["model"]), "--text", given["text"], "--held-out-text", str(held_out)]
    arguments += ["--window-tokens", "16", "--out", str(tmp_path / "out")]
    assert_refused([*arguments, *(given["text"] if each == "TEXT" else each for each in changes)], message)
    assert not (tmp_path / "out").exists()


def test_options_beside_a_study_are_refused(folder, assert_refused):
    assert_refused(["train", str(folder / "rule.toml"), "--steps", "3"], "steps is stated by")
