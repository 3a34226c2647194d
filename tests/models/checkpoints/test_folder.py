"""A folder that is damaged, incomplete or of another kind is refused in one line, before any tensor is read."""

import json
import os
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import models
from models.checkpoints import mxfp4
from models.checkpoints.filling import fill
from models.checkpoints.stored_tensor import StoredTensor

SHARD = "model-00002-of-00004.safetensors"
INDEX = "model.safetensors.index.json"


def load(path):
    return models.load(path, progress=False)


@pytest.fixture
def refused(monkeypatch):
    """Loading raises with this message, and no tensor is read."""

    def check(path: Path, message: str, kind=ValueError) -> None:
        monkeypatch.setattr("models.checkpoints.checkpoint.fill", lambda *given: pytest.fail("tensors were read"))
        with pytest.raises(kind, match=message):
            load(path)

    return check


def edit(path: Path, **changes) -> None:
    fields = json.loads(path.read_text())
    for name, value in changes.items():
        fields[name] = value
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not ...}))


def edit_tensors(path: Path, change) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_load_of_shards_and_of_one_file_gives_equal_parameters(given, copied):
    """The index is no part of the model."""
    folder, whole = copied("llama-3"), {}
    for path in sorted(folder.glob("model*.safetensors")):
        whole |= load_file(path)
        path.unlink()
    (folder / INDEX).unlink()
    save_file(whole, folder / "model.safetensors")
    model = load(folder)
    expected = given("llama-3").model
    assert model.config == expected.config and model.sha256 != expected.sha256
    for name in ("embedding", "norm", "head"):
        np.testing.assert_array_equal(model.params[name], expected.params[name])


def test_digest_follows_weights_and_config(copied):
    folder = copied("qwen3")
    before = load(folder).sha256
    assert load(folder).sha256 == before
    edit(folder / "config.json", unheard_of=1)
    other = load(folder).sha256
    edit_tensors(folder / "model.safetensors", lambda t: t.update({"model.norm.weight": t["model.norm.weight"] + 1}))
    assert len({before, other, load(folder).sha256}) == 3


def test_read_config_reads_no_tensor(copied):
    folder = copied("gemma3")
    (folder / "model.safetensors").write_bytes(b"")
    assert models.read_config(folder).window == 4


def test_a_truncated_shard_is_named(copied, refused):
    folder = copied("llama-3")
    size = (folder / SHARD).stat().st_size - 16
    os.truncate(folder / SHARD, size)
    refused(folder, rf"{SHARD} is a safetensors file that cannot be read: .*shorter \({size} bytes\)")


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"PK\x03\x04" * 8, struct.pack("<Q", 2**60) + b"{}"])
def test_a_header_that_is_none_is_refused(copied, refused, content):
    folder = copied("llama-3")
    (folder / SHARD).write_bytes(content)
    refused(folder, f"{SHARD} is a safetensors file that cannot be read")


def test_a_header_of_tensors_beyond_the_file_allocates_nothing(copied, refused):
    folder = copied("qwen3")
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refused(folder, "model.safetensors is a safetensors file that cannot be read")


def test_a_missing_tensor_is_named(copied, refused):
    folder = copied("qwen3")
    name = "model.layers.1.self_attn.k_norm.weight"
    edit_tensors(folder / "model.safetensors", lambda tensors: tensors.pop(name))
    refused(folder, f"qwen3: tensor '{name}' is missing")


def test_a_tensor_that_its_shard_lacks_is_named_with_the_file(copied, refused):
    folder = copied("llama-3")
    name = next(iter(load_file(folder / SHARD)))
    edit_tensors(folder / SHARD, lambda tensors: tensors.pop(name))
    refused(folder, f"tensor '{name}' is missing in .*{SHARD}, where {INDEX} places it")


def test_an_index_that_names_a_missing_file_is_refused(copied, refused):
    folder = copied("llama-3")
    (folder / SHARD).unlink()
    refused(folder, rf"{INDEX} places tensor 'model\..*' in {SHARD}, and there is no such file")


@pytest.mark.parametrize("place", ["../outside.safetensors", "/etc/passwd", "model.bin", 3, None])
def test_an_index_that_leads_out_of_the_folder_is_refused(copied, refused, place):
    folder = copied("llama-3")
    edit(folder / INDEX, weight_map={"model.norm.weight": place})
    refused(folder, "places tensor 'model.norm.weight' in .*; a safetensors file beside it is expected")


