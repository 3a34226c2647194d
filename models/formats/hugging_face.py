"""What the config.json and the tensors of most decoders on Hugging Face have in common."""

from collections.abc import Mapping
from typing import Any

from models.formats.family import ConfigReader, FileFormat, Stored, stored
from models.formats.fields import Fields
from models.shape.config import head_width
from models.shape.rope_scaling import LinearScaling, RopeScaling, Scaling, YarnScaling, yarn_amplitude

TENSORS = stored(
    {
        "embedding": "model.embed_tokens.weight",
        "norm": "model.norm.weight",
        "head": "lm_head.weight",
        "layers/attention_norm": "model.layers.{layer}.input_layernorm.weight",
        "layers/q": "model.layers.{layer}.self_attn.q_proj.weight",
        "layers/k": "model.layers.{layer}.self_attn.k_proj.weight",
        "layers/v": "model.layers.{layer}.self_attn.v_proj.weight",
        "layers/o": "model.layers.{layer}.self_attn.o_proj.weight",
        "layers/q_bias": "model.layers.{layer}.self_attn.q_proj.bias",
        "layers/k_bias": "model.layers.{layer}.self_attn.k_proj.bias",
        "layers/v_bias": "model.layers.{layer}.self_attn.v_proj.bias",
        "layers/o_bias": "model.layers.{layer}.self_attn.o_proj.bias",
        "layers/q_norm": "model.layers.{layer}.self_attn.q_norm.weight",
        "layers/k_norm": "model.layers.{layer}.self_attn.k_norm.weight",
        "layers/mlp_norm": "model.layers.{layer}.post_attention_layernorm.weight",
        "layers/gate": "model.layers.{layer}.mlp.gate_proj.weight",
        "layers/up": "model.layers.{layer}.mlp.up_proj.weight",
        "layers/down": "model.layers.{layer}.mlp.down_proj.weight",
        "layers/gate_bias": "model.layers.{layer}.mlp.gate_proj.bias",
        "layers/up_bias": "model.layers.{layer}.mlp.up_proj.bias",
        "layers/down_bias": "model.layers.{layer}.mlp.down_proj.bias",
    }
)
EXPERTS = stored(
    {
        "layers/router": "model.layers.{layer}.mlp.gate.weight",
        "layers/gate": "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight",
        "layers/up": "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight",
        "layers/down": "model.layers.{layer}.mlp.experts.{expert}.down_proj.weight",
    }
)
"""Experts of Qwen and DeepSeek, one to a tensor."""
# Old files hold the rotary frequencies, and some the head that is tied.
UNUSED = ("model.layers.{layer}.self_attn.rotary_emb.inv_freq", "lm_head.weight")


def file_format(
    name: str, config: ConfigReader, *more: Mapping[str, str | Stored], unused: tuple[str, ...] = ()
) -> FileFormat:
    """Return the format of a decoder's folders.

    Args:
        name: `model_type` of config.json.
        config: reads the shape.
        more: names of tensors beside `TENSORS`, or in their place.
        unused: templates of more tensors that say nothing.
    """
    return FileFormat(names=(name,), config=config, tensors=stored(TENSORS, *more), unused=(*UNUSED, *unused))


def base(
    fields: Fields,
    *,
    theta: float = 10_000.0,
    context: int = 2048,
    head_dim: int | None = None,
    tied_head: bool = False,
) -> dict[str, Any]:
    """Return the fields of `DecoderConfig` that all decoders state alike.

    Args:
        fields: of config.json.
        theta: what transformers takes where the file has none, as for what follows.
        context: see `theta`.
        head_dim: see `theta`; None for the width of the residual stream over the number of heads.
        tied_head: see `theta`.

    Raises:
        ValueError: if a required key is missing, or the rotary rule is not supported.
    """
    hidden, heads = fields.get("hidden_size"), fields.get("num_attention_heads")
    rope = rope_table(fields)
    return {
        "hidden": hidden,
        "intermediate": fields.get("intermediate_size"),
        "layers": fields.layers("num_hidden_layers"),
        "heads": heads,
        "kv_heads": fields.get("num_key_value_heads", heads) or heads,
        "head_dim": fields.get("head_dim", None) or head_dim or head_width(hidden, heads),
        "vocabulary": fields.get("vocab_size"),
        "context": fields.get("max_position_embeddings", context),
        "tied_head": fields.get("tie_word_embeddings", tied_head),
        "rope_theta": rope.get("rope_theta", fields.get("rope_theta", theta)),
        "rope_scaling": rope_scaling(rope, fields),
        "norm_epsilon": fields.get("rms_norm_eps", 1e-6),
    }


def rope_table(fields: Fields) -> dict[str, Any]:
    """Return the rotary parameters: transformers 5 has theta and scaling in one table, version 4 kept them apart."""
    return fields.get("rope_parameters", None) or fields.get("rope_scaling", None) or {}


def rope_scaling(rope: dict[str, Any], fields: Fields) -> Scaling | None:
    """Return the change of rotary frequencies that a table states.

    Raises:
        ValueError: if it is of a kind that is not supported, or lacks a key.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    table = Fields(rope)
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError(f"partial_rotary_factor is {rope['partial_rotary_factor']!r}; only a turn of all is supported")
    if kind == "default":
        return None
    if kind == "llama3":
        return RopeScaling(
            factor=table.get("factor"),
            low_frequency_factor=table.get("low_freq_factor"),
            high_frequency_factor=table.get("high_freq_factor"),
            original_context=table.get("original_max_position_embeddings"),
        )
    if kind == "linear":
        return LinearScaling(factor=table.get("factor"))
    if kind == "yarn":
        table = Fields({"original_max_position_embeddings": fields.get("max_position_embeddings", None)} | rope)
        return YarnScaling(
            factor=table.get("factor"),
            original_context=table.get("original_max_position_embeddings"),
            fast_turns=float(table.get("beta_fast", 32.0)),
            slow_turns=float(table.get("beta_slow", 1.0)),
            amplitude=_amplitude(table),
            truncate=table.get("truncate", True),
        )
    raise ValueError(f"rope_type is {kind!r}; only 'default', 'linear', 'llama3' and 'yarn' are supported")


def _amplitude(table: Fields) -> float:
    """The amplitude of YaRN: stated, by DeepSeek's two weights, or by the factor alone."""
    factor, both = table.get("factor"), (table.get("mscale", 0.0), table.get("mscale_all_dim", 0.0))
    if not all(both):
        return table.get("attention_factor", yarn_amplitude(factor))
    return table.get("attention_factor", yarn_amplitude(factor, both[0]) / yarn_amplitude(factor, both[1]))


def windowed(fields: Fields, layers: int, default: tuple[bool, ...]) -> tuple[bool, ...]:
    """Return for each layer whether it has the sliding window, by `layer_types` of the file or else the default.

    Raises:
        ValueError: if a layer is of another type.
    """
    kinds = fields.get("layer_types", None)
    if kinds is None:
        return default
    known = {"sliding_attention": True, "full_attention": False}
    for kind in kinds:
        if kind not in known:
            raise ValueError(f"layer_types holds {kind!r}; only {', '.join(map(repr, known))} are supported")
    if len(kinds) != layers:
        raise ValueError(f"layer_types has {len(kinds)} entries; there are {layers} layers")
    return tuple(known[kind] for kind in kinds)


def window_of(size: int | None, flags: tuple[bool, ...]) -> dict[str, Any]:
    """Return `window` and `windowed` of `DecoderConfig`; both are empty where no layer has a window."""
    if size is None or not any(flags):
        return {}
    return {"window": size} if all(flags) else {"window": size, "windowed": flags}
