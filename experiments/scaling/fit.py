"""Power laws in the size of a model, what they predict of a larger one, and whether that may be believed."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
WIDEST = 3.0
"""Largest factor, to either side of a prediction, within which its interval still says something: KL falls nearly as
1 / light, so it is the factor to which the light for a given loss is known."""

Verdict = Literal["predicts", "misses", "too wide"]


class PowerLaw(NamedTuple):
    """Least squares of ln y on the logarithms of one or more sizes.

    Attributes:
        coefficients: intercept, then an exponent for each size.
        covariance: of the coefficients.
        residual: standard deviation of ln y about the law.
        freedom: degrees of freedom of the residual.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    residual: float
    freedom: int


class Prediction(NamedTuple):
    """A value predicted by a law, and the interval that holds a further measurement with `CONFIDENCE`."""

    value: float
    low: float
    high: float

    @property
    def factor(self) -> float:
        """Factor from the value to either end of the interval."""
        return float(np.sqrt(self.high / self.low))


def fitted(sizes: np.ndarray, values: np.ndarray) -> PowerLaw:
    """Fit ln y = b_0 + sum_k b_k ln x_k.

    Args:
        sizes: x [models, k].
        values: y [models].

    Raises:
        ValueError: if a number is not above 0, there are fewer than k + 3 models, or their sizes do not tell the
            exponents apart.
    """
    if not (np.all(np.isfinite(values)) and np.all(values > 0) and np.all(sizes > 0)):
        raise ValueError("a law of powers takes numbers above 0: on an exact core there is no loss to fit")
    models, unknown = len(values), sizes.shape[1] + 1
    design = np.column_stack([np.ones(models), np.log(sizes)])
    if models < unknown + 2 or np.linalg.matrix_rank(design) < unknown:
        raise ValueError(f"{models} models do not fix {unknown} coefficients with an error")
    y = np.log(values)
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    freedom = models - unknown
    residual = float(np.sqrt(np.sum((y - design @ coefficients) ** 2) / freedom))
    return PowerLaw(coefficients, residual**2 * np.linalg.inv(design.T @ design), residual, freedom)


def predicted(law: PowerLaw, sizes: Sequence[float], relative_error: float = 0.0) -> Prediction:
    """Return what a law says of a model of given sizes, with the interval of one further measurement.

    ln y has the variance s^2 + x^T C x + e^2: the scatter about the law, the error of its coefficients, and that of the
    measurement itself. The interval is Student's t times its root.

    Args:
        law: the fit.
        sizes: of the model, in the order of the fit.
        relative_error: e, standard error of the measurement that it is compared with, over its value.
    """
    x = np.array([1.0, *np.log(sizes)])
    spread = np.sqrt(law.residual**2 + x @ law.covariance @ x + relative_error**2)
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, law.freedom)) * spread
    middle = float(x @ law.coefficients)
    # Beyond it a float ends; such an interval says nothing in any case.
    reach = min(reach, 300.0)
    return Prediction(*(float(np.exp(middle + sign * reach)) for sign in (0, -1, 1)))


def judged(prediction: Prediction, measured: float) -> Verdict:
    """Return whether a prediction says something that holds.

    "misses": the measurement lies outside the interval. "too wide": it lies within, but the interval reaches further
    than a factor of `WIDEST`, so that nearly any measurement would. "predicts": neither.
    """
    if not prediction.low <= measured <= prediction.high:
        return "misses"
    return "too wide" if prediction.factor > WIDEST else "predicts"
