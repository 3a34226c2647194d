"""GGUF files come back as the parameters they were written from, or are refused in one line."""

import dataclasses
import hashlib
import struct
import types

import gguf
import jax
import numpy as np
import pytest

import models


@pytest.fixture(scope="module")
def plain(config):
    return dataclasses.replace(config, rope_scaling=None)


def load(path):
    return models.load_gguf(path, progress=False)


@pytest.mark.parametrize("tied", [True, False])
def test_round_trip(plain, random_params, tensors, write_gguf, tokens, tied):
    config = dataclasses.replace(plain, tied_head=tied)
    params = random_params(config)
    path = write_gguf(tensors(config, params), config=config)
    model = load(path)
    assert dataclasses.replace(model.config, norm_epsilon=1e-5) == config
    assert model.source == path
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    np.testing.assert_allclose(model.forward(model.params, tokens), models.forward(config, params, tokens), atol=1e-5)


def test_forward_is_one_and_the_same_to_jit(tensors, write_gguf):
    model = load(write_gguf(tensors()))
    assert model.forward == model.forward
    assert hash(model.forward) == hash(model.forward)


def test_quantised_tensors_are_what_the_library_decodes(plain, random_params, tensors, write_gguf):
    config = dataclasses.replace(plain, hidden=32, intermediate=64, layers=1)
    stored = tensors(config, random_params(config))
    name, kind = "blk.0.ffn_up.weight", gguf.GGMLQuantizationType.Q8_0
    model = load(write_gguf(stored, config=config, quantised={name: kind}))
    expected = gguf.dequantize(gguf.quantize(np.ascontiguousarray(stored[name]), kind), kind)
    found = np.asarray(model.params["layers"]["up"][0])
    np.testing.assert_array_equal(found, expected.T)
    assert np.abs(found - stored[name].T).max() > 0


def test_llama_3_rotary_scaling_is_recognised(config, tensors, write_gguf):
    scaling = models.LLAMA_3_1_8B.rope_scaling
    config = dataclasses.replace(config, rope_theta=500000.0, rope_scaling=scaling)
    # The rule in terms of wavelengths, as llama.cpp's converter writes it.
    divisors = []
    for i in range(0, config.head_dim, 2):
        wavelength = 2 * np.pi * config.rope_theta ** (i / config.head_dim)
        smooth = np.clip((8192 / wavelength - 1.0) / (4.0 - 1.0), 0, 1)
        divisors.append(1 / ((1 - smooth) / 8.0 + smooth))
    stored = tensors(config) | {"rope_freqs.weight": np.array(divisors, np.float32)}
    assert load(write_gguf(stored, config=config)).config.rope_scaling == scaling
    stored["rope_freqs.weight"][0] = 2.0
    with pytest.raises(ValueError, match="rope_freqs.weight.* is not Llama 3.1's"):
        load(write_gguf(stored, config=config))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file .*absent.gguf"):
        load(tmp_path / "absent.gguf")


@pytest.mark.parametrize("content", [b"", b"GG", b"\x7fELF" + bytes(100)])
def test_not_a_gguf_file(tmp_path, content):
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="other.gguf is not a GGUF file"):
        load(path)


@pytest.mark.parametrize("kept", [4, 8, 20, 30, 100, 300, 1000])
def test_truncated_in_the_header(tensors, write_gguf, kept):
    path = write_gguf(tensors())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"damaged, or shorter \({kept} bytes\)"):
        load(path)


@pytest.mark.parametrize("lost", [40, 1001, 4000])
def test_truncated_in_the_tensors(tensors, write_gguf, lost):
    path = write_gguf(tensors())
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ValueError, match="damaged, or shorter"):
        load(path)


def test_another_architecture(tensors, write_gguf):
    with pytest.raises(ValueError, match="architecture is 'gemma'; supported are gemma2, .*llama, "):
        load(write_gguf(tensors(), architecture="gemma"))


@pytest.mark.parametrize("name", ["token_embd.weight", "blk.2.attn_k.weight", "output_norm.weight"])
def test_missing_tensor(tensors, write_gguf, name):
    stored = tensors()
    del stored[name]
    with pytest.raises(ValueError, match=f"tensor '{name}' is missing"):
        load(write_gguf(stored))


def test_unknown_tensor(tensors, write_gguf):
    stored = tensors() | {"blk.0.attn_gate.weight": np.zeros(32, np.float32)}
    with pytest.raises(ValueError, match="'blk.0.attn_gate.weight' has no place in a llama model"):
        load(write_gguf(stored))


