"""A model whose layers are read from its files runs on a core as the one in memory does, draw by draw."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import models
import optics
from electronics import IntegerCore
from experiments.commands import run
from experiments.common import text_options
from experiments.common.text_options import load_model
from experiments.evaluation.agreement import scored
from experiments.evaluation.measure import measure
from experiments.evaluation.records import EvaluationCase
from experiments.programs import prefill
from experiments.sweeps import Text
from experiments.sweeps.subjects import text

FIXTURES = Path(__file__).parents[2] / "models" / "fixtures"
KEY = jax.random.key(3)
CORE = optics.today(rows=16, columns=16)


def both(name):
    return tuple(models.load(FIXTURES / name, progress=False, stream=stream) for stream in (False, True))


def tokens_of(name):
    return jnp.asarray(load_file(FIXTURES / name / "expected.safetensors")["tokens"][:1])


@pytest.mark.parametrize("name", ["llama-3", pytest.param("gemma2", marks=pytest.mark.slow)])
def test_streamed_model_has_the_sites_and_the_noise_of_the_one_in_memory(name):
    """Gemma 2 runs two layers in each step of its loop."""
    whole, streamed = both(name)
    tokens = tokens_of(name)
    assert optics.trace(streamed.forward)(streamed.params, tokens) == optics.trace(whole.forward)(whole.params, tokens)
    expected = jax.jit(optics.emulate(whole.forward))(CORE, KEY, whole.params, tokens)
    found = jax.jit(optics.emulate(streamed.forward))(CORE, KEY, streamed.params, tokens)
    exact = jax.jit(streamed.forward)(streamed.params, tokens)
    largest = np.abs(expected).max()
    assert np.abs(expected - exact).max() > 0.05 * largest
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * largest)


@pytest.mark.slow
def test_gradient_in_the_numbers_of_a_core_is_that_of_the_model_in_memory():
    """As the descent of `otc target` needs it: the backward pass reads the layers again, from the last on."""

    def slope(model):
        def loss(power, params, tokens, reference):
            core = CORE.replace({"source.power": power})
            return optics.emulate(scored(model.forward))(core, KEY, params, tokens, reference).kl

        reference = jax.jit(model.forward)(model.params, tokens)
        return float(jax.jit(jax.grad(loss))(CORE.source.power, model.params, tokens, reference))

    tokens = tokens_of("llama-2")
    whole, streamed = both("llama-2")
    assert slope(streamed) == pytest.approx(slope(whole), rel=1e-3)
    assert slope(streamed) != 0


def test_measure_scores_streamed_windows_as_those_in_memory(tmp_path):
    windows = np.asarray(load_file(FIXTURES / "llama-2" / "expected.safetensors")["tokens"])
    w8a8 = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=1e-13)
    cases = [EvaluationCase(name=name, core=core, windows=2) for name, core in (("exact", None), ("w8a8", w8a8))]
    whole, streamed = (
        measure(model, windows, cases, 0, tmp_path / f"{model.streamed}.sqlite") for model in both("llama-2")
    )
    for name in ("exact", "w8a8"):
        for one, other in zip(streamed[name].windows, whole[name].windows, strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_measure_does_not_hold_all_masks_of_a_streamed_model(tmp_path, monkeypatch):
    """The next window is run in the same program, and an interrupted run goes on from those that are stored."""
    monkeypatch.setattr(optics, "load", lambda *given, **options: lambda *given: pytest.fail("all masks were loaded"))
    windows = np.asarray(load_file(FIXTURES / "llama-2" / "expected.safetensors")["tokens"])
    model = both("llama-2")[1]
    cases = [EvaluationCase(name="light", core=CORE, windows=2)]
    first = measure(model, windows, cases, 0, tmp_path / "results.sqlite")
    assert all(window["kl"] > 0 for window in first["light"].windows)
    monkeypatch.setattr(type(model), "forward", lambda *given: pytest.fail("a stored window was computed again"))
    assert measure(model, windows, cases, 0, tmp_path / "results.sqlite") == first


def test_streaming_is_chosen_where_the_parameters_exceed_a_third_of_memory(monkeypatch):
    folder = FIXTURES / "llama-2"
    size = models.float32_bytes(folder)
    assert size == 4 * models.parameter_count(models.read_config(folder))
    for memory, streamed in ((4 * size, False), (2 * size, True)):
        values = {"SC_PHYS_PAGES": memory // 16, "SC_PAGE_SIZE": 16}
        monkeypatch.setattr(text_options.os, "sysconf", values.__getitem__)
        assert load_model(folder, "auto").streamed == streamed
        assert load_model(folder, "yes").streamed
        assert not load_model(folder, "no").streamed


def test_prefill_of_an_ideal_core_has_the_digital_logits(tmp_path, capsys):
    options = prefill.PrefillOptions(
        FIXTURES / "llama-2", on=("read", "digital", "ideal"), tokens=8, stream="yes", out=tmp_path
    )
    summary = prefill.main(options)
    assert summary["streamed"]
    assert [row["on"] for row in summary["rows"]] == ["read", "digital", "ideal"]
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 1e7 for row in summary["rows"])
    worst, kl = summary["rows"][2]["worst_difference"], summary["rows"][2]["kl"]
    assert worst is not None and worst < 1e-5
    assert kl == pytest.approx(0, abs=1e-6)
    assert re.search(r"llama-2, 0\.00 billion parameters, streamed, 8 tokens", capsys.readouterr().out)


def test_nan_that_is_found_during_a_run_is_one_line(tmp_path, capsys):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((FIXTURES / "llama-2" / name).read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = np.nan
    save_file(tensors, tmp_path / "model.safetensors")
    arguments = ["prefill", str(tmp_path), "--on", "digital", "--tokens", "8", "--stream", "yes"]
    assert run([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(
        f"error: {tmp_path}/model.safetensors: tensor 'model.layers.1.mlp.up_proj.weight' holds NaN"
    )


TINY = str(FIXTURES / "llama-2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prefill", TINY, "--on", "digitl"], "digitl"),
        (["prefill", TINY, "--tokens", "100000"], "more than the context"),
        (
            ["prefill", str(FIXTURES / "llama-2"), "--on", "read", "--stream", "no", "--tokens", "8"],
            "the model is in memory",
        ),
        (["random-checkpoint", "llama-3.1-9b", "folder"], "no model 'llama-3.1-9b'"),
        (["random-checkpoint", "gpt-oss-120b", "folder"], "no config.json of"),
        (["width", "--stream", "yes"], "stream = 'yes' must be 'no'"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    assert message in capsys.readouterr().err


def test_sweep_of_a_text_names_its_streaming_and_does_not_store_it():
    assert "stream" not in Text(stream="yes").describe()
    with pytest.raises(ValueError, match=r"on\.stream = 'maybe' must be one of auto, yes, no"):
        Text(stream="maybe").check()  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_sweep_of_a_streamed_text_has_the_scores_of_the_one_in_memory(byte_model, text_file, monkeypatch):
    """Two cores at once under vmap, and two windows one after the other."""

    monkeypatch.setattr(text, "TOKENS_PER_CALL", 40)

    def scores(stream):
        loaded = Text(text=str(text_file), model=str(byte_model), stream=stream, windows=2, window_tokens=40).load()
        assert loaded.checkpoint.streamed == (stream == "yes")

        def score(power, operands):
            core = CORE.replace({"source.power": power})
            return loaded.score(core, KEY, jnp.uint32(1), operands, ("kl", "delta_nll"))

        powers = CORE.source.power * jnp.asarray([1.0, 4.0])
        return jax.jit(jax.vmap(score, in_axes=(0, None)))(powers, loaded.operands)

    found, expected = scores("yes"), scores("no")
    assert found["kl"].shape == (2, 2)
    assert np.all(np.asarray(expected["kl"])[0] > np.asarray(expected["kl"])[1])
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4)
