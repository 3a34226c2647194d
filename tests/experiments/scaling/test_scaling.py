"""Tiny models that are trained here, the row of a model on a core, and `otc scaling` from options to figure."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from experiments.common.result_cache import ResultCache
from experiments.scaling import family, program, rows, training
from experiments.scaling.options import ScalingOptions

TEXT = "Light adds what wires cannot; the quick brown fox jumps over the lazy dog. " * 80
SMALL = family.Size(16, 1)


@pytest.fixture
def trainer(tmp_path):
    """A trainer on a text of two sentences."""
    path = tmp_path / "train.txt"
    path.write_text(TEXT, encoding="utf-8")
    cache = ResultCache(tmp_path / "results.sqlite", training.__name__)
    yield training.Trainer(str(path), 3.6, 200, tmp_path / "models", cache)
    cache.close()


def test_bytes_are_tokens_of_any_text():
    tokenizer = family.byte_tokenizer()
    text = "naïve 12 🦊\n\n  x"
    ids = tokenizer.encode(text)
    assert len(ids) == len(text.encode())
    assert ids.max() < 256
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("size", ["32x2", "160x4"])
def test_shape_is_llamas_and_counts_as_stated(size):
    found = family.parsed(size)
    config = family.config_of(found, 256)
    width, mlp = found.width, config.intermediate
    counted = 256 * width + found.layers * (4 * width**2 + 3 * width * mlp + 2 * width) + width
    assert models.parameter_count(config) == counted
    assert 8 / 3 * width <= mlp < 8 / 3 * width + 16
    assert str(found) == size


def test_training_ends_at_its_loss_and_a_second_call_reads_the_folder(trainer, monkeypatch):
    found, known = trainer.trained(SMALL, 0)
    assert known["loss"] <= trainer.target_loss
    assert 0 < known["steps"] < trainer.most_steps
    assert known["tokens"] == known["steps"] * training.BATCH * training.WINDOW
    # The loss is that of the text's last tenth, by the checkpoint that was written.
    tokens = found.tokenizer.encode(TEXT)
    windows = models.windows(tokens, len(tokens) // training.WINDOW, training.WINDOW)[-2:]
    logits = found.forward(found.params, jnp.asarray(windows))
    assert float(jnp.mean(models.next_token_losses(logits, jnp.asarray(windows)))) == pytest.approx(known["loss"], 1e-5)

    def train(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "train", train)
    again, same = trainer.trained(SMALL, 0)
    assert same == known
    jax.tree.map(np.testing.assert_array_equal, again.params, found.params)
    with pytest.raises(AssertionError, match="trained again"):
        trainer.trained(SMALL, 1)


def test_loss_out_of_reach_is_refused_with_what_was_reached(trainer):
    tokens = family.byte_tokenizer().encode(TEXT)
    config = family.config_of(SMALL, training.WINDOW)
    with pytest.raises(ValueError, match=r"16x1 with seed 0 has a loss of \d\.\d+ nats per byte after 10 steps"):
        training.train(config, tokens, 0, 0.1, 10, "16x1")
    with pytest.raises(ValueError, match="the text has 600 tokens; training takes at least 1280"):
        training.train(config, tokens[:600], 0, 0.1, 10, "16x1")


def test_row_states_light_loss_and_what_the_light_sees(tmp_path, levels):
    config = family.config_of(SMALL, training.WINDOW)
    tokenizer = family.byte_tokenizer()
    checkpoint = models.Checkpoint(
        config=config,
        params=models.initialise(config, jax.random.key(0)),
        vocabulary=tokenizer,
        source=tmp_path,
        sha256="of the test",
    )
    windows = models.windows(tokenizer.encode(TEXT), 2, 24)
    core = optics.preset("projected_2029", rows=16, columns=16)
    model = rows.Measured("16x1", "tiny", checkpoint, windows, 0)
    found = rows.row_of(model, core, levels, 0, tmp_path / "results.sqlite")
    assert (found["width"], found["layers"], found["bytes_per_token"]) == (16, 1, 1.0)
    assert set(found["sites"]) == {"q", "k", "v", "o", "gate", "up", "down", "head"}
    # P l / (f h nu M) of a mean drive l, in numbers of the core.
    energy = 6.62607015e-34 * 299792458 / float(core.source.wavelength)
    for point in found["points"]:
        launched = point["source_power_w"] * found["mean_drive"] / (float(core.clock) * energy * core.columns)
        assert launched == pytest.approx(point["photons_per_mac"], rel=1e-4)
    kl = [point["kl"] for point in found["points"]]
    noise = [point["noise"] for point in found["points"]]
    assert sorted(kl, reverse=True) == kl
    assert sorted(noise, reverse=True) == noise
    slope = np.polyfit(np.log(noise), np.log(kl), 1)[0]
    assert found["exponent"] == pytest.approx(slope)


def test_noise_is_the_mean_of_error_over_signal_in_linear_units():
    figures: Any = {"a": {"snr_db": [10.0, None]}, "b": {"snr_db": [20.0]}}
    assert rows.mean_noise(figures) == pytest.approx((0.1 + 0 + 0.01) / 3)


@pytest.fixture
def options(given, levels, tmp_path):
    """Options of a run of four sizes on texts of the test."""
    other = tmp_path / "other.txt"
    other.write_text(TEXT, encoding="utf-8")
    return given | {
        "train_on": str(other),
        "sizes": ("16x1", "32x1", "16x2", "32x2"),
        "photons": levels,
        "target_loss": 5.5,
        "models": (given["model"],),
        "tiny_windows": 2,
    }


def test_program_fits_the_tiny_models_tests_the_large_one_and_draws(
    options, row, drawn, nothing_collides, capsys, monkeypatch
):
    def train(config, tokens, seed, target_loss, most_steps, name):
        return models.initialise(config, jax.random.key(seed)), 10, 5.0

    def row_of(model, core, photons, noise_seed, cache_path):
        config = model.checkpoint.config
        count = models.parameter_count(config)
        kl = 0.02 * count**0.1 if model.group == "tiny" else 1.3
        found = row(model.name, model.group, config.hidden, config.layers, count, kl, seed=model.seed)
        return found | {"training": model.training}

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(program, "row_of", row_of)
    summary = program.main(ScalingOptions(**options))
    assert summary == json.loads((options["out"] / "summary.json").read_text(encoding="utf-8"))
    assert [each["group"] for each in summary["rows"]] == ["tiny"] * 8 + ["tested", "other"]
    # Of four sizes a law in two of them has no error.
    assert len(summary["fits"]) == 12
    assert "no extrapolation to larger ones is offered" in summary["statement"]
    printed = capsys.readouterr().out
    assert summary["statement"] in printed
    for fit in summary["fits"]:
        assert f"{fit['predicted']:.3g}" in printed
    figure = drawn["scaling"]
    nothing_collides(figure)
    light, law, every = figure.axes
    assert [line.get_label() for line in light.lines][:4] == ["16x1", "32x1", "16x2", "32x2"]
    assert len(every.get_yticklabels()) == 12
    assert law.get_xlabel() == "parameters"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "32x2", "64x2", "48x6", "33x2"], "sizes holds '33x2'; a size is WIDTHxLAYERS"),
        (["--sizes", "32x2", "64x2", "48x6"], "must be 4 different ones or more"),
        (["--sizes", "32x2", "64x2", "48x2", "96x2"], "have one depth: nothing can be fitted against it"),
        (["--photons", "3000", "1000"], "must be numbers above 0 that rise"),
        (["--reference", "5000"], "reference = 5000 must be one of photons"),
        (["--train-on", "owt_5"], "train_on = owt_5 is the text that is scored"),
        (["--target-loss", "6"], "target_loss = 6.0 must be above 0 and at most ln 256"),
        (["--window-tokens", "512"], "window_tokens = 512 must be at most 256"),
        (["--seeds", "0", "0"], "must be different numbers"),
        (["--shapes", "llama"], "shapes holds 'llama'; known: "),
        (["--models", "nowhere"], "nowhere"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments, message, assert_refused):
    assert_refused(["scaling", *arguments], message)
