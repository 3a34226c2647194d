"""`otc embed` on a tiny encoder: agreement by hand, a probe that finds its optimum, and what it refuses."""

import json

import jax
import numpy as np
import pytest

import models
import optics
from experiments.programs import embed


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A tiny BERT, and headlines of which the satirical ones begin with another token."""
    config = models.EncoderConfig(hidden=32, intermediate=48, layers=2, heads=4, vocabulary=64, context=32)
    noise = np.random.default_rng(1)

    def leaf(path, shape):
        name = path[-1].key
        one = name.endswith("norm")
        spread = 0.1 if len(shape.shape) < 3 and name != "embedding" else shape.shape[-2] ** -0.5
        return (one + spread * noise.normal(size=shape.shape)).astype(np.float32)

    params = jax.tree.map_with_path(leaf, models.encoder_shapes(config))
    words = np.random.default_rng(2).integers(2, 64, (60, 6))
    satirical = np.arange(60) % 2 == 0
    words[:, 0] = satirical

    class Tokenizer:
        def encode(self, text, ends):
            return np.array([int(word) for word in text.split()], np.int32)

    checkpoint = models.Checkpoint(
        config=config, params=params, vocabulary=None, source=tmp_path, sha256="", family=models.BERT
    )
    checkpoint.__dict__["tokenizer"] = Tokenizer()
    texts = [" ".join(map(str, row)) for row in words]
    monkeypatch.setattr(models, "load_headlines", lambda count: (texts[:count], satirical[:count]))
    monkeypatch.setattr(models, "fetch_encoder", lambda: tmp_path)
    monkeypatch.setattr(models, "load", lambda path, family: checkpoint)
    return checkpoint


def test_agreement_falls_with_the_light(tiny, tmp_path, capsys):
    core = optics.today()
    optics.serialise.save(core.replace({"effects": optics.Effects.only()}), tmp_path / "ideal.toml")
    options = embed.EmbedOptions(
        presets=("today",), core=tmp_path / "ideal.toml", train=40, test=15, longest=6, batch=10, out=tmp_path / "out"
    )
    summary = embed.main(options)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    digital, today, ideal = summary["rows"]
    for row in (digital, ideal):
        assert row["cosine"] == pytest.approx(1.0, abs=1e-5)
        assert (row["neighbour"], row["delta"]) == (1.0, 0.0)
    assert 0.5 < today["cosine_low"] < today["cosine"] < 0.9999
    assert today["delta"] == pytest.approx(today["accuracy"] - digital["accuracy"])
    assert digital["accuracy"] > 0.6
    assert f"{today['cosine']:.4f}" in capsys.readouterr().out


def test_probe_is_at_the_optimum_of_its_loss():
    """The gradient of the penalised loss is 0, computed apart from the program by finite differences."""
    noise = np.random.default_rng(0)
    embeddings, labels = noise.normal(size=(50, 4)), noise.random(50) > 0.4
    probe = embed._trained(embeddings, labels)

    def loss(weights):
        margins = np.where(labels, 1, -1) * (embeddings @ weights[:-1] + weights[-1])
        return np.log1p(np.exp(-margins)).sum() + 0.5 * np.sum(weights[:-1] ** 2)

    for step in np.eye(5) * 1e-4:
        assert abs(loss(probe + step) - loss(probe - step)) / 2e-4 < 1e-3
    assert np.mean(embed._right(embeddings, probe, labels)) > 0.5


def test_nearest_is_another_text():
    np.testing.assert_array_equal(embed._nearest(np.array([[1.0, 0], [0, 1], [0.9, 0.1]])), [2, 2, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "28000", "--test", "1000"], "train + test = 29000 must be at most 28614 headlines"),
        (["--longest", "1"], "longest = 1 must be a whole number, at least 2"),
        (["--presets", "tomorrow"], "tomorrow"),
        (["--core", "today.toml"], "core = today.toml: there is a row 'today' already; rename the file"),
    ],
)
def test_impossible_options_are_refused(arguments, message, assert_refused):
    assert_refused(["embed", *arguments], message)
