"""Configs refuse what they cannot be, and read what Hugging Face publishes."""

import dataclasses
import json

import pytest

import models

SMOLLM2_JSON = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
}

LLAMA_SCALING = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}

LLAMA_3_1_8B_JSON = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-05,
    "rope_scaling": LLAMA_SCALING,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}


@pytest.fixture
def write_json(tmp_path):
    def write(fields):
        path = tmp_path / "config.json"
        path.write_text(fields if isinstance(fields, str) else json.dumps(fields))
        return path

    return write


def test_reads_published_files(write_json):
    assert models.config_from_json(write_json(SMOLLM2_JSON)) == models.SMOLLM2_135M
    assert models.config_from_json(write_json(LLAMA_3_1_8B_JSON)) == models.LLAMA_3_1_8B


def test_reads_the_rope_table_of_transformers_5(write_json):
    fields = {k: v for k, v in LLAMA_3_1_8B_JSON.items() if not k.startswith("rope")}
    fields["rope_parameters"] = LLAMA_SCALING | {"rope_theta": 500000.0}
    assert models.config_from_json(write_json(fields)) == models.LLAMA_3_1_8B


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "model_type is 'mamba'; supported are gemma2, gemma3_text, .*llama, .*qwen3_moe"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "rope_type is 'dynamic'"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "required key 'factor'"),
        ({"num_attention_heads": 0}, "576 cannot be shared by 0 heads"),
        ({"hidden_size": "wide"}, "'wide' cannot be shared by 9 heads"),
        ({"num_key_value_heads": 4}, "kv_heads is 4; it must divide heads"),
    ],
)
def test_refuses_what_it_cannot_run(write_json, change, message):
    with pytest.raises(ValueError, match=message):
        models.config_from_json(write_json(SMOLLM2_JSON | change))


def test_refuses_unreadable_files(write_json, tmp_path):
    with pytest.raises(FileNotFoundError):
        models.config_from_json(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="not a JSON file"):
        models.config_from_json(write_json("{"))
    incomplete = {k: v for k, v in SMOLLM2_JSON.items() if k != "vocab_size"}
    with pytest.raises(ValueError, match="required key 'vocab_size' is missing"):
        models.config_from_json(write_json(incomplete))


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("hidden", 0, "an integer of at least 1"),
        ("layers", 1.5, "an integer of at least 1"),
        ("heads", True, "an integer of at least 1"),
        ("head_dim", 7, "even"),
        ("kv_heads", 3, "divide heads, which is 4"),
        ("tied_head", 1, "True or False"),
        ("rope_theta", -1.0, "above 0"),
        ("rope_theta", float("nan"), "above 0"),
        ("norm_epsilon", 0.0, "above 0"),
        ("rope_scaling", 8.0, "a RopeScaling, LinearScaling"),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(config, field, value, allowed):
    with pytest.raises(ValueError, match=rf"DecoderConfig\.{field} is {value!r}.*{allowed}"):
        dataclasses.replace(config, **{field: value})


def test_bad_rope_scaling_is_refused(config):
    with pytest.raises(ValueError, match="factor is 0.5; it must be a finite number of at least 1"):
        dataclasses.replace(config.rope_scaling, factor=0.5)
    with pytest.raises(ValueError, match="must be above low_frequency_factor"):
        dataclasses.replace(config.rope_scaling, high_frequency_factor=1.0)


def test_configs_are_hashable_by_value(config):
    assert hash(config) == hash(dataclasses.replace(config))
