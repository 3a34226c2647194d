"""Logits of tiny checkpoints by one compiled program for each shape, and their deviation."""

from collections.abc import Callable

import jax
import numpy as np
import pytest

import models


@pytest.fixture(scope="session")
def tiny(given) -> Callable[[str], tuple[models.Checkpoint, np.ndarray]]:
    """A tiny checkpoint by the name of its folder, and tokens [batch, length]."""
    return lambda name: (given(name).model, given(name).tokens)


@pytest.fixture(scope="module")
def deviation() -> Callable[[models.Checkpoint, models.Checkpoint, np.ndarray], float]:
    """Largest difference of the logits of two models, as a share of the largest logit of the first."""

    def logits(model: models.Checkpoint, tokens: np.ndarray) -> np.ndarray:
        # As float32, so that models before and after a change share a program.
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), model.params)
        run = jax.jit(model.family.forward, static_argnums=0)
        return np.asarray(run(model.config, params, tokens), np.float64)

    def measure(before: models.Checkpoint, after: models.Checkpoint, tokens: np.ndarray) -> float:
        expected = logits(before, tokens)
        return float(np.abs(logits(after, tokens) - expected).max() / np.abs(expected).max())

    return measure
