"""Agreement with a reference against NumPy in float64."""

import jax
import numpy as np
import pytest

from experiments.evaluation.agreement import agreement


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def test_agreement_by_hand():
    noise = np.random.default_rng(0)
    reference = noise.normal(size=(2, 9, 11)).astype(np.float32) * 3
    logits = (reference + noise.normal(size=reference.shape)).astype(np.float32)
    tokens = noise.integers(0, 11, (2, 9), dtype=np.int32)
    truth, model = (log_softmax(np.asarray(each[:, :-1], np.float64)) for each in (reference, logits))
    nll = [-model[b, i, tokens[b, i + 1]] for b in range(2) for i in range(8)]
    kl = [np.sum(np.exp(truth[b, i]) * (truth[b, i] - model[b, i])) for b in range(2) for i in range(8)]
    same = [np.argmax(truth[b, i]) == np.argmax(model[b, i]) for b in range(2) for i in range(8)]
    found = jax.jit(agreement)(logits, reference, tokens)
    assert float(found.nll) == pytest.approx(np.mean(nll), rel=1e-5)
    assert float(found.kl) == pytest.approx(np.mean(kl), rel=1e-4)
    assert float(found.top1) == pytest.approx(np.mean(same))
    assert 0 < float(found.top1) < 1


def test_a_model_agrees_with_itself():
    logits = np.random.default_rng(1).normal(size=(1, 5, 7)).astype(np.float32)
    found = agreement(logits, logits, np.zeros((1, 5), np.int32))
    assert (float(found.top1), float(found.kl)) == (1.0, 0.0)
