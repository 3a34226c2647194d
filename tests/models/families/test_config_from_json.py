"""Configs refuse what they cannot be, and read what Hugging Face publishes."""

import dataclasses
import json
import math

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


# Published; of its other fields none says anything of the shape.
DEEPSEEK_V3_JSON = {
    "attention_bias": False,
    "first_k_dense_replace": 3,
    "hidden_act": "silu",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "model_type": "deepseek_v3",
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "n_group": 8,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_attention_heads": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 61,
    "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "tie_word_embeddings": False,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "v_head_dim": 128,
    "vocab_size": 129280,
}
MIXTRAL_JSON = {
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mixtral",
    "num_attention_heads": 32,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
QWEN3_MOE_JSON = {
    "attention_bias": False,
    "decoder_sparse_step": 1,
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_position_embeddings": 40960,
    "max_window_layers": 48,
    "mlp_only_layers": [],
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
GPT_OSS_JSON = {
    "attention_bias": True,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2880,
    "intermediate_size": 2880,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
    "max_position_embeddings": 131072,
    "model_type": "gpt_oss",
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "num_local_experts": 128,
    "quantization_config": {"quant_method": "mxfp4"},
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "rope_type": "yarn",
        "truncate": False,
    },
    "rope_theta": 150000,
    "sliding_window": 128,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "vocab_size": 201088,
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
    assert models.config_from_json(write_json(MIXTRAL_JSON)) == models.MIXTRAL_8X7B
    assert models.config_from_json(write_json(QWEN3_MOE_JSON)) == models.QWEN3_30B_A3B
    assert models.config_from_json(write_json(GPT_OSS_JSON)) == models.GPT_OSS_120B
    assert models.config_from_json(write_json(DEEPSEEK_V3_JSON)) == models.DEEPSEEK_V3


def test_fp8_of_the_published_deepseek_is_refused_by_name(write_json):
    published = DEEPSEEK_V3_JSON | {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    with pytest.raises(ValueError, match="quantization_config is of 'fp8'; weights are read as floats or as 'mxfp4'"):
        models.config_from_json(write_json(published))


def test_reads_the_rope_table_of_transformers_5(write_json):
    fields = {k: v for k, v in LLAMA_3_1_8B_JSON.items() if not k.startswith("rope")}
    fields["rope_parameters"] = LLAMA_SCALING | {"rope_theta": 500000.0}
    assert models.config_from_json(write_json(fields)) == models.LLAMA_3_1_8B


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "mamba"},
            "model_type is 'mamba'; supported are deepseek_v3, .*llama, .*qwen3_moe",
        ),
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


def test_gemma_3_of_version_4_states_its_two_rotary_bases_apart(write_json, fixtures):
    fields = json.loads((fixtures / "gemma3" / "config.json").read_text())
    new = models.config_from_json(write_json(fields))
    assert (new.rope_theta, new.window_rope_theta, new.windowed) == (1e6, 1e4, (True, True, False, True))
    old = {name: value for name, value in fields.items() if name not in ("rope_parameters", "layer_types")}
    old |= {"rope_theta": 1e6, "rope_local_base_freq": 1e4, "sliding_window_pattern": 3}
    assert models.config_from_json(write_json(old)) == new
    # The larger models stretch the rotary frequencies of layers without a window alone.
    old["rope_scaling"] = {"rope_type": "linear", "factor": 8.0}
    scaled = models.config_from_json(write_json(old))
    assert scaled.rope_scaling == models.LinearScaling(factor=8.0)
    assert [kind.scaled for kind in scaled.layer_kinds] == [False, False, True, False]


@pytest.mark.parametrize(
    ("name", "changes", "field", "value"),
    [
        ("mistral", {"sliding_window": None}, "window", None),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1, "layer_types": None},
         "windowed", (False, True)),
        ("qwen3", {"head_dim": None}, "head_dim", 128),
        # transformers' width of a head does not follow from the number of heads.
        ("qwen3", {"head_dim": None, "num_attention_heads": 6}, "head_dim", 128),
        ("deepseek-v3", {"n_shared_experts": 2}, "mixture", models.Mixture(
            experts=8, per_token=2, scoring="sigmoid", groups=4, groups_per_token=2, scale=2.5, shared=16)),
        ("deepseek-v3", {"first_k_dense_replace": 0}, "dense_intermediate", None),
        ("deepseek-v3", {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}, "score_scale", None),
        ("llama-3", {"rope_parameters": {"rope_type": "yarn", "factor": math.e, "mscale": 2.0, "mscale_all_dim": 1.0}},
         "rope_scaling", models.YarnScaling(factor=math.e, original_context=64, amplitude=1.2 / 1.1)),
        ("smollm3", {"no_rope_layers": None, "no_rope_layer_interval": 2}, "rotary", (True, False, True, False)),
        ("gemma2", {"final_logit_softcapping": None}, "logit_cap", None),
        ("qwen3-moe", {"norm_topk_prob": True}, "mixture", models.Mixture(experts=6, per_token=3)),
        ("gpt-oss", {"layer_types": None}, "windowed", (True, False)),
        ("llama-2", {"attention_bias": True, "mlp_bias": True}, "biases", ("q", "k", "v", "o", "gate", "up", "down")),
    ],
)  # fmt: skip
def test_absent_and_changed_fields_are_what_transformers_takes(write_json, fixtures, name, changes, field, value):
    fields = json.loads((fixtures / name / "config.json").read_text())
    assert getattr(models.config_from_json(write_json(fields | changes)), field) == value


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("qwen3-moe", {"mlp_only_layers": [0]}, r"mlp_only_layers is \[0\]; only \[\] is supported"),
        ("gemma2", {"hidden_activation": "gelu"}, "hidden_activation is 'gelu'; only 'gelu_pytorch_tanh'"),
        ("gemma2", {"layer_types": ["linear_attention"] * 5}, "layer_types holds 'linear_attention'; only"),
        ("gemma2", {"layer_types": ["full_attention"]}, "layer_types has 1 entries; there are 5 layers"),
        ("gpt-oss", {"swiglu_limit": 5.0}, "swiglu_limit is 5.0; only 7.0"),
        ("deepseek-v3", {"rope_interleave": False}, "rope_interleave is False; only True"),
        ("deepseek-v3", {"q_lora_rank": None}, "required key 'q_lora_rank' is missing"),
        ("deepseek-v3", {"num_key_value_heads": 2}, "num_key_value_heads is 2; with latent attention it must be 4"),
        ("deepseek-v3", {"topk_method": "greedy"}, "topk_method is 'greedy'; only 'noaux_tc'"),
        ("deepseek-v3", {"n_group": 3}, "Mixture.groups is 3; it must share 8 experts"),
        ("deepseek-v3", {"topk_group": 5}, "Mixture.groups_per_token is 5; there are 4 groups"),
        ("deepseek-v3", {"num_experts_per_tok": 5}, "Mixture.per_token is 5; 2 groups of 2 experts hold fewer"),
        ("deepseek-v3", {"first_k_dense_replace": 3}, "dense_layers is 3; it must be an integer from 0 to 2"),
        ("deepseek-v3", {"qk_rope_head_dim": 5}, "LatentAttention.rotary_dim is 5; it must be even"),
        ("llama-3", {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor is"),
    ],
)
def test_variants_that_are_not_written_are_refused(write_json, fixtures, name, changes, message):
    fields = json.loads((fixtures / name / "config.json").read_text())
    with pytest.raises(ValueError, match=f"config.json: .*{message}"):
        models.config_from_json(write_json(fields | changes))
