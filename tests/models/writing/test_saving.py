"""A saved checkpoint is read back to the last bit, is there as a whole or not at all, and replaces nothing unasked."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import tokenizers
import tokenizers.models
from safetensors import safe_open

import models
from models import equivalent
from models.writing import saving

FIXTURES = Path(__file__).parents[1] / "fixtures"


def assert_same(read: models.Checkpoint, model: models.Checkpoint) -> None:
    assert read.config == model.config
    assert read.family is model.family
    assert jax.tree.structure(read.params) == jax.tree.structure(model.params)
    for new, old in zip(jax.tree.leaves(read.params), jax.tree.leaves(model.params), strict=True):
        assert new.dtype == old.dtype
        np.testing.assert_array_equal(new, old)


def test_saved_family_is_read_back_as_it_is_and_changed(tmp_path, plain_decoder):
    model = models.load(FIXTURES / plain_decoder, progress=False)
    models.save(model, tmp_path / "plain")
    assert_same(models.load(tmp_path / "plain", progress=False), model)
    changed = equivalent.rotate_down(equivalent.untie_head(model), 5)
    models.save(changed, tmp_path / "changed")
    assert_same(models.load(tmp_path / "changed", progress=False), changed)
    stated = json.loads((tmp_path / "changed" / "config.json").read_text())
    assert stated["model_type"] == f"{model.family.folder.names[0]}+down_rotation"
    assert stated["down_rotation"] == {"seed": 5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changed", "plain"]


def test_family_whose_files_change_a_parameter_is_refused_by_name(tmp_path):
    model = models.load(FIXTURES / "deepseek-v3", progress=False)
    with pytest.raises(ValueError, match="'dense/kv_down' is not written: files of 'deepseek_v3' change it"):
        models.save(model, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_saved_shards_are_read_by_the_safetensors_library(tmp_path):
    model = models.load(FIXTURES / "smollm2", progress=False)
    models.save(model, tmp_path / "saved", shard_bytes=3000)
    assert_same(models.load(tmp_path / "saved", progress=False), model)
    files = sorted((tmp_path / "saved").glob("*.safetensors"))
    assert len(files) > 2
    index = json.loads((tmp_path / "saved" / "model.safetensors.index.json").read_text())
    for path in files:
        with safe_open(path, framework="numpy") as file:
            assert {name for name, place in index["weight_map"].items() if place == path.name} == set(file.keys())


def test_gguf_model_is_saved_with_its_tokenizer_and_prompts(tmp_path, config, params, tensors, write_gguf):
    texts = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "ab", *"cdefghijk"]

    def edit(writer):
        writer.add_tokenizer_model("llama")
        writer.add_token_list(texts)
        writer.add_token_scores([-float(number) for number in range(len(texts))])
        writer.add_token_types([2, 3, 3, *[1] * (len(texts) - 3)])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_chat_template("{{ messages[0]['content'] }}")

    plain = dataclasses.replace(config, rope_scaling=None)
    model = models.load(write_gguf(tensors(plain), edit=edit), progress=False)
    models.save(model, tmp_path / "saved")
    read = models.load(tmp_path / "saved", progress=False)
    assert_same(read, model)
    np.testing.assert_array_equal(read.prompt("a ab"), model.prompt("a ab"))
    assert dataclasses.replace(read.prompts, source="") == dataclasses.replace(model.prompts, source="")


def test_folder_with_its_tokenizer_is_saved_with_it(tmp_path):
    shutil.copytree(FIXTURES / "llama-2", tmp_path / "given")
    (tmp_path / "given" / "expected.safetensors").unlink()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"here": 0, "there": 5}, "here"))
    tokenizer.save(str(tmp_path / "given" / "tokenizer.json"))
    (tmp_path / "given" / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 3]}))
    (tmp_path / "given" / "chat_template.jinja").write_text("{{ messages }}")
    model = models.load(tmp_path / "given", progress=False)
    models.save(model, tmp_path / "saved")
    read = models.load(tmp_path / "saved", progress=False)
    np.testing.assert_array_equal(read.tokenizer.encode("there"), [5])
    assert read.prompts.stop_tokens == (2, 3)
    assert read.prompts.chat_template == "{{ messages }}"


@pytest.fixture
def llama():
    return models.load(FIXTURES / "llama-2", progress=False)


def test_folder_that_holds_something_is_not_replaced_unasked(tmp_path, llama):
    models.save(llama, tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    with pytest.raises(ValueError, match=r"holds config\.json already: name another folder, or replace it"):
        models.save(llama, tmp_path / "saved")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == before
    changed = equivalent.rotate_values(llama, 0)
    models.save(changed, tmp_path / "saved", overwrite=True)
    assert_same(models.load(tmp_path / "saved", progress=False), changed)
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes\.txt, which is no file of a checkpoint"):
        models.save(llama, tmp_path / "saved", overwrite=True)
    with pytest.raises(ValueError, match="is a file; a folder is expected"):
        models.save(llama, tmp_path / "saved" / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_interrupted_save_leaves_what_was_there(tmp_path, llama, monkeypatch):
    models.save(llama, tmp_path / "saved")

    def fail(*given):
        raise OSError("no space left on device")

    monkeypatch.setattr(saving, "_write_prompts", fail)
    with pytest.raises(OSError, match="no space left"):
        models.save(equivalent.rotate_values(llama, 0), tmp_path / "saved", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert_same(models.load(tmp_path / "saved", progress=False), llama)


def test_disk_without_room_is_refused_before_anything_is_written(tmp_path, llama, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(ValueError, match=r"0\.0 GB are to be written, and the disk has 0\.0 GB"):
        models.save(llama, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_by_name(tmp_path, llama):
    streamed = models.load(FIXTURES / "llama-2", progress=False, stream=True)
    window = dataclasses.replace(llama, config=dataclasses.replace(llama.config, window=4))
    short = dataclasses.replace(llama, params=llama.params | {"norm": llama.params["norm"][:-1]})
    wide = dataclasses.replace(llama, params=llama.params | {"norm": np.asarray(llama.params["norm"], np.float64)})
    more = dataclasses.replace(llama, params=llama.params | {"adapter": llama.params["norm"]})
    encoder = models.load(FIXTURES / "bert", family=models.BERT, progress=False)
    for model, message in (
        (streamed, "is streamed"),
        (window, "a config.json of 'llama' does not state window = 4"),
        (short, "parameter 'norm' has shape"),
        (wide, r"tensor 'model\.norm\.weight' is of float64; it must be of one of float32"),
        (more, "the parameters and the config differ in adapter"),
        (encoder, "a config.json is written of decoders; .* has a EncoderConfig"),
    ):
        with pytest.raises(ValueError, match=message):
            models.save(model, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama' and down_rotation is {'seed': 5}; one needs the other"),
        ({"down_rotation": 5}, "down_rotation is 5; it must be an object with a seed"),
        ({"down_rotation": {"seed": -5}}, r"Rotation\.seed is -5"),
    ],
)
def test_config_with_a_feature_named_and_not_stated_is_refused(tmp_path, llama, change, message):
    models.save(equivalent.rotate_down(llama, 5), tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        models.load(tmp_path / "saved")
