"""Known shapes give the parameter totals their makers state."""

import pytest

import models


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("smollm2-135m", 134_515_008),
        ("smollm2-360m", 361_821_120),
        ("smollm2-1.7b", 1_711_376_384),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
        ("mixtral-8x7b", 46_702_792_704),
        ("qwen3-30b-a3b", 30_532_122_624),
        # The model card states 116.83 billion.
        ("gpt-oss-120b", 116_829_156_672),
        # 671 billion in all by its documentation of the weights.
        ("deepseek-v3", 671_026_419_200),
    ],
)
def test_parameter_totals(name, total):
    assert models.parameter_count(models.CONFIGS[name]) == total


@pytest.mark.parametrize(
    ("name", "key_value_bytes"),
    [
        ("smollm2-135m", 23_040),
        ("smollm2-360m", 40_960),
        ("smollm2-1.7b", 196_608),
        ("llama-2-70b", 327_680),
        ("llama-3.1-8b", 131_072),
        ("llama-3.1-70b", 327_680),
        ("llama-3.1-405b", 516_096),
    ],
)
def test_key_and_value_bytes_of_a_token_in_bfloat16(name, key_value_bytes):
    config = models.CONFIGS[name]
    assert 2 * 2 * config.layers * config.kv_heads * config.head_dim == key_value_bytes


def test_every_shape_has_a_name():
    assert len(models.CONFIGS) == 11
    assert models.CONFIGS["llama-3.1-8b"] is models.LLAMA_3_1_8B
