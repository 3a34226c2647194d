"""Logits of tiny checkpoints by one compiled program for each shape, and their deviation."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

import models

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], tuple[models.Checkpoint, np.ndarray]]:
    """A tiny checkpoint by the name of its folder, and tokens [batch, length]."""
    made = {}

    def load(name: str) -> tuple[models.Checkpoint, np.ndarray]:
        if name not in made:
            tokens = load_file(FIXTURES / name / "expected.safetensors")["tokens"]
            made[name] = models.load(FIXTURES / name, progress=False), tokens
        return made[name]

    return load


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
