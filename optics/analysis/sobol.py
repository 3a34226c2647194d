"""Sobol indices of a function of random numbers. SciPy computes them; its bootstrap of them takes no seed."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from scipy import stats

RESAMPLES = 99


class Distribution(Protocol):
    """A distribution of one number."""

    def ppf(self, u: np.ndarray) -> np.ndarray:
        """Return the value below which the share `u` of the draws lies."""
        ...


def sobol_indices(
    function: Callable[[np.ndarray], np.ndarray], distributions: Sequence[Distribution], count: int, seed: int
) -> np.ndarray:
    """Return first-order and total indices, and a 95 % interval of the total one, [numbers, 4].

    Two matrices A and B of a scrambled Sobol sequence, and A with each column of B in turn, count (numbers + 2) rows:
    Saltelli et al., Comput. Phys. Commun. 181, 259 (2010), equations b and f of table 2. The interval has the
    percentiles of a bootstrap over the rows.

    Args:
        function: of values [rows, numbers], gives [rows].
        distributions: of the numbers, which are independent.
        count: rows of A, a power of two.
        seed: of the sequence and of the bootstrap.
    """
    numbers = len(distributions)
    points = stats.qmc.Sobol(2 * numbers, rng=seed, bits=64).random(count).reshape(count, 2, numbers)
    columns = [distribution.ppf(points[:, :, i]) for i, distribution in enumerate(distributions)]
    first, second = np.stack(columns, axis=-1).swapaxes(0, 1)
    mixed = np.tile(first, (numbers, 1, 1))
    mixed[np.arange(numbers), :, np.arange(numbers)] = second.T
    at = {
        "f_A": function(first)[None],
        "f_B": function(second)[None],
        "f_AB": function(mixed.reshape(-1, numbers)).reshape(numbers, 1, count),
    }
    found = stats.sobol_indices(func=at, n=count)
    rows = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    totals = [
        stats.sobol_indices(func={name: values[..., each] for name, values in at.items()}, n=count).total_order
        for each in rows
    ]
    return np.stack([found.first_order, found.total_order, *np.percentile(totals, [2.5, 97.5], axis=0)], axis=1)
