"""Folders of random weights: the shape they state, what they hold, and going on after an interruption."""

import dataclasses
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import models
from models.writing import random_folder

TINY = dataclasses.replace(
    models.LLAMA_3_1_8B, hidden=64, intermediate=96, layers=3, heads=4, kv_heads=2, head_dim=16, vocabulary=256
)
SHARD = 40_000


@pytest.fixture
def written(tmp_path):
    folder = tmp_path / "random"
    models.write_random(TINY, folder, seed=3, shard_bytes=SHARD, progress=False)
    return folder


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_random_checkpoint_has_the_shape_and_the_statistics_of_initialise(written):
    model = models.load(written, progress=False)
    assert model.config == TINY
    assert len(list(written.glob("*.safetensors"))) > 3
    assert not list(written.glob("*.part"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(model.params)} == {"bfloat16"}
    for path, leaf in jax.tree.flatten_with_path(model.params)[0]:
        name, values = path[-1].key, np.asarray(leaf, np.float32)
        if name.endswith("norm"):
            assert (values == 1).all()
        else:
            fan_in = values.shape[-1 if name == "embedding" else -2]
            errors = 5 / np.sqrt(values.size)
            assert np.mean(values) * fan_in**0.5 == pytest.approx(0, abs=errors)
            assert np.std(values) * fan_in**0.5 == pytest.approx(1, abs=errors)
    layers = np.asarray(model.params["layers"]["q"], np.float32)
    assert np.corrcoef(layers[0].ravel(), layers[1].ravel())[0, 1] == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("config", [models.MIXTRAL_8X7B, models.QWEN3_30B_A3B], ids=["mixtral", "qwen3-moe"])
def test_mixtures_are_written_too(tmp_path, config):
    mixture = models.Mixture(experts=4, per_token=2)
    small = dataclasses.replace(
        config, hidden=32, intermediate=16, layers=1, heads=2, kv_heads=1, head_dim=16, vocabulary=64, mixture=mixture
    )
    models.write_random(small, tmp_path, progress=False)
    assert models.load(tmp_path, progress=False).config == small


def test_interrupted_checkpoint_is_refused_and_goes_on_to_the_same_bytes(written, monkeypatch):
    complete = contents(written)
    (written / "config.json").unlink()
    (written / "model.safetensors.index.json").unlink()
    lost = sorted(written.glob("*.safetensors"))[1]
    lost.rename(f"{lost}.part")
    with pytest.raises(ValueError, match="folder without config.json"):
        models.load(written)
    drawn = []
    original = random_folder._drawn
    monkeypatch.setattr(random_folder, "_drawn", lambda shard, seed: drawn.append(shard) or original(shard, seed))
    models.write_random(TINY, written, seed=3, shard_bytes=SHARD, progress=False)
    assert contents(written) == complete
    assert len(drawn) == 1


def test_other_seed_and_other_shape_are_refused_in_a_folder_that_holds_weights(written):
    with pytest.raises(ValueError, match=r"model-00001-of-.* is of another shape, seed or size of shards"):
        models.write_random(TINY, written, seed=4, shard_bytes=SHARD, progress=False)
    with pytest.raises(ValueError, match="which is not of this checkpoint: name another folder"):
        models.write_random(dataclasses.replace(TINY, layers=1), written, shard_bytes=SHARD, progress=False)


def test_disk_without_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with pytest.raises(ValueError, match=r"16\.1 GB are to be written, and the disk has 1\.0 GB"):
        models.write_random(models.LLAMA_3_1_8B, tmp_path / "large")
    assert not (tmp_path / "large").exists()


def test_shape_that_no_written_family_has_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json of llama, .* states this shape"):
        models.write_random(models.GPT_OSS_120B, tmp_path)
