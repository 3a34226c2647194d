"""Mixtral: Mistral with a mixture of experts. Its GGUF files are Llama's."""

from models.families import hugging_face
from models.families.family import Family, FileFormat, stored
from models.families.fields import Fields
from models.transformer.config import DecoderConfig, Mixture

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


MIXTRAL = Family(
    title="Mixtral 8x7B, 8x22B (mixtures)",
    folder=FileFormat(
        names=("mixtral",),
        config=config_from_json,
        tensors=stored(hugging_face.TENSORS, _EXPERTS),
        unused=hugging_face.UNUSED,
    ),
)
