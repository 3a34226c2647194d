"""A Hugging Face folder stands where a GGUF file does: in the options of programs and as the subject of a sweep."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import models
from experiments.common.text_options import TextOptions
from experiments.sweeps.subjects.text import Text

FIXTURE = Path(__file__).parents[2] / "models" / "fixtures" / "qwen3"
LETTERS = " abcdefghijklmnopqrstuvwxyz.,;T"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tiny Qwen3 whose tokens are letters."""
    path = tmp_path / "model"
    shutil.copytree(FIXTURE, path)
    (path / "expected.safetensors").unlink()
    vocabulary = {letter: number for number, letter in enumerate(LETTERS)}
    tokenizer = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    return path


def test_options_load_a_folder(folder, text_file):
    options = TextOptions(model=folder, text=str(text_file), windows=2, window_tokens=16)
    options.check()
    checkpoint, windows = options.load()
    assert isinstance(checkpoint.config, models.DecoderConfig) and checkpoint.config.query_key_norm
    assert windows.shape == (2, 16)
    text = "".join(LETTERS[token] for token in windows.reshape(-1))
    assert text_file.read_text(encoding="utf-8").startswith(text)
    assert options.described()["model"] == str(folder)


def test_a_sweep_over_a_folder_scores_its_windows(folder, text_file):
    subject = Text(model=str(folder), text=str(text_file), windows=2, window_tokens=16)
    subject.check()
    loaded = subject.load()
    params, tokens, reference, nll = loaded.operands
    assert reference.shape == (2, 16, 64)
    np.testing.assert_allclose(reference, models.load(folder, progress=False).forward(params, tokens), atol=1e-4)
    assert np.isfinite(nll).all() and loaded.macs > 0


def test_windows_beyond_the_context_are_refused_before_anything_is_read(folder, text_file, monkeypatch):
    monkeypatch.setattr("models.load", lambda *given, **more: pytest.fail("the model was loaded"))
    with pytest.raises(ValueError, match=r"^window_tokens = 65 is more than the context of .*model, 64 tokens$"):
        TextOptions(model=folder, text=str(text_file), window_tokens=65).check()
    with pytest.raises(ValueError, match=r"^on.window_tokens = 100 is more than the context of"):
        Text(model=str(folder), text=str(text_file), window_tokens=100).check()
