"""Losses of a network on a batch, as functions of (params, batch, reference) that return figures by name."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

LOSS = "loss"
Forward = Callable[[Any, Any], jax.Array]


@dataclasses.dataclass(frozen=True)
class Distillation:
    """Divergence from the digital network: T^2 KL(softmax(reference / T) || softmax(logits / T)) [nats].

    The mean over all positions and examples. The factor keeps gradients of one size. Hinton, Vinyals and Dean, arXiv
    1503.02531.

    Attributes:
        forward: function of (params, batch) that returns logits [..., classes].
        temperature: T.
    """

    forward: Forward
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature} must be above 0")

    def __call__(self, params: Any, batch: Any, reference: jax.Array) -> dict[str, jax.Array]:
        """Return "loss", "kl" (at T = 1), both in nats, and "top1", the share of equal most likely classes."""
        logits = self.forward(params, batch)
        kl = _divergence(reference, logits)
        t = self.temperature
        loss = kl if t == 1 else t**2 * _divergence(reference / t, logits / t)
        same = jnp.argmax(logits, axis=-1) == jnp.argmax(reference, axis=-1)
        return {LOSS: loss, "kl": kl, "top1": jnp.mean(same.astype(jnp.float32))}


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """Negative log likelihood of labels [nats].

    Attributes:
        forward: function of (params, batch) that returns logits [..., classes].
        label: name of the labels in a batch, int [...].
    """

    forward: Forward
    label: str = "label"

    def __call__(self, params: Any, batch: Mapping[str, Any], reference: Any) -> dict[str, jax.Array]:
        """Return "loss" [nats] and "accuracy"."""
        logits = self.forward(params, batch)
        labels = batch[self.label]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)
        correct = jnp.argmax(logits, axis=-1) == labels
        return {LOSS: -jnp.mean(chosen), "accuracy": jnp.mean(correct.astype(jnp.float32))}


def figures_of(returned: Any) -> dict[str, jax.Array]:
    """Return what a loss returned as figures by name, each the mean over what it is given for.

    Args:
        returned: a number, one number per example, or figures by name with "loss" among them.

    Raises:
        ValueError: for figures without "loss".
    """
    figures = returned if isinstance(returned, Mapping) else {LOSS: returned}
    if LOSS not in figures:
        raise ValueError(f"the loss returns {', '.join(figures) or 'nothing'}: one of the figures must be {LOSS!r}")
    return {name: jnp.mean(jnp.asarray(value, jnp.float32)) for name, value in figures.items()}


def _divergence(reference: jax.Array, logits: jax.Array) -> jax.Array:
    """Mean KL divergence [nats]."""
    truth, found = jax.nn.log_softmax(reference), jax.nn.log_softmax(logits)
    return jnp.mean(jnp.sum(jnp.exp(truth) * (truth - found), axis=-1))
