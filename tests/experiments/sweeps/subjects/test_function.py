"""Sweeps over a function of the user's own: against emulation, trace and price by hand; one error for each mistake."""

import shutil
import sqlite3
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments import sweeps
from experiments.sweeps import program
from experiments.sweeps.definition import toml_file
from experiments.sweeps.execution import engine, rate
from experiments.sweeps.execution.store import FILE
from experiments.sweeps.plots import tables
from experiments.sweeps.subjects.function_digest import array_digest, jaxpr_digest

SMALL = {"rows": 8, "columns": 8}
CORE = optics.projected_2029().replace(SMALL)
BATCHES, SEED, ENOB = 3, 5, (4.0, 6.0, 9.0)
METRICS = ("accuracy", "error", "fj_per_mac", "joules_per_token", "watts_at_exaops")
NETWORK = '''
"""A network of two layers on random batches."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import sweeps

draws = np.random.default_rng(0)
PARAMS = {name: draws.normal(size=size).astype(np.float32) / 4 for name, size in (("a", (12, 16)), ("b", (16, 3)))}
DATA = {"x": draws.normal(size=(3, 8, 12)).astype(np.float32), "label": draws.integers(0, 3, (3, 8))}
LIMIT = 0.0


def forward(params, batch):
    return jnp.maximum(batch["x"] @ params["a"], LIMIT) @ params["b"]


def score(params, batch, reference):
    y = forward(params, batch)
    return {
        "accuracy": y.argmax(-1) == batch["label"],
        "error": jnp.sqrt(jnp.sum((y - reference) ** 2) / jnp.sum(reference**2)),
    }


METRICS = {
    "accuracy": sweeps.Metric("accuracy", "1", better="more"),
    "error": sweeps.Metric("rms error of the logits", "1", better="less", logarithmic=True),
}
SUBJECT = sweeps.Function(score, PARAMS, DATA, METRICS, forward=forward, tokens=8, example="image", name="two_layers")


def make():
    return SUBJECT


def make_of(size):
    return SUBJECT
'''
FILE_OF_SWEEP = """
core = "projected_2029"
metrics = ["accuracy", "error", "fj_per_mac", "joules_per_token", "watts_at_exaops"]
keys = 2
seed = 5
set = { rows = 8, columns = 8 }
on = { kind = "function", function = "network_of_test:SUBJECT" }
axes = { adc.enob = [4.0, 6.0, 9.0] }
"""


@pytest.fixture(scope="module")
def space():
    names = {"__name__": "network_of_test"}
    exec(NETWORK, names)
    return names


def sweep_of(subject, **given):
    return sweeps.Sweep(
        **{
            "core": optics.projected_2029(),
            "fixed": SMALL,
            "dimensions": (sweeps.listed("adc.enob", ENOB),),
            "subject": subject,
            "metrics": METRICS,
            "keys": 2,
            "seed": SEED,
        }
        | given
    )


@pytest.fixture(scope="module")
def run(space, tmp_path_factory):
    return sweeps.run(sweep_of(space["SUBJECT"]), tmp_path_factory.mktemp("run"), per_call=2, progress=False)


def batch_of(space, number):
    return jax.tree.map(lambda array: jnp.asarray(array[number]), space["DATA"])


def rows(folder):
    with sqlite3.connect(folder / FILE) as database:
        found = database.execute("SELECT * FROM results ORDER BY point, key, sample").fetchall()
    database.close()
    return found


def test_figures_are_those_of_emulate_with_the_documented_key(run, space):
    params, emulated = space["PARAMS"], jax.jit(optics.emulate(space["score"]))
    for point, enob in enumerate(ENOB):
        core = CORE.replace({"adc.enob": enob})
        for draw, number in np.ndindex(2, BATCHES):
            batch = batch_of(space, number)
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(SEED), draw), number)
            wanted = emulated(core, key, params, batch, space["forward"](params, batch))
            assert run.values["error"][point, draw, number] == pytest.approx(float(wanted["error"]), rel=1e-5)
            assert run.values["accuracy"][point, draw, number] == pytest.approx(float(wanted["accuracy"].mean()))
    assert run.sessions[-1]["compilations"] == 1


