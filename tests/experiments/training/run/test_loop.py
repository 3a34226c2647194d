"""Whole runs: resumed to the last bit, also after SIGKILL; early stop; divergence; Ctrl-C; refusals."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from experiments import training
from experiments.training.run import checkpoint, start
from experiments.training.run.checkpoint import BEST, LAST
from experiments.training.run.order import batch_of_step
from experiments.training.run.start import NoisySiteWarning, observe, plan

OPTIONS = training.Options(steps=12, batch=8, rate=0.02, held_out_every=4, checkpoint_every=3, held_out_keys=2)
HERE = Path(__file__).parents[1]


def run(network, out=None, **changes):
    options = changes.pop("options", OPTIONS)
    given = network.arguments() | {name: changes.pop(name) for name in ("core", "held_out") if name in changes}
    data = changes.pop("data", network.data)
    return training.train(
        network.loss, network.params, data, options=dataclasses.replace(options, **changes), out=out, **given
    )


def same(one, other):
    pairs = zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs) and one.losses == other.losses and one.held_out == other.held_out


@pytest.fixture(scope="module")
def uninterrupted(network, tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted")
    return run(network, out), out


def test_training_reduces_the_held_out_loss_and_leaves_the_start(network, uninterrupted):
    result, _ = uninterrupted
    assert result.figures["loss"] < result.at_start["loss"]
    assert len(result.losses) == result.steps == 12 and result.stopped == "steps"
    assert [step for step, _ in result.held_out] == [0, 4, 8, 12]
    assert result.figures == dict(result.held_out)[result.best_step]
    assert isinstance(network.params["first"], np.ndarray) and not np.array_equal(
        network.params["first"], result.params["first"]
    )


def test_run_without_a_folder_equals_one_with(network, uninterrupted):
    assert same(run(network), uninterrupted[0])


def test_adapted_parameters_are_read_into_those_of_the_start(network, uninterrupted, tmp_path):
    result, out = uninterrupted
    adapted = training.load_adapted(out, network.params)
    assert jax.tree.all(jax.tree.map(np.array_equal, adapted, result.params))
    with pytest.raises(FileNotFoundError, match="holds no adapted.safetensors: no run has ended there"):
        training.load_adapted(tmp_path, network.params)
    with pytest.raises(ValueError, match="holds 'first', which is no parameter; did you mean 'first_layer'?"):
        training.load_adapted(
            out, {"first_layer": network.params["first"], **dict.fromkeys(("bias", "second"), np.ones(2))}
        )


def test_finished_run_is_read_and_not_repeated(network, uninterrupted):
    result, out = uninterrupted
    before = (out / LAST).read_bytes()
    again = run(network, out, data=network.data)
    assert same(again, result) and (out / LAST).read_bytes() == before


def test_killed_run_resumes_to_the_last_bit(network, uninterrupted, tmp_path):
    """SIGKILL in the middle of writing the checkpoint of step 6: that of step 3 is what the run goes on from."""
    code = f"""
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{str(HERE)!r}]
import conftest
from experiments import training
folder, flush = Path({str(tmp_path)!r}), os.fsync
def killed(number):
    flush(number)
    if (folder / "last.safetensors.partial").exists() and (folder / "last.safetensors").exists():
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = killed
network = conftest.make_network()
options = training.Options(steps=12, batch=8, rate=0.02, held_out_every=4, checkpoint_every=3, held_out_keys=2)
training.train(network.loss, network.params, network.data, options=options, out=folder, **network.arguments())
"""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], env=os.environ, capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert (tmp_path / (LAST + ".partial")).exists()
    assert checkpoint.read_note(tmp_path / LAST)["step"] == 3
    result = run(network, tmp_path)
    assert same(result, uninterrupted[0])
    for name in (LAST, BEST):
        assert (tmp_path / name).read_bytes() == (uninterrupted[1] / name).read_bytes()


@pytest.fixture
def interruptible():
    """Interruptions are not ignored, as they are in a shell's background jobs."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


