"""The head as a matrix of its own, and the gains of norms folded into the matrices that follow."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from models.equivalent.changes import changed, check_decoder, per_layer, whole
from models.shape.config import DecoderConfig

FOLLOWERS = {"attention_norm": ("q", "k", "v"), "mlp_norm": ("router", "gate", "up")}
"""The matrices of a layer that multiply what a norm gives."""


def untie_head(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model whose output matrix is a copy of the transposed embedding, so that each can be changed alone.

    A model whose head is its own is returned as it is.

    Raises:
        ValueError: if the model is no decoder, or streamed.
    """
    config = check_decoder(checkpoint)
    if not config.tied_head:
        return checkpoint
    head = jnp.asarray(np.ascontiguousarray(np.asarray(checkpoint.params["embedding"]).T))
    return changed(checkpoint, "untied head", config=dataclasses.replace(config, tied_head=False), head=head)


def fold_norms(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model whose norms before attention, before the MLP and before the head have gains of one.

    (n g) W = n (diag(g) W): the gain of each input channel multiplies the rows of the matrices that follow. A tied
    head is untied first. The norms of queries and keys and those after a part (`query_key_norm`, `post_norms`) keep
    their gains, for no matrix follows them.

    Raises:
        ValueError: if the model is no decoder, or streamed.
    """
    checkpoint = untie_head(checkpoint)
    config, params = check_decoder(checkpoint), checkpoint.params
    old = params["layers"]
    layers: dict[str, Any] = {}
    for norm, names in FOLLOWERS.items():
        for name in names:
            if name in old:
                layers[name] = per_layer(lambda w, g: gain(config, g)[:, None] * w, old[name], old[norm])
        layers[norm] = neutral(config, old[norm].shape)
    last = gain(config, np.asarray(params["norm"], np.float64))
    head = whole(lambda w: last[:, None] * w, params["head"])
    return changed(checkpoint, "folded norms", layers=layers, norm=neutral(config, params["norm"].shape), head=head)


def gain(config: DecoderConfig, stored: np.ndarray) -> np.ndarray:
    """Return the factors of a norm, which some families store less 1."""
    return 1.0 + stored if config.offset_norms else stored


def neutral(config: DecoderConfig, shape: tuple[int, ...]) -> Any:
    """Return what is stored of a norm whose gains are one."""
    return jnp.full(shape, 0.0 if config.offset_norms else 1.0, jnp.float32)
