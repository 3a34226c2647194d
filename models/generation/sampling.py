"""Choice of the next token by its logits: the most likely one, or a random one of the likely ones."""

import dataclasses
import math

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen; the default takes the most likely one.

    With a temperature above 0 a token is drawn from softmax(logits / temperature), cut to the `top_k` most likely
    tokens and then to the fewest of these that hold a share of at least `top_p`, as transformers does.

    Attributes:
        temperature: 0 for the most likely token.
        top_k: number of tokens that may be drawn, or None for all.
        top_p: share of the probability that may be drawn, above 0 and at most 1.

    Raises:
        ValueError: if a field lies outside its range.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature = {self.temperature} must be a finite number of at least 0")
        if self.top_k is not None and (not isinstance(self.top_k, int) or not 1 <= self.top_k < 2**31):
            raise ValueError(f"top_k = {self.top_k!r} must be an integer from 1 to {2**31 - 1}, or None for all tokens")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p} must be above 0 and at most 1")

    def choose(self, logits: jax.Array, key: jax.Array) -> jax.Array:
        """Return the next token of each sequence, int32 [...].

        Two models whose logits differ little mostly draw the same token by the same key.

        Args:
            logits: [..., vocabulary].
            key: a `jax.random` key, which the most likely token does not depend on.
        """
        if self.temperature == 0:
            return _most_likely(logits)
        top_k = 2**31 - 1 if self.top_k is None else self.top_k
        return _drawn(logits, key, self.temperature, top_k, self.top_p)


GREEDY = Sampling()


def allowed_logits(
    logits: jax.Array, temperature: jax.Array | float, top_k: jax.Array | int, top_p: jax.Array | float
) -> jax.Array:
    """Return logits / temperature, less their maximum, and -inf for the tokens that are cut.

    Of tokens that are equally likely the first comes first.

    Args:
        logits: [..., vocabulary].
        temperature, top_k, top_p: as of `Sampling`, all numbers; they may be traced.
    """
    scaled = (logits - jnp.max(logits, axis=-1, keepdims=True)).astype(jnp.float32) / temperature
    order = jnp.argsort(-scaled, axis=-1, stable=True)
    ranked = jnp.take_along_axis(scaled, order, axis=-1)
    ranks = jax.lax.broadcasted_iota(jnp.int32, ranked.shape, ranked.ndim - 1)
    ranked = jnp.where(ranks < top_k, ranked, -jnp.inf)
    shares = jax.nn.softmax(ranked, axis=-1)
    before = jnp.cumsum(shares, axis=-1) - shares
    # A sum of all shares may round to less than 1, or the shares before a token to less than 0.
    kept = (before < top_p) | (top_p >= 1) | (ranks == 0)
    ranked = jnp.where(kept, ranked, -jnp.inf)
    return jnp.take_along_axis(ranked, jnp.argsort(order, axis=-1), axis=-1)


@jax.jit
def _most_likely(logits: jax.Array) -> jax.Array:
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


# Settings are traced, so that all share one program.
@jax.jit
def _drawn(logits: jax.Array, key: jax.Array, temperature: jax.Array, top_k: jax.Array, top_p: jax.Array) -> jax.Array:
    return jax.random.categorical(key, allowed_logits(logits, temperature, top_k, top_p)).astype(jnp.int32)