def test_energy_is_price_of_trace_at_the_measured_drive(run, space):
    forward, params = space["forward"], space["PARAMS"]
    sites = optics.trace(forward)(params, batch_of(space, 0))
    drive = run.manifest["drive of group 0"]
    # Each vector is scaled to its largest element; sites count by their MACs, 12 * 16 and 16 * 3 per vector.
    inputs = space["DATA"]["x"], np.maximum(space["DATA"]["x"] @ params["a"], 0)
    by_site = [float(np.mean(np.abs(x) / np.max(np.abs(x), axis=-1, keepdims=True))) for x in inputs]
    assert list(drive["by_site"].values()) == pytest.approx(by_site, rel=1e-4)
    assert drive["mean"] == pytest.approx(np.average(by_site, weights=[12 * 16, 16 * 3]), rel=1e-4)
    core = CORE.replace({"adc.enob": 6.0, "source.mean_drive": drive["mean"]})
    bill = optics.price(core, sites, readings=drive["by_site"])
    found = {name: run.values[name][1] for name in METRICS[2:]}
    np.testing.assert_allclose(found["fj_per_mac"], float(bill.per_mac) * 1e15, rtol=1e-5)
    np.testing.assert_allclose(found["joules_per_token"], float(bill.total) / 8, rtol=1e-5)
    np.testing.assert_allclose(found["watts_at_exaops"], float(bill.watts_at()), rtol=1e-5)
    assert "measured: mean drive of full scale, by readings of this function" in tables.heading(run)


def test_readings_and_score_without_forward(space, tmp_path):
    """Without `forward` the reference is None and the score itself is billed; readings are of each batch."""

    def score(params, batch, reference):
        assert reference is None
        return {"largest": jnp.max(batch["x"] @ params["a"]), "constant": 3.0}

    own = {name: sweeps.Metric(name, "V") for name in ("largest", "constant")}
    subject = sweeps.Function(score, space["PARAMS"], space["DATA"], own)
    sweep = sweep_of(subject, metrics=(*own, "snr_db", "fj_per_mac"), dimensions=(), keys=1)
    found = sweeps.run(sweep, tmp_path, progress=False)
    run = jax.jit(optics.emulate(score, diagnostics=True))
    for number in range(BATCHES):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(SEED), 0), number)
        figures, seen = run(CORE, key, space["PARAMS"], batch_of(space, number), None)
        (each,) = seen.values()
        assert found.values["largest"][0, 0, number] == pytest.approx(float(figures["largest"]), rel=1e-5)
        assert found.values["snr_db"][0, 0, number] == pytest.approx(float(each.snr_db()), abs=0.02)
    assert (found.values["constant"] == 3).all()
    assert [site.name for site in subject.sites] == list(found.manifest["drive of group 0"]["by_site"])


def test_an_interrupted_run_resumes_to_the_same_bits(run, space, tmp_path, monkeypatch):
    compute = engine.Placed.run

    def interrupted(self, points, keys):
        if 2 in points:
            raise KeyboardInterrupt
        return compute(self, points, keys)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(engine.Placed, "run", interrupted)
        sweeps.run(sweep_of(space["SUBJECT"]), tmp_path, per_call=2, progress=False)
    assert sweeps.SweepResults(tmp_path).progress == (4, 6)
    sweeps.run(sweep_of(space["SUBJECT"]), tmp_path, progress=False)
    assert rows(tmp_path) == rows(run.folder)


def test_two_devices_and_a_file_give_the_same_bits_and_definition(run, start, tmp_path):
    """The program, on two devices, of a file beside the module, in a folder that is not the working one."""
    (tmp_path / "network_of_test.py").write_text(NETWORK, encoding="utf-8")
    (tmp_path / "function.toml").write_text(FILE_OF_SWEEP, encoding="utf-8")
    flags = "--xla_force_host_platform_device_count=2"
    process = start(tmp_path / "run", ["--per-call", "2"], flags, of=tmp_path / "function.toml")
    out, error = process.communicate(timeout=240)
    assert process.returncode == 0, error[-2000:]
    assert rows(tmp_path / "run") == rows(run.folder)
    assert "two layers, 3 batches, core projected 2029: 3 points" in out and "2 device(s)" in out
    assert sweeps.SweepResults(tmp_path / "run").definition == run.definition | {"name": "projected_2029"}


