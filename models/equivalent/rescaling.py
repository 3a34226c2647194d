"""Scales moved between the channels of activations and the weights that multiply them.

(x / s) (diag(s) W) = x W for any s > 0 by input channel. The scale of channel k is

    s_k = max|x_k|^a / max|w_k|^(1 - a),

so that a = 1 gives all inputs one largest magnitude, a = 0 all rows of weights, and what is between shares the spread
(SmoothQuant, arXiv 2211.10438). It is exact where x / s can be made by what precedes: by the gain of a norm, by the
columns of `v` (attention mixes positions, not channels), and by those of `up` where the activation multiplies by it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from models.equivalent.changes import changed, check_decoder, per_layer, whole
from models.equivalent.input_statistics import HEAD, InputStatistics
from models.equivalent.norms import FOLLOWERS, gain, untie_head
from models.shape.config import DecoderConfig

PLACES = ("attention", "o", "mlp", "down", "head")
"""Where scales are moved, by the matrices that take them: those after the norm before attention, `o`, those after the
norm before the MLP, `down`, and the head."""
_NORMS = {"attention": "attention_norm", "mlp": "mlp_norm"}
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)

Exponents = float | Mapping[str, float]
Loss = Callable[[Checkpoint], Any]


class RescalingSearch(NamedTuple):
    """What a search over exponents found.

    Attributes:
        checkpoint: with the best of them; without any where none lowers the loss.
        exponents: a by place; empty where none lowers the loss.
        loss: of the best.
        tried: (exponents by place, loss) of all, in their order; the first is the checkpoint without rescaling.
    """

    checkpoint: Checkpoint
    exponents: dict[str, float]
    loss: float
    tried: tuple[tuple[dict[str, float], float], ...]


def rescale(checkpoint: Checkpoint, inputs: InputStatistics, exponent: Exponents = 0.5) -> Checkpoint:
    """Return a model with scales moved between activations and weights.

    Query heads that share a value head share its scales, and all matrices after a norm those of the norm. A channel
    that is 0 in the sample or in the weights keeps its scale. A tied head is untied where the head is rescaled.

    Args:
        checkpoint: a decoder in memory.
        inputs: of this checkpoint, from `measure_inputs`.
        exponent: a in [0, 1] for all places where the change is exact, or by place.

    Raises:
        ValueError: if the model is no decoder, or streamed, the statistics are of another model, an exponent is out of
            its range, or a place is named that is unknown or where the model's features make the change inexact.
    """
    config = check_decoder(checkpoint)
    if inputs.sha256 != checkpoint.sha256:
        raise ValueError("the input statistics are of another model: measure those of this one with measure_inputs")
    exponents = _exponents(config, exponent)
    if "head" in exponents:
        checkpoint = untie_head(checkpoint)
        config = check_decoder(checkpoint)
    params: dict[str, Any] = {}
    layers = dict(checkpoint.params["layers"])
    used: list[np.ndarray] = []
    for place, a in exponents.items():
        if place == "head":
            scale = _scale(inputs.peak[HEAD], _row_peaks(checkpoint.params["head"]), a)
            params = {
                "norm": whole(lambda g, scale=scale: _divided(config, g, scale), checkpoint.params["norm"]),
                "head": whole(lambda w, scale=scale: scale[:, None] * w, checkpoint.params["head"]),
            }
        elif place in _NORMS:
            scale = _rescale_norm(config, layers, _NORMS[place], inputs, a)
        elif place == "o":
            scale = _rescale_values(config, layers, inputs, a)
        else:
            scale = _rescale_down(layers, inputs, a)
        used.append(scale)
    what = "rescaled " + " ".join(f"{place} {float(a)!r}" for place, a in exponents.items())
    return changed(checkpoint, what, layers=layers, digested=tuple(used), **params)


def search_rescaling(
    checkpoint: Checkpoint,
    inputs: InputStatistics,
    loss: Loss,
    *,
    exponents: Sequence[float] = EXPONENTS,
    places: Iterable[str] | None = None,
    by_place: bool = False,
) -> RescalingSearch:
    """Return the rescaling of least loss over a grid of exponents.

    All places take one exponent first. With `by_place` each place then goes through the grid by itself, the others
    staying at the best so far. Losses that are no numbers are never the least.

    Args:
        checkpoint: as for `rescale`.
        inputs: as for `rescale`.
        loss: of a checkpoint, a number. All checkpoints have one config, which is that of `checkpoint`, with an untied
            head where the head is among the places: one compiled function of their parameters serves all.
        exponents: the grid, each in [0, 1].
        places: out of `PLACES`; None for those where the change is exact.
        by_place: whether each place is searched by itself as well.

    Raises:
        ValueError: as `rescale`, or if there is no exponent.
    """
    config = check_decoder(checkpoint)
    named = exact_places(config) if places is None else tuple(places)
    if not exponents:
        raise ValueError("exponents is empty; it must hold at least one number from 0 to 1")
    for a in exponents:
        _exponents(config, dict.fromkeys(named, a))
    tried: list[tuple[dict[str, float], float]] = []
    unchanged = untie_head(checkpoint) if "head" in named else checkpoint
    best: tuple[float, dict[str, float], Checkpoint] = (math.inf, {}, unchanged)

    def attempt(chosen: dict[str, float]) -> None:
        nonlocal best
        made = rescale(checkpoint, inputs, chosen) if chosen else unchanged
        value = float(loss(made))
        tried.append((chosen, value))
        if value < best[0]:
            best = (value, chosen, made)

    attempt({})
    for a in exponents:
        attempt(dict.fromkeys(named, a))
    for place in named if by_place else ():
        others = {each: a for each, a in best[1].items() if each != place}
        for a in exponents:
            if (chosen := others | {place: a}) not in [each for each, _ in tried]:
                attempt(chosen)
    value, chosen, made = best
    return RescalingSearch(made, chosen, value, tuple(tried))


def exact_places(config: DecoderConfig) -> tuple[str, ...]:
    """Return the places where rescaling is exact."""
    return tuple(place for place in PLACES if not _obstacle(config, place))


def _obstacle(config: DecoderConfig, place: str) -> str:
    if place != "down":
        return ""
    if config.activation == "clamped_swiglu":
        return "its activation 'clamped_swiglu' clips `up` and adds 1 to it"
    if config.down_rotation is not None:
        return "down_rotation mixes the channels between `up` and `down`; rescale before rotating"
    return ""


def _exponents(config: DecoderConfig, exponent: Exponents) -> dict[str, float]:
    given: dict[str, float] = dict.fromkeys(exact_places(config), 0.0)
    given = dict(exponent) if isinstance(exponent, Mapping) else dict.fromkeys(given, exponent)
    for place, a in given.items():
        if place not in PLACES:
            raise ValueError(f"{place!r} is no place of rescaling; known: {', '.join(PLACES)}")
        if obstacle := _obstacle(config, place):
            raise ValueError(f"rescaling at {place!r} is not exact for this model: {obstacle}")
        if not isinstance(a, int | float) or isinstance(a, bool) or not 0 <= a <= 1:
            raise ValueError(f"the exponent at {place!r} is {a!r}; it must be a number from 0 to 1")
    return given


def _scale(inputs: np.ndarray, weights: np.ndarray, a: float) -> np.ndarray:
    """s of the largest magnitudes of inputs and weights by channel, float64 of their shape."""
    inputs, weights = inputs.astype(np.float64), weights.astype(np.float64)
    known = (inputs > 0) & (weights > 0)
    return np.where(known, np.where(known, inputs, 1) ** a / np.where(known, weights, 1) ** (1 - a), 1.0)


def _row_peaks(matrix: Any) -> np.ndarray:
    """Largest magnitude of the weights of each input channel, [..., in]."""
    return np.max(np.abs(np.asarray(matrix, np.float32)), axis=-1)


def _divided(config: DecoderConfig, stored: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What is stored of a norm whose gains are divided."""
    return gain(config, stored) / scale - config.offset_norms


