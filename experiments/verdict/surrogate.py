"""What ln KL of a design is likely to be, from those measured: a Gaussian process over structures, knobs and models.

Its covariance is a sum over knobs of functions of one knob each, a linear part of the structure, and a part of all
together (additive Gaussian processes; Duvenaud et al., NeurIPS 24, 2011). Trials of other models of the same scenario
count with the correlation `BETWEEN_MODELS`: a model that is prepared loses less than the model as it is, by nearly the
same dependence on the design.

On 155 designs of the trained model of projected_2029, of which 30 are known, the rms error of ln KL where KL is below
0.5 is 0.44, against 0.56 of radial basis functions over all features together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

OF_ONE_KNOB, KNOB_LENGTH = 1.0, 0.5
"""Variance of ln KL by each knob alone, and the share of its range over which it changes."""
OF_STRUCTURE = 0.3
"""Variance by each feature of the structure."""
OF_ALL, LENGTH, STRUCTURE_LENGTH = 0.5, 0.6, 1.5
"""Variance by all together, and the lengths over which it changes."""
OF_MODEL, BETWEEN_MODELS = 0.5, 0.7
"""Variance by the model, and correlation of all else between two models.

0.95 predicts better and searches worse: on 30 of its own designs the next are not where those of other models were.
"""
OF_LEVEL, NOISE = 1.0, 0.01
"""Variance of the level of all, and of what repeats nowhere."""


class Places(NamedTuple):
    """Designs. knobs: shares of their ranges [designs, knobs]; structures: features [designs, features]; models: a
    number of each [designs]."""

    knobs: np.ndarray
    structures: np.ndarray
    models: np.ndarray


class Surrogate:
    """The process, conditioned on measured designs.

    Args:
        places: of the designs.
        values: ln KL [designs].
    """

    def __init__(self, places: Places, values: Sequence[float] | np.ndarray):
        self.places, self.level = places, float(np.mean(values))
        covariance = _covariance(places, places) + NOISE * np.eye(len(places.models))
        self.factor = cho_factor(covariance, lower=True)
        self.weights = cho_solve(self.factor, np.asarray(values) - self.level)

    def at(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """Return (mean, standard deviation) of ln KL at other designs, each [designs]."""
        across = _covariance(places, self.places)
        explained = np.sum(across * cho_solve(self.factor, across.T).T, axis=1)
        own = OF_ONE_KNOB * places.knobs.shape[1] + OF_ALL + OF_LEVEL + OF_MODEL
        own = own + OF_STRUCTURE * np.sum(places.structures**2, axis=1)
        return self.level + across @ self.weights, np.sqrt(np.maximum(own - explained, 0.0))


def _covariance(one: Places, other: Places) -> np.ndarray:
    """Covariance of ln KL [designs of one, designs of the other]."""
    by_knob = sum(
        np.exp(-cdist(one.knobs[:, [k]], other.knobs[:, [k]], "sqeuclidean") / (2 * KNOB_LENGTH**2))
        for k in range(one.knobs.shape[1])
    )
    apart = cdist(one.knobs, other.knobs, "sqeuclidean") / LENGTH**2
    apart += cdist(one.structures, other.structures, "sqeuclidean") / STRUCTURE_LENGTH**2
    found = OF_ONE_KNOB * by_knob + OF_STRUCTURE * one.structures @ other.structures.T + OF_LEVEL
    found = found + OF_ALL * np.exp(-apart / 2)
    same = one.models[:, None] == other.models[None, :]
    return found * np.where(same, 1.0, BETWEEN_MODELS) + OF_MODEL * same
