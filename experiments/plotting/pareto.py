"""The Pareto front of two figures of merit, both to be minimised."""

import numpy as np


def pareto(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the indices of the points that no other point equals or beats in both x and y, by rising x."""
    best, least = [], np.inf
    for place in np.lexsort((y, x)):
        if np.isfinite(x[place]) and y[place] < least:
            best.append(place)
            least = y[place]
    return np.array(best, int)
