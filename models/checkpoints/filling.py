"""The parameters of a model from the tensors of its files, in the tree that the model takes."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from models.checkpoints.stored_tensor import StoredTensor, Tensors
from models.formats.family import FileFormat, Stored
from models.transformer.parameters import layers_before

# Numbers of a part of an array that are looked at together.
_PART = 2**18


class Slot(NamedTuple):
    """A place of the parameters that one stored tensor fills.

    Attributes:
        parameter: its path, such as "layers/q".
        place: indices of its layer and of its expert, or fewer.
        tensor: name of the stored tensor.
        shape: of the place.
        stored: how the tensor is stored.
    """

    parameter: str
    place: tuple[int, ...]
    tensor: str
    shape: tuple[int, ...]
    stored: Stored


def slots(shapes: Any, form: FileFormat, most: int) -> list[Slot]:
    """Return all places of a tree of parameters, layer by layer. Files number layers through all stacks of them.

    Args:
        shapes: the tree, with a shape at each leaf.
        form: names the tensors.
        most: number of tensors that there are.

    Raises:
        ValueError: if a parameter has no name in files of this format, or takes more tensors than there are.
    """
    found, before = [], layers_before(shapes)
    for path, leaf in jax.tree.flatten_with_path(shapes)[0]:
        parameter = "/".join(str(key.key) for key in path)
        if parameter not in form.tensors:
            raise ValueError(f"parameter {parameter!r} has no name in files of {form.names[0]!r}")
        stored = form.tensors[parameter]
        axes = [axis for axis in ("layer", "expert") if f"{{{axis}}}" in stored.name]
        if (count := math.prod(leaf.shape[: len(axes)])) > most:
            raise ValueError(f"parameter {parameter!r} takes {count} tensors, and there are only {most}")
        first = before.get(path[0].key, 0)
        for place in np.ndindex(*leaf.shape[: len(axes)]):
            numbers = dict(zip(axes, place, strict=True))
            name = stored.name.format(**numbers | ({"layer": first + place[0]} if "layer" in numbers else {}))
            found.append(Slot(parameter, place, name, leaf.shape[len(axes) :], stored))
    # By layer, so that a file is read from its begin to its end.
    return sorted(found, key=lambda slot: slot.place[:1])


def check_tensors(tensors: Tensors, wanted: list[Slot], form: FileFormat, layers: int) -> None:
    """Compare the tensors of a model's files with what its shape asks for. Nothing is read.

    Raises:
        ValueError: if one is missing, of another shape or of a format that is not read, or has no place in the model.
    """
    for slot in wanted:
        if slot.tensor not in tensors:
            raise ValueError(f"tensor {slot.tensor!r} is missing")
        tensor, shape = tensors[slot.tensor], slot.stored.shape(slot.shape)
        if tensor.shape != shape:
            raise ValueError(f"{tensor.file}: tensor {tensor.name!r} has shape {tensor.shape}; the config says {shape}")
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            raise ValueError(f"{tensor.file}: tensor {tensor.name!r} is stored as {tensor.dtype}; weights are floats")
    # An unread bias or expert would silently change every result.
    unused = {name.format(layer=layer, layers=layers) for name in form.unused for layer in range(layers)}
    starts = tuple(name.removesuffix("*") for name in unused if name.endswith("*"))
    left = tensors.keys() - {slot.tensor for slot in wanted} - unused
    unknown = sorted(name for name in left if not name.startswith(starts))
    if unknown:
        raise ValueError(
            f"{tensors[unknown[0]].file}: tensor {unknown[0]!r} has no place in a {form.names[0]} model of this config"
        )


def dtypes_of(tensors: Tensors, wanted: list[Slot]) -> dict[str, np.dtype]:
    """Return by parameter the dtype that holds all its layers as they are stored."""
    dtypes: dict[str, np.dtype] = {}
    for slot in wanted:
        dtype = tensors[slot.tensor].dtype
        known = dtypes.setdefault(slot.parameter, dtype)
        if known != dtype:
            # float16 and bfloat16 hold each other's numbers only in float32.
            dtypes[slot.parameter] = np.dtype(np.float32)
    return dtypes


def fill(tensors: Tensors, wanted: list[Slot], shapes: Any, config: Any, progress: bool) -> Any:
    """Return the tree of parameters, each of the dtype that holds all its layers as they are stored.

    Args:
        tensors: by name.
        wanted: the places, which `check_tensors` has passed.
        shapes: the tree, with a shape at each leaf.
        config: of the model.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: if a tensor holds NaN or infinity, or is stored in a way that the gguf library cannot decode.
    """
    dtypes = dtypes_of(tensors, wanted)
    leaves, structure = jax.tree.flatten_with_path(shapes)
    arrays = {}
    for path, leaf in leaves:
        parameter = "/".join(str(key.key) for key in path)
        arrays[parameter] = np.empty(leaf.shape, dtypes[parameter])
    for slot, array in _read(tensors, wanted, config, progress):
        arrays[slot.parameter][slot.place] = array
    # One by one, so that at most one is in memory twice.
    return jax.tree.unflatten(structure, [jnp.asarray(arrays.pop(name)) for name in list(arrays)])


def _read(tensors: Tensors, wanted: list[Slot], config: Any, progress: bool) -> Iterator[tuple[Slot, np.ndarray]]:
    # Slots of one tensor follow each other, so that it is read once: gpt-oss interleaves gate and up.
    ordered = sorted(wanted, key=lambda slot: (slot.place[:1], slot.tensor))
    name, array = "", np.empty(0)
    for slot in tqdm(ordered, "loading", unit="tensor", disable=not progress):
        if slot.tensor != name:
            name, array = slot.tensor, read_finite(tensors[slot.tensor])
        yield slot, slot.stored.arrange(config, array)


def read_finite(tensor: StoredTensor) -> np.ndarray:
    """Return the array of a tensor. Raises ValueError if it holds NaN or infinity."""
    array = tensor.read()
    check_finite(tensor, array)
    return array


def check_finite(tensor: StoredTensor, array: np.ndarray) -> None:
    """Raise ValueError where the numbers read of a tensor are not all finite."""
    if not all(np.all(_finite(part)) for part in _parts(array)):
        raise ValueError(f"{tensor.file}: tensor {tensor.name!r} holds NaN or infinity")


def _parts(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array in parts that fit a cache; of a mapped file each is read once."""
    step = max(_PART * array.shape[0] // array.size, 1) if array.ndim and array.size else 1
    return (array[first : first + step] for first in range(0, len(array), step)) if array.ndim else iter([array])


def _finite(part: np.ndarray) -> np.ndarray:
    if part.dtype != jnp.bfloat16:
        return np.isfinite(part)
    # Six times as fast as NumPy's test of bfloat16: an exponent of all ones.
    return (part.view(np.uint16) & 0x7F80) != 0x7F80
