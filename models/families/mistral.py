"""Mistral: Llama with a sliding window in every layer, which later versions lack. Its GGUF files are Llama's."""

from models.formats import hugging_face
from models.formats.family import Family
from models.formats.fields import Fields
from models.shape.config import DecoderConfig


def config_from_json(fields: Fields) -> DecoderConfig:
    """Read a config; `sliding_window` is null in Mistral 7B v0.2 and later."""
    fields.require(hidden_act="silu")
    window = fields.nullable("sliding_window", 4096)
    return DecoderConfig(**hugging_face.base(fields, context=131_072), window=window)


MISTRAL = Family(
    title="Mistral 7B, Mistral Nemo, Mistral Small (text)",
    folder=hugging_face.file_format("mistral", config_from_json),
)
