"""Losses against the same model done digitally, on the same windows: the cases to run and what they say."""

from typing import TypedDict

import numpy as np

from electronics import IntegerCore
from electronics.digital import measured
from experiments.common.measure import Case, Result


class Loss(TypedDict):
    """Paired loss against float32 [nats/token]; standard errors are None for a single window."""

    delta_nll: float
    delta_nll_stderr: float | None
    kl: float
    kl_stderr: float | None


def digital_cases(windows: int) -> list[Case]:
    """The digital model in float32, against which all else is paired, and in 8-bit integers."""
    w8a8 = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=measured.ENERGY_PER_MAC["h200"].value)
    return [
        Case(name="digital_fp32", core=None, windows=windows),
        Case(name="digital_w8a8", core=w8a8, windows=windows),
    ]


def loss(result: Result, exact: Result, keys: int = 1) -> Loss:
    """Paired loss against fp32 [nats/token]. Where the windows come `keys` times, each time under other noise, a
    window's draws are averaged first: the standard errors are over windows of text."""
    delta, kl = (values.reshape(keys, -1).mean(axis=0) for values in by_window(result, exact))
    return {
        "delta_nll": float(np.mean(delta)),
        "delta_nll_stderr": stderr(delta),
        "kl": float(np.mean(kl)),
        "kl_stderr": stderr(kl),
    }


def by_window(result: Result, exact: Result) -> tuple[np.ndarray, np.ndarray]:
    """(delta NLL, KL) of each window [nats/token]."""
    delta = [w["nll"] - e["nll"] for w, e in zip(result.windows, exact.windows, strict=False)]
    return np.array(delta), np.array([window["kl"] for window in result.windows])


def stderr(values: np.ndarray) -> float | None:
    """Standard error of the mean; None for a single value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
