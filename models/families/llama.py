"""Llama 2 and 3, SmolLM2, and others of their architecture."""

import numpy as np

from models.formats import gguf, hugging_face
from models.formats.family import Family
from models.formats.fields import Fields
from models.shape.config import DecoderConfig
from models.shape.rope_scaling import RopeScaling
from models.transformer.rope import rotary_frequencies


def config_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; `attention_bias` and `mlp_bias` add biases to all matrices of their part."""
    fields.require(hidden_act="silu")
    attention = ("q", "k", "v", "o") if fields.get("attention_bias", False) else ()
    mlp = ("gate", "up", "down") if fields.get("mlp_bias", False) else ()
    return DecoderConfig(**hugging_face.base(fields), biases=attention + mlp)


def config_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config; Mistral is of this architecture too."""
    base = gguf.base(fields)
    if divisors := fields.get("rope_divisors", None):
        base["rope_scaling"] = _llama_3_scaling(np.asarray(divisors), base["rope_theta"], base["head_dim"])
    biases = tuple(name for name in ("q", "k", "v", "o") if _bias(name) in fields.tensors)
    return DecoderConfig(**base, biases=biases)


def _bias(name: str) -> str:
    return gguf.TENSORS[f"layers/{name}_bias"].name.format(layer=0)


def _llama_3_scaling(divisors: np.ndarray, theta: float, head_dim: int) -> RopeScaling:
    # The file holds the divisors, not the parameters of the rule. Llama 3.1 to 3.3 differ in the factor alone.
    scaling = RopeScaling(
        factor=float(np.max(divisors)),
        low_frequency_factor=1.0,
        high_frequency_factor=4.0,
        original_context=8192,
    )
    expected = scaling.divisors(rotary_frequencies(theta, head_dim))
    if divisors.shape != expected.shape or not np.allclose(divisors, expected, rtol=1e-4):
        raise ValueError(f"tensor {gguf.ROPE_DIVISORS!r} is not Llama 3.1's rotary scaling")
    return scaling


LLAMA = Family(
    title="Llama 2, 3, 3.1 to 3.3; SmolLM, SmolLM2; others of Llama's architecture",
    folder=hugging_face.file_format("llama", config_from_json),
    gguf=gguf.file_format(
        "llama",
        config_from_gguf,
        gguf.NEIGHBOURING_PAIRS,
        unused=(gguf.ROPE_DIVISORS,),
        is_of=lambda fields: not fields.get("expert_count", 0),
    ),
)
