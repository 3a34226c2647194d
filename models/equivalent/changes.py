"""What every change of a checkpoint needs: its matrices layer by layer in float64, and the record of its origin."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from models.shape.config import DecoderConfig


def check_decoder(checkpoint: Checkpoint) -> DecoderConfig:
    """Return the shape of a checkpoint.

    Raises:
        ValueError: if it is no decoder, or its layers are not in memory.
    """
    config = checkpoint.config
    if not isinstance(config, DecoderConfig):
        raise ValueError(
            f"{checkpoint.source} has a {type(config).__name__}; equivalent models are made of decoders with RMSNorm "
            "before each part (DecoderConfig), and LayerNorm after it is not supported"
        )
    check_layers(checkpoint)
    if checkpoint.streamed:
        raise ValueError(f"{checkpoint.source} is streamed: its layers are not in memory; load it without stream=True")
    return config


def check_layers(checkpoint: Checkpoint) -> None:
    """Raise ValueError for a decoder whose layers have parts that no function of this room knows."""
    config = checkpoint.config
    if config.latent is not None or config.dense_layers or (config.mixture is not None and config.mixture.shared):
        raise ValueError(
            f"{checkpoint.source} has latent attention, dense layers before a mixture or a shared expert "
            "(DeepSeek-V3), of which no equivalent models are made"
        )


def check_seed(seed: object) -> int:
    """Return a seed. Raises ValueError for what is no integer of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it must be an integer of at least 0")
    return seed


def changed(
    checkpoint: Checkpoint,
    what: str,
    *,
    layers: Mapping[str, Any] | None = None,
    config: DecoderConfig | None = None,
    digested: tuple[np.ndarray, ...] = (),
    **params: Any,
) -> Checkpoint:
    """Return a checkpoint with some parameters replaced and a digest of its own.

    Args:
        checkpoint: with the other parameters.
        what: the change in words, which with the digest of `checkpoint` makes the new one.
        layers: parameters of the layers by name.
        config: the shape, where it changes.
        digested: arrays that the change depends on.
        params: the other parameters by name.
    """
    digest = hashlib.sha256(f"{checkpoint.sha256} {what}".encode())
    for array in digested:
        digest.update(np.ascontiguousarray(array).tobytes())
    new = {**checkpoint.params, **params, "layers": {**checkpoint.params["layers"], **(layers or {})}}
    return dataclasses.replace(checkpoint, config=config or checkpoint.config, params=new, sha256=digest.hexdigest())


def per_layer(change: Callable[..., np.ndarray], *stacked: Any) -> Any:
    """Return float32 [layers, ...] of a function of float64 arrays of one layer, layer by layer.

    Args:
        change: of one layer's part of each array; the result has the shape of the first one.
        stacked: arrays [layers, ...].
    """
    made = np.empty(stacked[0].shape, np.float32)
    for number in range(len(made)):
        made[number] = change(*(np.asarray(each[number], np.float64) for each in stacked))
    return jnp.asarray(made)


def whole(change: Callable[..., np.ndarray], array: Any) -> Any:
    """Return float32 of a function of a float64 array."""
    return jnp.asarray(np.asarray(change(np.asarray(array, np.float64)), np.float32))
