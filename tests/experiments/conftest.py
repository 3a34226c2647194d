"""A tiny model that reads bytes, as a GGUF file, and a text for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from matplotlib.figure import Figure
from tokenizers.pre_tokenizers import ByteLevel

import models
from experiments.commands import run
from experiments.plotting import style

BYTES = (*sorted(ByteLevel.alphabet()), "ab")


@pytest.fixture
def byte_config() -> models.DecoderConfig:
    """A two-layer Llama whose tokens are bytes."""
    return models.DecoderConfig(
        hidden=32,
        intermediate=48,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        vocabulary=len(BYTES),
        context=128,
        tied_head=True,
        rope_theta=1e4,
    )


@pytest.fixture
def byte_model(write_gguf, random_params, tensors, byte_config) -> Path:
    """A GGUF file of a two-layer Llama whose tokens are bytes."""
    config, tokens = byte_config, BYTES

    def add_tokenizer(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(tokens)
        writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
        writer.add_token_merges(["a b"])

    return write_gguf(tensors(config, random_params(config)), config=config, edit=add_tokenizer)


@pytest.fixture
def text_file(tmp_path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("The quick brown fox jumps over the lazy dog; light adds what wires cannot. " * 4, encoding="utf-8")
    return path


@pytest.fixture
def given(byte_model, text_file, tmp_path) -> dict[str, Any]:
    """Options of a program that scores a model on a text: the tiny model, two short windows."""
    return {
        "text": str(text_file),
        "model": byte_model,
        "windows": 2,
        "window_tokens": 24,
        "out": tmp_path / "out",
    }


@pytest.fixture(autouse=True)
def _coarse_figures(monkeypatch) -> None:
    """Programs draw their figures at few pixels and leave their PDF empty: in full they are 15 to 20 % of a test.

    sweeps/plots/test_figures.py saves its figures in full, and so do fixtures of a module, as in bench/test_bench.py.
    """
    in_full = Figure.savefig

    def save(figure: Figure, path: Path, **options: Any) -> None:
        if path.suffix == ".pdf":
            path.touch()
        else:
            in_full(figure, path, **options | {"dpi": 40})

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture
def drawn(monkeypatch) -> dict[str, Figure]:
    """Figures by name, as the programs save them."""
    figures: dict[str, Figure] = {}
    save = style.save

    def keep(figure: Figure, folder: Path, name: str, *kinds: Any) -> None:
        figures[name] = figure
        save(figure, folder, name, *kinds)

    monkeypatch.setattr(style, "save", keep)
    return figures


@pytest.fixture
def assert_refused(capsys) -> Callable[[list[str], str], None]:
    """A program refuses these arguments: exit status 2, and one line that says why."""

    def check(arguments: list[str], message: str) -> None:
        assert run(arguments) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert message in error

    return check
