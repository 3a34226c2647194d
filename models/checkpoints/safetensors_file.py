"""Tensors of a safetensors file, by name, on the mapped file."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from models.checkpoints.stored_tensor import StoredTensor

DTYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "U8": np.dtype(np.uint8),
    "I64": np.dtype(np.int64),
}
"""Formats that are read. Bytes are those of MXFP4, integers number positions; a parameter is stored as neither."""

_LENGTH_BYTES = 8


def open_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a file. The header is checked by the safetensors library; no tensor is read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or truncated, or holds a format that is not read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    size = path.stat().st_size
    try:
        # The library compares all offsets with shapes and with the size of the file.
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise ValueError(
            f"{path} is a safetensors file that cannot be read: it is damaged, or shorter ({size} bytes) than the "
            f"tensors that its header announces, as after an interrupted download. Fetch it again. "
            f"(safetensors: {error})"
        ) from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: _tensor(path, _LENGTH_BYTES + length, name, entry) for name, entry in header.items()}


def _tensor(path: Path, start: int, name: str, entry: dict) -> StoredTensor:
    if entry["dtype"] not in DTYPES:
        raise ValueError(
            f"{path}: tensor {name!r} is stored as {entry['dtype']}; supported are {', '.join(list(DTYPES)[:3])}"
        )
    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    first, last = entry["data_offsets"]

    def read() -> np.ndarray:
        if first == last:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", start + first, shape)

    return StoredTensor(name, shape, dtype, path, read)
