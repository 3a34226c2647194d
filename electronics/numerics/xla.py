"""Control over XLA's fusion and over what a gradient keeps. Nothing here changes a result.

XLA's CPU compiler fuses as much as it can. A fusion that contains the neighbours of a value, or slices of a loop's
stacks, is not vectorised and recomputes the neighbours of neighbours, which is up to ten times as slow
(docs/performance.md). Operands and results of a call that is not inlined are stored in memory, so it ends a fusion.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from electronics.numerics._jax import call_apart, call_branch

Tree = TypeVar("Tree")
# Largest number of elements of an array that `materialize` stores: arrays of vectors or of columns, not of both.
_SMALL = 2**16

# Checkpoint name of products that are no `dot_general` of JAX's own.
PRODUCT = "product"
# A stage of which a gradient keeps the inputs and the matrix products, and recomputes the rest: keeping the dozens of
# intermediate arrays of noise and converters costs more than recomputing them. Stages are short, so that each is
# recomputed in few passes; as one stage the same gradient took twice as long (docs/performance.md).
remat_stage = partial(
    jax.checkpoint,
    policy=jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_saveable, jax.checkpoint_policies.save_only_these_names(PRODUCT)
    ),
)


def skip_unless(acts: ArrayLike, compute: Callable[[], Tree], otherwise: Callable[[], Tree]) -> Tree:
    """compute() where `acts` is true at run time, else the cheaper otherwise(): an effect that is off is skipped.

    `acts` may be traced, so that a sweep over the strength of an effect compiles once. CPUs skip what does not act.
    Accelerators compute both and select, as the host would have to read the predicate of a conditional.
    """
    return call_branch(jnp.asarray(acts), compute, otherwise)


def fusion_barrier(function: Callable[..., Tree], *operands: object) -> Tree:
    """function(*operands), not fused with what comes before or after on CPUs.

    Args:
        function: of the operands.
        operands: pytrees of arrays.
    """
    return call_apart(function, *operands)


def materialize(tree: Tree) -> Tree:
    """The tree with its small arrays stored in memory on CPUs.

    For slices of a loop's stacks, which XLA otherwise slices again for each element that is computed from them.
    """
    leaves, structure = jax.tree.flatten(tree)
    small = [number for number, leaf in enumerate(leaves) if leaf.size <= _SMALL]
    values = [leaves[number] for number in small]
    for number, value in zip(small, fusion_barrier(lambda *v: v, *values), strict=True):
        leaves[number] = value
    return jax.tree.unflatten(structure, leaves)
