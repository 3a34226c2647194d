"""Where one pass over the numbers ends and the next begins, against XLA's will.

XLA's CPU compiler fuses all it can. Where a fusion holds neighbours of a number, or slices of a loop's stacks, it gives
up vectors, and computes the neighbours of neighbours anew: up to ten times as slow. What goes into a conditional, and
what comes out of one, has to lie in memory.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")
# Numbers of an array that is stored rather than cut out again: those of vectors or columns, not of both.
_SMALL = 2**16

# The name under which products that are not JAX's own are kept.
PRODUCT = "product"
# A stage of which a gradient keeps what goes in, and its products: the dozens of numbers that noise and converters make
# of each cost more to keep than to make again. Stages are short, so that each is made again in few passes.
stage = partial(
    jax.checkpoint,
    policy=jax.checkpoint_policies.save_from_both_policies(
        jax.checkpoint_policies.dots_saveable, jax.checkpoint_policies.save_only_these_names(PRODUCT)
    ),
)


def alone(function: Callable[..., Tree], true: jax.Array, *operands: Tree) -> Tree:
    """function(*operands) in a pass of its own, given something that is true when the program runs."""
    shapes = jax.eval_shape(function, *operands)
    return jax.lax.cond(true, function, lambda *_: jax.tree.map(_zeros, shapes), *operands)


def _zeros(of: jax.ShapeDtypeStruct) -> jax.Array:
    # Where axes of a mesh are explicit, both branches must be spread alike.
    return jnp.zeros(of.shape, of.dtype, device=of.sharding)


def held(tree: Tree, true: jax.Array) -> Tree:
    """The tree with its small arrays put where they lie in memory, given something that is true when the program runs.

    For slices of a loop's stacks, which else are cut out anew for each number that is computed of them.
    """
    leaves, structure = jax.tree.flatten(tree)
    small = [number for number, leaf in enumerate(leaves) if leaf.size <= _SMALL]
    values = [leaves[number] for number in small]
    for number, value in zip(small, alone(lambda *v: v, true, *values), strict=True):
        leaves[number] = value
    return jax.tree.unflatten(structure, leaves)