def test_rate_times_a_trial_beside_the_digital_forward_pass(run, space, tmp_path, monkeypatch, capsys):
    """By the program, on a run that is done."""
    monkeypatch.setattr(rate, "ROUNDS", 3)
    monkeypatch.setattr(toml_file, "load", lambda *given: sweep_of(space["SUBJECT"]))
    shutil.copytree(run.folder, tmp_path / "run")
    options = program.SweepOptions(file=tmp_path / "any.toml", out=tmp_path / "run", rate=True, figures=False)
    found = program.main(options)["rate"]
    low, middle, high = found["ratio"]
    assert 0 < low <= middle <= high and min(found["trial_s"], found["digital_s"]) > 0
    assert "A trial of 3 batches takes" in capsys.readouterr().out
    loaded = space["SUBJECT"].load()
    np.testing.assert_allclose(loaded.digital(loaded.operands), loaded.operands[2], rtol=1e-5, atol=1e-6)


def test_rate_of_another_subject_is_refused():
    product = sweeps.Sweep(core=optics.today(), subject=sweeps.Product(rows=8, columns=8), metrics=("fj_per_mac",))
    with pytest.raises(ValueError, match="rate: the subject must be a function, and on.kind = 'product'"):
        rate.check(product)


def test_a_file_defines_what_python_does(space, tmp_path, monkeypatch):
    (tmp_path / "network_of_test.py").write_text(NETWORK, encoding="utf-8")
    path = tmp_path / "function.toml"
    wanted = sweep_of(space["SUBJECT"]).describe()
    for name in ("SUBJECT", "make"):
        path.write_text(FILE_OF_SWEEP.replace("SUBJECT", name), encoding="utf-8")
        assert toml_file.load(path).describe() == wanted | {"name": "projected_2029"}
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "function.toml")
    monkeypatch.chdir(tmp_path)
    assert toml_file.load(moved).describe() == wanted | {"name": "projected_2029"}
    assert str(tmp_path) not in sys.path


