"""Tensors, tokenizer and shape of a GGUF file."""

from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, ReaderTensor

from models.checkpoints.gguf_file import metadata
from models.checkpoints.stored_tensor import StoredTensor
from models.families.registry import Shape, family_of_gguf
from models.formats.family import Family
from models.formats.fields import Fields
from models.formats.gguf import ROPE_DIVISORS
from models.tokenizers.vocabulary import Vocabulary

_PLAIN = {
    GGMLQuantizationType.F32: np.dtype(np.float32),
    GGMLQuantizationType.F16: np.dtype(np.float16),
    GGMLQuantizationType.BF16: np.dtype(ml_dtypes.bfloat16),
}


def gguf_shape(reader: GGUFReader, family: Family | None = None) -> Shape:
    """Return family and config of the model in a file; a family of the caller's own reads any.

    Raises:
        ValueError: if the architecture is not supported, a key is absent or out of range, or the
            rotary embedding is of a kind that is not supported.
    """
    architecture = metadata(reader, "general.architecture")
    prefix = f"{architecture}."
    values = {key: field.contents() for key, field in reader.fields.items() if key.startswith(prefix)}
    shapes = {tensor.name: _shape(tensor) for tensor in reader.tensors}
    divisors = next((np.asarray(t.data) for t in reader.tensors if t.name == ROPE_DIVISORS), None)
    if divisors is not None:
        values[f"{prefix}rope_divisors"] = tuple(divisors.tolist())
    fields = Fields(values, prefix, shapes)
    family = family or family_of_gguf(architecture, fields)
    if family.gguf is None:
        raise ValueError(f"no names in GGUF files are known of {family.title}")
    return Shape(family, family.gguf.config(fields))


def gguf_tensors(reader: GGUFReader, path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file by name; F16 and BF16 are kept, other formats become float32 when read."""
    return {
        tensor.name: StoredTensor(
            tensor.name,
            _shape(tensor),
            _PLAIN.get(tensor.tensor_type, np.dtype(np.float32)),
            path,
            lambda tensor=tensor: _read(path, tensor),
            None if tensor.tensor_type in _PLAIN else lambda numbers, tensor=tensor: _read(path, tensor, numbers),
        )
        for tensor in reader.tensors
    }


def gguf_vocabulary(reader: GGUFReader) -> Vocabulary | None:
    """Return the vocabulary of the tokenizer in a file, or None."""
    model = metadata(reader, "tokenizer.ggml.model", None)
    if model is None:
        return None
    return Vocabulary(
        model=model,
        splitting=metadata(reader, "tokenizer.ggml.pre", "default"),
        tokens=metadata(reader, "tokenizer.ggml.tokens"),
        token_types=metadata(reader, "tokenizer.ggml.token_type", []),
        merges=metadata(reader, "tokenizer.ggml.merges", []),
        scores=metadata(reader, "tokenizer.ggml.scores", []),
        space_prefix=metadata(reader, "tokenizer.ggml.add_space_prefix", True),
        first=_first_token(reader, model),
    )


def _first_token(reader: GGUFReader, model: str) -> int | None:
    """The token that begins a whole text. Files without the flag mean what llama.cpp does, which loads them so."""
    splitting = metadata(reader, "tokenizer.ggml.pre", "default")
    added = metadata(reader, "tokenizer.ggml.add_bos_token", model == "llama" or splitting == "llama-bpe")
    number, tokens = metadata(reader, "tokenizer.ggml.bos_token_id", None), metadata(reader, "tokenizer.ggml.tokens")
    if not added or number is None:
        return None
    if not 0 <= number < len(tokens):
        raise ValueError(f"tokenizer.ggml.bos_token_id is {number}; there are tokens 0 to {len(tokens) - 1}")
    return int(number)


def _shape(tensor: ReaderTensor) -> tuple[int, ...]:
    # GGUF lists the axis of adjacent elements first.
    return tuple(int(size) for size in reversed(tensor.shape))


def _read(path: Path, tensor: ReaderTensor, rows: np.ndarray | None = None) -> np.ndarray:
    """The array of a tensor, or rows of it."""
    data = tensor.data
    if tensor.n_bytes:
        # A map of its own: what was read of the reader's map would stay in memory.
        data = np.memmap(path, data.dtype, "r", tensor.data_offset, data.shape)
    if plain := _PLAIN.get(tensor.tensor_type):
        return data.view(plain).reshape(_shape(tensor))
    data = data if rows is None else data[rows]
    try:
        return gguf.dequantize(data, tensor.tensor_type)
    except NotImplementedError as error:
        raise ValueError(
            f"tensor {tensor.name!r} is stored as {tensor.tensor_type.name}, which the gguf library cannot dequantise"
        ) from error
