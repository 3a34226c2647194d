"""The matrix product in full float32, also where the hardware would multiply in a shorter format by default."""

import jax
import jax.numpy as jnp


def product(x: jax.Array, w: jax.Array) -> jax.Array:
    """x [vectors, rows] @ w [rows, columns], float32 -> [vectors, columns]."""
    return jnp.matmul(x, w, precision=jax.lax.Precision.HIGHEST)