def _rescale_norm(
    config: DecoderConfig, layers: dict[str, Any], norm: str, inputs: InputStatistics, a: float
) -> np.ndarray:
    names = [name for name in FOLLOWERS[norm] if name in layers]
    # The router sees all tokens, and each expert its own: of a mixture it comes first.
    peaks = inputs.peak[names[0]]
    weights = [_row_peaks(layers[name]) for name in names]
    joint = [each.max(axis=1) if each.ndim > 2 else each for each in weights]
    scale = _scale(peaks, np.max(joint, axis=0), a)
    for name in names:
        layers[name] = per_layer(lambda w, s: s[:, None] * w, layers[name], scale)
    layers[norm] = per_layer(lambda g, s: _divided(config, g, s), layers[norm], scale)
    return scale


def _rescale_values(config: DecoderConfig, layers: dict[str, Any], inputs: InputStatistics, a: float) -> np.ndarray:
    groups = config.layers, config.kv_heads, config.heads // config.kv_heads, config.head_dim
    shared = (_row_peaks(layers["o"]), inputs.peak["o"])
    weights, peaks = (each.reshape(groups).max(axis=2) for each in shared)
    scale = _scale(peaks, weights, a)
    outputs = scale.reshape(config.layers, -1)
    rows = np.repeat(scale[:, :, None], groups[2], axis=2).reshape(config.layers, -1)
    layers["v"] = per_layer(lambda w, s: w / s, layers["v"], outputs)
    if "v_bias" in layers:
        layers["v_bias"] = per_layer(lambda b, s: b / s, layers["v_bias"], outputs)
    layers["o"] = per_layer(lambda w, s: s[:, None] * w, layers["o"], rows)
    return scale


def _rescale_down(layers: dict[str, Any], inputs: InputStatistics, a: float) -> np.ndarray:
    scale = _scale(inputs.peak["down"], _row_peaks(layers["down"]), a)
    layers["up"] = per_layer(lambda w, s: w / s[..., None, :], layers["up"], scale)
    if "up_bias" in layers:
        layers["up_bias"] = per_layer(lambda b, s: b / s, layers["up_bias"], scale)
    layers["down"] = per_layer(lambda w, s: s[..., None] * w, layers["down"], scale)
    return scale
