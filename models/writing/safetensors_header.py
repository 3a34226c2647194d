"""The head of a safetensors file, and how tensors are shared among several files."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from models.checkpoints.safetensors_file import DTYPES

FLOATS = {str(dtype): dtype for name, dtype in DTYPES.items() if "F" in name}
"""The dtypes in which weights are written, by their names."""
_FORMATS = {dtype: name for name, dtype in DTYPES.items()}
# Bytes that are left free on the disk.
_SPARE = 2**28


class Entry(NamedTuple):
    """A tensor of a file."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Of its numbers."""
        return self.dtype.itemsize * math.prod(self.shape)


class _Sized(Protocol):
    @property
    def bytes(self) -> int: ...


_T = TypeVar("_T", bound=_Sized)


def header(entries: Sequence[Entry], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a file before the numbers, which follow in the order of the entries."""
    fields: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    start = 0
    for entry in entries:
        end = start + entry.bytes
        fields[entry.name] = {
            "dtype": _FORMATS[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(fields, separators=(",", ":")).encode()
    # So that the data begin at a multiple of 64 bytes, as processors and mapped files like it.
    text += b" " * (-(len(text) + 8) % 64)
    return len(text).to_bytes(8, "little") + text


def cut_into_shards(tensors: Sequence[_T], most: int) -> list[list[_T]]:
    """Return tensors in their order, in shards of at most so many bytes, but for a tensor that is larger."""
    shards: list[list[_T]] = [[]]
    filled = 0
    for tensor in tensors:
        if shards[-1] and filled + tensor.bytes > most:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += tensor.bytes
    return shards


def shard_names(count: int) -> list[str]:
    """Return the names of so many files, as Hugging Face numbers them."""
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def check_room(folder: Path, needed: int) -> None:
    """Raise ValueError unless the disk of a folder, which need not be there yet, has room for so many bytes."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    free = shutil.disk_usage(existing).free
    if needed and needed + _SPARE > free:
        raise ValueError(f"{folder}: {needed / 1e9:.1f} GB are to be written, and the disk has {free / 1e9:.1f} GB")
