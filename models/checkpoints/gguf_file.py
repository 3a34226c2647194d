"""Opening a GGUF file and reading its metadata, with one-sentence error messages."""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType

_MAGIC = b"GGUF"
_REQUIRED = object()


class _QuickReader(GGUFReader):
    """The library's reader over a plain view of the mapped file.

    Reading a header takes some hundred thousand small slices, and a slice of `np.memmap` takes
    several times as long as one of an array.
    """

    @property
    def data(self) -> np.ndarray:
        return self._bytes

    @data.setter
    def data(self, mapped: np.memmap) -> None:
        self._bytes = mapped.view(np.ndarray)

    def _get_field_parts(self, orig_offs: int, raw_type: int):
        # The library would loop over the stated length of an array even past the end of the file.
        if raw_type == GGUFValueType.ARRAY:
            length, left = int(self._get(orig_offs + 4, np.uint64)[0]), len(self._bytes) - orig_offs
            if length > left:
                raise ValueError(f"an array of {length} elements in the last {left} bytes")
        return super()._get_field_parts(orig_offs, raw_type)


def check_gguf(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that begins with the magic bytes of GGUF; no more of it is read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a folder, or not a GGUF file.
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(each.name for each in path.glob("*.gguf"))
        named = f"; it holds {', '.join(inside[:3])}" if inside else ""
        raise ValueError(f"{path} is a folder; a GGUF file is expected{named}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start != _MAGIC:
        raise ValueError(f"{path} is not a GGUF file: it begins with {start!r}, not {_MAGIC!r}")
    return path


def open_gguf(path: str | os.PathLike[str]) -> GGUFReader:
    """Open a GGUF file; its tensors stay on disk until they are read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a folder, not a GGUF file, or is damaged or incomplete.
    """
    path = check_gguf(path)
    status = path.stat()
    return _opened(path, status.st_size, status.st_mtime_ns)


# A program looks at a file several times before it loads it: for its shape, its tokenizer and its context.
@functools.lru_cache(maxsize=1)
def _opened(path: Path, size: int, changed_ns: int) -> GGUFReader:
    """The reader of a file that has this size and time of change."""
    try:
        return _QuickReader(path)
    # The library has no exception of its own: at the end of a damaged file it raises any of these.
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"{path} is a GGUF file that cannot be read: it is damaged, or shorter "
            f"({size} bytes) than the tensors it announces, as after an "
            f"interrupted download. Fetch it again. (gguf: {error})"
        ) from error


def metadata(reader: GGUFReader, key: str, default: Any = _REQUIRED) -> Any:
    """Return the value of a metadata key as a Python number, string, bool or list.

    Raises:
        ValueError: if the key is absent and no default is given.
    """
    field = reader.get_field(key)
    if field is not None:
        return field.contents()
    if default is _REQUIRED:
        raise ValueError(f"the GGUF metadata lacks {key!r}")
    return default
