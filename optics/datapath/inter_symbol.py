"""Inter-symbol interference (ISI): the share of a symbol's charge that a receiver integrates in the next symbol.

The symbol before the first vector is dark. It is a row of its own before those of several vectors. A single vector has
no such row: a product of one row is a product of a matrix and a vector, which processors compute faster.
"""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import choose
from electronics.numerics.xla import fusion_barrier
from electronics.part import Number


def with_previous(values: jax.Array, first: float) -> jax.Array:
    """values [vectors, any] with a row `first` prepended, [1 + vectors, any]; a single vector as it is.

    Written as an update in place. XLA's CPU compiler computes a pad or a concatenation element by element, which is
    eight times as slow.
    """
    if values.shape[0] == 1:
        return values.astype(jnp.float32)
    return jnp.full((values.shape[0] + 1, values.shape[1]), first, jnp.float32).at[1:].set(values.astype(jnp.float32))


def without_previous(values: jax.Array) -> jax.Array:
    """The rows of the vectors, [vectors, any], of those that `with_previous` makes."""
    return values if values.shape[0] == 1 else values[1:]


def apply_isi(values: jax.Array, share: Number) -> jax.Array:
    """Rows from `with_previous` less the share left to the next vector, plus that of the one before: [vectors, any].

    A value that is not finite leaves nothing to the next vector, so that a NaN stays in its row.
    """
    return values - share * values if values.shape[0] == 1 else _mixed(values, share)


@jax.custom_jvp
def _mixed(values: jax.Array, share: Number) -> jax.Array:
    before, now = values[:-1], values[1:]
    return now + share * (choose(jnp.isfinite(before), before, 0.0) - now)


@_mixed.defjvp
def _mixed_jvp(primals, tangents):
    values, share = primals
    # Without the barrier the transpose pads inside a fusion, see `electronics.numerics.xla`.
    moved = fusion_barrier(_linear_isi, tangents[0], share)
    return _mixed(values, share), moved + tangents[1] * (values[:-1] - values[1:])


def _linear_isi(values: jax.Array, share: Number) -> jax.Array:
    before, now = values[:-1], values[1:]
    return now + share * (before - now)
