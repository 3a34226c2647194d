"""Parameters that stay in their files: layers that are read one by one, and tables by row or as a whole."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from models.checkpoints.filling import Slot, check_finite, dtypes_of, fill, read_finite
from models.checkpoints.stored_tensor import StoredTensor, Tensors
from models.transformer.parameters import Params, layers_before
from models.transformer.stored import StoredLayers, StoredTable

_TABLES = ("embedding", "head")


def streamed_parameters(tensors: Tensors, wanted: list[Slot], shapes: Any, config: Any) -> Params:
    """Return the tree of parameters with layers, embedding and head left in their files; the rest is read.

    Args:
        tensors: by name.
        wanted: the places, which `check_tensors` has passed.
        shapes: the tree, with a shape at each leaf.
        config: of the model.

    Raises:
        ValueError: if a tensor that is read here holds NaN or infinity.
    """
    stacks = layers_before(shapes)
    tables = [slot for slot in wanted if slot.parameter in _TABLES]
    rest = {name: shape for name, shape in shapes.items() if name not in stacks and name not in _TABLES}
    params = fill(tensors, [slot for slot in wanted if slot.parameter in rest], rest, config, progress=False)
    params |= {slot.parameter: StoredTable(TableReader(tensors[slot.tensor], slot, config)) for slot in tables}
    for stack in stacks:
        inner = [slot for slot in wanted if slot.parameter.startswith(f"{stack}/")]
        count = 1 + max(slot.place[0] for slot in inner)
        reader = LayerReader(tensors, inner, config, stack, shapes[stack])
        params[stack] = StoredLayers(jnp.arange(count, dtype=jnp.int32), reader)
    return params


class LayerReader:
    """Reads layers, and while one is used the next one in a thread.

    Arrays are views of the mapped files where these hold what is asked for, and are unmapped when they are dropped. At
    most two layers are held.

    Attributes:
        path: see `LayerSource`.
        shapes: see `LayerSource`.
        transposed: see `LayerSource`.
    """

    def __init__(self, tensors: Tensors, wanted: list[Slot], config: Any, path: str, shapes: Mapping[str, Any]):
        self.path = path
        self._tensors, self._config, self._dtypes = tensors, config, dtypes_of(tensors, wanted)
        self._by_layer: dict[int, list[Slot]] = {}
        for slot in wanted:
            self._by_layer.setdefault(slot.place[0], []).append(slot)
        named = {_name(slot): slot for slot in wanted}
        self.transposed = frozenset(n for n, slot in named.items() if slot.stored.transposed and len(slot.shape) > 1)
        self.shapes: Mapping[str, jax.ShapeDtypeStruct] = {
            name: jax.ShapeDtypeStruct(self._as_stored(name, shapes[name].shape[1:]), self._dtypes[slot.parameter])
            for name, slot in named.items()
        }
        self._lock, self._thread = threading.Lock(), ThreadPoolExecutor(1, "layers")
        self._ahead: dict[int, Future[dict[str, np.ndarray]]] = {}
        self._last = -1

    def read(self, number: Any) -> dict[str, np.ndarray]:
        """Return the parameters of a layer, and begin to read the one after it, in the direction of the last two.

        Raises:
            ValueError: if a tensor holds NaN or infinity; it names file and tensor.
        """
        number = int(number)
        with self._lock:
            direction = -1 if number == self._last - 1 else 1
            self._last = number
            waiting = self._ahead.pop(number, None) or self._thread.submit(self._read, number)
            self._ahead.clear()
            found = waiting.result()
            if number + direction in self._by_layer:
                self._ahead[number + direction] = self._thread.submit(self._read, number + direction)
        return found

    def _read(self, number: int) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        # A tensor may hold several parameters of a layer.
        read: dict[str, np.ndarray] = {}
        for slot in self._by_layer[number]:
            if slot.tensor not in read:
                read[slot.tensor] = read_finite(self._tensors[slot.tensor])
            name = _name(slot)
            array = slot.stored.cut(self._config, read[slot.tensor])
            place, shape = slot.place[1:], self.shapes[name]
            if place:
                arrays.setdefault(name, np.empty(shape.shape, shape.dtype))[place] = array
            else:
                arrays[name] = array.astype(shape.dtype, copy=False)
        return arrays

    def _as_stored(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _swapped(shape) if name in self.transposed else shape


class TableReader:
    """Reads the embedding or the head, see `TableSource`."""

    def __init__(self, tensor: StoredTensor, slot: Slot, config: Any):
        self.path, self.dtype, self.transposed = slot.parameter, tensor.dtype, slot.stored.transposed
        rows, columns = _swapped(slot.shape) if self.transposed else slot.shape
        self.shape = rows, columns
        self._tensor, self._slot, self._config = tensor, slot, config

    def read(self) -> np.ndarray:
        """Return the matrix as it is stored. Raises ValueError if it holds NaN or infinity."""
        return self._slot.stored.cut(self._config, read_finite(self._tensor))

    def rows(self, numbers: Any) -> np.ndarray:
        """Return rows of the matrix as it is stored; NaN for a row that it lacks. Other rows are not read.

        Raises:
            ValueError: if one of them holds NaN or infinity.
        """
        numbers = np.asarray(numbers)
        count = self.shape[0]
        lacking = (numbers >= count) | (numbers < -count)
        wanted, stored = np.where(lacking, 0, numbers) % count, self._slot.stored
        if stored.change is None:
            found = np.array(stored.cut(self._config, self._tensor.rows(wanted)))
        else:
            # What a change does to a row may depend on the others.
            found = stored.cut(self._config, self._tensor.read())[wanted]
        check_finite(self._tensor, found)
        found[lacking] = np.nan
        return found


def _name(slot: Slot) -> str:
    return slot.parameter.partition("/")[2]


def _swapped(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-2], *reversed(shape[-2:]))
