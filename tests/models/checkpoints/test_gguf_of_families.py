"""GGUF files of every family, with the names of the gguf library, hold what the folders hold."""

import dataclasses
import math

import gguf
import jax
import numpy as np
import pytest

import models

EXACT = ("llama-2", "mistral", "smollm3", "qwen2", "qwen3", "mixtral")


@pytest.mark.parametrize("name", (*EXACT, "gemma2", "gemma3", "qwen3-moe"))
def test_gguf_and_folder_give_equal_configs_and_parameters(given, as_gguf, name):
    folder = given(name).model
    model = models.load_gguf(as_gguf(name), progress=False)
    expected = {
        # GGUF states no window for Mistral, as llama.cpp has none.
        "mistral": {"window": None},
        # Nor how shares are normalised, nor the scale of scores, which the size of the model decides.
        "qwen3-moe": {"mixture": models.Mixture(experts=6, per_token=3)},
        "gemma2": {"score_scale": None},
        # Nor a period other than the published one, of which the four layers here all have a window.
        "gemma3": {"score_scale": None, "windowed": ()},
    }.get(name, {})
    config = dataclasses.replace(folder.config, **expected)
    # Numbers of a GGUF file's metadata are float32.
    for field in dataclasses.fields(config):
        ours, theirs = getattr(model.config, field.name), getattr(config, field.name)
        if isinstance(theirs, float):
            assert ours == pytest.approx(theirs, rel=1e-6), field.name
        else:
            assert ours == theirs, field.name

    def equal(found, wanted):
        # The converter adds 1 to Gemma's gains in float32.
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-7 if name.startswith("gemma") else 0)

    jax.tree.map(equal, model.params, folder.params)


def test_gemma_3_has_windows_in_five_of_six_layers(as_gguf):
    """The period of the files' models; the tiny folder states one of three."""
    kinds = models.load_gguf(as_gguf("gemma3"), progress=False).config.layer_kinds
    assert [kind.window for kind in kinds] == [4, 4, 4, 4]
    assert {kind.rope_theta for kind in kinds} == {10_000.0}


@pytest.mark.parametrize(
    "kind",
    [gguf.GGMLQuantizationType[name] for name in ("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")],
    ids=lambda kind: kind.name,
)
def test_formats_are_what_the_library_decodes(as_gguf, kind):
    def of(name, values):
        # Blocks are 32 long; the rows of `down` are 24, those of `o` 32.
        return kind if name.endswith("attn_output.weight") else gguf.GGMLQuantizationType.F32

    model, plain = (models.load_gguf(as_gguf("qwen3", chosen), progress=False) for chosen in (of, None))
    found, exact = (np.asarray(each.params["layers"]["o"]) for each in (model, plain))
    kept = {"F16": "float16", "BF16": "bfloat16"}.get(kind.name, "float32")
    assert found.dtype == kept
    rows = np.ascontiguousarray(exact.swapaxes(1, 2))
    decoded = gguf.dequantize(gguf.quantize(rows, kind), kind).swapaxes(1, 2)
    np.testing.assert_array_equal(found.astype(np.float32), decoded)
    assert np.abs(found.astype(np.float32) - exact).max() > 0


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_k_quants_are_decoded(tmp_path, kind):
    """The library writes none; scales of a block of bytes make numbers that the library decodes."""
    from models.checkpoints.gguf_file import open_gguf
    from models.checkpoints.gguf_tensors import gguf_tensors

    form = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[form]
    data = np.random.default_rng(0).integers(0, 60, (3, 2 * size), dtype=np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "k.gguf", "llama")
    writer.add_tensor("one", data, raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = gguf_tensors(open_gguf(tmp_path / "k.gguf"), tmp_path / "k.gguf")["one"]
    assert tensor.shape == (3, 2 * block) and tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor.read(), gguf.dequantize(data, form))


def test_gpt_oss_reads_what_the_converter_splits(given, tmp_path):
    """Gate and up apart, experts as [out, in], YaRN without rounding."""
    folder = given("gpt-oss").model
    config, params = folder.config, jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), folder.params)
    writer = gguf.GGUFWriter(tmp_path / "oss.gguf", "gpt-oss")
    for write, value in (
        (writer.add_block_count, config.layers),
        (writer.add_context_length, config.context),
        (writer.add_embedding_length, config.hidden),
        (writer.add_feed_forward_length, config.intermediate),
        (writer.add_expert_feed_forward_length, config.intermediate),
        (writer.add_head_count, config.heads),
        (writer.add_head_count_kv, config.kv_heads),
        (writer.add_key_length, config.head_dim),
        (writer.add_rope_freq_base, config.rope_theta),
        (writer.add_layer_norm_rms_eps, config.norm_epsilon),
        (writer.add_sliding_window, config.window),
        (writer.add_expert_count, config.mixture.experts),
        (writer.add_expert_used_count, config.mixture.per_token),
        (writer.add_rope_scaling_type, gguf.RopeScalingType.YARN),
        (writer.add_rope_scaling_factor, config.rope_scaling.factor),
        (writer.add_rope_scaling_orig_ctx_len, config.rope_scaling.original_context),
    ):
        write(value)
    names = gguf.MODEL_TENSOR
    places = {
        "attention_norm": (names.ATTN_NORM, "weight"),
        "mlp_norm": (names.ATTN_POST_NORM, "weight"),
        "sinks": (names.ATTN_SINKS, "weight"),
    }
    for ours, theirs in (
        ("q", names.ATTN_Q),
        ("k", names.ATTN_K),
        ("v", names.ATTN_V),
        ("o", names.ATTN_OUT),
        ("router", names.FFN_GATE_INP),
        ("gate", names.FFN_GATE_EXP),
        ("up", names.FFN_UP_EXP),
        ("down", names.FFN_DOWN_EXP),
    ):
        places |= {ours: (theirs, "weight"), f"{ours}_bias": (theirs, "bias")}
    writer.add_tensor("token_embd.weight", params["embedding"])
    writer.add_tensor("output_norm.weight", params["norm"])
    writer.add_tensor("output.weight", np.ascontiguousarray(params["head"].T))
    for layer in range(config.layers):
        for ours, (theirs, end) in places.items():
            values = params["layers"][ours][layer]
            if end == "weight" and values.ndim > 1:
                values = values.swapaxes(-1, -2)
            form = gguf.GGMLQuantizationType.F32
            name = gguf.TENSOR_NAMES[theirs].format(bid=layer) + f".{end}"
            writer.add_tensor(name, gguf.quantize(np.ascontiguousarray(values), form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = models.load_gguf(tmp_path / "oss.gguf", progress=False)
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    scaling = model.config.rope_scaling
    assert scaling.amplitude == pytest.approx(0.1 * math.log(4.0) + 1.0, rel=1e-6)
    # The tiny folder has another number of fast turns, which the files do not state.
    assert dataclasses.replace(scaling, fast_turns=4.0, amplitude=1.0) == dataclasses.replace(
        config.rope_scaling, amplitude=1.0
    )
    assert model.config.windowed == config.windowed and model.config.biases == config.biases
