"""One call of a language model by hand: its products, element-wise work and traffic, from the shape of the model."""

import dataclasses

import jax
import numpy as np
import pytest

import models
import optics
from experiments.common.workload import Workload

MODELS = ("SMOLLM2_135M", "LLAMA_3_1_8B", "LLAMA_3_1_70B")


def work(model="SMOLLM2_135M", **changes):
    return Workload(config=getattr(models, model), **changes)


def weights_that_multiply(config) -> int:
    """All parameters but the norms' and, unless it is the head too, the embedding's, which is looked up."""
    norms = (2 * config.layers + 1) * config.hidden
    if config.latent:
        norms += config.layers * (config.latent.query_rank + config.latent.rank)
    looked_up = 0 if config.tied_head else config.vocabulary * config.hidden
    return models.parameter_count(config) - norms - looked_up


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_weights_on_masks_are_those_that_multiply(model, phase):
    found = work(model, phase=phase, context=16, batch=2).weights
    assert found == weights_that_multiply(getattr(models, model))
    # By hand for Llama 3.1 8B: 32 layers of 2 x 4096 x (4096 + 1024) + 3 x 4096 x 14336, and a head of 4096 x 128256.
    if model == "LLAMA_3_1_8B":
        assert found == 32 * (2 * 4096 * 5120 + 3 * 4096 * 14336) + 4096 * 128256 == 7_504_658_432


@pytest.mark.parametrize(
    ("model", "length", "batch"),
    [
        ("SMOLLM2_135M", 1, 1),
        ("SMOLLM2_135M", 37, 3),
        ("SMOLLM2_135M", 64, 1),
        ("LLAMA_3_1_8B", 8192, 1),
        ("LLAMA_3_1_70B", 8192, 2),
    ],
)
def test_macs_of_a_prompt(model, length, batch):
    """Every weight once a token; query i meets i keys, twice, in every head: 2 layers heads head_dim L (L + 1) / 2."""
    config = getattr(models, model)
    found = work(model, context=length, batch=batch)
    linear = sum(site.macs for site in found.sites if site.optical)
    attention = sum(site.macs for site in found.sites if not site.optical)
    assert linear == length * batch * weights_that_multiply(config)
    by_hand = batch * 2 * config.layers * config.heads * config.head_dim * length * (length + 1) // 2
    assert attention == by_hand
    assert found.tokens == length * batch


@pytest.mark.parametrize(("model", "context", "batch"), [("SMOLLM2_135M", 100, 5), ("LLAMA_3_1_70B", 8192, 2)])
def test_macs_of_a_token(model, context, batch):
    """Every weight once; one query meets all keys, twice, in every head."""
    config = getattr(models, model)
    found = work(model, phase="decode", context=context, batch=batch)
    assert found.tokens == batch
    assert sum(site.macs for site in found.sites if site.optical) == batch * weights_that_multiply(config)
    attention = sum(site.macs for site in found.sites if not site.optical)
    assert attention == batch * 2 * config.layers * config.heads * config.head_dim * context


def test_half_of_a_prompts_scores_are_computed():
    """Softmax: 12 operations for each of the (L + 1) / 2 scores that a row sees on average, one comparison a row."""
    rows_of_a_token = models.SMOLLM2_135M.layers * models.SMOLLM2_135M.heads
    for length, batch in ((1, 1), (64, 2), (1000, 1)):
        rows = batch * rows_of_a_token * length
        assert work(context=length, batch=batch).operations["softmax"] == 12 * rows * (length + 1) / 2 + rows
    decoded = work(phase="decode", context=1000, batch=3).operations
    assert decoded["softmax"] == 3 * rows_of_a_token * (12 * 1000 + 1)


def test_other_operations_are_counted_for_each_token():
    """RMSNorm of h numbers is 4 h + 9 operations, SwiGLU 6 a number, a rotation 3 (see test_op_count.py)."""
    config = models.SMOLLM2_135M
    for workload in (work(context=64, batch=2), work(phase="decode", context=64, batch=2)):
        tokens, found = workload.tokens, workload.operations
        assert tokens == (128 if workload.phase == "prefill" else 2)
        assert found["norms"] == tokens * (2 * config.layers + 1) * (4 * config.hidden + 9)
        assert found["activations"] == tokens * config.layers * config.intermediate * 6
        assert found["rotary embedding"] == tokens * config.layers * (config.heads + config.kv_heads) * 64 * 3


@pytest.mark.parametrize(
    ("model", "key_value_bytes"), [("SMOLLM2_135M", 23_040), ("LLAMA_3_1_8B", 131_072), ("LLAMA_3_1_70B", 327_680)]
)
def test_traffic_of_keys_and_values(model, key_value_bytes):
    """Bytes of a token in bfloat16 as published (test_configs.py), so half of that in words of 8 bits.

    A prompt's are written and read back once. A token writes its own and reads those of its context.
    """
    bits = key_value_bytes / 2 * 8
    prompt, token = work(model, context=500, batch=3), work(model, phase="decode", context=500, batch=3)
    hidden = getattr(models, model).hidden
    assert prompt.memory_bits == {"KV cache": 3 * 500 * bits * 2, "embedding": 3 * 500 * hidden * 8}
    assert token.memory_bits == {"KV cache": 3 * bits * (1 + 500), "embedding": 3 * hidden * 8}


