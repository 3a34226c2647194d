"""Fit of what probes showed of a device: gains of rows, columns and pixels, and crosstalk between neighbours."""

from typing import NamedTuple

import numpy as np

WEAKEST = 0.5
"""Least gain of a pixel that is undone in full. The scale of a column holds its largest corrected weight, so that to
undo less could cost the column more than half of its light and levels."""
STRONGEST = 100.0
_TURNS = 20
# An input of less light than this share of the median's shows nothing of its pixels.
_DARK = 1e-2


class DeviceModel(NamedTuple):
    """A device as the fit sees it: gains of rows [2, rows] by rail and of columns [columns], and the crosstalk of
    inputs and outputs, each to the earlier and to the later neighbour."""

    rows: np.ndarray
    columns: np.ndarray
    inputs: tuple[float, float]
    outputs: tuple[float, float]

    def predicted(self, weights: np.ndarray) -> np.ndarray:
        """A mask [rows, columns] as seen from either rail, [2, rows, columns], if all pixels were alike."""
        (to_earlier_row, to_later_row), (from_later, from_earlier) = self.inputs, self.outputs
        leaks = [to_earlier_row, to_later_row, from_earlier, from_later]
        return self.rows[:, :, None] * self.columns * (weights + np.tensordot(leaks, _from_neighbours(weights), 1))


def fit_device(weights: np.ndarray, seen: np.ndarray) -> DeviceModel:
    """Least squares, in turn for the gains of rows, of columns and the crosstalk, of what single inputs showed.

    seen = row gain x column gain x (weights + sum over neighbours of share x (neighbour's weights - weights)).

    Args:
        weights: of the mask, [rows, columns].
        seen: its rows as seen from either rail, [2, rows, columns].
    """
    terms = _from_neighbours(weights)
    shown, columns, leaks = seen.mean(axis=0), np.ones(weights.shape[1]), np.zeros(4)
    for _ in range(_TURNS):
        predicted = weights + np.tensordot(leaks, terms, 1)
        rows = np.sum(seen * (predicted * columns), axis=2) / np.sum((predicted * columns) ** 2, axis=1)
        both = predicted * rows.mean(axis=0)[:, None]
        columns = np.sum(shown * both, axis=0) / np.sum(both**2, axis=0)
        gain = rows.mean(axis=0)[:, None] * columns
        leaks = np.linalg.lstsq((terms * gain).reshape(4, -1).T, (shown - weights * gain).ravel(), rcond=None)[0]
    # An input shows the weights of the rows that it leaks to; an output shows those of the columns it is leaked from.
    to_earlier_row, to_later_row, from_earlier, from_later = leaks
    return DeviceModel(rows, columns, (to_earlier_row, to_later_row), (from_later, from_earlier))


def fit_pixels(signs: np.ndarray, seen: np.ndarray) -> tuple[DeviceModel, np.ndarray]:
    """The device, and the gain of each pixel relative to its row and column, between `WEAKEST` and `STRONGEST`.

    The model is fitted to the mean of both pixels of a weight, so that one model holds for both. The gain of a pixel is
    that which makes it what was seen, by least squares over the two rails of its input.

    Args:
        signs: of the first mask of clear pixels, [rows, columns]; the second has the opposite ones.
        seen: both masks as seen from either rail, [2, 2, rows, columns].

    Returns:
        The model, and gains of the pixels of the plus and of the minus rail, [2, rows, columns].
    """
    model = fit_device(signs, (seen[0] - seen[1]) / 2)
    expected = model.predicted(signs)
    power = np.sum(expected**2, axis=0)
    is_lit = power > _DARK**2 * np.median(power)
    first, second = (
        np.where(is_lit, np.sum(one * expected, axis=0) / np.where(is_lit, power, 1.0), 1.0)
        for one in (seen[0], -seen[1])
    )
    gains = np.stack([np.where(signs > 0, first, second), np.where(signs > 0, second, first)])
    return model, np.clip(gains, WEAKEST, STRONGEST)


def _from_neighbours(weights: np.ndarray) -> np.ndarray:
    """Each neighbour's weights less one's own, of the rows before and after and of the columns, [4, rows, columns]."""
    padded = np.pad(weights, 1)
    around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    return np.stack([neighbour - weights for neighbour in around])
