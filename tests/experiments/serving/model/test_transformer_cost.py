"""What a model holds and computes, against the published totals of Llama and SmolLM2."""

import dataclasses

import pytest

import models
from experiments.serving.model import Model, precision_named
from experiments.serving.model.transformer_cost import check_served, decode_flops, prefill_flops

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


def test_a_model_that_the_formulas_do_not_describe_is_refused():
    with pytest.raises(ValueError, match="model = 'mixtral-8x7b' is a mixture of experts"):
        check_served("mixtral-8x7b", models.CONFIGS["mixtral-8x7b"])
    windowed = dataclasses.replace(models.CONFIGS["llama-3.1-8b"], window=4096)
    with pytest.raises(ValueError, match="model = 'mine.json' attends in a sliding window"):
        check_served("mine.json", windowed)
    check_served("llama-3.1-8b", models.CONFIGS["llama-3.1-8b"])
