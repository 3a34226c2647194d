"""What the metadata and the tensors of most decoders in GGUF files have in common."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.formats.family import ConfigReader, FileFormat, Stored, stored
from models.formats.fields import Fields
from models.shape.config import DecoderConfig, head_width
from models.shape.features import Mixture
from models.shape.rope_scaling import LinearScaling, YarnScaling, yarn_amplitude

ROPE_DIVISORS = "rope_freqs.weight"
"""The tensor of Llama 3.1's rotary scaling in a GGUF file: a divisor per frequency."""

TENSORS = stored(
    {
        "embedding": "token_embd.weight",
        "norm": "output_norm.weight",
        "head": "output.weight",
        "layers/attention_norm": "blk.{layer}.attn_norm.weight",
        "layers/q": "blk.{layer}.attn_q.weight",
        "layers/k": "blk.{layer}.attn_k.weight",
        "layers/v": "blk.{layer}.attn_v.weight",
        "layers/o": "blk.{layer}.attn_output.weight",
        "layers/q_bias": "blk.{layer}.attn_q.bias",
        "layers/k_bias": "blk.{layer}.attn_k.bias",
        "layers/v_bias": "blk.{layer}.attn_v.bias",
        "layers/o_bias": "blk.{layer}.attn_output.bias",
        "layers/q_norm": "blk.{layer}.attn_q_norm.weight",
        "layers/k_norm": "blk.{layer}.attn_k_norm.weight",
        "layers/mlp_norm": "blk.{layer}.ffn_norm.weight",
        "layers/gate": "blk.{layer}.ffn_gate.weight",
        "layers/up": "blk.{layer}.ffn_up.weight",
        "layers/down": "blk.{layer}.ffn_down.weight",
    }
)
EXPERTS = stored(
    {
        "layers/router": "blk.{layer}.ffn_gate_inp.weight",
        "layers/gate": "blk.{layer}.ffn_gate_exps.weight",
        "layers/up": "blk.{layer}.ffn_up_exps.weight",
        "layers/down": "blk.{layer}.ffn_down_exps.weight",
    }
)


def file_format(
    name: str,
    config: ConfigReader,
    *more: Mapping[str, str | Stored],
    unused: tuple[str, ...] = (),
    is_of: Callable[[Fields], bool] = lambda fields: True,
) -> FileFormat:
    """Return the format of a decoder's GGUF files.

    Args:
        name: `general.architecture`.
        config: reads the shape.
        more: names of tensors beside `TENSORS`, or in their place.
        unused: as for `FileFormat`.
        is_of: as for `FileFormat`.
    """
    return FileFormat(names=(name,), config=config, tensors=stored(TENSORS, *more), unused=unused, is_of=is_of)


def mixture(fields: Fields) -> Mixture:
    """Return the mixture that the metadata state; shares are normalised, as llama.cpp takes them to be."""
    return Mixture(experts=fields.get("expert_count"), per_token=fields.get("expert_used_count"))


def base(fields: Fields, truncate: bool = True) -> dict[str, Any]:
    """Return the fields of `DecoderConfig` that all decoders state alike, without `rope_scaling` by a tensor.

    Args:
        fields: the metadata.
        truncate: whether YaRN rounds the ends of its interpolation, as llama.cpp does.

    Raises:
        ValueError: if a key or the embedding is missing, or the rotary embedding is of a kind that is not supported.
    """
    if "token_embd.weight" not in fields.tensors:
        raise ValueError("tensor 'token_embd.weight' is missing")
    hidden, heads = fields.get("embedding_length"), fields.get("attention.head_count")
    head_dim = fields.get("attention.key_length", None) or head_width(hidden, heads)
    rotated = fields.get("rope.dimension_count", head_dim)
    if rotated != head_dim:
        raise ValueError(
            f"rotary embedding turns {rotated} of {head_dim} features of a head; only a turn of all of them is "
            "supported"
        )
    return {
        "hidden": hidden,
        "intermediate": fields.get("feed_forward_length"),
        "layers": fields.layers("block_count"),
        "heads": heads,
        "kv_heads": fields.get("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "vocabulary": fields.tensors["token_embd.weight"][0],
        "context": fields.get("context_length"),
        "tied_head": "output.weight" not in fields.tensors,
        "rope_theta": fields.get("rope.freq_base", 10000.0),
        "rope_scaling": _rope_scaling(fields, truncate),
        "norm_epsilon": fields.get("attention.layer_norm_rms_epsilon"),
    }


def _rope_scaling(fields: Fields, truncate: bool) -> LinearScaling | YarnScaling | None:
    kind = fields.get("rope.scaling.type", "none")
    if kind == "none":
        return None
    factor = fields.get("rope.scaling.factor")
    if kind == "linear":
        return LinearScaling(factor=factor)
    if kind == "yarn":
        # llama.cpp derives the amplitude of YaRN from the factor.
        return YarnScaling(
            factor=factor,
            original_context=fields.get("rope.scaling.original_context_length"),
            amplitude=yarn_amplitude(factor),
            truncate=truncate,
        )
    raise ValueError(f"rotary scaling is {kind!r}; only Llama 3.1's, 'linear' and 'yarn' are supported")


def to_rotate_half(heads: str) -> Any:
    """Return the change of rows of queries or keys from neighbouring rotary pairs to pairs half a head apart.

    It is the inverse of `permute` of llama.cpp's `convert_hf_to_gguf.py`.

    Args:
        heads: the field of the config that holds the number of heads.
    """

    def change(config: DecoderConfig, rows: np.ndarray) -> np.ndarray:
        pairs = rows.reshape(getattr(config, heads), -1, 2, *rows.shape[1:])
        return pairs.swapaxes(1, 2).reshape(rows.shape)

    return change


NEIGHBOURING_PAIRS = {
    f"layers/{name}{end}": Stored(name=TENSORS[f"layers/{name}{end}"].name, change=to_rotate_half(heads))
    for name, heads in (("q", "heads"), ("k", "kv_heads"))
    for end in ("", "_bias")
}
"""Queries and keys of the families whose rows llama.cpp's converter reorders."""
