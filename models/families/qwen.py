"""Qwen 2 and 2.5, with biases of queries, keys and values; Qwen 3, with norms of queries and keys; its mixtures."""

from typing import Any

from models.formats import gguf, hugging_face
from models.formats.family import Family
from models.formats.fields import Fields
from models.shape.config import DecoderConfig
from models.shape.features import Mixture

_QWEN2_BIASES = ("q", "k", "v")


def _decoder(fields: Fields, head_dim: int | None = None, **features: Any) -> DecoderConfig:
    fields.require(hidden_act="silu")
    base = hugging_face.base(fields, context=32_768, head_dim=head_dim)
    if fields.get("use_sliding_window", False):
        first = fields.get("max_window_layers", 28)
        flags = tuple(layer >= first for layer in range(base["layers"]))
        flags = hugging_face.windowed(fields, base["layers"], flags)
        base |= hugging_face.window_of(fields.get("sliding_window", 4096), flags)
    return DecoderConfig(**base | features)


def qwen2_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; layers from `max_window_layers` on have the window where `use_sliding_window` says so."""
    return _decoder(fields, biases=_QWEN2_BIASES)


def qwen3_from_json(fields: Fields) -> DecoderConfig:
    """Read a config of a dense model."""
    biases = ("q", "k", "v", "o") if fields.get("attention_bias", False) else ()
    return _decoder(fields, head_dim=128, query_key_norm=True, biases=biases)


def qwen3_moe_from_json(fields: Fields) -> DecoderConfig:
    """Read a config of a mixture; all its layers must have experts."""
    fields.require(decoder_sparse_step=1, mlp_only_layers=[], attention_bias=False, use_sliding_window=False)
    mixture = Mixture(
        experts=fields.get("num_experts", None) or fields.get("num_local_experts", 128),
        per_token=fields.get("num_experts_per_tok", 8),
        normalised=fields.get("norm_topk_prob", False),
    )
    intermediate = fields.get("moe_intermediate_size", 768)
    return _decoder(fields, query_key_norm=True, mixture=mixture, intermediate=intermediate)


def qwen2_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config."""
    return DecoderConfig(**gguf.base(fields), biases=_QWEN2_BIASES)


def qwen3_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config of a dense model."""
    return DecoderConfig(**gguf.base(fields), query_key_norm=True)


def qwen3_moe_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config of a mixture."""
    base = gguf.base(fields) | {"intermediate": fields.get("expert_feed_forward_length")}
    return DecoderConfig(**base, query_key_norm=True, mixture=gguf.mixture(fields))


QWEN2 = Family(
    title="Qwen2, Qwen2.5",
    folder=hugging_face.file_format("qwen2", qwen2_from_json),
    gguf=gguf.file_format("qwen2", qwen2_from_gguf),
)
QWEN3 = Family(
    title="Qwen3",
    folder=hugging_face.file_format("qwen3", qwen3_from_json),
    gguf=gguf.file_format("qwen3", qwen3_from_gguf),
)
QWEN3_MOE = Family(
    title="Qwen3-30B-A3B, Qwen3-235B-A22B (mixtures)",
    folder=hugging_face.file_format("qwen3_moe", qwen3_moe_from_json, hugging_face.EXPERTS),
    gguf=gguf.file_format("qwen3moe", qwen3_moe_from_gguf, gguf.EXPERTS),
)
