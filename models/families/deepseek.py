"""DeepSeek-V3: latent attention, a mixture with a shared expert behind dense layers, and routing within groups."""

from typing import Any

import numpy as np

from models.formats import hugging_face
from models.formats.family import Family, Stored
from models.formats.fields import Fields
from models.shape.config import DecoderConfig
from models.shape.features import LatentAttention, Mixture
from models.shape.rope_scaling import YarnScaling, yarn_amplitude

_ATTENTION = "model.layers.{layer}.self_attn."
_MLP = "model.layers.{layer}.mlp."


def _rotate_half(rows: np.ndarray) -> np.ndarray:
    """Rows [..., rotary_dim, in] from neighbouring rotary pairs to pairs half of them apart."""
    return np.concatenate([rows[..., 0::2, :], rows[..., 1::2, :]], axis=-2)


def _turned_queries(config: DecoderConfig, rows: np.ndarray) -> np.ndarray:
    by_head = rows.reshape(config.heads, config.head_dim, -1)
    plain = config.head_dim - config.rotary_dim
    return np.concatenate([by_head[:, :plain], _rotate_half(by_head[:, plain:])], axis=1).reshape(rows.shape)


def _turned_latents(config: DecoderConfig, rows: np.ndarray) -> np.ndarray:
    plain = len(rows) - config.rotary_dim
    return np.concatenate([rows[:plain], _rotate_half(rows[plain:])])


_LATENT = {
    "q_down": f"{_ATTENTION}q_a_proj.weight",
    "q_down_norm": f"{_ATTENTION}q_a_layernorm.weight",
    "q": Stored(name=f"{_ATTENTION}q_b_proj.weight", change=_turned_queries),
    "kv_down": Stored(name=f"{_ATTENTION}kv_a_proj_with_mqa.weight", change=_turned_latents),
    "kv_down_norm": f"{_ATTENTION}kv_a_layernorm.weight",
    "kv": f"{_ATTENTION}kv_b_proj.weight",
}
_MIXTURE = {
    "router_correction": f"{_MLP}gate.e_score_correction_bias",
    **{f"shared_{name}": f"{_MLP}shared_experts.{name}_proj.weight" for name in ("gate", "up", "down")},
}
_DENSE = {
    **{f"dense/{name}": stored for name, stored in _LATENT.items()},
    **{
        f"dense/{name}": hugging_face.TENSORS[f"layers/{name}"]
        for name in ("attention_norm", "o", "mlp_norm", "gate", "up", "down")
    },
}


def config_from_json(fields: Fields) -> DecoderConfig:
    """Read a config. Queries must have a latent of their own, as all published models of this size have."""
    fields.require(
        hidden_act="silu",
        attention_bias=False,
        rope_interleave=True,
        moe_layer_freq=1,
        scoring_func="sigmoid",
        topk_method="noaux_tc",
    )
    plain, rotary_dim = fields.get("qk_nope_head_dim", 128), fields.get("qk_rope_head_dim", 64)
    # `head_dim` of the file, where there is one, is that of the rotary embedding.
    fields = fields.replaced(head_dim=plain + rotary_dim)
    base = hugging_face.base(fields, context=4096)
    if fields.get("num_key_value_heads", base["heads"]) != base["heads"]:
        raise ValueError(f"num_key_value_heads is {base['kv_heads']}; with latent attention it must be {base['heads']}")
    intermediate = fields.get("moe_intermediate_size", 2048)
    dense = fields.get("first_k_dense_replace", 3)
    return DecoderConfig(
        **base | {"intermediate": intermediate},
        score_scale=_score_scale(fields, base),
        mixture=Mixture(
            experts=fields.get("n_routed_experts", 256),
            per_token=fields.get("num_experts_per_tok", 8),
            normalised=fields.get("norm_topk_prob", True),
            scoring="sigmoid",
            groups=fields.get("n_group", 8),
            groups_per_token=fields.get("topk_group", 4),
            scale=fields.get("routed_scaling_factor", 2.5),
            shared=intermediate * fields.get("n_shared_experts", 1),
        ),
        latent=LatentAttention(
            query_rank=fields.get("q_lora_rank"),
            rank=fields.get("kv_lora_rank", 512),
            rotary_dim=rotary_dim,
            value_dim=fields.get("v_head_dim", 128),
        ),
        dense_layers=dense,
        dense_intermediate=base["intermediate"] if dense else None,
    )


def _score_scale(fields: Fields, base: dict[str, Any]) -> float | None:
    """YaRN's amplitude by `mscale_all_dim` is a factor of queries and keys, also of the features without rotation."""
    scaling, weight = base["rope_scaling"], hugging_face.rope_table(fields).get("mscale_all_dim", 0.0)
    if not isinstance(scaling, YarnScaling) or not weight:
        return None
    return base["head_dim"] ** -0.5 * yarn_amplitude(scaling.factor, weight) ** 2


DEEPSEEK_V3 = Family(
    title="DeepSeek-V3, R1 (mixtures)",
    folder=hugging_face.file_format(
        "deepseek_v3",
        config_from_json,
        hugging_face.EXPERTS,
        {f"layers/{name}": stored for name, stored in (_LATENT | _MIXTURE).items()},
        _DENSE,
        # The layer that predicts a second token.
        unused=("model.layers.{layers}.*",),
    ),
)
