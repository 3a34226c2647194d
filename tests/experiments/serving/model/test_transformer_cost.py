"""What a model holds and computes, against the published totals of Llama and SmolLM2."""

import numpy as np
import pytest

import models
from experiments.serving.model import Model, precision_named
from experiments.serving.model.transformer_cost import (
    attention_flops,
    causal_pairs,
    decode_flops,
    linear_parameters,
    prefill_flops,
    touched_share,
)

# Parameters by the model cards; bytes that a token leaves in BF16, keys and values: 2 x 2 x layers x kv heads x width.
PUBLISHED = {
    "llama-3.1-8b": (8_030_261_248, 131_072),
    "llama-3.1-70b": (70_553_706_496, 327_680),
    "llama-3.1-405b": (405_853_388_800, 516_096),
    "llama-2-70b": (68_976_648_192, 327_680),
    "smollm2-135m": (134_515_008, 23_040),
    "smollm2-360m": (361_821_120, 40_960),
    "smollm2-1.7b": (1_711_376_384, 196_608),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_cache_are_the_published_ones(name):
    parameters, kv_bytes = PUBLISHED[name]
    shape = models.CONFIGS[name]
    model = Model(shape, precision_named("bf16"))
    assert model.resident_bytes == 2 * parameters
    assert model.kv_bytes_per_token == kv_bytes


@pytest.mark.parametrize(
    ("name", "gigaflops"), [("llama-3.1-8b", 15.0), ("llama-3.1-70b", 139.0), ("llama-3.1-405b", 807.5)]
)
def test_a_decoded_token_costs_two_operations_a_weight(name, gigaflops):
    """2 (P + D V), the products with weights alone."""
    shape = models.CONFIGS[name]
    assert decode_flops(shape, 0) / 1e9 == pytest.approx(gigaflops, rel=5e-3)


def test_operations_of_attention_by_counting_pairs():
    """A decoded token meets each key twice, 2 operations each, in every head; a prompt sees half of its own square."""
    shape = models.CONFIGS["llama-3.1-8b"]
    per_pair = 2 * 2 * shape.layers * shape.heads * shape.head_dim
    assert decode_flops(shape, 1000) - decode_flops(shape, 0) == per_pair * 1000
    whole = prefill_flops(shape, 3000) - prefill_flops(shape, 1000)
    appended = prefill_flops(shape, 2000, cached=1000)
    # Reading 1,000 and then 2,000 is the work of reading 3,000; each part ends with the head for one token.
    assert appended - 2 * shape.hidden * shape.vocabulary == pytest.approx(whole, rel=1e-12)


def test_a_step_reads_the_weights_once_and_each_cache():
    model = Model(models.CONFIGS["llama-3.1-8b"], precision_named("fp8"))
    embedding = model.config.hidden * model.config.vocabulary + 65 * model.config.hidden
    assert model.decode_step_bytes(batch=4, context=100) == 8_030_261_248 - embedding + 400 * 65_536


@pytest.mark.parametrize(
    ("name", "active", "total"),
    [
        # Makers' figures in billions.
        ("mixtral-8x7b", 12.9, 46.7),
        ("qwen3-30b-a3b", 3.3, 30.5),
        ("gpt-oss-120b", 5.1, 116.8),
        ("deepseek-v3", 37.0, 671.0),
    ],
)
def test_active_parameters_of_a_mixture_are_the_published_ones(name, active, total):
    """Of the products; makers' totals of active parameters hold the embedding too, but for gpt-oss's."""
    shape = models.CONFIGS[name]
    embedding = 0 if name == "gpt-oss-120b" else shape.hidden * shape.vocabulary
    assert (linear_parameters(shape) + embedding) / 1e9 == pytest.approx(active, rel=0.03)
    assert Model(shape, precision_named("bf16")).resident_bytes / 2e9 == pytest.approx(total, rel=2e-3)


def test_experts_that_a_pass_touches_are_those_of_random_draws():
    """8 of 128 experts, drawn without repetition for each token: the mean number of distinct ones."""
    shape = models.CONFIGS["qwen3-30b-a3b"]
    generator = np.random.default_rng(0)
    for tokens in (1, 8, 64):
        drawn = [
            len({e for _ in range(tokens) for e in generator.choice(128, 8, replace=False)}) / 128 for _ in range(200)
        ]
        assert touched_share(shape, tokens) == pytest.approx(np.mean(drawn), rel=0.02)
    model = Model(shape, precision_named("fp8"))
    assert model.weight_bytes(1) == pytest.approx(model.linear_parameters)
    assert model.weight_bytes(1e6) == pytest.approx(model.resident_weights)
    assert touched_share(models.CONFIGS["llama-3.1-8b"], 1) == 1


def test_cache_of_a_window_and_of_a_latent():
    """gpt-oss: 18 of 36 layers keep 128 tokens. DeepSeek-V3: 576 values per token and layer, 70,272 bytes in BF16."""
    oss = Model(models.CONFIGS["gpt-oss-120b"], precision_named("fp8"))
    assert oss.kv_bytes(1000) == 18 * (1000 + 128) * 2 * 8 * 64
    assert oss.kv_bytes(100) == 36 * 100 * 2 * 8 * 64
    deepseek = Model(models.CONFIGS["deepseek-v3"], precision_named("bf16"))
    assert deepseek.kv_bytes_per_token == 61 * 576 * 2


@pytest.mark.parametrize(("new", "cached"), [(100, 0), (1000, 0), (50, 100), (300, 500)])
def test_pairs_of_layers_with_a_window_by_counting_them(new, cached):
    """Each query counted one by one: the continuous pairs differ by half a key per query."""
    shape = models.CONFIGS["gpt-oss-120b"]
    seen = [(cached + i + min(cached + i, 128)) / 2 for i in range(1, new + 1)]
    assert abs(causal_pairs(shape, new, cached) - sum(seen)) <= new / 2
    assert causal_pairs(models.CONFIGS["llama-3.1-8b"], new, cached) == new * cached + new * new / 2


def test_latent_attention_costs_more_per_key_once_absorbed():
    """DeepSeek-V3: 2 (192 + 128) operations per head and pair of a prompt, 2 (576 + 512) of a decoded token."""
    shape = models.CONFIGS["deepseek-v3"]
    per_head = [attention_flops(shape, 1, absorbed) / (61 * 128) for absorbed in (False, True)]
    assert per_head == [2 * 320, 2 * 1088]
