"""Agreement of an emulated language model with the digital one on the same text."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from models import next_token_losses


class Agreement(NamedTuple):
    """Means over the scored positions of one window.

    Attributes:
        nll: negative log likelihood [nats per token].
        top1: share of positions where the most likely token is that of the reference.
        kl: Kullback-Leibler divergence from the reference to the model [nats per token].
    """

    nll: jax.Array
    top1: jax.Array
    kl: jax.Array


def agreement(logits: jax.Array, reference: jax.Array, tokens: jax.Array) -> Agreement:
    """Return the means over a batch of windows.

    Args:
        logits: of the model [batch, length, vocabulary].
        reference: logits of the reference, of the same shape.
        tokens: token ids [batch, length].
    """
    model, truth = jax.nn.log_softmax(logits[:, :-1]), jax.nn.log_softmax(reference[:, :-1])
    same = jnp.argmax(model, axis=-1) == jnp.argmax(truth, axis=-1)
    return Agreement(
        nll=jnp.mean(next_token_losses(logits, tokens)),
        top1=jnp.mean(same.astype(jnp.float32)),
        kl=jnp.mean(jnp.sum(jnp.exp(truth) * (truth - model), axis=-1)),
    )


def scored(forward: Callable[[Any, jax.Array], jax.Array]) -> Callable[..., Agreement]:
    """Return the function (params, tokens, reference logits) -> Agreement of a forward pass, for `optics.emulate`."""

    def score(params: Any, tokens: jax.Array, reference: jax.Array) -> Agreement:
        return agreement(forward(params, tokens), reference, tokens)

    return score
