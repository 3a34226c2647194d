"""Ordinary transformers in plain JAX, with their checkpoints, tokenizers and texts.

    model = models.load_gguf(models.fetch_model())
    tokens = model.tokenizer.encode("The capital of France is")[None]
    logits = model.forward(model.params, tokens)

A model is a function of its parameters and tokens. Nothing in it refers to the hardware that may emulate it.
"""

from importlib.util import find_spec

for _module in ("gguf", "tokenizers", "tqdm"):
    if find_spec(_module) is None:
        raise ModuleNotFoundError(f"models needs {_module}: pip install 'optical-tensor-core[models]'", name=_module)

from models.checkpoints.gguf_checkpoint import Checkpoint, load_gguf
from models.checkpoints.gguf_file import check_gguf
from models.data.fetch import FetchError, cache_folder, fetch_model, fetch_text, text_names
from models.data.text import check_text, load_text, windows
from models.decoding import greedy, next_token_losses
from models.families.configs import (
    CONFIGS,
    LLAMA_2_70B,
    LLAMA_3_1_8B,
    LLAMA_3_1_70B,
    LLAMA_3_1_405B,
    SMOLLM2_1_7B,
    SMOLLM2_135M,
    SMOLLM2_360M,
)
from models.tokenizers.tokenizer import Tokenizer
from models.transformer.config import LlamaConfig, RopeScaling, config_from_json
from models.transformer.decoder import decode_step, empty_cache, forward, initialise, parameter_count, parameter_shapes

__all__ = [
    "CONFIGS",
    "LLAMA_2_70B",
    "LLAMA_3_1_405B",
    "LLAMA_3_1_70B",
    "LLAMA_3_1_8B",
    "SMOLLM2_135M",
    "SMOLLM2_1_7B",
    "SMOLLM2_360M",
    "Checkpoint",
    "FetchError",
    "LlamaConfig",
    "RopeScaling",
    "Tokenizer",
    "cache_folder",
    "check_gguf",
    "check_text",
    "config_from_json",
    "decode_step",
    "empty_cache",
    "fetch_model",
    "fetch_text",
    "forward",
    "greedy",
    "initialise",
    "load_gguf",
    "load_text",
    "next_token_losses",
    "parameter_count",
    "parameter_shapes",
    "text_names",
    "windows",
]
