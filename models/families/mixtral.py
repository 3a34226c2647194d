"""Mixtral: Mistral with a mixture of experts. In GGUF files its architecture is Llama's, with experts."""

from models.formats import gguf, hugging_face
from models.formats.family import Family
from models.formats.fields import Fields
from models.shape.config import DecoderConfig
from models.shape.features import Mixture

_EXPERTS = {
    "layers/router": "model.layers.{layer}.block_sparse_moe.gate.weight",
    "layers/gate": "model.layers.{layer}.block_sparse_moe.experts.{expert}.w1.weight",
    "layers/up": "model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight",
    "layers/down": "model.layers.{layer}.block_sparse_moe.experts.{expert}.w2.weight",
}


def config_from_json(fields: Fields) -> DecoderConfig:
    """Read a config."""
    fields.require(hidden_act="silu")
    mixture = Mixture(experts=fields.get("num_local_experts", 8), per_token=fields.get("num_experts_per_tok", 2))
    base = hugging_face.base(fields, theta=1_000_000.0, context=131_072)
    return DecoderConfig(**base, window=fields.get("sliding_window", None), mixture=mixture)


def config_from_gguf(fields: Fields) -> DecoderConfig:
    """Read a config."""
    return DecoderConfig(**gguf.base(fields), mixture=gguf.mixture(fields))


MIXTRAL = Family(
    title="Mixtral 8x7B, 8x22B (mixtures)",
    folder=hugging_face.file_format("mixtral", config_from_json, _EXPERTS),
    gguf=gguf.file_format(
        "llama",
        config_from_gguf,
        gguf.NEIGHBOURING_PAIRS,
        gguf.EXPERTS,
        is_of=lambda fields: bool(fields.get("expert_count", 0)),
    ),
)
