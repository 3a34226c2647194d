"""Scoring and continuation of texts by the logits of a language model.

Both apply to any causal language model.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Forward = Callable[[Any, jax.Array], jax.Array]


def next_token_losses(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    """Return the negative log likelihood of each token given those before it, in nats.

    `exp` of their mean is the perplexity. The first token of a sequence is not scored, since no
    token precedes it.

    Args:
        logits: [batch, length, vocabulary], position i predicting token i + 1.
        tokens: integers, [batch, length].

    Returns:
        float32 [batch, length - 1].

    Raises:
        ValueError: if the leading two axes of `logits` are not those of `tokens`, or the
            sequences hold a single token.
    """
    if tokens.ndim != 2 or logits.shape[:-1] != tokens.shape or tokens.shape[1] < 2:
        raise ValueError(
            f"logits of shape {logits.shape} and tokens of shape {tokens.shape} do not match; "
            "they must be [batch, length, vocabulary] and [batch, length], length at least 2"
        )
    predictions = logits[:, :-1].astype(jnp.float32)
    targets = tokens[:, 1:, None]
    likely = jnp.take_along_axis(predictions, targets, axis=-1)[..., 0]
    return jax.nn.logsumexp(predictions, axis=-1) - likely


def greedy(forward: Forward, params: Any, tokens: jax.Array, steps: int) -> jax.Array:
    """Continue each sequence by its most likely token, `steps` times.

    The sequences are in a buffer of the final length, so the forward pass compiles once per prompt
    length, `steps` and `forward` object. Positions not yet written hold token 0. A causal model is
    not affected by them, except for an emulated one that scales a whole tensor by its peak.

    Args:
        forward: `(params, tokens) -> logits`, hashable, such as `Checkpoint.forward`.
        params: passed to `forward` unchanged.
        tokens: the prompts, integers [batch, length], all of one length.
        steps: number of tokens to add, at least 1.

    Returns:
        The added tokens alone, of the dtype of `tokens`, [batch, steps].

    Raises:
        ValueError: if the prompt is empty or not [batch, length], or `steps` is below 1.
    """
    if tokens.ndim != 2 or tokens.shape[1] < 1:
        raise ValueError(f"tokens have shape {tokens.shape}; they must be [batch, length], length at least 1")
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1")
    return _greedy(forward, params, jnp.asarray(tokens), steps)


@functools.partial(jax.jit, static_argnames=("forward", "steps"))
def _greedy(forward: Forward, params: Any, tokens: jax.Array, steps: int) -> jax.Array:
    length = tokens.shape[1]

    def extend(position: jax.Array, buffer: jax.Array) -> jax.Array:
        logits = forward(params, buffer)
        last = jax.lax.dynamic_index_in_dim(logits, position - 1, axis=1, keepdims=False)
        chosen = jnp.argmax(last, axis=-1).astype(buffer.dtype)
        return jax.lax.dynamic_update_index_in_dim(buffer, chosen, position, axis=1)

    buffer = jnp.pad(tokens, ((0, 0), (0, steps)))
    return jax.lax.fori_loop(length, length + steps, extend, buffer)[:, length:]
