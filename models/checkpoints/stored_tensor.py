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
        decode_rows: returns rows of these numbers [count], where `read` decodes what the file holds; None where it maps
            the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    file: Path
    read: Callable[[], np.ndarray]
    decode_rows: Callable[[np.ndarray], np.ndarray] | None = None

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Return rows [*numbers.shape, ...] of the array. Others are neither read nor decoded."""
        if self.decode_rows is None:
            return self.read()[numbers]
        return self.decode_rows(numbers.reshape(-1)).reshape(*numbers.shape, *self.shape[1:])


Tensors = Mapping[str, StoredTensor]
