"""Rotations of the spaces between the matrices: residual stream, values of each head, hidden layer of the MLP.

A random rotation spreads the few large channels of an activation over all. Source: QuaRot (arXiv 2404.00456).
"""

import dataclasses
from typing import Any

import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from models.equivalent.changes import changed, check_decoder, check_seed, per_layer, whole
from models.equivalent.norms import FOLLOWERS, fold_norms
from models.shape.rotation import Rotation


def rotate_residual(checkpoint: Checkpoint, seed: int) -> Checkpoint:
    """Return a model whose residual stream is x R for a random rotation R, see `models.Rotation`.

    Norms are folded first, so that they commute with R, and with them a tied head is untied: a head that is still the
    embedding would be rotated twice. R is in the embedding and in the columns of `o` and `down`, and R^T in the rows
    of the matrices after norms.

    Raises:
        ValueError: if the model is no decoder, or streamed, has norms after its parts (`post_norms`, as Gemma), whose
            gains do not commute with R, or the seed is no integer of at least 0.
    """
    config, rotation = check_decoder(checkpoint), Rotation(seed=check_seed(seed))
    if config.post_norms:
        raise ValueError(
            "the residual stream of a model with post_norms (Gemma) is not rotated: the gains of the norms after "
            "attention and MLP do not commute with a rotation, and no matrix follows them to fold them into"
        )
    checkpoint = fold_norms(checkpoint)
    params, layers = checkpoint.params, dict(checkpoint.params["layers"])
    for name in (name for names in FOLLOWERS.values() for name in names if name in layers):
        layers[name] = per_layer(rotation.of_inputs, layers[name])
    for name in ("o", "down", "o_bias", "down_bias"):
        if name in layers:
            layers[name] = per_layer(rotation.of_outputs, layers[name])
    return changed(
        checkpoint,
        f"rotated residual stream {seed}",
        layers=layers,
        embedding=whole(rotation.of_outputs, params["embedding"]),
        head=whole(rotation.of_inputs, params["head"]),
    )


def rotate_values(checkpoint: Checkpoint, seed: int) -> Checkpoint:
    """Return a model whose values are rotated within each head, by one random rotation of the head's width.

    Attention mixes positions, and a rotation the channels of a head, so the two commute: R is in the columns of `v`,
    and R^T in the rows of `o` of each query head.

    Raises:
        ValueError: if the model is no decoder, or streamed, or the seed is no integer of at least 0.
    """
    config, rotation = check_decoder(checkpoint), Rotation(seed=check_seed(seed))
    width = config.head_dim

    def outputs(array: np.ndarray) -> np.ndarray:
        return rotation.of_outputs(array.reshape(*array.shape[:-1], -1, width)).reshape(array.shape)

    def inputs(array: np.ndarray) -> np.ndarray:
        return rotation.of_inputs(array.reshape(-1, width, array.shape[-1])).reshape(array.shape)

    old = checkpoint.params["layers"]
    layers: dict[str, Any] = {name: per_layer(outputs, old[name]) for name in ("v", "v_bias") if name in old}
    layers["o"] = per_layer(inputs, old["o"])
    return changed(checkpoint, f"rotated values {seed}", layers=layers)


def rotate_down(checkpoint: Checkpoint, seed: int) -> Checkpoint:
    """Return a model that rotates the hidden layer of each MLP or expert before `down`, as it runs.

    The rotation cannot be folded into `gate` and `up`, for an activation stands between. It is a field of the config,
    and its sums, differences and small products are work of the model like a norm. R^T is in the rows of `down`.

    Raises:
        ValueError: if the model is no decoder, or streamed, has such a rotation already, or the seed is no integer of
            at least 0.
    """
    config, rotation = check_decoder(checkpoint), Rotation(seed=check_seed(seed))
    if config.down_rotation is not None:
        raise ValueError(f"the hidden layer is rotated already, by {config.down_rotation!r}")
    down = per_layer(rotation.of_inputs, checkpoint.params["layers"]["down"])
    config = dataclasses.replace(config, down_rotation=rotation)
    return changed(checkpoint, f"rotated hidden layer {seed}", layers={"down": down}, config=config)
