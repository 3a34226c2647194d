"""Ordinary transformers in plain JAX, with their checkpoints, tokenizers and texts.

    model = models.load(models.fetch_model())             # or a Hugging Face folder
    tokens = model.tokenizer.encode("The capital of France is")[None]
    logits = model.forward(model.params, tokens)

A model is a function of its parameters and tokens. Nothing in it refers to the hardware that may emulate it.
"""

import warnings
from importlib.util import find_spec
from typing import Any

for _module in ("gguf", "jinja2", "safetensors", "tokenizers", "tqdm"):
    if find_spec(_module) is None:
        raise ModuleNotFoundError(f"models needs {_module}: pip install 'optical-tensor-core[models]'", name=_module)

from models import equivalent
from models.checkpoints.checkpoint import (
    Checkpoint,
    check_model,
    float32_bytes,
    load,
    load_gguf,
    read_config,
)
from models.checkpoints.gguf_file import check_gguf
from models.checkpoints.read_prompts import read_prompts
from models.data.fetch import FetchError, cache_folder, fetch_encoder, fetch_model, fetch_text, text_names
from models.data.headlines import load_headlines
from models.data.text import check_text, load_text, windows
from models.decoding import greedy, next_token_losses
from models.encoder.bert import EncoderConfig, encode, encoder_shapes, sentence_embeddings
from models.families.bert import BERT
from models.families.configs import (
    CONFIGS,
    DEEPSEEK_V3,
    GPT_OSS_120B,
    LLAMA_2_70B,
    LLAMA_3_1_8B,
    LLAMA_3_1_70B,
    LLAMA_3_1_405B,
    MIXTRAL_8X7B,
    QWEN3_30B_A3B,
    SMOLLM2_1_7B,
    SMOLLM2_135M,
    SMOLLM2_360M,
)
from models.families.registry import FAMILIES, config_from_json
from models.formats.family import Family, FileFormat, Stored
from models.generation.loop import State, Steps, generate
from models.generation.sampling import Sampling
from models.shape.config import DecoderConfig
from models.shape.features import LatentAttention, Mixture
from models.shape.rope_scaling import LinearScaling, RopeScaling, YarnScaling
from models.shape.rotation import Rotation
from models.tokenizers.prompts import PromptRules
from models.tokenizers.tokenizer import Tokenizer, token_batch
from models.transformer.decoder import decode_step, empty_cache, forward, prefill
from models.transformer.parameters import initialise, parameter_count, parameter_shapes
from models.writing.random_folder import write_random
from models.writing.saving import save

__all__ = [
    "BERT",
    "EncoderConfig",
    "GPT_OSS_120B",
    "MIXTRAL_8X7B",
    "QWEN3_30B_A3B",
    "CONFIGS",
    "Checkpoint",
    "DEEPSEEK_V3",
    "DecoderConfig",
    "FAMILIES",
    "Family",
    "FetchError",
    "FileFormat",
    "LLAMA_2_70B",
    "LLAMA_3_1_405B",
    "LLAMA_3_1_70B",
    "LLAMA_3_1_8B",
    "LatentAttention",
    "LinearScaling",
    "Mixture",
    "RopeScaling",
    "Rotation",
    "Steps",
    "State",
    "Sampling",
    "PromptRules",
    "SMOLLM2_135M",
    "SMOLLM2_1_7B",
    "SMOLLM2_360M",
    "Stored",
    "Tokenizer",
    "YarnScaling",
    "cache_folder",
    "check_gguf",
    "check_model",
    "check_text",
    "config_from_json",
    "decode_step",
    "empty_cache",
    "encode",
    "encoder_shapes",
    "equivalent",
    "fetch_encoder",
    "fetch_model",
    "fetch_text",
    "float32_bytes",
    "forward",
    "generate",
    "greedy",
    "initialise",
    "load",
    "load_gguf",
    "load_headlines",
    "load_text",
    "next_token_losses",
    "parameter_count",
    "parameter_shapes",
    "prefill",
    "read_config",
    "read_prompts",
    "save",
    "sentence_embeddings",
    "text_names",
    "token_batch",
    "windows",
    "write_random",
]

# Old names of 0.1, kept for one version.
_RENAMED = {"LlamaConfig": "DecoderConfig"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module 'models' has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(f"models.{name} is now models.{new}", DeprecationWarning, stacklevel=2)
    return globals()[new]
