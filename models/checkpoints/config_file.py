"""The config.json of a shape, for folders that this package writes."""

from typing import Any

from models.families.llama import LLAMA
from models.families.mixtral import MIXTRAL
from models.families.qwen import QWEN2, QWEN3, QWEN3_MOE
from models.formats.family import Family
from models.formats.fields import Fields
from models.transformer.config import DecoderConfig
from models.transformer.rope_scaling import RopeScaling

# Of those that state a shape in full by the fields below.
_FAMILIES = (LLAMA, QWEN2, QWEN3, MIXTRAL, QWEN3_MOE)


def config_fields(config: DecoderConfig) -> tuple[Family, dict[str, Any]]:
    """Return a family whose config.json states a shape, and its fields.

    Raises:
        ValueError: if none of the families that are written has such a model.
    """
    for family in _FAMILIES:
        fields = {"model_type": family.folder.names[0], **_fields(config), **_mixture_fields(family, config)}
        try:
            if family.folder.config(Fields(fields)) == config:
                return family, fields
        except ValueError:
            continue
    written = ", ".join(family.folder.names[0] for family in _FAMILIES)
    raise ValueError(f"no config.json of {written} states this shape, so no checkpoint of it is written: {config}")


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
        "torch_dtype": "bfloat16",
    }


def _scaling_fields(config: DecoderConfig) -> dict[str, Any] | None:
    scaling = config.rope_scaling
    if not isinstance(scaling, RopeScaling):
        return None
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_frequency_factor,
        "high_freq_factor": scaling.high_frequency_factor,
        "original_max_position_embeddings": scaling.original_context,
    }


def _mixture_fields(family: Family, config: DecoderConfig) -> dict[str, Any]:
    if config.mixture is None:
        return {}
    experts = "num_local_experts" if family is MIXTRAL else "num_experts"
    return {
        experts: config.mixture.experts,
        "num_experts_per_tok": config.mixture.per_token,
        "norm_topk_prob": config.mixture.normalised,
        "moe_intermediate_size": config.intermediate,
    }
