"""The config.json of a shape, for folders that this package writes."""

import dataclasses
from collections.abc import Callable
from typing import Any

from models.families.llama import LLAMA
from models.families.mixtral import MIXTRAL
from models.families.qwen import QWEN2, QWEN3, QWEN3_MOE
from models.formats.family import Family
from models.formats.fields import Fields
from models.formats.own_features import own_fields
from models.shape.config import DecoderConfig
from models.shape.rope_scaling import LinearScaling, RopeScaling, YarnScaling

# Of those that state a shape in full by the fields below; random checkpoints are theirs.
_FAMILIES = (LLAMA, QWEN2, QWEN3, MIXTRAL, QWEN3_MOE)


def config_fields(config: DecoderConfig) -> tuple[Family, dict[str, Any]]:
    """Return a family whose config.json states a shape, and its fields.

    Raises:
        ValueError: if none of the families that are written has such a model.
    """
    for family in _FAMILIES:
        try:
            return family, family_fields(family, config)
        except ValueError:
            continue
    written = ", ".join(family.folder.names[0] for family in _FAMILIES)
    raise ValueError(f"no config.json of {written} states this shape, so no checkpoint of it is written: {config}")


def family_fields(family: Family, config: Any, dtype: str = "bfloat16") -> dict[str, Any]:
    """Return the fields of a config.json of a family that states a shape.

    Args:
        family: of the model.
        config: its shape.
        dtype: what the file says of the weights.

    Raises:
        ValueError: if the family's reader makes another shape of them; the message names the fields that differ.
    """
    name = family.folder.names[0]
    if not isinstance(config, DecoderConfig):
        raise ValueError(f"a config.json is written of decoders; {family.title} has a {type(config).__name__}")
    plain = dataclasses.replace(config, down_rotation=None)
    fields = {"model_type": name, **_fields(plain), "torch_dtype": dtype, **_mixture_fields(family, plain)}
    fields |= _OWN.get(name, lambda config: {})(plain)
    read = family.folder.config(Fields(fields))
    if _comparable(read) != _comparable(plain):
        differ = [
            f"{field.name} = {getattr(plain, field.name)!r}"
            for field in dataclasses.fields(plain)
            if getattr(_comparable(plain), field.name) != getattr(_comparable(read), field.name, None)
        ]
        raise ValueError(f"a config.json of {name!r} does not state {', '.join(differ)}")
    return own_fields(config, fields)


def _comparable(config: DecoderConfig) -> DecoderConfig:
    """The shape with the scale of scores as a number, and biases in one order."""
    scale = config.score_scale or config.head_dim**-0.5
    return dataclasses.replace(config, score_scale=scale, biases=tuple(sorted(config.biases)))


def _fields(config: DecoderConfig) -> dict[str, Any]:
    return {
        "hidden_act": "silu",
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "tie_word_embeddings": config.tied_head,
        "rope_theta": config.rope_theta,
        "rope_scaling": _scaling_fields(config),
        "rms_norm_eps": config.norm_epsilon,
    }


def _scaling_fields(config: DecoderConfig) -> dict[str, Any] | None:
    scaling = config.rope_scaling
    if isinstance(scaling, RopeScaling):
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_frequency_factor,
            "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_context,
        }
    if isinstance(scaling, LinearScaling):
        return {"rope_type": "linear", "factor": scaling.factor}
    if isinstance(scaling, YarnScaling):
        return {
            "rope_type": "yarn",
            "factor": scaling.factor,
            "beta_fast": scaling.fast_turns,
            "beta_slow": scaling.slow_turns,
            "attention_factor": scaling.amplitude,
            "truncate": scaling.truncate,
            "original_max_position_embeddings": scaling.original_context,
        }
    return None


def _mixture_fields(family: Family, config: DecoderConfig) -> dict[str, Any]:
    if config.mixture is None:
        return {}
    experts = "num_local_experts" if family.folder.names[0] in ("mixtral", "gpt_oss") else "num_experts"
    return {
        experts: config.mixture.experts,
        "num_experts_per_tok": config.mixture.per_token,
        "norm_topk_prob": config.mixture.normalised,
        "moe_intermediate_size": config.intermediate,
    }


def _attention_bias(config: DecoderConfig) -> dict[str, Any]:
    return {"attention_bias": True} if "o" in config.biases else {}


def _llama(config: DecoderConfig) -> dict[str, Any]:
    return _attention_bias(config) | ({"mlp_bias": True} if "down" in config.biases else {})


def _smollm3(config: DecoderConfig) -> dict[str, Any]:
    return {"no_rope_layers": [int(flag) for flag in config.rotary]} if config.rotary else {}


def _windows(config: DecoderConfig) -> dict[str, Any]:
    flags = config.windowed or (config.window is not None,) * config.layers
    kinds = ["sliding_attention" if flag else "full_attention" for flag in flags]
    return {"sliding_window": config.window, "layer_types": kinds}


def _qwen(config: DecoderConfig) -> dict[str, Any]:
    windows = {} if config.window is None else {"use_sliding_window": True, **_windows(config)}
    return windows | _attention_bias(config)


def _gemma(config: DecoderConfig) -> dict[str, Any]:
    scale = config.score_scale or config.head_dim**-0.5
    # The scalar is stored, and only some of its neighbours give the scale to the last bit.
    scalars = (round(scale**-2), round(scale**-2, 6), scale**-2)
    return {
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": next((scalar for scalar in scalars if scalar**-0.5 == scale), scalars[-1]),
        "attn_logit_softcapping": config.score_cap,
        "final_logit_softcapping": config.logit_cap,
        **({} if config.window_rope_theta is None else {"rope_local_base_freq": config.window_rope_theta}),
        **_windows(config),
    }


def _gpt_oss(config: DecoderConfig) -> dict[str, Any]:
    scaling = _scaling_fields(config) or {"rope_type": "default"}
    return {"attention_bias": True, "rope_scaling": scaling, **_windows(config)}


_OWN: dict[str, Callable[[DecoderConfig], dict[str, Any]]] = {
    "llama": _llama,
    "smollm3": _smollm3,
    "mistral": lambda config: {"sliding_window": config.window},
    "qwen2": _qwen,
    "qwen3": _qwen,
    "gemma2": _gemma,
    "gemma3_text": _gemma,
    "mixtral": lambda config: {} if config.window is None else {"sliding_window": config.window},
    "gpt_oss": _gpt_oss,
}