def test_tensor_of_another_shape(tensors, write_gguf):
    stored = tensors()
    stored["blk.1.attn_v.weight"] = stored["blk.1.attn_v.weight"][:8]
    with pytest.raises(ValueError, match=r"blk.1.attn_v.weight' has shape \(8, 12\).*\(16, 12\)"):
        load(write_gguf(stored))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_tensor_that_is_not_finite(tensors, write_gguf, value):
    stored = tensors()
    stored["blk.1.ffn_gate.weight"] = np.array(stored["blk.1.ffn_gate.weight"])
    stored["blk.1.ffn_gate.weight"][3, 5] = value
    with pytest.raises(ValueError, match="'blk.1.ffn_gate.weight' holds NaN or infinity"):
        load(write_gguf(stored))


def test_rotary_embedding_of_another_kind(tensors, write_gguf):
    with pytest.raises(ValueError, match="turns 4 of 8 features"):
        load(write_gguf(tensors(), edit=lambda writer: writer.add_rope_dimension_count(4)))

    def stretch(writer):
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_factor(2.0)

    with pytest.raises(ValueError, match="rotary scaling is 'longrope'"):
        load(write_gguf(tensors(), edit=stretch))


def test_missing_metadata(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "bare.gguf", "llama")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match="bare.gguf: required key 'llama.embedding_length' is missing"):
        load(tmp_path / "bare.gguf")


def test_a_tokenizer_is_asked_for_only_when_used(tensors, write_gguf):
    model = load(write_gguf(tensors()))
    with pytest.raises(ValueError, match="tiny.gguf holds no tokenizer"):
        _ = model.tokenizer

    def add_sentencepiece(writer):
        writer.add_tokenizer_model("llama")
        writer.add_token_list(["a", "b"])

    model = load(write_gguf(tensors(), edit=add_sentencepiece))
    with pytest.raises(ValueError, match="tokenizer is 'llama' split by 'default'; only"):
        _ = model.tokenizer


def test_progress_is_shown_on_stderr_and_can_be_silenced(tensors, write_gguf, capfd):
    path = write_gguf(tensors())
    models.load_gguf(path)
    shown = capfd.readouterr()
    assert "loading" in shown.err and not shown.out
    models.load_gguf(path, progress=False)
    assert capfd.readouterr().err == ""


def header(*fields: bytes) -> bytes:
    """A GGUF file of metadata alone, version 3, without tensors."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields)) + b"".join(fields)


def array_field(name: bytes, kind: int, length: int, content: bytes = b"") -> bytes:
    """A metadata field that is said to be an array of `length` elements of a kind, 9 being arrays again."""
    return struct.pack("<Q", len(name)) + name + struct.pack("<IIQ", 9, kind, length) + content


@pytest.mark.parametrize("kind", [0, 4, 8, 9, 10])
def test_an_array_longer_than_the_file_is_refused_at_once(tmp_path, kind):
    """Of 2^60 bytes, words, strings, arrays: not one of them is read."""
    path = tmp_path / "long.gguf"
    path.write_bytes(header(array_field(b"a", kind, 2**60)))
    with pytest.raises(ValueError, match=r"damaged.*array of 1152921504606846976 elements in the last \d+ bytes"):
        load(path)


def test_arrays_nested_too_deeply_are_refused(tmp_path):
    inner = struct.pack("<IQ", 9, 1) * 5000 + struct.pack("<IQI", 4, 1, 7)
    path = tmp_path / "deep.gguf"
    path.write_bytes(header(array_field(b"a", 9, 1, inner)))
    with pytest.raises(ValueError, match="deep.gguf is a GGUF file that cannot be read"):
        load(path)


def test_a_folder_is_refused_as_one(tmp_path):
    with pytest.raises(ValueError, match="is a folder; a GGUF file is expected$"):
        load(tmp_path)
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="is expected; it holds small.gguf$"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("layers", 2**30, "llama.block_count is 1073741824; it must be an integer from 1 to 10000"),
        ("layers", 31, "llama.block_count is 31, and there are only 30 tensors"),
        ("intermediate", 2**31 - 1, r"has shape \(12, 20\); the config says \(12, 2147483647\)"),
        ("hidden", 2**31, "DecoderConfig.hidden is 2147483648; it must be an integer of at most 2147483647"),
    ],
)
def test_metadata_that_announces_too_much_is_refused(tensors, write_gguf, config, field, value, message):
    stored = dataclasses.asdict(config) | {field: value}
    announced = types.SimpleNamespace(**stored)
    with pytest.raises(ValueError, match=message):
        load(write_gguf(tensors(), config=announced))


def test_a_family_of_ones_own_without_names_in_gguf_is_refused(tensors, write_gguf):
    family = models.FAMILIES["mistral"]
    with pytest.raises(ValueError, match="no names in GGUF files are known of Mistral"):
        models.load(write_gguf(tensors()), family=family, progress=False)
