"""A family of models: how files state its shape and name its parameters, and the functions that run it.

A parameter is named by its place in the tree of `models.transformer.parameters`, "embedding" or "layers/q". A file
names the tensor of each layer by a template such as "model.layers.{layer}.self_attn.q_proj.weight", and that of each
expert by one that also holds "{expert}".
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from models.formats.fields import Fields
from models.transformer import decoder, parameters

ConfigReader = Callable[[Fields], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """How a file stores a parameter.

    Attributes:
        name: template of the tensor's name.
        transposed: whether matrices are stored as [out, in]; vectors never are.
        every: (first, step) along the last axis of the stored tensor where it interleaves several parameters.
        change: of the stored array, given the config, to the one that the model multiplies; it keeps the shape.
    """

    name: str
    transposed: bool = True
    every: tuple[int, int] = (0, 1)
    change: Callable[[Any, np.ndarray], np.ndarray] | None = None

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the stored tensor of a parameter of this shape."""
        *outer, last = shape
        if outer and self.transposed:
            outer[-1], last = last, outer[-1]
        return (*outer, last * self.every[1])

    def arrange(self, config: Any, array: np.ndarray) -> np.ndarray:
        """Return the parameter of a stored array."""
        array = self.cut(config, array)
        return array.swapaxes(-1, -2) if array.ndim > 1 and self.transposed else array

    def cut(self, config: Any, array: np.ndarray) -> np.ndarray:
        """Return the parameter of a stored array, matrices as [out, in] where they are stored so."""
        first, step = self.every
        array = array[..., first::step] if step > 1 else array
        return array if self.change is None else self.change(config, array)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How files of one kind state a family's shape and name its parameters.

    Attributes:
        names: what a file calls the architecture: `model_type` of config.json, `general.architecture` of GGUF.
        config: reads the shape.
        tensors: how each parameter is stored.
        unused: templates of tensors that files hold beside the parameters, and that say nothing more. "{layers}" is
            the number of layers, and "*" at the end stands for any name that begins so.
        is_of: which of several families of one name a file is of, by its fields.
    """

    names: tuple[str, ...]
    config: ConfigReader
    tensors: Mapping[str, Stored]
    unused: tuple[str, ...] = ()
    is_of: Callable[[Fields], bool] = lambda fields: True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models.

    Attributes:
        title: the models as they are published.
        folder: of Hugging Face folders.
        gguf: of GGUF files, or None where no reader is written.
        forward: (config, params, tokens, ...) -> logits.
        prefill: (config, params, tokens, room, ...) -> (logits, cache).
        decode_step: (config, params, cache, tokens, position, ...) -> (logits, cache).
        empty_cache: (config, batch, length, dtype) -> cache.
        parameter_shapes: config -> the tree of parameters.
    """

    title: str
    folder: FileFormat
    gguf: FileFormat | None = None
    forward: Callable[..., jax.Array] = decoder.forward
    prefill: Callable[..., Any] = decoder.prefill
    decode_step: Callable[..., Any] = decoder.decode_step
    empty_cache: Callable[..., Any] = decoder.empty_cache
    parameter_shapes: Callable[..., Any] = parameters.parameter_shapes


def stored(names: Mapping[str, str | Stored], *more: Mapping[str, str | Stored]) -> Mapping[str, Stored]:
    """Return names of tensors by parameter as `Stored`; a later mapping replaces names of those before it."""
    joined = {key: value for mapping in (names, *more) for key, value in mapping.items()}
    return MappingProxyType(
        {
            key: Stored(name=value, transposed=key != "embedding") if isinstance(value, str) else value
            for key, value in joined.items()
        }
    )