CHANGED = {
    "a parameter": ("/ 4 for", "/ 5 for", "on.params was"),
    "the data": ("default_rng(0)", "default_rng(1)", "on.data was"),
    "a constant of the module": ("LIMIT = 0.0", "LIMIT = 0.1", "on.score was"),
    "the score": ("reference**2", "reference**4", "on.score was"),
    "a label": ('"accuracy", "1"', '"share right", "1"', "own metrics.accuracy.label was"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_resuming_with_a_changed_function_is_refused(case, run):
    before, after, message = CHANGED[case]
    assert before in NETWORK
    changed = {"__name__": "network_of_test"}
    exec(NETWORK.replace(before, after), changed)
    with pytest.raises(ValueError, match="holds another sweep") as refused:
        sweeps.run(sweep_of(changed["SUBJECT"]), run.folder, progress=False)
    assert message in str(refused.value)


def test_a_comment_does_not_change_a_function(run):
    same = {"__name__": "another_module"}
    exec(NETWORK.replace("LIMIT = 0.0", "# As in the paper.\nLIMIT = 0.0"), same)
    assert sweeps.run(sweep_of(same["SUBJECT"]), run.folder, progress=False).progress == (6, 6)


def test_digests_see_constants_inside_and_not_addresses():
    def made(outer, inner, rate=1.0):
        held = jnp.full(5, inner)
        scaled = jax.jit(lambda x: x * held)
        own = jax.custom_vjp(jnp.sin)
        own.defvjp(lambda x: (own(x), x), lambda x, t: (rate * t * x,))
        array = np.full(5, outer, np.float32)
        return lambda x: jax.lax.scan(lambda c, _: (scaled(own(c)), None), x * array, None, length=2)[0]

    digests = [jaxpr_digest(made(*given), jnp.ones(5)) for given in ((1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 2.0))]
    assert digests[0] == digests[1] and len(set(digests)) == 3
    ones = np.ones(4, np.float32)
    trees = ({"a": ones}, {"b": ones}, {"a": ones.reshape(2, 2)}, {"a": ones.view(np.int32)})
    assert len({array_digest(tree) for tree in trees}) == 4


def test_a_figure_of_ones_own_orients_fronts_and_labels_exports(run, tmp_path):
    assert run.metric("accuracy").better == "more" and run.metric("fj_per_mac").unit == "fJ/MAC"
    assert run.metric("joules_per_token").unit == "J/image"
    assert "rms error of the logits" in tables.heading(run)
    drawn = sweeps.draw(run, metrics=["accuracy", "fj_per_mac"], out=tmp_path)
    assert "front_accuracy_fj_per_mac" in drawn
    assert run.labelled()["error"].attrs == {"long_name": "rms error of the logits", "units": "1"}
    run.export(tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text(encoding="utf-8").startswith("point,adc.enob,key,sample,accuracy,error")


PARAMS = {"w": np.ones((4, 2), np.float32)}
DATA = np.ones((2, 3, 4), np.float32)
LOSS = {"loss": sweeps.Metric("loss", "nats", better="less")}


def loss(params, batch, reference):
    return {"loss": jnp.sum(batch @ params["w"])}


GIVEN = {"score": loss, "params": PARAMS, "data": DATA, "metrics": LOSS}
REFUSED = {
    "no function": ({"score": 3}, "on.score = 3 must be a function of (params, batch, reference)"),
    "a forward that is none": ({"forward": 3}, "on.forward = 3 must be a function of (params, batch), or None"),
    "no metric": ({"metrics": {}}, "must name at least one figure of score"),
    "a metric in words": ({"metrics": {"loss": "nats"}}, "on.metrics['loss'] = 'nats' must be a sweeps.Metric"),
    "a name with a space": ({"metrics": {"a b": LOSS["loss"]}}, "'a b' must be a name of letters"),
    "a metric of the bill": (
        {"metrics": {"fj_per_mac": LOSS["loss"]}},
        "a sweep measures 'fj_per_mac' itself (energy at the plug): take another name",
    ),
    "a source": ({"metrics": {"loss": sweeps.Metric("loss", "1", "bill")}}, "source = 'bill' must be 'score'"),
    "a side": ({"metrics": {"loss": sweeps.Metric("loss", "1", better="lower")}}, "better = 'lower' must be 'less'"),
    "an empty unit": ({"metrics": {"loss": sweeps.Metric("loss", "")}}, "label and unit must be words, and one is ''"),
    "a metric that score lacks": (
        {"metrics": LOSS | {"lss": LOSS["loss"]}},
        "on.metrics names 'lss', which score does not give; it gives loss",
    ),
    "no token": ({"tokens": 0}, "on.tokens = 0 must be a whole number, at least 1"),
    "a name that is none": ({"name": 3}, "on.name = 3 must be a word"),
    "an example without a name": ({"example": ""}, "on.example = '' must be a word"),
    "a number among params": ({"params": PARAMS | {"n": 3}}, "on.params['n'] = 3 must be an array of numbers"),
    "no params": ({"params": {}}, "on.params holds no array"),
    "params that are not finite": ({"params": {"w": np.full((4, 2), np.nan, np.float32)}}, "on.params['w'] must be f"),
    "data without batches": ({"data": np.float32(1)}, "on.data is a single number"),
    "no batch": ({"data": DATA[:0]}, "batches of on.data = 0 must be a whole number, at least 1"),
    "unequal batches": ({"data": (DATA, DATA[:1])}, "and has data[0] 2, data[1] 1"),
    "a bare figure": ({"score": lambda params, batch, reference: jnp.sum(batch)}, "it must return figures by name"),
    "a matrix of figures": (
        {"score": lambda params, batch, reference: {"loss": batch @ params["w"]}},
        "on.score gives 'loss' of shape (3, 2): it must be one number, or one per example",
    ),
    "a complex figure": (
        {"score": lambda params, batch, reference: {"loss": jnp.sum(batch @ params["w"]).astype(jnp.complex64)}},
        "on.score gives 'loss' of complex64: it must be real numbers",
    ),
    "no product": (
        {"score": lambda params, batch, reference: {"loss": jnp.sum(batch)}},
        "on.score multiplies no array of params on a core",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_function_that_cannot_be_is_refused(case):
    given, message = REFUSED[case]
    with pytest.raises(ValueError) as refused:
        sweep_of(sweeps.Function(**GIVEN | given), metrics=("loss",))
    assert message in str(refused.value)


def test_a_metric_that_is_not_offered_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no metric 'los'; did you mean 'loss'?"):
        sweep_of(sweeps.Function(**GIVEN), metrics=("los",))
    with pytest.raises(ValueError, match="'kl' is not offered by function, which offers loss, snr_db"):
        sweep_of(sweeps.Function(**GIVEN), metrics=("kl",))
    with pytest.raises(ValueError, match=r"on.params = 3 must be an array"):
        sweep_of(sweeps.Function(**GIVEN), metrics=("loss",), dimensions=(sweeps.listed("on.params", [3]),))


IN_A_FILE = {
    "no function": ("kind = 'function'", "lacks function = 'module:name'"),
    "another field": (
        "kind = 'function', function = 'a:b', windows = 2",
        "[on] of kind 'function' has no entry 'windows'",
    ),
    "no colon": ("kind = 'function', function = 'digits'", "on.function = 'digits' must be 'module:name', in quotes"),
    "a number": ("kind = 'function', function = 3", "on.function = 3 must be 'module:name', in quotes"),
    "no module": ("kind = 'function', function = 'network_of_tst:SUBJECT'", "; did you mean 'network_of_test'?"),
    "no module in a package": (
        "kind = 'function', function = 'network_of_test.a:SUBJECT'",
        "there is no module 'network_of_test.a'",
    ),
    "no name": ("kind = 'function', function = 'network_of_test:SUBJCT'", "has no 'SUBJCT'; did you mean 'SUBJECT'?"),
    "a wrong type": (
        "kind = 'function', function = 'network_of_test:LIMIT'",
        "must be a sweeps.Function, or a function without arg",
    ),
    "arguments": ("kind = 'function', function = 'network_of_test:make_of'", "and takes arguments"),
    "a wrong result": ("kind = 'function', function = 'other_of_test:nothing'", "and returned None"),
    "an error on import": (
        "kind = 'function', function = 'broken_of_test:SUBJECT'",
        "cannot be imported: NameError: name 'nope'",
    ),
    "a line that raises": ("kind = 'function', function = 'broken_of_test:SUBJECT'", "broken_of_test.py:2)"),
    "a package that lacks": (
        "kind = 'function', function = 'lacking_of_test:SUBJECT'",
        "ModuleNotFoundError: No module named 'absent",
    ),
    "malformed": ("kind = 'function', function = 'malformed_of_test:SUBJECT'", "malformed_of_test.py:1)"),
    "a name that is taken": (
        "kind = 'function', function = 'json:SUBJECT'",
        "has the name of a module that is loaded already",
    ),
}
MODULES = {
    "network_of_test": NETWORK,
    "other_of_test": "def nothing():\n    pass\n",
    "broken_of_test": "\nnope\n",
    "lacking_of_test": "import absent_of_test\n",
    "malformed_of_test": "def (\n",
    "json": "SUBJECT = 3\n",
}


@pytest.mark.parametrize("case", IN_A_FILE)
def test_a_file_with_a_wrong_function_is_refused(case, tmp_path, monkeypatch, assert_refused):
    on, message = IN_A_FILE[case]
    for name in [name for name in MODULES if name.endswith("_of_test")]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    path = tmp_path / "wrong.toml"
    path.write_text(f"metrics = ['error']\ncore = 'today'\non = {{ {on} }}", encoding="utf-8")
    assert_refused(["sweep", str(path), "--out", str(tmp_path / "run")], message)
    assert not (tmp_path / "run").exists()
