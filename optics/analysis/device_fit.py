"""Fit of what probes showed of a device: gains of rows, columns and pixels, and crosstalk between neighbours."""

from typing import NamedTuple

import numpy as np

WEAKEST = 0.5
"""Least gain of a pixel that is undone in full. The scale of a column holds its largest corrected weight, so that to
undo less could cost the column more than half of its light and levels."""
STRONGEST = 100.0
_TURNS = 20
# A pixel of less light than this share of the median's, for its row and column, shows nothing of its own gain.
_DARK = 1e-2


class DeviceModel(NamedTuple):
    """A device as the fit sees it: gains of rows [2, rows] by rail and of columns [columns], and the crosstalk of
    inputs and outputs, each to the earlier and to the later neighbour."""

    rows: np.ndarray
    columns: np.ndarray
    inputs: tuple[float, float]
    outputs: tuple[float, float]


def fit_device(weights: np.ndarray, seen: np.ndarray) -> DeviceModel:
    """Least squares, in turn for the gains of rows, of columns and the crosstalk, of what single inputs showed.

    seen = row gain x column gain x (weights + sum over neighbours of share x (neighbour's weights - weights)).

    Args:
        weights: of the mask, [rows, columns].
        seen: its rows as seen from either rail, [2, rows, columns].
    """
    terms = _neighbours(weights) - weights
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


def fit_pixels(masks: np.ndarray, seen: np.ndarray) -> tuple[DeviceModel, np.ndarray]:
    """The device, and the gain of each pixel relative to its row and column, between `WEAKEST` and `STRONGEST`.

    seen = row gain x column gain x (t + sum over neighbours of share x neighbour's t), with t the gain of the pixel
    that is clear, and of its rail's sign. Least squares, in turn for each factor. Several masks tell crosstalk, which
    depends on the neighbours' signs, from the gains of the pixels. What a channel loses by crosstalk is part of the
    gain in the fit, or the two would converge slowly, and of the shares in the model that is returned.

    Args:
        masks: signs of masks of clear pixels, [masks, rows, columns]; each pixel is clear in half of them.
        seen: the masks as seen from either rail of the inputs, [masks, 2, rows, columns].

    Returns:
        The model, and gains of the pixels of the plus and of the minus rail, [2, rows, columns].
    """
    mean, is_plus = seen.mean(axis=1), masks > 0
    gains, columns, leaks = np.ones((2, *masks.shape[1:])), np.ones(masks.shape[2]), np.zeros(4)
    for _ in range(_TURNS):
        shown = np.where(is_plus, gains[0], -gains[1])
        terms = np.stack([_neighbours(mask) for mask in shown], axis=1)
        mixed = shown + np.tensordot(leaks, terms, 1)
        by_column = (mixed * columns)[:, None]
        rows = np.sum(seen * by_column, axis=(0, 3)) / np.sum(by_column**2, axis=(0, 3))
        by_row = mixed * rows.mean(axis=0)[:, None]
        columns = np.sum(mean * by_row, axis=(0, 1)) / np.sum(by_row**2, axis=(0, 1))
        gain = rows.mean(axis=0)[:, None] * columns
        known, unknown = (terms * gain).reshape(4, -1), (mean - shown * gain).ravel()
        leaks = np.linalg.solve(known @ known.T, known @ unknown)
        is_lit = gain > _DARK * np.median(gain)
        signed = (mean / np.where(is_lit, gain, 1.0) - np.tensordot(leaks, terms, 1)) * masks
        for rail, of_rail in enumerate((is_plus, ~is_plus)):
            found = np.sum(signed * of_rail, axis=0) / np.sum(of_rail, axis=0)
            gains[rail] = np.where(is_lit, found, 1.0)
    kept = 1 / (1 + np.sum(leaks))
    to_earlier_row, to_later_row, from_earlier, from_later = leaks * kept
    model = DeviceModel(np.asarray(rows / kept), columns, (to_earlier_row, to_later_row), (from_later, from_earlier))
    return model, np.clip(gains, WEAKEST, STRONGEST)


def _neighbours(weights: np.ndarray) -> np.ndarray:
    """The weights of the rows before and after and of the columns before and after, [4, rows, columns]."""
    padded = np.pad(weights, 1)
    return np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
