"""BERT, an encoder. `models.FAMILIES` holds decoders alone: `models.load(folder, family=models.BERT)` reads one."""

from models.encoder.bert import EncoderConfig, encode, encoder_shapes
from models.formats.family import Family, FileFormat, Stored, stored
from models.formats.fields import Fields

_LAYER = "encoder.layer.{layer}."
_MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}
_NORMS = {"attention_norm": "attention.output.LayerNorm", "mlp_norm": "output.LayerNorm"}


def config_from_json(fields: Fields) -> EncoderConfig:
    """Read a config of a BERT with absolute positions and the exact GELU."""
    fields.require(hidden_act="gelu", position_embedding_type="absolute", is_decoder=False)
    return EncoderConfig(
        hidden=fields.get("hidden_size"),
        intermediate=fields.get("intermediate_size"),
        layers=fields.layers("num_hidden_layers"),
        heads=fields.get("num_attention_heads"),
        vocabulary=fields.get("vocab_size"),
        context=fields.get("max_position_embeddings", 512),
        types=fields.get("type_vocab_size", 2),
        norm_epsilon=fields.get("layer_norm_eps", 1e-12),
    )


BERT = Family(
    title="BERT and sentence encoders of its architecture, such as all-MiniLM-L6-v2",
    folder=FileFormat(
        names=("bert",),
        config=config_from_json,
        tensors=stored(
            {
                "embedding": "embeddings.word_embeddings.weight",
                "positions": Stored(name="embeddings.position_embeddings.weight", transposed=False),
                "types": Stored(name="embeddings.token_type_embeddings.weight", transposed=False),
                "embedding_norm": "embeddings.LayerNorm.weight",
                "embedding_norm_bias": "embeddings.LayerNorm.bias",
                **{f"layers/{key}": f"{_LAYER}{name}.weight" for key, name in (_MATRICES | _NORMS).items()},
                **{f"layers/{key}_bias": f"{_LAYER}{name}.bias" for key, name in (_MATRICES | _NORMS).items()},
            }
        ),
        # The pooler serves the task that BERT was trained on, and the numbers of positions count up.
        unused=("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"),
    ),
    forward=encode,
    parameter_shapes=encoder_shapes,
)