@pytest.mark.parametrize("batch", [1, 16])
def test_a_decoded_token_pays_for_all_weights(batch):
    """Each weight comes from main memory, 8 bits and a sign at 3.9 pJ, and onto 4 pixels of 1.25 pJ, once per batch."""
    workload = work(phase="decode", context=64, batch=batch)
    weights = weights_that_multiply(models.SMOLLM2_135M)
    for vectors_per_load in (1.0, 16384.0):
        bill = workload.price(optics.today().replace({"vectors_per_load": vectors_per_load}))
        assert float(bill.components["weight fetch"]) == pytest.approx(weights * 9 * 3.9e-12, rel=1e-5)
        assert float(bill.components["mask write"]) == pytest.approx(weights * 4 * 1.25e-12, rel=1e-5)


def test_a_prompt_shares_its_loads_as_the_core_says():
    """A load of the mask for every 16,384 vectors: these 64 tokens pay for 1 / 256 of it."""
    bill = work(context=64).price(optics.today())
    weights = weights_that_multiply(models.SMOLLM2_135M)
    assert float(bill.components["weight fetch"]) == pytest.approx(weights / 256 * 9 * 3.9e-12, rel=1e-5)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_the_bill_has_a_line_for_each_kind_of_work(phase):
    """An operation is 1.2 pJ today, a bit of main memory 3.9 pJ."""
    workload, core = work(phase=phase, context=64, batch=2), optics.today()
    bill = workload.price(core)
    for name, operations in workload.operations.items():
        assert float(bill.components[name]) == pytest.approx(operations * 1.2e-12, rel=1e-5, abs=0), name
    for name, bits in workload.memory_bits.items():
        assert float(bill.components[name]) == pytest.approx(bits * 3.9e-12, rel=1e-5, abs=0), name
    assert bill.omitted == ("thermal control of the optics", "cooling outside the server (PUE)")
    assert str(workload) == f"{phase} at 64 tokens, batch 2"


@pytest.mark.parametrize("model", ["LLAMA_3_1_8B", "LLAMA_3_1_70B"])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_large_models_are_priced_without_memory(model, phase):
    """8 k tokens. Weights of 7.5 and 69.5 billion: 15.0 and 139 passes of the 5e8 that 1 exaOPS at 1 GHz holds."""
    held = sum(array.nbytes for array in jax.live_arrays())
    workload = work(model, phase=phase, context=8192)
    bill = workload.price(optics.projected_2029())
    assert sum(array.nbytes for array in jax.live_arrays()) - held < 1e6
    lines = np.array([float(energy) for energy in bill.components.values()])
    assert np.all(np.isfinite(lines)) and np.all(lines > 0)
    assert workload.weights / 5e8 == pytest.approx({"LLAMA_3_1_8B": 15.01, "LLAMA_3_1_70B": 139.0}[model], rel=1e-3)
    # One vector for a whole load of the weights, and a thousand of them: decoding costs far more.
    assert (float(bill.per_mac) > 1e-12) == (phase == "decode")


# (batch, vectors that a load of one expert serves): B K / E, and at least one.
@pytest.mark.parametrize(
    ("model", "batch", "vectors"),
    [
        ("MIXTRAL_8X7B", 1, 1.0),
        ("MIXTRAL_8X7B", 16, 4.0),
        ("QWEN3_30B_A3B", 16, 1.0),
        ("QWEN3_30B_A3B", 128, 8.0),
        ("GPT_OSS_120B", 128, 4.0),
        ("DEEPSEEK_V3", 128, 4.0),
    ],
)
def test_decoded_batch_of_a_mixture_pays_for_the_experts_that_it_is_routed_to(model, batch, vectors):
    """All weights but the experts' once, and one expert for each of the rows of the batch over `vectors`."""
    config = getattr(models, model)
    expert = 3 * config.hidden * config.intermediate
    layers = config.layers - config.dense_layers
    all_experts = layers * config.mixture.experts * expert
    workload = work(model, phase="decode", context=64, batch=batch)
    assert workload.weights == weights_that_multiply(config) - _unmultiplied(config)
    assert workload.vectors_per_expert(batch) == vectors
    loaded = layers * batch * config.mixture.per_token / vectors * expert
    assert loaded <= all_experts
    written = workload.weights - all_experts + loaded
    fetch = workload.price(optics.today()).components["weight fetch"]
    assert float(fetch) == pytest.approx(written * 9 * 3.9e-12, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "served"),
    [("MIXTRAL_8X7B", 4096), ("QWEN3_30B_A3B", 1024), ("GPT_OSS_120B", 512), ("DEEPSEEK_V3", 512)],
)
def test_prompt_of_a_mixture_pays_for_its_experts_by_the_vectors_that_a_load_serves(model, served):
    """A load serves 16,384 tokens, so that of an expert 16,384 K / E vectors, of which each token is K."""
    config = getattr(models, model)
    workload = work(model, context=64)
    assert workload.vectors_per_expert(16384) == served == 16384 * config.mixture.per_token / config.mixture.experts
    experts = (config.layers - config.dense_layers) * 3 * config.hidden * config.intermediate
    others = workload.weights - config.mixture.experts * experts
    written = 64 * (others / 16384 + config.mixture.per_token * experts / served)
    core = optics.today()
    assert float(core.vectors_per_load) == 16384
    assert float(workload.price(core).components["weight fetch"]) == pytest.approx(written * 9 * 3.9e-12, rel=1e-4)
    # Each core of a design has vectors per load of its own.
    design = optics.CoresBySite(core, {"layers.down": core.replace({"vectors_per_load": 4096.0})})
    written += 64 * config.mixture.per_token * experts / 3 * 3 / served
    assert float(workload.price(design).components["weight fetch"]) == pytest.approx(written * 9 * 3.9e-12, rel=1e-4)


