"""Llama-architecture checkpoints from GGUF files, dequantised to float32."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import gguf
import jax
import jax.numpy as jnp
import numpy as np
from gguf import GGUFReader, ReaderTensor
from tqdm import tqdm

from models.checkpoints.gguf_config import ROPE_DIVISORS, read_config
from models.checkpoints.gguf_file import metadata, open_gguf
from models.tokenizers.tokenizer import Tokenizer, Vocabulary
from models.transformer import decoder as llama
from models.transformer.config import LlamaConfig

_LAYER_TENSORS = {
    "attention_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "mlp_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """A trained model: its shape, its parameters and their origin.

    Attributes:
        config: the shape of the model.
        params: the parameter tree of `models.transformer.decoder`, float32.
        vocabulary: the tokenizer's vocabulary in the file, or None where there is none.
        source: the file that was read.
        sha256: hexadecimal digest of that file.
    """

    config: LlamaConfig
    params: llama.Params
    vocabulary: Vocabulary | None
    source: Path
    sha256: str

    def forward(self, params: llama.Params, tokens: jax.Array) -> jax.Array:
        """Return the float32 logits of tokens [batch, length], by `models.forward` for this shape.

        The parameters are an argument, so that they can be differentiated or emulated; pass
        `self.params` for the trained ones. It is not compiled: wrap it in `jax.jit`.
        """
        return llama.forward(self.config, params, tokens)

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with.

        Raises:
            ValueError: if the file holds none, or one of a kind that is not supported.
        """
        if self.vocabulary is None:
            raise ValueError(f"{self.source} holds no tokenizer")
        return Tokenizer(self.vocabulary)


def load_gguf(path: str | os.PathLike[str], *, progress: bool = True) -> Checkpoint:
    """Read a Llama-architecture GGUF file of any quantisation that the gguf library decodes.

    Every tensor becomes float32, matrices become [in, out], layers are stacked, and the rotary
    row order of q and k in GGUF is changed back to that of Hugging Face.

    Args:
        path: the file.
        progress: whether to show a progress bar on stderr.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not GGUF, is damaged or incomplete, holds another
            architecture or a variant that is not supported, or a tensor is missing, unknown,
            of the wrong shape, or holds NaN or infinity.
    """
    path = Path(path)
    reader = open_gguf(path)
    try:
        config = read_config(reader)
        params = _read_parameters(reader, config, progress)
        vocabulary = _read_vocabulary(reader)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (MemoryError, OverflowError) as error:
        raise ValueError(f"{path}: the model that its metadata announces does not fit into memory ({error})") from error
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(config=config, params=params, vocabulary=vocabulary, source=path, sha256=sha256)


def _read_parameters(reader: GGUFReader, config: LlamaConfig, progress: bool) -> llama.Params:
    if config.layers > len(reader.tensors):
        raise ValueError(f"llama.block_count is {config.layers}, and there are only {len(reader.tensors)} tensors")
    shapes = llama.parameter_shapes(config)
    params = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), shapes)
    slots = list(_slots(config, params))
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    _check_tensors(tensors, slots)
    for name, slot, heads in tqdm(slots, "loading", unit="tensor", disable=not progress):
        rows = _dequantise(tensors[name])
        slot[...] = (rows if heads is None else _to_rotate_half(rows, heads)).T
    return jax.tree.map(jnp.asarray, params)


def _slots(config: LlamaConfig, params: llama.Params) -> Iterator[tuple[str, np.ndarray, int | None]]:
    """Each tensor's GGUF name, the view that its transpose is written to, and its number of rotary heads."""
    rotary_heads = {"q": config.heads, "k": config.kv_heads}
    yield "token_embd.weight", params["embedding"].T, None
    for layer in range(config.layers):
        for name, stored in _LAYER_TENSORS.items():
            slot = params["layers"][name][layer]
            yield f"blk.{layer}.{stored}.weight", slot, rotary_heads.get(name)
    yield "output_norm.weight", params["norm"], None
    if not config.tied_head:
        yield "output.weight", params["head"], None


def _check_tensors(tensors: dict[str, ReaderTensor], slots: list[tuple[str, np.ndarray, int | None]]) -> None:
    for name, slot, _ in slots:
        if name not in tensors:
            raise ValueError(f"tensor {name!r} is missing")
        # GGUF lists the contracted axis first, which is the [in, out] of the parameters.
        shape = tuple(int(size) for size in tensors[name].shape)
        if shape != slot.shape:
            raise ValueError(f"tensor {name!r} has shape {shape}; its metadata says {slot.shape}")
    # An unread bias or expert would silently change every result.
    unknown = sorted(tensors.keys() - {name for name, _, _ in slots} - {ROPE_DIVISORS})
    if unknown:
        raise ValueError(f"tensor {unknown[0]!r} has no place in a plain Llama model")


def _dequantise(tensor: ReaderTensor) -> np.ndarray:
    try:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
    except NotImplementedError as error:
        raise ValueError(
            f"tensor {tensor.name!r} is stored as {tensor.tensor_type.name}, which the gguf library cannot dequantise"
        ) from error
    if not np.isfinite(values).all():
        raise ValueError(f"tensor {tensor.name!r} holds NaN or infinity")
    return values


def _to_rotate_half(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorder rows from GGUF's neighbouring rotary pairs to pairs half a head apart.

    This is the inverse of `permute` of llama.cpp's `convert_hf_to_gguf.py`. Shape [heads * head_dim, in].
    """
    outputs, inputs = rows.shape
    pairs = rows.reshape(heads, outputs // heads // 2, 2, inputs)
    return pairs.swapaxes(1, 2).reshape(outputs, inputs)


def _read_vocabulary(reader: GGUFReader) -> Vocabulary | None:
    model = metadata(reader, "tokenizer.ggml.model", None)
    if model is None:
        return None
    return Vocabulary(
        model=model,
        splitting=metadata(reader, "tokenizer.ggml.pre", "default"),
        tokens=metadata(reader, "tokenizer.ggml.tokens"),
        token_types=metadata(reader, "tokenizer.ggml.token_type", []),
        merges=metadata(reader, "tokenizer.ggml.merges", []),
    )
