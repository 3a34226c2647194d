"""The machines that write: the digital model, and cores that follow it."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import models
import optics
from experiments.generate.bill import Price
from optics.core.by_site import Machine


class Writer:
    """One machine, and the text that it has written so far.

    Attributes:
        tokens: that it has chosen.
        stopped: whether the last one ends the text.
        seconds: of each decode step but the first, which compiles.
    """

    def __init__(self, steps: models.Steps, params: Any, prompt: np.ndarray, noise: jax.Array):
        self._steps, self._params, self._noise = steps, params, noise
        self.state = steps.start(params, prompt, noise)
        self.tokens: list[int] = []
        self.stopped = False
        self.seconds: list[float] = []

    def choose(self, sampling: models.Sampling, key: jax.Array, stop: tuple[int, ...]) -> int:
        """Choose the next token, and keep it."""
        token = int(sampling.choose(self.state.logits, key))
        self.tokens.append(token)
        self.stopped = token in stop
        return token

    def read(self) -> None:
        """Read the last token."""
        started = time.perf_counter()
        self.state = self.after(self.state, self.tokens[-1])
        jax.block_until_ready(self.state)
        if len(self.tokens) > 1:
            self.seconds.append(time.perf_counter() - started)

    def after(self, state: models.State, token: int) -> models.State:
        """The state of the machine after one more token."""
        return self._steps.extend(self._params, state, token, self._noise)

    @property
    def tokens_per_second(self) -> float | None:
        """Of the host that emulates; None before the second decode step."""
        return len(self.seconds) / sum(self.seconds) if self.seconds else None


class Follower(Writer):
    """A core that writes a text of its own, and at each place is asked for the token after the digital text too.

    Until the texts differ both are one computation. From there on the digital text has a cache of its own.

    Attributes:
        agreed: for each place of the digital text, whether the core chose the same token after the same text.
        kl: Kullback-Leibler divergence of its prediction from the digital one at each place [nats].
    """

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.agreed: list[bool] = []
        self.kl: list[float] = []
        self._led = self.state
        self._apart = False

    def compare(self, digital: Writer, sampling: models.Sampling, key: jax.Array) -> None:
        """Compare the predictions after the digital text so far; the digital machine has just chosen its next token."""
        self.kl.append(float(_divergence(digital.state.logits, self._led.logits)))
        self.agreed.append(int(sampling.choose(self._led.logits, key)) == digital.tokens[-1])

    def follow(self, digital: Writer) -> None:
        """Read the own last token, and that of the digital text where it is another."""
        self._apart = self._apart or self.tokens[: len(digital.tokens)] != digital.tokens
        if self._apart and not digital.stopped:
            self._led = self.after(self._led, digital.tokens[-1])
        if not self.stopped:
            self.read()
        if not self._apart:
            self._led = self.state

    def first_divergence(self, digital: Writer) -> int | None:
        """Number of tokens before the first that is another than the digital one, or None where there is none."""
        pairs = zip(self.tokens, digital.tokens, strict=False)
        return next((place for place, (own, other) in enumerate(pairs) if own != other), None)


@jax.jit
def _divergence(truth: jax.Array, model: jax.Array) -> jax.Array:
    truth, model = jax.nn.log_softmax(truth), jax.nn.log_softmax(model)
    return jnp.sum(jnp.exp(truth) * (truth - model))


def steps_on_cores(checkpoint: models.Checkpoint, room: int) -> Callable[[Machine], models.Steps]:
    """Return the function of a core to its steps, with the weights loaded on its mask once.

    All cores of one structure share the compiled programs.
    """
    compiled = checkpoint.steps(room, lambda fun: jax.jit(optics.emulate(fun)))
    load = jax.jit(optics.load(checkpoint.decode_step))
    cache = checkpoint.family.empty_cache(checkpoint.config, 1, room)
    zeros = cache, jnp.zeros(1, jnp.int32), jnp.zeros((), jnp.int32)

    def of_core(core: Machine) -> models.Steps:
        # The sites of prompt and decode step are the same, and so are their names.
        loaded = load(core, checkpoint.params, *zeros)
        return models.Steps(
            prefill=partial(compiled.prefill, loaded), decode=partial(compiled.decode, loaded), room=room
        )

    return of_core


@dataclasses.dataclass(frozen=True)
class NamedCore:
    """A core, its name in tables, and the effective bits that size its light, or None."""

    name: str
    effective_bits: float | None
    core: Machine


@dataclasses.dataclass(frozen=True)
class Run:
    """The machines at work, and what the cores cost."""

    digital: Writer
    followers: list[Follower]
    cores: list[NamedCore]
    prices: list[Price]
