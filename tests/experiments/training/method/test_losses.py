"""Losses against SciPy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from experiments.training.method.losses import CrossEntropy, Distillation, figures_of

DRAWS = np.random.default_rng(0)
LOGITS, REFERENCE = (DRAWS.normal(size=(5, 7)).astype(np.float32) for _ in range(2))


def as_they_are(params, batch):
    return params


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_distillation_equals_scipy(temperature):
    found = Distillation(as_they_are, temperature)(jnp.asarray(LOGITS), None, jnp.asarray(REFERENCE))
    truth, other = (softmax(z / temperature, axis=-1) for z in (REFERENCE, LOGITS))
    expected = temperature**2 * np.mean(np.sum(rel_entr(truth, other), axis=-1))
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-4)
    kl = np.mean(np.sum(rel_entr(softmax(REFERENCE, axis=-1), softmax(LOGITS, axis=-1)), axis=-1))
    np.testing.assert_allclose(found["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(found["top1"], np.mean(LOGITS.argmax(-1) == REFERENCE.argmax(-1)))


def test_distillation_of_a_network_from_itself_is_0():
    loss = Distillation(as_they_are)(jnp.asarray(LOGITS), None, jnp.asarray(LOGITS))["loss"]
    assert abs(loss) < 1e-6


def test_cross_entropy_equals_numpy():
    labels = np.array([0, 3, 6, 2, 2])
    found = CrossEntropy(as_they_are, "kind")(jnp.asarray(LOGITS), {"kind": jnp.asarray(labels)}, None)
    np.testing.assert_allclose(found["loss"], -np.mean(log_softmax(LOGITS, axis=-1)[np.arange(5), labels]), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], np.mean(LOGITS.argmax(-1) == labels))


def test_figures_are_means_and_need_a_loss():
    assert figures_of(jnp.array([1.0, 3.0])) == {"loss": 2.0}
    assert figures_of({"loss": jnp.float32(1), "hit": jnp.array([True, False])})["hit"] == 0.5
    with pytest.raises(ValueError, match="one of the figures must be 'loss'"):
        figures_of({"kl": jnp.float32(1)})


def test_temperature_of_0_is_refused():
    with pytest.raises(ValueError, match="temperature = 0 must be above 0"):
        Distillation(as_they_are, 0)


def test_equal_losses_are_equal_so_that_they_share_a_program():
    assert Distillation(as_they_are) == Distillation(as_they_are)
    assert hash(Distillation(as_they_are)) == hash(Distillation(as_they_are))
    assert jax.tree.leaves(Distillation(as_they_are)) == [Distillation(as_they_are)]
