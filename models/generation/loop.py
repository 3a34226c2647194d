"""Continuation of a prompt token by token, by a step that may be a plain model or an emulated one."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from models.generation.sampling import GREEDY, Sampling


class State(NamedTuple):
    """A sequence that a model has read, or a batch of them.

    Attributes:
        logits: of the next token, float32 [vocabulary], of a batch [batch, vocabulary].
        cache: keys and values.
        position: number of tokens that were read, those of padding included.
        padding: number of tokens before each sequence of a batch, integers [batch]; None of one sequence.
    """

    logits: jax.Array
    cache: Any
    position: int
    padding: jax.Array | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    """The two functions that read a sequence into a cache of fixed size, each compiled by whoever made them.

    Both take a key first, of the noise of a machine that has some. `optics.emulate` returns functions that, given a
    core, are of this form.

    Attributes:
        prefill: (key, params, tokens [batch, length]) -> (logits [batch, length, vocabulary], cache). Where prompts are
            padded, their padding [batch] is a last argument.
        decode: (key, params, cache, tokens [batch], position) -> (logits [batch, vocabulary], cache), with the padding
            as last argument too. The position is an array, so that one program serves all steps.
        room: positions of the cache.
    """

    prefill: Callable[..., tuple[jax.Array, Any]]
    decode: Callable[..., tuple[jax.Array, Any]]
    room: int

    def start(self, params: Any, tokens: np.ndarray, key: jax.Array) -> State:
        """Return the state after a prompt.

        Args:
            params: of the model.
            tokens: the prompt, integers [length].
            key: of the noise of the whole sequence; the prompt and each step take another one from it.

        Raises:
            ValueError: if the prompt is empty, is not one sequence, or has more tokens than the cache.
        """
        self._check(tokens)
        logits, cache = self.prefill(jax.random.fold_in(key, 0), params, jnp.asarray(tokens, jnp.int32)[None])
        return State(logits[0, -1], cache, len(tokens))

    def start_batch(self, params: Any, prompts: Sequence[np.ndarray], key: jax.Array) -> State:
        """Return the state after prompts of any lengths, which are padded on the left.

        Args:
            params: of the model.
            prompts: each integers [length].
            key: as for `start`.

        Raises:
            ValueError: if there is none, or one of them is not as `start` takes it.
        """
        for prompt in prompts:
            self._check(prompt)
        tokens, padding = left_padded(prompts)
        logits, cache = self.prefill(jax.random.fold_in(key, 0), params, tokens, padding)
        return State(logits[:, -1], cache, tokens.shape[1], padding)

    def extend(self, params: Any, state: State, token: int | np.ndarray, key: jax.Array) -> State:
        """Return the state after one more token of each sequence.

        Args:
            params: of the model.
            state: before it.
            token: its number; of a batch integers [batch].
            key: as given to `start`.

        Raises:
            ValueError: if the cache is full.
        """
        if state.position >= self.room:
            raise ValueError(f"the cache of {self.room} positions is full")
        position, key = jnp.asarray(state.position, jnp.int32), jax.random.fold_in(key, state.position)
        tokens = jnp.asarray(token, jnp.int32).reshape(-1)
        if state.padding is None:
            logits, cache = self.decode(key, params, state.cache, tokens, position)
            return State(logits[0], cache, state.position + 1)
        logits, cache = self.decode(key, params, state.cache, tokens, position, state.padding)
        return State(logits, cache, state.position + 1, state.padding)

    def _check(self, tokens: np.ndarray) -> None:
        if tokens.ndim != 1 or not 1 <= len(tokens) <= self.room:
            raise ValueError(f"the prompt has shape {tokens.shape}; it must be of 1 to {self.room} tokens")


def left_padded(prompts: Sequence[np.ndarray]) -> tuple[jax.Array, jax.Array]:
    """Return (int32 [batch, longest], int32 [batch]): prompts behind tokens of number 0, and how many these are.

    Raises:
        ValueError: if there is no prompt.
    """
    if not prompts:
        raise ValueError("there is no prompt; a batch must be of at least 1")
    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    padded = [np.pad(prompt, (count, 0)) for prompt, count in zip(prompts, padding, strict=True)]
    return jnp.asarray(np.stack(padded), jnp.int32), jnp.asarray(padding, jnp.int32)


def keys_of_run(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the keys of the noise and of the choice of tokens that `generate` takes from its key."""
    noise, choice = jax.random.split(key)
    return noise, choice


def generate(
    steps: Steps,
    params: Any,
    tokens: np.ndarray,
    count: int,
    *,
    key: jax.Array,
    sampling: Sampling = GREEDY,
    stop: Collection[int] = (),
) -> Iterator[int]:
    """Continue a prompt, and yield each token as it is chosen.

    Args:
        steps: of the model, such as `Checkpoint.steps` returns.
        params: of the model.
        tokens: the prompt, integers [length].
        count: number of tokens, at least 1. There are fewer where one of `stop` comes, which is the last.
        key: of noise and choice; the same key gives the same tokens.
        sampling: how a token is chosen.
        stop: tokens that end a text.

    Raises:
        ValueError: if the prompt is empty, `count` is below 1, or both together are more than the cache holds.
    """
    check_room(len(tokens), count, steps.room)

    def run() -> Iterator[int]:
        noise, choice = keys_of_run(key)
        state = steps.start(params, tokens, noise)
        for number in range(count):
            token = int(sampling.choose(state.logits, jax.random.fold_in(choice, number)))
            yield token
            if token in stop or number + 1 == count:
                return
            state = steps.extend(params, state, token, noise)

    return run()


def check_room(prompt: int, count: int, room: int) -> None:
    """Raise ValueError unless `count` tokens after a prompt of `prompt` tokens fit into `room` positions."""
    if prompt < 1:
        raise ValueError("the prompt is empty; it must be of at least 1 token")
    if count < 1:
        raise ValueError(f"count = {count} must be at least 1")
    if prompt + count > room:
        raise ValueError(f"a prompt of {prompt} tokens and {count} more do not fit into {room} positions")
