"""Trained models from files: GGUF, or folders of Hugging Face."""

import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from models.checkpoints import folder
from models.checkpoints.filling import check_tensors, fill, slots
from models.checkpoints.gguf_file import check_gguf, open_gguf
from models.checkpoints.gguf_tensors import gguf_shape, gguf_tensors, gguf_vocabulary
from models.checkpoints.mxfp4 import decoded
from models.checkpoints.prompt_files import rules_of_folder, rules_of_gguf
from models.checkpoints.stored_tensor import Tensors
from models.checkpoints.streaming import streamed_parameters
from models.families.llama import LLAMA
from models.families.registry import Shape, shape_from_json
from models.formats.family import Family, FileFormat
from models.generation.loop import Steps
from models.tokenizers.prompts import Message, PromptRules
from models.tokenizers.tokenizer import Tokenizer
from models.tokenizers.vocabulary import Vocabulary
from models.transformer import decoder
from models.transformer.parameters import Params
from models.transformer.stored import StoredLayers


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """A trained model: its shape, its parameters and their origin.

    Attributes:
        config: the shape of the model.
        params: its parameters, of the dtypes that the files hold; what is quantised in a GGUF file is float32. Where
            they are streamed, layers, embedding and head stay in the files (`models.transformer.stored`).
        vocabulary: the tokenizer's vocabulary in a GGUF file, the tokenizer of a folder, or None.
        source: the file or folder that was read.
        sha256: hexadecimal digest of that file, or of names and contents of the folder's files. Where they are
            streamed, of their names, sizes and times of change, and the names and shapes of their tensors.
        family: the functions that run it.
        prompts: what the files say of prompts, such as a chat template.
    """

    config: Any
    params: Params
    vocabulary: Vocabulary | Tokenizer | None
    source: Path
    sha256: str
    family: Family = LLAMA
    prompts: PromptRules = dataclasses.field(default_factory=PromptRules)

    def forward(self, params: Params, tokens: jax.Array) -> jax.Array:
        """Return the float32 logits of tokens [batch, length], by the family's function for this shape.

        The parameters are an argument, so that they can be differentiated or emulated; pass
        `self.params` for the trained ones. Activations are float32, to which weights are converted as they are
        multiplied. It is not compiled: wrap it in `jax.jit`.
        """
        return self.family.forward(self.config, params, tokens, dtype=jnp.float32)

    @property
    def streamed(self) -> bool:
        """Whether the layers are read from the files as they are multiplied."""
        return isinstance(self.params.get("layers"), StoredLayers)

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with.

        Raises:
            ValueError: if there is none, or one of a kind that is not supported.
        """
        if self.vocabulary is None:
            raise ValueError(f"{self.source} holds no tokenizer")
        return self.vocabulary if isinstance(self.vocabulary, Tokenizer) else Tokenizer(self.vocabulary)

    def prefill(
        self, params: Params, tokens: jax.Array, room: int, padding: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        """Return (float32 logits, cache of `room` positions) of tokens [batch, length], as `forward` does.

        padding: as for `models.forward`.
        """
        return self.family.prefill(self.config, params, tokens, room, padding=padding, dtype=jnp.float32)

    def decode_step(
        self, params: Params, cache: Any, tokens: jax.Array, position: jax.Array, padding: jax.Array | None = None
    ) -> tuple[jax.Array, Any]:
        """Return (float32 logits [batch, vocabulary], the cache) after one more token of each sequence, [batch].

        padding: as for `models.forward`.
        """
        return self.family.decode_step(self.config, params, cache, tokens, position, padding=padding, dtype=jnp.float32)

    def steps(self, room: int, transform: Callable[[Callable], Callable] | None = None) -> Steps:
        """Return the steps of `models.generate`, with a cache for `room` tokens.

        Args:
            room: tokens of prompt and continuation, at most the model's context.
            transform: of a function of (params, ...) to one of (key, params, ...), as `optics.emulate` with a core;
                None compiles the functions as they are.

        Raises:
            ValueError: if `room` is not from 1 to the model's context.
        """
        if not 1 <= room <= self.config.context:
            raise ValueError(f"room = {room} must be from 1 to {self.config.context} tokens, this model's context")
        transform = _without_noise if transform is None else transform
        return Steps(
            prefill=transform(lambda params, tokens, *padding: self.prefill(params, tokens, room, *padding)),
            decode=transform(self.decode_step),
            room=room,
        )

    def prompt(self, text: str) -> np.ndarray:
        """Return the tokens of a prompt, int32 [length], with what the tokenizer adds at its ends."""
        return self.tokenizer.encode(text, ends=True)

    def chat(self, messages: str | Sequence[Message]) -> np.ndarray:
        """Return the tokens of a conversation, int32 [length], up to where the model's answer begins.

        Args:
            messages: each with "role" and "content"; a string is one message of the user.

        Raises:
            ValueError: if the checkpoint has no chat template, or its template refuses the messages.
        """
        return self.prompts.encode_chat(self.tokenizer, messages)


def _without_noise(fun: Callable) -> Callable:
    run = jax.jit(fun)
    return lambda key, *args: run(*args)


def check_model(path: str | os.PathLike[str]) -> Path:
    """Return the path of what `load` may read, by the names of files and the first bytes of a GGUF file alone.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if it is a folder without a Hugging Face checkpoint, or a file that is not GGUF.
    """
    path = Path(path)
    if path.is_dir():
        folder.check_folder(path)
        return path
    folder.refuse_code(path)
    if path.suffix == ".safetensors":
        raise ValueError(f"{path} is one file of a checkpoint; name its folder, which holds {folder.CONFIG}")
    return check_gguf(path)


def read_config(path: str | os.PathLike[str]) -> Any:
    """Return the config of a checkpoint without reading its tensors. Raises as `load`."""
    return stated_shape(check_model(path)).config


def stated_shape(path: Path) -> Shape:
    """Return family and config that a folder or a GGUF file states. No tensor is read; raises as `load`."""
    return shape_from_json(path / folder.CONFIG) if path.is_dir() else within(path, gguf_shape, open_gguf(path))


def float32_bytes(path: str | os.PathLike[str]) -> int:
    """Return the bytes of a checkpoint's parameters in float32, by its config. No tensor is read; raises as `load`."""
    shape = stated_shape(check_model(path))
    leaves = jax.tree.leaves(shape.family.parameter_shapes(shape.config))
    return 4 * sum(math.prod(leaf.shape) for leaf in leaves)


