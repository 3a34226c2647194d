"""A tiny model that reads bytes, as a GGUF file, a text for it, and figures whose texts must keep apart."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
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


def assert_nothing_collides(figure: Figure) -> None:
    """Assert that the texts of a figure keep apart.

    No two of them overlap, none lies across the left or lower edge of a panel, none widens the figure beyond panels,
    tick labels and legends, and no legend covers a bar, a line or a marker.
    """
    figure.draw_without_rendering()
    texts = {text: text.get_window_extent().padded(-1) for text in _visible_texts(figure)}
    for (one, box), (other, beside) in itertools.combinations(texts.items(), 2):
        # The box around a slanted text is far larger than the text.
        if one.get_rotation() % 90 == 0 == other.get_rotation() % 90:
            assert not box.overlaps(beside), f"{one.get_text()!r} and {other.get_text()!r} overlap"
    for axes in figure.axes:
        frame = axes.get_window_extent()
        for text in axes.texts:
            if (box := texts.get(text)) is not None and axes.axison:
                aside = box.y1 < frame.y0 or box.y0 > frame.y1 or box.x1 < frame.x0 or box.x0 > frame.x1
                across = (box.x0 < frame.x0 < box.x1 or box.y0 < frame.y0 < box.y1) and not aside
                assert not across, f"{text.get_text()!r} lies across an axis"
    edge = max(
        [figure.bbox.x1]
        + [box.x1 for axes in figure.axes for label in axes.get_xticklabels() if (box := texts.get(label))]
        + [legend.get_window_extent().x1 for legend in _legends(figure)]
    )
    for text, box in texts.items():
        assert box.x1 <= edge + 1, f"{text.get_text()!r} reaches beyond the figure"
    for legend in _legends(figure):
        box = legend.get_window_extent()
        for axes in figure.axes:
            for patch in axes.patches:
                assert not box.overlaps(patch.get_window_extent()), "a legend covers a bar"
            for line in axes.lines:
                corners = line.get_transform().transform(line.get_xydata())
                corners = corners[np.all(np.isfinite(corners), axis=1)]
                if line.get_linestyle() != "None" and len(corners) > 1:
                    along = np.linspace(0, len(corners) - 1, 20 * len(corners))
                    corners = np.column_stack([np.interp(along, np.arange(len(corners)), part) for part in corners.T])
                assert not box.count_contains(corners), "a legend covers a line"


def _visible_texts(figure: Figure) -> list[Text]:
    """Texts that are drawn: all but empty and hidden ones and labels of ticks beyond the limits."""
    texts = [text for text in figure.texts if text.get_text()]
    texts += [text for legend in _legends(figure) for text in (*legend.get_texts(), legend.get_title())]
    for axes in figure.axes:
        texts += [child for child in axes.get_children() if isinstance(child, Text)]
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            texts.append(axis.label)
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    texts += [label for label in (tick.label1, tick.label2) if label.get_visible()]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def _legends(figure: Figure) -> list[Legend]:
    return [*figure.legends, *(own for axes in figure.axes if (own := axes.get_legend()) is not None)]


@pytest.fixture
def nothing_collides() -> Callable[[Figure], None]:
    """The check that texts of a figure keep apart."""
    return assert_nothing_collides


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