@pytest.mark.parametrize("weight_map", [..., {}, [1]])
def test_an_index_without_a_map_is_refused(copied, refused, weight_map):
    folder = copied("llama-3")
    edit(folder / INDEX, weight_map=weight_map)
    refused(folder, f"{INDEX} has no weight_map")


def test_a_tensor_of_another_shape_is_named_with_the_file(copied, refused):
    folder = copied("qwen2")
    name = "model.layers.0.mlp.up_proj.weight"
    edit_tensors(folder / "model.safetensors", lambda tensors: tensors.update({name: tensors[name][:20].copy()}))
    refused(folder, rf"model.safetensors: tensor '{name}' has shape \(20, 16\); the config says \(24, 16\)")


def test_a_tensor_without_a_place_is_named(copied, refused):
    folder = copied("qwen3")
    name = "model.layers.0.self_attn.q_proj.bias"
    edit_tensors(folder / "model.safetensors", lambda tensors: tensors.update({name: np.zeros(32, np.float32)}))
    refused(folder, f"tensor '{name}' has no place in a qwen3 model of this config")


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (np.float64, "is stored as F64; supported are F32, F16, BF16"),
        (np.int8, "is stored as I8; supported are"),
        (ml_dtypes.float8_e4m3fn, "is stored as F8_E4M3; supported are"),
        (np.uint8, "is stored as uint8; weights are floats"),
    ],
)
def test_an_unsupported_dtype_is_named_with_the_tensor(copied, refused, dtype, message):
    folder = copied("qwen3")
    path, name = folder / "model.safetensors", "model.layers.0.mlp.up_proj.weight"
    tensors = load_file(path)
    shape, stored = tensors[name].shape, {np.float64: "F64", np.int8: "I8", np.uint8: "U8"}.get(dtype, "F8_E4M3")
    width = np.dtype(dtype).itemsize
    tensors[name] = np.zeros((*shape[:-1], shape[-1] * width), np.uint8)
    save_file(tensors, path)
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header[name] |= {"dtype": stored, "shape": list(shape)}
    written = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])
    refused(folder, f"model.safetensors: tensor '{name}' {message}")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_named(copied, value):
    folder = copied("qwen3")
    name = "model.layers.1.mlp.down_proj.weight"

    def spoil(tensors):
        tensors[name][3, 5] = value

    edit_tensors(folder / "model.safetensors", spoil)
    with pytest.raises(ValueError, match=f"model.safetensors: tensor '{name}' holds NaN or infinity"):
        load(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "weights.pkl", "a.ckpt"])
def test_a_format_that_can_run_code_is_not_opened(copied, refused, name):
    folder = copied("qwen3")
    (folder / "model.safetensors").rename(folder / name)
    message = rf"{name} is a pickle file, which can run code when it is opened, so it is not read. Save .*safetensors"
    refused(folder, message)
    refused(folder / name, message)


def test_safetensors_beside_a_pickle_are_read(copied):
    folder = copied("qwen3")
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert load(folder).config.query_key_norm


def test_a_folder_without_weights_or_config_says_what_is_missing(copied, refused):
    folder = copied("qwen3")
    refused(folder / "model.safetensors", "is one file of a checkpoint; name its folder, which holds config.json")
    (folder / "model.safetensors").unlink()
    refused(folder, "holds neither model.safetensors nor model.safetensors.index.json")
    (folder / "config.json").unlink()
    (folder / "small.gguf").write_bytes(b"GGUF")
    refused(folder, "is a folder without config.json, .*; it holds small.gguf, which can be named itself")
    refused(folder / "absent", "there is no file .*absent", FileNotFoundError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "mamba"},
            "config.json: model_type is 'mamba'; supported are deepseek_v3, .*qwen3_moe, smollm3",
        ),
        ({"model_type": ...}, "model_type is None; supported are"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config is of 'gptq'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; only 'silu'"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; it must be an integer from 1 to 10000"),
        ({"num_hidden_layers": 9000}, "takes 9000 tensors, and there are only 25"),
        ({"hidden_size": "wide"}, "DecoderConfig.hidden is 'wide'"),
        ({"rope_parameters": [1]}, "config.json: "),
        ({"vocab_size": 2**31 - 1}, r"'model.embed_tokens.weight' has shape \(64, 16\); the config says \(2147483647"),
    ],
)
def test_a_config_of_another_model_is_refused(copied, refused, changes, message):
    folder = copied("qwen3")
    edit(folder / "config.json", **changes)
    refused(folder, message)