def softmax_operations(config, context):
    return Workload(config=config, phase="decode", context=context).operations["softmax"]


def test_decoded_token_reads_and_multiplies_what_its_windows_leave():
    """gpt-oss-120b at 1,000 tokens: 128 of them in each of 18 layers, and all in as many others."""
    config, seen = models.GPT_OSS_120B, 18 * 128 + 18 * 1000
    found = work("GPT_OSS_120B", phase="decode", context=1000, batch=3)
    attention = sum(site.macs for site in found.sites if not site.optical)
    assert attention == 3 * 2 * config.heads * config.head_dim * seen
    assert found.memory_bits["KV cache"] == 3 * 2 * config.kv_heads * config.head_dim * 8 * (36 + seen)
    # A shorter text than the window is seen as a whole.
    assert work("GPT_OSS_120B", phase="decode", context=100).memory_bits["KV cache"] == 2 * 512 * 8 * 36 * 101
    # With more context half of the layers compute more scores.
    whole = dataclasses.replace(config, window=None, windowed=())
    more, more_of_all = (softmax_operations(each, 1000) - softmax_operations(each, 600) for each in (config, whole))
    assert 0 < more == more_of_all / 2


def test_one_window_in_all_layers_is_found_in_decode():
    windowed = dataclasses.replace(models.SMOLLM2_135M, window=16)
    for context, seen in ((64, 16), (8, 8)):
        found = Workload(config=windowed, phase="decode", context=context)
        attention = sum(site.macs for site in found.sites if not site.optical)
        assert attention == 2 * 30 * 9 * 64 * seen
        assert found.operations["softmax"] == 30 * 9 * (12 * seen + 1)


@pytest.mark.parametrize("batch", [1, 2])
def test_latents_of_deepseek_are_what_a_decoded_token_reads(batch):
    """512 + 64 numbers of a token in each of 61 layers, and of 128 heads 576 products for a score, 512 for a sum."""
    prompt, token = (work("DEEPSEEK_V3", phase=phase, context=100, batch=batch) for phase in ("prefill", "decode"))
    bits = 61 * 576 * 8
    assert prompt.memory_bits["KV cache"] == batch * 100 * bits * 2
    assert token.memory_bits["KV cache"] == batch * bits * 101
    attention = [sum(site.macs for site in found.sites if not site.optical) for found in (prompt, token)]
    # A prompt is attended to by keys of 192 and values of 128 of each head.
    assert attention == [batch * 61 * 128 * 320 * 100 * 101 // 2, batch * 61 * 128 * 1088 * 100]
    # All weights once: keys and values of a token in the prompt; in decode the query and the sum by the same matrices.
    passed = weights_that_multiply(models.DEEPSEEK_V3) - _unmultiplied(models.DEEPSEEK_V3) - 58 * 248 * 3 * 7168 * 2048
    for found in (prompt, token):
        assert sum(site.macs for site in found.on_core) == found.tokens * passed


def _unmultiplied(config) -> int:
    """Biases, sinks, and the norms of queries and keys, which `weights_that_multiply` does not leave out."""
    layer = models.parameter_shapes(config)["layers"]
    names = [name for name in layer if name.endswith(("_bias", "sinks", "q_norm", "k_norm", "correction"))]
    return sum(layer[name].size for name in names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": 8193}, "context = 8193 is more than the model's 8192"),
        ({"context": 0}, "context = 0 must be at least 1"),
        ({"batch": 0}, "batch = 0 must be at least 1"),
        ({"phase": "decode", "batch": -1}, "batch = -1 must be at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        work(**changes)


def test_an_unknown_phase_is_refused():
    with pytest.raises(ValueError, match="phase = 'prefil'"):
        work(phase="prefil", context=8)
