"""Parameters that stay in their files until a layer multiplies them: layers one by one, rows of a table by token.

`models.transformer.decoder` takes them in place of arrays. They are read by a callback of the compiled program, so that
a function of them is still an ordinary JAX function: `jit`, `vmap` and `scan` act on it.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

WEIGHTS = "weights: "
"""Start of the checkpoint name of weights that a function reads itself; the path of the parameter follows.

Interpreters such as `optics.emulate` know by it what is weights where no argument holds them."""


class LayerSource(Protocol):
    """Reads layers.

    Attributes:
        path: of the stack of layers in the tree of parameters, as "layers".
        shapes: shape and dtype of each parameter of a layer as `read` returns it.
        transposed: the parameters that are stored as [..., out, in].
    """

    path: str

    @property
    def shapes(self) -> Mapping[str, jax.ShapeDtypeStruct]: ...

    @property
    def transposed(self) -> frozenset[str]: ...

    def read(self, number: Any) -> dict[str, np.ndarray]:
        """Return the parameters of one layer by name. It is called from a thread of XLA and must not use JAX."""
        ...


class TableSource(Protocol):
    """Reads a matrix, or rows of it.

    Attributes:
        path: of the parameter, as "embedding".
        shape: of the matrix as it is stored.
        dtype: of its elements.
        transposed: whether the parameter is the transposed of what is stored.
    """

    path: str
    shape: tuple[int, int]
    dtype: np.dtype
    transposed: bool

    def read(self) -> np.ndarray:
        """Return the matrix as it is stored."""
        ...

    def rows(self, numbers: Any) -> np.ndarray:
        """Return rows [*numbers.shape, columns] of the matrix as it is stored; NaN for a row that it lacks."""
        ...


@partial(jax.tree_util.register_dataclass, data_fields=["number"], meta_fields=["source"])
@dataclasses.dataclass(frozen=True)
class StoredLayers:
    """The parameters of all layers in place of the stacked ones: a tree whose one array numbers the layers.

    A loop over the layers so gives each step the number of its layer.

    Attributes:
        number: integers [layers]; of one layer a scalar.
        source: reads a layer.
    """

    number: jax.Array
    source: LayerSource

    def layer(self, dtype: DTypeLike) -> dict[str, Any]:
        """Return the parameters of one layer; matrices have the dtype of the activations that they multiply."""
        stored = jax.pure_callback(self.source.read, dict(self.source.shapes), self.number, vmap_method="sequential")
        return {
            name: _as_weights(f"{self.source.path}.{name}", array, name in self.source.transposed, dtype)
            for name, array in stored.items()
        }


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, eq=False)
class StoredTable:
    """A matrix of the parameters that is not a layer's: the embedding or the head. A tree without arrays."""

    source: TableSource

    @property
    def dtype(self) -> np.dtype:
        """Of the stored elements."""
        return self.source.dtype

    def matrix(self, dtype: DTypeLike, after: jax.Array) -> jax.Array:
        """Return the whole parameter, converted. It is read when `after` is known, whatever the value of it is."""
        shape = jax.ShapeDtypeStruct(self.source.shape, self.source.dtype)
        stored = jax.pure_callback(lambda _: self.source.read(), shape, after, vmap_method="sequential")
        return _as_weights(self.source.path, stored, self.source.transposed, dtype)

    def rows(self, numbers: jax.Array) -> jax.Array:
        """Return rows [*numbers.shape, columns]; those of numbers that the table lacks are NaN."""
        shape = jax.ShapeDtypeStruct((*numbers.shape, self.source.shape[1]), self.source.dtype)
        return jax.pure_callback(self.source.rows, shape, numbers, vmap_method="expand_dims")


def layer_of(parameters: Any, dtype: DTypeLike) -> Any:
    """Return the parameters of one layer: what a loop over the layers hands on, read where it is stored."""
    return parameters.layer(dtype) if isinstance(parameters, StoredLayers) else parameters


def rows_of(table: Any, numbers: jax.Array) -> jax.Array:
    """Return rows of a table, [*numbers.shape, columns]."""
    return table.rows(numbers) if isinstance(table, StoredTable) else jnp.take(table, numbers, axis=0)


def matrix_of(table: Any, dtype: DTypeLike, after: jax.Array | None) -> jax.Array:
    """Return a table as a matrix of a dtype; one that is stored is read when `after` is known."""
    if not isinstance(table, StoredTable):
        return table.astype(dtype)
    return table.matrix(dtype, jnp.zeros((), jnp.int32) if after is None else after)


def is_stored(stacked: Any) -> bool:
    """Whether a tree holds layers that are read."""
    return any(isinstance(node, StoredLayers) for node in jax.tree.leaves(stacked, is_leaf=_is_layers))


def number_of(given: Any) -> jax.Array:
    """Return the number of the layer of a tree that is read."""
    return next(n.number for n in jax.tree.leaves(given, is_leaf=_is_layers) if isinstance(n, StoredLayers))


def _is_layers(node: Any) -> bool:
    return isinstance(node, StoredLayers)


def _as_weights(path: str, stored: jax.Array, transposed: bool, dtype: DTypeLike) -> jax.Array:
    if stored.ndim > 1:
        # Converted first: XLA multiplies by the transposed of a converted matrix without a copy of its own.
        stored = stored.astype(dtype)
    array = stored.swapaxes(-1, -2) if transposed and stored.ndim > 1 else stored
    return checkpoint_name(array, WEIGHTS + path)