def test_ctrl_c_saves_and_the_same_call_goes_on(network, uninterrupted, tmp_path, interruptible):
    def batches(step):
        return jax.tree.map(lambda part: part[0], batch_of_step(network.data, 0, step, 8, 1))

    def interrupted(step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return batches(step)

    with pytest.raises(KeyboardInterrupt, match="stopped after step 5, saved in .*; the same command goes on"):
        run(network, tmp_path, data=interrupted)
    assert checkpoint.read_note(tmp_path / LAST)["step"] == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same(run(network, tmp_path, data=batches), uninterrupted[0])


def test_full_disk_stops_with_the_earlier_checkpoint(network, tmp_path, monkeypatch):
    real = os.fsync
    count = []

    def full(number):
        count.append(number)
        if (tmp_path / (LAST + ".partial")).exists() and (tmp_path / LAST).exists():
            raise OSError(28, "No space left on device")
        real(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="last.safetensors could not be saved .*; that of step 3 stays"):
        run(network, tmp_path)
    assert checkpoint.read_note(tmp_path / LAST)["step"] == 3


def test_other_options_and_data_are_refused(network, uninterrupted):
    _, out = uninterrupted
    with pytest.raises(ValueError, match="options.rate was 0.02 and is 0.03"):
        run(network, out, rate=0.03)
    with pytest.raises(ValueError, match="data was"):
        run(network, out, data={"x": network.data["x"] + 1})
    with pytest.raises(ValueError, match="core.numbers was"):
        run(network, out, core=dataclasses.replace(network.core, deviation=jnp.float32(0.4)))


def test_diverging_rate_stops_and_keeps_the_best(network, tmp_path):
    with pytest.raises(training.DivergedError) as error:
        run(network, tmp_path, rate=1e4, gradient_norm=None, warmup=0, steps=40, divergence=3.0, held_out_every=100)
    said = str(error.value)
    assert f"in step {error.value.step} at a rate of " in said and ", above 3 times that of the start, 0." in said
    assert f"the best state, of step 0, is kept in {tmp_path}" in said
    best, _ = checkpoint.read_arrays(tmp_path / BEST, (jax.tree.map(np.asarray, network.params), {}))
    assert np.array_equal(best["first"], network.params["first"])


def test_loss_that_is_not_finite_stops_at_once(network):
    def batches(step):
        return {"x": network.data["x"][:8] * (np.nan if step == 3 else 1)}

    with pytest.raises(training.DivergedError, match="nan in step 3 at a rate of .*, no longer finite"):
        run(network, data=batches)


def test_patience_stops_when_held_out_data_do_not_improve(network):
    result = run(network, rate=1e-12, held_out_every=1, patience=3)
    assert result.stopped == "patience" and result.steps < 12
    assert result.steps == result.best_step + 3


def test_without_held_out_data_the_last_state_is_best(network, tmp_path):
    result = run(network, tmp_path, held_out=None, steps=5)
    assert result.best_step == 5 and result.figures["loss"] == result.losses[-1]
    assert run(network, tmp_path, held_out=None, steps=5).losses == result.losses


def test_exact_arithmetic_needs_no_core(network):
    """A distillation from itself starts, and stays, at 0 without noise."""
    result = run(network, core=None, steps=3)
    assert abs(result.at_start["loss"]) < 1e-6 and max(map(abs, result.losses)) < 0.05


@pytest.fixture(scope="module")
def noisy():
    """A product on light so faint that its noise is above the signal: (loss, params, batch, core)."""
    params, batch = np.ones((8, 4), np.float32), {"x": np.eye(8, dtype=np.float32)}

    def loss(params, batch, reference):
        return jnp.mean((batch["x"] @ params - 1.0) ** 2)

    return loss, params, batch, optics.with_photons_per_mac(optics.projected_2029(rows=8, columns=8), 10.0)


def test_noise_above_the_signal_is_refused_before_training_compiles(noisy):
    loss, params, batch, core = noisy
    compiled = start.stepping.step._cache_size()
    with pytest.raises(ValueError, match="noise of the core is above the signal .* dB at site '000 weights 8x4'"):
        training.train(loss, params, batch, core=core, options=training.Options(batch=8), progress=False)
    assert start.stepping.step._cache_size() == compiled


def test_some_noisy_sites_are_warned_of(noisy, monkeypatch):
    loss, params, batch, core = noisy
    options = training.Options(batch=8)
    program = plan(loss, None, params, batch, core, options)
    seen = start.stepping.observe(program.measured, params, params, core, start.numbers_of(options), batch)
    (found,) = seen.values()
    quiet = found._replace(error=found.signal / 100)
    monkeypatch.setattr(start.stepping, "observe", lambda *args: {**seen, "quiet": quiet})
    with pytest.warns(NoisySiteWarning, match="site '000 weights 8x4', and below 0 dB at 1 of 2 sites"):
        shown = observe(program.measured, params, params, core, start.numbers_of(options), batch, 0.0)
    assert shown.snr["quiet"] == pytest.approx(20.0, abs=1e-3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch": 64}, "data holds 40 examples, fewer than the 64 of a batch"),
        ({"held_out": {"x": np.zeros((2, 6), np.float32)}}, "held_out holds 2 examples, fewer than the 8 of a batch"),
        ({"device": "redrawn"}, "device = 'redrawn' needs a core with a serial number; this is a NoisyCore"),
        ({"knobs": {"clock": training.Knob(1.0, 2.0)}}, "knobs are numbers of a TensorCore or a CoresBySite"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(network, tmp_path, changes, message):
    with pytest.raises(ValueError) as error:
        run(network, tmp_path / "new", **changes)
    assert message in str(error.value) and not (tmp_path / "new").exists()


def test_loss_without_a_product_is_refused(network):
    with pytest.raises(ValueError, match="the loss multiplies no array of the parameters on a core"):
        training.train(
            lambda params, batch, reference: jnp.sum(params["first"]), network.params, network.data, core=network.core
        )
