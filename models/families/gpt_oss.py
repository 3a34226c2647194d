"""gpt-oss: a mixture with biases everywhere, a sink in each head, and windows in every other layer."""

from typing import Any

from models.formats import gguf, hugging_face
from models.formats.family import Family, Stored
from models.formats.fields import Fields
from models.shape.config import LINEAR, DecoderConfig, all_but_every
from models.shape.features import Mixture

_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}
_GATE_UP = "model.layers.{layer}.mlp.experts.gate_up_proj"
_DOWN = "model.layers.{layer}.mlp.experts.down_proj"
# Experts are stored as [in, out], with the columns of gate and up in turn.
_TENSORS = {
    "layers/sinks": "model.layers.{layer}.self_attn.sinks",
    "layers/router": "model.layers.{layer}.mlp.router.weight",
    "layers/router_bias": "model.layers.{layer}.mlp.router.bias",
    "layers/gate": Stored(name=_GATE_UP, transposed=False, every=(0, 2)),
    "layers/up": Stored(name=_GATE_UP, transposed=False, every=(1, 2)),
    "layers/down": Stored(name=_DOWN, transposed=False),
    "layers/gate_bias": Stored(name=f"{_GATE_UP}_bias", transposed=False, every=(0, 2)),
    "layers/up_bias": Stored(name=f"{_GATE_UP}_bias", transposed=False, every=(1, 2)),
    "layers/down_bias": Stored(name=f"{_DOWN}_bias", transposed=False),
}
_GGUF_TENSORS = {
    "layers/sinks": "blk.{layer}.attn_sinks.weight",
    "layers/mlp_norm": "blk.{layer}.post_attention_norm.weight",
    "layers/router_bias": "blk.{layer}.ffn_gate_inp.bias",
    "layers/gate_bias": Stored(name="blk.{layer}.ffn_gate_exps.bias", transposed=False),
    "layers/up_bias": Stored(name="blk.{layer}.ffn_up_exps.bias", transposed=False),
    "layers/down_bias": Stored(name="blk.{layer}.ffn_down_exps.bias", transposed=False),
}


def _features(mixture: Mixture, window: dict[str, Any]) -> dict[str, Any]:
    return {"biases": LINEAR, "sinks": True, "activation": "clamped_swiglu", "mixture": mixture, **window}


def config_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; without a rotary table it is the published models'."""
    fields.require(hidden_act="silu", attention_bias=True, swiglu_alpha=1.702, swiglu_limit=7.0)
    if not hugging_face.rope_table(fields):
        fields = fields.replaced(rope_parameters=_YARN)
    base = hugging_face.base(fields, theta=150_000.0, context=131_072, head_dim=64)
    flags = hugging_face.windowed(fields, base["layers"], all_but_every(2, base["layers"]))
    mixture = Mixture(
        experts=fields.get("num_local_experts", None) or fields.get("num_experts", 128),
        per_token=fields.get("num_experts_per_tok", 4),
    )
    return DecoderConfig(**base, **_features(mixture, hugging_face.window_of(fields.get("sliding_window", 128), flags)))


def config_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config. Its YaRN interpolates between parts of features, which the files do not state."""
    base = gguf.base(fields, truncate=False) | {"intermediate": fields.get("expert_feed_forward_length")}
    window = hugging_face.window_of(fields.get("attention.sliding_window"), all_but_every(2, base["layers"]))
    return DecoderConfig(**base, **_features(gguf.mixture(fields), window))


GPT_OSS = Family(
    title="gpt-oss-20b, gpt-oss-120b (mixtures)",
    folder=hugging_face.file_format("gpt_oss", config_from_json, _TENSORS),
    gguf=gguf.file_format("gpt-oss", config_from_gguf, gguf.EXPERTS, _GGUF_TENSORS),
)
