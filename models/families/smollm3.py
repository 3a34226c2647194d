"""SmolLM3: Llama without rotary embedding in every fourth layer."""

from models.formats import gguf, hugging_face
from models.formats.family import Family
from models.formats.fields import Fields
from models.shape.config import DecoderConfig, all_but_every

_INTERVAL = 4


def config_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; `no_rope_layers` holds 1 for layers that do have rotary embedding."""
    fields.require(hidden_act="silu", attention_bias=False, mlp_bias=False, use_sliding_window=False)
    base = hugging_face.base(fields, theta=2_000_000.0, context=32_768, tied_head=True)
    interval = fields.get("no_rope_layer_interval", _INTERVAL)
    flags = fields.get("no_rope_layers", None) or all_but_every(interval, base["layers"])
    return DecoderConfig(**base, rotary=tuple(bool(flag) for flag in flags[: base["layers"]]))


def config_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config; the files state no interval."""
    base = gguf.base(fields)
    return DecoderConfig(**base, rotary=all_but_every(_INTERVAL, base["layers"]))


SMOLLM3 = Family(
    title="SmolLM3",
    folder=hugging_face.file_format("smollm3", config_from_json),
    gguf=gguf.file_format("smollm3", config_from_gguf, gguf.NEIGHBOURING_PAIRS),
)
