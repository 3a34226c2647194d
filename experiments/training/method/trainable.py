"""What is trained: all parameters, low-rank additions to the matrices on the mask, norms and biases, or a choice."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from electronics.part import nearest
from experiments.common.options import check_integer
from optics.interpreter.plan import Site

MOST_RANK = 4096
_NORM = re.compile(r"norm|bias|scale|gain|gamma|beta")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainable:
    """Which parameters are trained.

    Attributes:
        kind: "all" floating-point parameters; "lora", a low-rank addition to each matrix on the mask; "norms", norms
            and biases alone.
        rank: of the additions of "lora".
        alpha: the additions are scaled by alpha / rank.
        where: function of the path of a parameter, such as "layers.q", that says whether it is among those of `kind`.
    """

    kind: Literal["all", "lora", "norms"] = "all"
    rank: int = 8
    alpha: float = 16.0
    where: Callable[[str], bool] | None = None

    def check(self) -> None:
        """Raise ValueError for a field out of range."""
        if self.kind not in ("all", "lora", "norms"):
            raise ValueError(f"train = {self.kind!r} is nothing to train{nearest(str(self.kind), KINDS)}")
        check_integer("rank", self.rank, 1, MOST_RANK)
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha = {self.alpha} must be a number above 0")


KINDS = ["all", "lora", "norms"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
    """A trained parameter.

    Attributes:
        path: in the tree of parameters.
        shape: of the parameter.
        stacked: number of leading axes that count matrices, as layers or experts.
        rows: of each matrix; 0 of what is not on the mask.
        columns: of each matrix.
        transposed: whether it is stored as [columns, rows].
    """

    path: str
    shape: tuple[int, ...]
    stacked: int = 0
    rows: int = 0
    columns: int = 0
    transposed: bool = False

    def as_matrices(self, values: jax.Array) -> jax.Array:
        """The parameter as [stack..., rows, columns]."""
        lead = self.shape[: self.stacked]
        if self.transposed:
            return values.reshape(*lead, self.columns, self.rows).swapaxes(-1, -2)
        return values.reshape(*lead, self.rows, self.columns)

    def as_stored(self, matrices: jax.Array) -> jax.Array:
        """The inverse of `as_matrices`."""
        return (matrices.swapaxes(-1, -2) if self.transposed else matrices).reshape(self.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """The trained parameters of a function; part of the structure of a compiled step.

    Attributes:
        leaves: the parameters.
        low_rank: rank of what is added to each of them; 0 where they are trained themselves.
        scale: factor of what is added.
        clipped: whether weights on the mask are clipped column by column.
    """

    leaves: tuple[Leaf, ...]
    low_rank: int = 0
    scale: float = 1.0
    clipped: bool = False

    def start(self, params: Any, key: jax.Array) -> dict[str, Any]:
        """Return the trained arrays of the starting point by path, float32: copies, or factors whose product is 0.

        Args:
            params: the parameters.
            key: seeds the first factors, Gaussian of variance 1 / rows; the second ones are 0.
        """
        arrays = by_path(params)
        if not self.low_rank:
            return {leaf.path: jnp.array(arrays[leaf.path], jnp.float32, copy=True) for leaf in self.leaves}
        made = {}
        for number, leaf in enumerate(self.leaves):
            lead = leaf.shape[: leaf.stacked]
            drawn = jax.random.normal(jax.random.fold_in(key, number), (*lead, leaf.rows, self.low_rank))
            made[leaf.path] = {
                "a": drawn / leaf.rows**0.5,
                "b": jnp.zeros((*lead, self.low_rank, leaf.columns), jnp.float32),
            }
        return made

    def merge(self, params: Any, trained: Mapping[str, Any], sigmas: jax.Array | float = math.inf) -> Any:
        """Return the parameters with the trained arrays in their places: one array each, as the mask is loaded with.

        Args:
            params: the starting point.
            trained: as `start` returns them.
            sigmas: where matrices with low-rank additions are clipped, in standard deviations of their columns.
        """
        leaves = {leaf.path: leaf for leaf in self.leaves}

        def merged(path: Any, value: Any) -> Any:
            name = written(path)
            if name not in leaves:
                return value
            if not self.low_rank:
                return trained[name]
            factors = trained[name]
            # Full precision on every platform, as the sum is what the mask is loaded with.
            added = jnp.matmul(factors["a"], factors["b"], precision=jax.lax.Precision.HIGHEST)
            matrices = leaves[name].as_matrices(jnp.asarray(value, jnp.float32)) + self.scale * added
            return leaves[name].as_stored(clip_columns(matrices, sigmas) if self.clipped else matrices)

        return jax.tree_util.tree_map_with_path(merged, params)

    def clip(self, trained: Mapping[str, Any], sigmas: jax.Array | float) -> dict[str, Any]:
        """Return the trained arrays with matrices on the mask clipped to `sigmas` deviations of each column."""
        if self.low_rank or not self.clipped:
            return dict(trained)
        clipped = {}
        for leaf in self.leaves:
            values = trained[leaf.path]
            clipped[leaf.path] = leaf.as_stored(clip_columns(leaf.as_matrices(values), sigmas)) if leaf.rows else values
        return clipped


def clip_columns(matrices: jax.Array, sigmas: jax.Array | float) -> jax.Array:
    """Matrices [..., rows, columns] clipped to `sigmas` standard deviations of each column, around 0."""
    bound = sigmas * jax.lax.stop_gradient(jnp.std(matrices, axis=-2, keepdims=True))
    bound = jnp.broadcast_to(bound, matrices.shape)
    return jnp.clip(matrices, -bound, bound)


def select(trainable: Trainable, params: Any, sites: Sequence[Site], clipped: bool) -> Trained:
    """Return the trained parameters of a function.

    Args:
        trainable: which are wanted.
        params: tree of parameters, or of their shapes.
        sites: products of the function, as `optics.trace` returns them; they say which arrays are on the mask.
        clipped: whether weights on the mask are clipped.

    Raises:
        ValueError: if no parameter is selected, or none of the selected is a matrix where matrices are clipped.
    """
    trainable.check()
    on_mask = {path: site for site in reversed(sites) if site.optical for path in site.path.split("+")}
    floats = {path: value for path, value in by_path(params).items() if jnp.issubdtype(value.dtype, jnp.floating)}
    wanted = {
        "all": list(floats),
        "lora": [path for path in floats if path in on_mask],
        "norms": [path for path in floats if path not in on_mask and _is_norm(path, floats[path].shape)],
    }[trainable.kind]
    chosen = [path for path in wanted if trainable.where is None or trainable.where(path)]
    if not chosen:
        known = wanted or list(floats)
        raise ValueError(
            f"train = {trainable.kind!r} selects no parameter; there are: {', '.join(known[:8]) or 'none at all'}"
        )
    leaves = tuple(_leaf(path, tuple(floats[path].shape), on_mask.get(path)) for path in chosen)
    if clipped and not any(leaf.rows for leaf in leaves):
        raise ValueError(f"clip_sigmas clips matrices on the mask, and train = {trainable.kind!r} trains none")
    low = trainable.rank if trainable.kind == "lora" else 0
    return Trained(leaves=leaves, low_rank=low, scale=trainable.alpha / trainable.rank if low else 1.0, clipped=clipped)


def by_path(tree: Any) -> dict[str, Any]:
    """The arrays of a tree, or their shapes, by path, as "layers.q"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {written(path): leaf for path, leaf in leaves if hasattr(leaf, "shape") and hasattr(leaf, "dtype")}


def written(path: Any) -> str:
    """A path as `optics.trace` writes it, "weights" of an array that is the whole tree."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".") or "weights"


def _is_norm(path: str, shape: Sequence[int]) -> bool:
    return len(shape) <= 1 or _NORM.search(path.rpartition(".")[2]) is not None


def _leaf(path: str, shape: tuple[int, ...], site: Site | None) -> Leaf:
    """A parameter with the matrices that it holds, by the shape that its product has."""
    if site is None or len(shape) < 2:
        return Leaf(path=path, shape=shape)
    for stacked in range(len(shape) - 1):
        inner = shape[stacked:]
        if math.prod(inner) != site.rows * site.columns:
            continue
        heads = [math.prod(inner[:cut]) for cut in range(1, len(inner))]
        if site.rows in heads or site.columns in heads:
            return Leaf(
                path=path,
                shape=shape,
                stacked=stacked,
                rows=site.rows,
                columns=site.columns,
                transposed=site.rows not in heads,
            )
    # What is cut or joined before it is multiplied: its last two axes are taken for rows and columns.
    return Leaf(path=path, shape=shape, stacked=len(shape) - 2, rows=shape[-2], columns=shape[-1])