def test_experts_beyond_the_file_are_refused_before_they_are_counted(copied, refused):
    folder = copied("mixtral")
    edit(folder / "config.json", num_local_experts=2**31 - 1)
    refused(folder, r"takes \d+ tensors, and there are only")


def test_layers_of_different_formats_become_float32(tmp_path):
    """float16 and bfloat16 hold each other's numbers in no shorter format."""
    import jax

    from models.checkpoints.filling import slots
    from models.formats.family import FileFormat, stored

    form = FileFormat(names=("own",), config=lambda fields: None, tensors=stored({"w": "w.{layer}"}))
    values = [np.float16(1.0009765625), np.float32(3.0).astype(ml_dtypes.bfloat16)]
    tensors = {
        f"w.{number}": StoredTensor(f"w.{number}", (1,), each.dtype, tmp_path, lambda each=each: each.reshape(1))
        for number, each in enumerate(values)
    }
    shapes = {"w": jax.ShapeDtypeStruct((2, 1), np.float32)}
    filled = fill(tensors, slots(shapes, form, 2), shapes, None, progress=False)["w"]
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled, [[1.0009765625], [3.0]])


def test_mxfp4_decodes_the_numbers_of_its_standard(tmp_path):
    """The sixteen numbers of E2M1, low half of a byte first, times a power of two."""
    numbers = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    codes = np.array([16 * high + low for low, high in zip(range(0, 16, 2), range(1, 16, 2), strict=True)], np.uint8)
    blocks = np.tile(codes, 2).reshape(1, 1, 16)
    scales = np.full((1, 1), 127 - 3, np.uint8)
    tensors = {
        name: StoredTensor(name, each.shape, each.dtype, tmp_path, lambda each=each: each)
        for name, each in (("w_blocks", blocks), ("w_scales", scales))
    }
    decoded = mxfp4.decoded(tensors)["w"]
    assert decoded.shape == (32, 1) and decoded.dtype == ml_dtypes.bfloat16
    row = np.array([*numbers, *(-number for number in numbers)]) / 8
    np.testing.assert_array_equal(decoded.read()[:, 0].astype(np.float32), np.tile(row, 2))


def test_mxfp4_without_scales_is_refused(copied, refused):
    folder = copied("gpt-oss")
    name = "model.layers.1.mlp.experts.down_proj"
    edit_tensors(folder / "model.safetensors", lambda tensors: tensors.pop(f"{name}_scales"))
    refused(folder, f"tensor '{name}_scales' is missing beside '{name}_blocks'")


TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "BPE", "vocab": {chr(97 + n): n for n in range(26)}, "merges": []},
}


def test_the_tokenizer_of_a_folder_is_its_tokenizer_json(copied):
    folder = copied("qwen3")
    with pytest.raises(ValueError, match="holds no tokenizer"):
        _ = load(folder).tokenizer
    # Truncation would cut a text.
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER | {"truncation": cut}))
    np.testing.assert_array_equal(load(folder).tokenizer.encode("acbz"), [0, 2, 1, 25])


def test_a_tokenizer_of_another_vocabulary_is_refused(copied, refused):
    folder = copied("qwen3")
    added = {"id": 64, "content": "<end>", "special": True} | dict.fromkeys(
        ("single_word", "lstrip", "rstrip", "normalized"), False
    )
    vocab = {chr(200 + n): n for n in range(64)}
    spoilt = TOKENIZER | {"added_tokens": [added], "model": TOKENIZER["model"] | {"vocab": vocab}}
    (folder / "tokenizer.json").write_text(json.dumps(spoilt))
    refused(folder, "tokenizer.json: the tokenizer has 65 tokens and the model 64: it is another model's")
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokenizer.json is no tokenizer that the tokenizers library reads")
