"""Layers that are read from their files as they are multiplied give what the same model gives in memory."""

import dataclasses
import threading

import gguf
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import models
from models.checkpoints.streaming import LayerReader

# One of each: plain, with biases, layers of two and of six kinds with scaled embeddings, experts one by one, in MXFP4,
# and two stacks of layers.
NAMES = ("llama-3", "qwen2", "gemma2", "gemma3", "mixtral", "gpt-oss", "deepseek-v3")


def streamed(path):
    return models.load(path, progress=False, stream=True)


def relative(found, expected) -> float:
    return float(np.max(np.abs(np.asarray(found) - expected)) / np.max(np.abs(expected)))


@pytest.mark.parametrize("name", NAMES)
def test_streamed_model_has_the_logits_of_transformers(given, fixtures, name):
    model = streamed(fixtures / name)
    assert model.streamed
    assert not given(name).model.streamed
    tokens = jnp.asarray(given(name).tokens)
    assert relative(jax.jit(model.forward)(model.params, tokens), given(name).logits) < 1e-5


def test_streamed_gguf_has_the_logits_of_the_file_in_memory(as_gguf, given):
    """Rows of q and k are rearranged, and the tensors are views of the file."""
    path, tokens = as_gguf("smollm2"), jnp.asarray(given("smollm2").tokens)
    model = models.load(path, progress=False, stream=True)
    assert relative(jax.jit(model.forward)(model.params, tokens), given("smollm2").logits) < 1e-5


def test_streamed_decode_step_continues_the_prompt(given, fixtures):
    model, tokens = streamed(fixtures / "llama-3"), jnp.asarray(given("llama-3").tokens)

    @jax.jit
    def steps(params, tokens):
        cache = models.empty_cache(model.config, *tokens.shape)

        def step(cache, position):
            logits, cache = models.decode_step(
                model.config, params, cache, tokens[:, position], position, dtype=jnp.float32
            )
            return cache, logits

        return jax.lax.scan(step, cache, jnp.arange(tokens.shape[1]))[1].swapaxes(0, 1)

    assert relative(steps(model.params, tokens), given("llama-3").logits) < 1e-5


def test_no_layer_is_read_before_it_is_multiplied(monkeypatch, fixtures):
    monkeypatch.setattr(LayerReader, "read", lambda *given: pytest.fail("a layer was read"))
    model = streamed(fixtures / "llama-3")
    jax.eval_shape(model.forward, model.params, jnp.zeros((1, 4), jnp.int32))
    assert {type(leaf).__name__ for leaf in jax.tree.leaves(model.params)} == {"ArrayImpl"}
    assert sum(leaf.size for leaf in jax.tree.leaves(model.params)) == model.config.layers + model.config.hidden


def test_reader_reads_the_next_layer_while_one_is_used(fixtures):
    model = streamed(fixtures / "gemma3")
    reader = model.params["layers"].source
    read = []
    original = reader._read

    def noted(number):
        read.append((number, threading.current_thread() is threading.main_thread()))
        return original(number)

    reader._read = noted
    for number, expected in ((0, [0, 1]), (1, [0, 1, 2]), (2, [0, 1, 2, 3]), (1, [0, 1, 2, 3, 1, 0])):
        found = reader.read(number)
        assert found["q"].shape == reader.shapes["q"].shape
        reader._thread.submit(lambda: None).result()
        assert [each for each, _ in read] == expected
        assert set(reader._ahead) == {expected[-1]}
    assert not any(in_main for _, in_main in read)


def test_rows_that_the_embedding_lacks_are_nan_as_in_memory(fixtures):
    model = streamed(fixtures / "llama-3")
    numbers = jnp.asarray([[0, model.config.vocabulary, -1]])
    found = np.asarray(model.params["embedding"].rows(numbers))
    in_memory = models.load(fixtures / "llama-3", progress=False).params["embedding"]
    np.testing.assert_array_equal(found, np.asarray(jnp.take(in_memory, numbers, axis=0)))
    assert np.isnan(found[0, 1]).all()


def test_rows_of_a_quantised_table_are_decoded_alone(config, random_params, tensors, write_gguf, monkeypatch):
    # Blocks of Q8_0 are 32 long.
    config = dataclasses.replace(config, rope_scaling=None, hidden=32, intermediate=64, layers=1)
    quantised = {"token_embd.weight": gguf.GGMLQuantizationType.Q8_0}
    path = write_gguf(tensors(config, random_params(config)), config=config, quantised=quantised)
    original, decoded = gguf.dequantize, []
    monkeypatch.setattr(gguf, "dequantize", lambda data, form: decoded.append(len(data)) or original(data, form))
    model = streamed(path)
    table = model.params["embedding"].source
    numbers = np.array([[3, 5, 3], [0, table.shape[0], -1]])
    decoded.clear()
    found = table.rows(numbers)
    assert decoded == [6]
    whole = table.read()
    np.testing.assert_array_equal(found[0], whole[[3, 5, 3]])
    np.testing.assert_array_equal(found[1, [0, 2]], whole[[0, -1]])
    assert np.isnan(found[1, 1]).all()


def test_missing_tensor_and_truncated_shard_are_refused_before_any_run(copied):
    folder = copied("llama-3")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(ValueError, match=f"{shard.name} is a safetensors file that cannot be read"):
        streamed(folder)
    shard.write_bytes(whole)
    tensors = load_file(shard)
    name = sorted(tensors)[-1]
    save_file({each: value for each, value in tensors.items() if each != name}, shard)
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        streamed(folder)


def test_nan_in_a_layer_is_named_when_it_is_read(copied):
    folder = copied("smollm2")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = np.nan
    save_file(tensors, folder / "model.safetensors")
    reader = streamed(folder).params["layers"].source
    reader.read(0)
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor 'model.layers.1.mlp.up_proj.weight' holds NaN"):
        reader.read(1)


def test_digest_of_a_streamed_model_follows_its_files(copied):
    folder = copied("smollm2")
    before = streamed(folder).sha256
    assert streamed(folder).sha256 == before
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] *= 2
    save_file(tensors, path)
    assert streamed(folder).sha256 != before
