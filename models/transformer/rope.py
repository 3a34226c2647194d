"""Rotary position embedding in the Hugging Face ("rotate half") layout.

Feature i of a head is paired with feature i + head_dim / 2. Some GGUF files pair neighbours instead;
`models.checkpoints` rearranges their rows to this layout.
"""

import jax
import jax.numpy as jnp
import numpy as np

from models.shape.config import DecoderConfig, LayerKind
from models.shape.rope_scaling import Scaling

Tables = tuple[jax.Array, jax.Array]


def rotary_frequencies(theta: float, head_dim: int, scaling: Scaling | None = None) -> np.ndarray:
    """Return angular frequencies in radians per position, float64 [head_dim / 2]."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float64) / head_dim
    frequencies = theta**-exponents
    return frequencies if scaling is None else frequencies / scaling.divisors(frequencies)


def rotation_tables(
    config: DecoderConfig, length: int, start: jax.Array | int = 0, kind: LayerKind | None = None
) -> Tables | None:
    """Return cosines and sines of `length` positions from `start` on, each float32 [length, rotary_dim / 2].

    Args:
        config: the shape of the model.
        length: number of positions.
        start: number of the first position.
        kind: of the layer; None for the first.

    Returns:
        None for a kind of layers without rotary embedding.
    """
    kind = kind or config.layer_kinds[0]
    if kind.rope_theta is None:
        return None
    scaling = config.rope_scaling if kind.scaled else None
    frequencies = jnp.asarray(rotary_frequencies(kind.rope_theta, config.rotary_dim, scaling), dtype=jnp.float32)
    positions = jnp.asarray(start, dtype=jnp.float32) + jnp.arange(length, dtype=jnp.float32)
    angles = positions[:, None] * frequencies[None, :]
    cosines, sines = jnp.cos(angles), jnp.sin(angles)
    if scaling is not None and scaling.amplitude != 1.0:
        return scaling.amplitude * cosines, scaling.amplitude * sines
    return cosines, sines


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
