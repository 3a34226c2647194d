"""The fields of a file that states a model's shape: Hugging Face's config.json, and the metadata of a GGUF file."""

from collections.abc import Mapping
from typing import Any

from models.shape.checks import shown

_REQUIRED: Any = object()
MOST_LAYERS = 10_000


class Fields:
    """Fields by name.

    Args:
        values: the fields.
        prefix: of every name, as "llama." in GGUF.
        tensors: shapes of the tensors in the file, by name, where the file that states the shape holds them.
    """

    def __init__(
        self, values: Mapping[str, Any], prefix: str = "", tensors: Mapping[str, tuple[int, ...]] | None = None
    ):
        self._values, self._prefix, self.tensors = values, prefix, tensors or {}

    def get(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return a field; one that is absent or null takes the default.

        Raises:
            ValueError: if there is neither field nor default.
        """
        value = self._values.get(self._prefix + name)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise ValueError(f"required key {self._prefix + name!r} is missing")
        return default

    def layers(self, name: str) -> int:
        """Return a number of layers, before anything of that length is made; ValueError for an impossible one."""
        count = self.get(name)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_LAYERS:
            raise ValueError(f"{self._prefix}{name} is {shown(count)}; it must be an integer from 1 to {MOST_LAYERS}")
        if self.tensors and count > len(self.tensors):
            raise ValueError(f"{self._prefix}{name} is {count}, and there are only {len(self.tensors)} tensors")
        return count

    def nullable(self, name: str, default: Any) -> Any:
        """Return a field that may be null; one that is absent takes the default."""
        return self._values.get(self._prefix + name, default)

    def replaced(self, **values: Any) -> "Fields":
        """Return the fields with some replaced."""
        return Fields({**self._values, **values}, self._prefix, self.tensors)

    def require(self, **supported: Any) -> None:
        """Raise ValueError for a field that is there and of another value than the one that is supported."""
        for name, value in supported.items():
            found = self.get(name, value)
            if found != value:
                raise ValueError(f"{self._prefix}{name} is {found!r}; only {value!r} is supported")
