"""Which examples a step takes, by seed and number of the step alone, so that a resumed run needs no state of it."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from experiments.common.options import short_repr

Data = Any | Callable[[int], Any]


def check_data(name: str, data: Any, batch: int) -> int:
    """Return the number of examples in a tree of arrays.

    Args:
        name: of the tree, for messages.
        data: tree of arrays whose leading axis counts the examples.
        batch: examples that are taken at once.

    Raises:
        ValueError: unless all leaves are arrays of equally many examples, at least `batch`.
    """
    leaves = {name + jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(data)}
    if not leaves:
        raise ValueError(f"{name} holds no array")
    for path, leaf in leaves.items():
        if not isinstance(leaf, np.ndarray | jax.Array) or not leaf.ndim:
            raise ValueError(f"{path} = {short_repr(leaf)} must be an array whose leading axis counts the examples")
    counts = {path: leaf.shape[0] for path, leaf in leaves.items()}
    if len(set(counts.values())) > 1:
        stated = ", ".join(f"{path} {count}" for path, count in counts.items())
        raise ValueError(f"{name} must have equally many examples in all arrays, and has {stated}")
    examples = next(iter(counts.values()))
    if examples < batch:
        raise ValueError(f"{name} holds {examples} examples, fewer than the {batch} of a batch")
    return examples


def batch_of_step(data: Data, seed: int, step: int, batch: int, accumulate: int) -> Any:
    """Return the examples of a step, tree of arrays [accumulate, batch / accumulate, ...].

    All examples in an order of the seed and the epoch, then again in another; those that fill no batch are left out of
    an epoch.

    Args:
        data: tree of arrays [examples, ...], or a function of the step that returns a tree of arrays [batch, ...].
        seed: of the order.
        step: number of the step.
        batch: examples in it.
        accumulate: micro-batches in it.
    """
    if callable(data):
        chosen = data(step)
        check_data(f"the data of step {step}", chosen, batch)
        return jax.tree.map(lambda array: np.asarray(array[:batch]).reshape(accumulate, -1, *array.shape[1:]), chosen)
    examples = jax.tree.leaves(data)[0].shape[0]
    epoch, number = divmod(step, examples // batch)
    places = _permutation(seed, epoch, examples)[number * batch : (number + 1) * batch]
    return jax.tree.map(lambda array: np.asarray(array)[places].reshape(accumulate, -1, *array.shape[1:]), data)


def batches_in_order(data: Any, batch: int) -> Any:
    """Return the examples as a tree of arrays [batches, batch, ...], in their order, without those that fill none."""
    return jax.tree.map(
        lambda array: np.asarray(array[: array.shape[0] // batch * batch]).reshape(-1, batch, *array.shape[1:]), data
    )


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, examples: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(examples)
