"""Losses against the same model computed digitally on the same windows: the cases to run and the paired differences."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from electronics import IntegerCore
from electronics.digital import measured
from experiments.evaluation.records import Evaluation, EvaluationCase


class PairedLoss(TypedDict):
    """Loss over the digital float32 model [nats/token]: mean and standard error over windows, as summaries state it.

    delta_nll: difference of the negative log likelihoods; kl: Kullback-Leibler divergence. A standard error is None
    for a single window.
    """

    delta_nll: float
    delta_nll_stderr: float | None
    kl: float
    kl_stderr: float | None


def digital_cases(windows: int) -> list[EvaluationCase]:
    """Return the digital model in float32, against which all else is paired, and in 8-bit integers."""
    w8a8 = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=measured.ENERGY_PER_MAC["h200"].value)
    return [
        EvaluationCase(name="digital_fp32", core=None, windows=windows),
        EvaluationCase(name="digital_w8a8", core=w8a8, windows=windows),
    ]


def paired_loss(result: Evaluation, exact: Evaluation, keys: int = 1) -> PairedLoss:
    """Return the loss of `result` against `exact`, the digital float32 model on the same windows.

    Args:
        result: the evaluation of a core.
        exact: the evaluation of the digital model, on at least as many windows.
        keys: how many times the windows are repeated, each time under other noise. The draws of a window are averaged
            first, so that the standard errors are over windows of text.
    """
    delta, kl = averaged_by_window(result, exact, keys)
    return {
        "delta_nll": float(np.mean(delta)),
        "delta_nll_stderr": standard_error(delta),
        "kl": float(np.mean(kl)),
        "kl_stderr": standard_error(kl),
    }


def joined(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return evaluations of the same windows, as of one core on several devices, one behind the other."""
    return Evaluation(windows=[window for each in evaluations for window in each.windows])


def averaged_by_window(result: Evaluation, exact: Evaluation, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (delta NLL, KL) of each window [nats/token], the mean over the `repeats` of all windows in `result`.

    Args:
        result: the evaluation of a core, or several joined.
        exact: the evaluation of the digital model on the same windows, as often or a whole number of times less.
        repeats: how many times the windows are repeated.
    """
    whole = joined([exact] * -(-len(result.windows) // len(exact.windows)))
    delta, kl = losses_by_window(result, whole)
    return delta.reshape(repeats, -1).mean(axis=0), kl.reshape(repeats, -1).mean(axis=0)


def losses_by_window(result: Evaluation, exact: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Return (delta NLL, KL) of each window [nats/token]."""
    delta = [w["nll"] - e["nll"] for w, e in zip(result.windows, exact.windows, strict=False)]
    return np.array(delta), np.array([window["kl"] for window in result.windows])


def standard_error(values: np.ndarray) -> float | None:
    """Return the standard error of the mean; None for a single value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
