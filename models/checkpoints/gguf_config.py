"""The shape of a Llama-architecture model in a GGUF file."""

import dataclasses

import numpy as np
from gguf import GGUFReader

from models.checkpoints.gguf_file import metadata
from models.transformer.config import LlamaConfig, RopeScaling, head_width
from models.transformer.rope import rotary_frequencies, scaling_divisors

ROPE_DIVISORS = "rope_freqs.weight"
"""The tensor of Llama 3.1's rotary scaling in a GGUF file: a divisor per frequency."""


def read_config(reader: GGUFReader) -> LlamaConfig:
    """Read a config from the metadata, and from the tensors where the metadata lacks it.

    Raises:
        ValueError: if the architecture is not llama, a key is absent or out of range, or the
            rotary embedding is of a kind that is not supported.
    """
    architecture = metadata(reader, "general.architecture")
    if architecture != "llama":
        raise ValueError(f"the architecture is {architecture!r}; only 'llama' is supported")
    shapes = {tensor.name: tensor.shape for tensor in reader.tensors}
    if "token_embd.weight" not in shapes:
        raise ValueError("tensor 'token_embd.weight' is missing")
    hidden = metadata(reader, "llama.embedding_length")
    heads = metadata(reader, "llama.attention.head_count")
    config = LlamaConfig(
        hidden=hidden,
        intermediate=metadata(reader, "llama.feed_forward_length"),
        layers=metadata(reader, "llama.block_count"),
        heads=heads,
        kv_heads=metadata(reader, "llama.attention.head_count_kv", heads),
        head_dim=metadata(reader, "llama.attention.key_length", None) or head_width(hidden, heads),
        vocabulary=int(shapes["token_embd.weight"][-1]),
        context=metadata(reader, "llama.context_length"),
        tied_head="output.weight" not in shapes,
        rope_theta=metadata(reader, "llama.rope.freq_base", 10000.0),
        norm_epsilon=metadata(reader, "llama.attention.layer_norm_rms_epsilon"),
    )
    _check_rotation(reader, config)
    return dataclasses.replace(config, rope_scaling=_rope_scaling(reader, config))


def _check_rotation(reader: GGUFReader, config: LlamaConfig) -> None:
    rotated = metadata(reader, "llama.rope.dimension_count", config.head_dim)
    if rotated != config.head_dim:
        raise ValueError(
            f"rotary embedding turns {rotated} of {config.head_dim} features of a head; only a "
            "turn of all of them is supported"
        )
    scaling = metadata(reader, "llama.rope.scaling.type", "none")
    if scaling != "none":
        raise ValueError(f"rotary scaling is {scaling!r}; only Llama 3.1's is supported")


def _rope_scaling(reader: GGUFReader, config: LlamaConfig) -> RopeScaling | None:
    divisors = next((t.data for t in reader.tensors if t.name == ROPE_DIVISORS), None)
    if divisors is None:
        return None
    # The file holds the divisors, not the parameters of the rule. Llama 3.1 to 3.3 differ in the factor alone.
    scaling = RopeScaling(
        factor=float(np.max(divisors)),
        low_frequency_factor=1.0,
        high_frequency_factor=4.0,
        original_context=8192,
    )
    expected = scaling_divisors(rotary_frequencies(config), scaling)
    if divisors.shape != expected.shape or not np.allclose(divisors, expected, rtol=1e-4):
        raise ValueError(f"tensor {ROPE_DIVISORS!r} is not Llama 3.1's rotary scaling")
    return scaling