def load(
    path: str | os.PathLike[str], *, family: Family | None = None, progress: bool = True, stream: bool = False
) -> Checkpoint:
    """Read a trained model: a Hugging Face folder, or a GGUF file.

    A folder holds config.json, safetensors in one file or in shards, and tokenizer.json. All headers are compared with
    the config before any tensor is read. Formats that can run code are not opened.

    Args:
        path: the folder or the file.
        family: of the model, where it is none of `FAMILIES`; None for the one that the file names.
        progress: whether to show a progress bar on stderr.
        stream: whether layers stay in the files, to be read one by one as they are multiplied. What a tensor holds is
            then looked at when it is read.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if the architecture or a variant of it is not supported, a file is damaged or incomplete, a tensor
            is missing, unknown, of the wrong shape or of a format that is not read, or holds NaN or infinity, or the
            tokenizer has more tokens than the model.
    """
    path = check_model(path)
    if path.is_dir():
        return _load_folder(path, family, progress, stream)
    return load_gguf(path, family=family, progress=progress, stream=stream)


def load_gguf(
    path: str | os.PathLike[str], *, family: Family | None = None, progress: bool = True, stream: bool = False
) -> Checkpoint:
    """Read a GGUF file of any quantisation that the gguf library decodes.

    Matrices become [in, out], layers are stacked, and where the file pairs neighbouring rotary rows of q and k, they
    are changed back to the order of Hugging Face.

    Args:
        path: the file.
        family: as for `load`.
        progress: whether to show a progress bar on stderr.
        stream: as for `load`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as for `load`, or if the file is not GGUF.
    """
    path = Path(path)
    reader = open_gguf(path)
    shape = within(path, gguf_shape, reader, family)
    assert shape.family.gguf is not None
    vocabulary = within(path, gguf_vocabulary, reader)
    if vocabulary is not None:
        _check_vocabulary(path, len(vocabulary.tokens), shape.config.vocabulary)
    prompts = rules_of_gguf(reader, path, shape.config.vocabulary)
    tensors = gguf_tensors(reader, path)
    params = _parameters(path, shape, shape.family.gguf, tensors, progress, stream)
    if stream:
        sha256 = folder.quick_digest([path], tensors)
    else:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(
        config=shape.config,
        params=params,
        vocabulary=vocabulary,
        source=path,
        sha256=sha256,
        family=shape.family,
        prompts=prompts,
    )


def _load_folder(path: Path, family: Family | None, progress: bool, stream: bool) -> Checkpoint:
    shape = shape_from_json(path / folder.CONFIG, family)
    stated = path / folder.TOKENIZER
    tokenizer = Tokenizer.from_file(stated) if stated.is_file() else None
    if tokenizer is not None:
        _check_vocabulary(stated, tokenizer.size, shape.config.vocabulary)
    prompts = rules_of_folder(path, shape.config.vocabulary)
    tensors = decoded(folder.folder_tensors(path))
    params = _parameters(path, shape, shape.family.folder, tensors, progress, stream)
    return Checkpoint(
        config=shape.config,
        params=params,
        vocabulary=tokenizer,
        source=path,
        sha256=folder.quick_digest(folder.files(path), tensors) if stream else folder.digest(path),
        family=shape.family,
        prompts=prompts,
    )


def _parameters(path: Path, shape: Shape, form: FileFormat, tensors: Tensors, progress: bool, stream: bool) -> Params:
    if stream and shape.family.forward is not decoder.forward:
        raise ValueError(f"{path}: a {form.names[0]} model is not streamed; load it into memory")

    def read() -> Params:
        shapes = shape.family.parameter_shapes(shape.config)
        wanted = slots(shapes, form, len(tensors))
        check_tensors(tensors, wanted, form, shape.config.layers)
        if stream:
            return streamed_parameters(tensors, wanted, shapes, shape.config)
        return fill(tensors, wanted, shapes, shape.config, progress)

    try:
        return within(path, read)
    except (MemoryError, OverflowError) as error:
        raise ValueError(f"{path}: the model that its config announces does not fit into memory ({error})") from error


def _check_vocabulary(path: Path, tokens: int, vocabulary: int) -> None:
    if tokens > vocabulary:
        raise ValueError(f"{path}: the tokenizer has {tokens} tokens and the model {vocabulary}: it is another model's")


def within(path: Path, read: Any, *given: Any) -> Any:
    """What `read` returns; its errors name the file."""
    try:
        return read(*given)
    except ValueError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise ValueError(named) from error
