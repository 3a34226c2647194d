"""The Pareto front of two figures of merit, of each of which less is better."""

import numpy as np


def pareto(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Places of the points that no other is at least as small as in both, by rising x."""
    best, least = [], np.inf
    for place in np.lexsort((y, x)):
        if np.isfinite(x[place]) and y[place] < least:
            best.append(place)
            least = y[place]
    return np.array(best, int)
