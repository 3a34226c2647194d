"""The shapes of well-known models, for tracing and pricing without their weights.

Source: the `config.json` files that their makers publish, as copied in Lightning AI's litgpt
(`litgpt/config.py`). Whether the head is tied, the longest context of the Llama models and the
rotary base of Llama 2 are not in that copy; they are the published ones, and the parameter
totals that follow from each shape agree with the makers' statements. The mixtures' shapes are those of their
published `config.json` files, and the totals that follow, 46.70, 30.53 and 116.83 billion, are the makers'.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from models.transformer.config import LINEAR, DecoderConfig, Mixture
from models.transformer.rope_scaling import RopeScaling, YarnScaling

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
    rope_scaling=YarnScaling(factor=32.0, original_context=4096, amplitude=0.1 * math.log(32.0) + 1.0, truncate=False),
    biases=LINEAR,
    activation="clamped_swiglu",
    window=128,
    windowed=(True, False) * 18,
    mixture=Mixture(experts=128, per_token=4),
    sinks=True,
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
    }
)
"""The shapes of this module by their names on the command line."""
