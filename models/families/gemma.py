"""Gemma 2 and 3 (text): norms before and after each part, soft caps or query and key norms, alternating windows."""

from typing import Any

import numpy as np

from models.formats import gguf, hugging_face
from models.formats.family import Family, Stored
from models.formats.fields import Fields
from models.shape.config import DecoderConfig, all_but_every

_NORMS = {
    "layers/attention_post_norm": "model.layers.{layer}.post_attention_layernorm.weight",
    "layers/mlp_norm": "model.layers.{layer}.pre_feedforward_layernorm.weight",
    "layers/mlp_post_norm": "model.layers.{layer}.post_feedforward_layernorm.weight",
}
_GGUF_NORMS = {
    "norm": gguf.TENSORS["norm"].name,
    "layers/attention_norm": "blk.{layer}.attn_norm.weight",
    "layers/attention_post_norm": "blk.{layer}.post_attention_norm.weight",
    "layers/mlp_norm": "blk.{layer}.ffn_norm.weight",
    "layers/mlp_post_norm": "blk.{layer}.post_ffw_norm.weight",
    "layers/q_norm": "blk.{layer}.attn_q_norm.weight",
    "layers/k_norm": "blk.{layer}.attn_k_norm.weight",
}
_GEMMA_2_PERIOD, _GEMMA_3_PERIOD = 2, 6


def _less_one(config: DecoderConfig, gain: np.ndarray) -> np.ndarray:
    """Undo llama.cpp's converter, which adds 1 to the gains of norms."""
    return gain - gain.dtype.type(1)


def _features(base: dict[str, Any]) -> dict[str, Any]:
    return {
        "post_norms": True,
        "offset_norms": True,
        "activation": "gelu_tanh",
        "embedding_scale": base["hidden"] ** 0.5,
    }


def _from_json(fields: Fields, period: int, context: int, theta: float = 10_000.0) -> dict[str, Any]:
    fields.require(attention_bias=False, use_bidirectional_attention=False, hidden_activation="gelu_pytorch_tanh")
    base = hugging_face.base(fields, theta=theta, context=context, head_dim=256, tied_head=True)
    flags = hugging_face.windowed(fields, base["layers"], all_but_every(period, base["layers"]))
    scale = fields.get("query_pre_attn_scalar", 256) ** -0.5
    window = hugging_face.window_of(fields.get("sliding_window", 4096), flags)
    return base | _features(base) | window | {"score_scale": scale}


def gemma2_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; every other layer has a window, and scores and logits are capped."""
    caps = {
        "score_cap": fields.nullable("attn_logit_softcapping", 50.0),
        "logit_cap": fields.nullable("final_logit_softcapping", 30.0),
    }
    return DecoderConfig(**_from_json(fields, _GEMMA_2_PERIOD, context=8192) | caps)


def gemma3_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; five of six layers have a window, with rotary frequencies of their own."""
    rope = hugging_face.rope_table(fields)
    own = 10_000.0
    if "full_attention" in rope:
        # transformers 5: a table for each type of layer.
        own = (rope.get("sliding_attention") or {}).get("rope_theta", own)
        fields = fields.replaced(rope_parameters=rope["full_attention"])
    period = fields.get("sliding_window_pattern", _GEMMA_3_PERIOD)
    given = _from_json(fields, period, theta=1_000_000.0, context=131_072)
    given["window_rope_theta"] = fields.get("rope_local_base_freq", own)
    return DecoderConfig(
        **given,
        query_key_norm=True,
        score_cap=fields.get("attn_logit_softcapping", None),
        logit_cap=fields.get("final_logit_softcapping", None),
    )


def _from_gguf(fields: Fields, period: int) -> dict[str, Any]:
    base = gguf.base(fields)
    window = hugging_face.window_of(fields.get("attention.sliding_window", None), all_but_every(period, base["layers"]))
    return base | _features(base) | window


def gemma2_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config. The scale of scores is that of the head, but for Gemma 2 27B, as in llama.cpp."""
    given = _from_gguf(fields, _GEMMA_2_PERIOD)
    if given["layers"] == 46:
        given["score_scale"] = (given["hidden"] / given["heads"]) ** -0.5
    return DecoderConfig(
        **given,
        score_cap=fields.get("attn_logit_softcapping", 50.0),
        logit_cap=fields.get("final_logit_softcapping", 30.0),
    )


def gemma3_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config. The scale of scores is that of the head, but for Gemma 3 27B, as in llama.cpp."""
    given = _from_gguf(fields, _GEMMA_3_PERIOD)
    if given["layers"] == 62:
        given["score_scale"] = (given["hidden"] / given["heads"]) ** -0.5
    return DecoderConfig(**given, query_key_norm=True, window_rope_theta=10_000.0)


def _family(title: str, folder: str, architecture: str, json: Any, metadata: Any) -> Family:
    gains = {key: Stored(name=name, change=_less_one) for key, name in _GGUF_NORMS.items()}
    return Family(
        title=title,
        folder=hugging_face.file_format(folder, json, _NORMS),
        gguf=gguf.file_format(architecture, metadata, gains),
    )


GEMMA2 = _family("Gemma 2", "gemma2", "gemma2", gemma2_from_json, gemma2_from_gguf)
GEMMA3 = _family("Gemma 3 (text: 270M, 1B)", "gemma3_text", "gemma3", gemma3_from_json, gemma3_from_gguf)
