"""Rotary position embedding in the Hugging Face ("rotate half") layout.

Feature i of a head is paired with feature i + head_dim / 2. GGUF files pair neighbours instead;
`models.checkpoints.gguf_checkpoint` rearranges their rows to this layout.
"""

import jax
import jax.numpy as jnp
import numpy as np

from models.transformer.config import LlamaConfig, RopeScaling


def rotary_frequencies(config: LlamaConfig) -> np.ndarray:
    """Return angular frequencies in radians per position, float64 [head_dim / 2]."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    frequencies = config.rope_theta**-exponents
    if config.rope_scaling is None:
        return frequencies
    return frequencies / scaling_divisors(frequencies, config.rope_scaling)


def scaling_divisors(frequencies: np.ndarray, scaling: RopeScaling) -> np.ndarray:
    """Return the divisor of each rotary frequency in Llama 3.1: from 1 (fast) to `scaling.factor` (slow).

    Source: `_compute_llama3_parameters` of Hugging Face transformers.

    Args:
        frequencies: radians per position, any shape.

    Returns:
        Divisors of the shape of `frequencies`.
    """
    turns = scaling.original_context * frequencies / (2 * np.pi)
    band = scaling.high_frequency_factor - scaling.low_frequency_factor
    fast = np.clip((turns - scaling.low_frequency_factor) / band, 0.0, 1.0)
    return 1.0 / (fast + (1.0 - fast) / scaling.factor)


def rotation_tables(config: LlamaConfig, length: int, start: jax.Array | int = 0) -> tuple[jax.Array, jax.Array]:
    """Return cosines and sines of `length` positions from `start` on, each float32 [length, head_dim / 2]."""
    frequencies = jnp.asarray(rotary_frequencies(config), dtype=jnp.float32)
    positions = jnp.asarray(start, dtype=jnp.float32) + jnp.arange(length, dtype=jnp.float32)
    angles = positions[:, None] * frequencies[None, :]
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x: jax.Array, cosines: jax.Array, sines: jax.Array) -> jax.Array:
    """Rotate the feature pairs of every head by the angle of its position.

    Args:
        x: [batch, length, heads, head_dim].
        cosines: float32 [length, head_dim / 2].
        sines: float32 [length, head_dim / 2].

    Returns:
        An array of the shape and dtype of `x`.
    """
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cosines, sines = cosines[None, :, None, :], sines[None, :, None, :]
    rotated = (first * cosines - second * sines, second * cosines + first * sines)
    return jnp.concatenate(rotated, axis=-1).astype(x.dtype)
