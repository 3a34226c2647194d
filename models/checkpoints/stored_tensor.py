"""A tensor in a file, read when it is asked for."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor in a file. Making one reads nothing.

    Attributes:
        name: in the file.
        shape: as the model sees it, not quantised.
        dtype: of what `read` returns.
        file: that holds it.
        read: returns the array, a view of the mapped file where the file holds it as it is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    file: Path
    read: Callable[[], np.ndarray]


Tensors = Mapping[str, StoredTensor]
