"""Inter-symbol interference (ISI): the share of a symbol's charge that a receiver integrates in the next symbol."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import choose
from electronics.numerics.xla import fusion_barrier


def with_previous(values: jax.Array, first: float) -> jax.Array:
    """values [vectors, any] with a row `first` prepended: the symbol before the first vector, [1 + vectors, any].

    Written as an update in place. XLA's CPU compiler computes a pad or a concatenation element by element, which is
    eight times as slow.
    """
    return jnp.full((values.shape[0] + 1, values.shape[1]), first, jnp.float32).at[1:].set(values.astype(jnp.float32))


@jax.custom_jvp
def apply_isi(values: jax.Array, share: jax.Array) -> jax.Array:
    """values [1 + vectors, any] less the share left to the next vector, plus that of the vector before: [vectors, any].

    A value that is not finite leaves nothing to the next vector, so that a NaN stays in its row.
    """
    before, now = values[:-1], values[1:]
    return now + share * (choose(jnp.isfinite(before), before, 0.0) - now)


@apply_isi.defjvp
def _apply_isi_jvp(primals, tangents):
    values, share = primals
    # Without the barrier the transpose pads inside a fusion, see `electronics.numerics.xla`.
    moved = fusion_barrier(_linear_isi, tangents[0], share)
    return apply_isi(values, share), moved + tangents[1] * (values[:-1] - values[1:])


def _linear_isi(values: jax.Array, share: jax.Array) -> jax.Array:
    before, now = values[:-1], values[1:]
    return now + share * (before - now)
