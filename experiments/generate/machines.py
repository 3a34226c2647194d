"""The machines that write: the digital model, and cores that follow it."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import models
import optics
from experiments.common.workload import Attention, attention_policy, choices_of
from experiments.generate.bill import Bill, Price
from optics.core.by_site import Machine


@dataclasses.dataclass
class Text:
    """What a machine has written after one prompt.

    Attributes:
        tokens: that it has chosen.
        stopped: whether the last one ends the text.
    """

    tokens: list[int] = dataclasses.field(default_factory=list)
    stopped: bool = False


class Writer:
    """One machine, and the texts that it has written so far, one after each prompt of a batch.

    A text that has ended is read on with the others, as its last token again, and nothing more is kept of it.

    Attributes:
        texts: in the order of the prompts.
        seconds: of each decode step but the first, which compiles.
    """

    def __init__(self, steps: models.Steps, params: Any, prompts: Sequence[np.ndarray], noise: jax.Array):
        self._steps, self._params, self._noise = steps, params, noise
        alone = len(prompts) == 1
        self.state = steps.start(params, prompts[0], noise) if alone else steps.start_batch(params, prompts, noise)
        self.texts = [Text() for _ in prompts]
        self.seconds: list[float] = []

    @property
    def stopped(self) -> bool:
        """Whether all texts have ended."""
        return all(text.stopped for text in self.texts)

    def choose(self, sampling: models.Sampling, key: jax.Array, stop: tuple[int, ...]) -> None:
        """Choose the next token of each text that has not ended, and keep it."""
        for text, token in zip(self.texts, chosen(self.state, sampling, key), strict=True):
            if not text.stopped:
                text.tokens.append(token)
                text.stopped = token in stop

    def read(self) -> None:
        """Read the last token of each text."""
        started = time.perf_counter()
        self.state = self.after(self.state, self.texts)
        jax.block_until_ready(self.state)
        if max(len(text.tokens) for text in self.texts) > 1:
            self.seconds.append(time.perf_counter() - started)

    def after(self, state: models.State, texts: Sequence[Text]) -> models.State:
        """The state of the machine after the last token of each text."""
        tokens = np.array([text.tokens[-1] for text in texts])
        return self._steps.extend(self._params, state, tokens, self._noise)

    @property
    def tokens_per_second(self) -> float | None:
        """Of the host that emulates, in all texts; None before the second decode step."""
        return len(self.texts) * len(self.seconds) / sum(self.seconds) if self.seconds else None


@dataclasses.dataclass
class Comparison:
    """A core's predictions after the digital text of one prompt.

    Attributes:
        agreed: for each place of the digital text, whether the core chose the same token after the same text.
        kl: Kullback-Leibler divergence of its prediction from the digital one at each place [nats].
    """

    agreed: list[bool] = dataclasses.field(default_factory=list)
    kl: list[float] = dataclasses.field(default_factory=list)


class Follower(Writer):
    """A core that writes texts of its own, and at each place is asked for the token after the digital texts too.

    Until a text differs both are one computation. From there on the digital texts have a cache of their own.

    Attributes:
        comparisons: with the digital texts, in their order.
    """

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.comparisons = [Comparison() for _ in self.texts]
        self._led = self.state
        self._apart = False

    def compare(self, digital: Writer, compared: Sequence[bool], sampling: models.Sampling, key: jax.Array) -> None:
        """Compare the predictions after the digital texts so far; the digital machine has just chosen its next tokens.

        compared: for each text whether it had not ended before.
        """
        kl = np.atleast_1d(_divergence(digital.state.logits, self._led.logits))
        tokens = chosen(self._led, sampling, key)
        for place, comparison in enumerate(self.comparisons):
            if compared[place]:
                comparison.kl.append(float(kl[place]))
                comparison.agreed.append(tokens[place] == digital.texts[place].tokens[-1])

    def follow(self, digital: Writer) -> None:
        """Read the own last tokens, and those of the digital texts where one is another."""
        pairs = zip(self.texts, digital.texts, strict=True)
        self._apart = self._apart or any(own.tokens[: len(led.tokens)] != led.tokens for own, led in pairs)
        if self._apart and not digital.stopped:
            self._led = self.after(self._led, digital.texts)
        if not self.stopped:
            self.read()
        if not self._apart:
            self._led = self.state

    def first_divergence(self, digital: Writer, place: int) -> int | None:
        """Number of tokens of a text before the first that is another than the digital one, or None without one."""
        pairs = zip(self.texts[place].tokens, digital.texts[place].tokens, strict=False)
        return next((number for number, (own, other) in enumerate(pairs) if own != other), None)


def chosen(state: models.State, sampling: models.Sampling, key: jax.Array) -> list[int]:
    """Return the next token of each sequence."""
    return np.atleast_1d(sampling.choose(state.logits, key)).tolist()


@jax.jit
def _divergence(truth: jax.Array, model: jax.Array) -> jax.Array:
    truth, model = jax.nn.log_softmax(truth), jax.nn.log_softmax(model)
    return jnp.sum(jnp.exp(truth) * (truth - model), axis=-1)


def steps_on_cores(
    checkpoint: models.Checkpoint, room: int, bill: Bill, attention: Attention
) -> Callable[[Machine], models.Steps]:
    """Return the function of a core to its steps, with the weights loaded on its mask once.

    All cores of one structure with the same operands of attention on their masks share the compiled programs.

    Args:
        checkpoint: the model.
        room: positions of the cache.
        bill: of the same prompts, whose products those of the steps are.
        attention: where attention runs.
    """
    programs: dict[tuple[str, ...], tuple[models.Steps, Callable[..., Any]]] = {}
    cache = checkpoint.family.empty_cache(checkpoint.config, bill.batch, room)
    zeros = cache, jnp.zeros(bill.batch, jnp.int32), jnp.zeros((), jnp.int32)

    def of_core(core: Machine) -> models.Steps:
        policy = attention_policy(core, attention)
        choices = ()
        if attention != "digital":
            choices = choices_of(policy, bill.prefill.sites) + choices_of(policy, bill.at_full_cache.sites)
        if choices not in programs:
            programs[choices] = (
                checkpoint.steps(room, lambda fun: jax.jit(optics.emulate(fun, policy=policy))),
                jax.jit(optics.load(checkpoint.decode_step, policy=policy)),
            )
        compiled, load = programs[choices]
        # The sites of prompt and decode step are the same, and so are their names. With latent attention they are not:
        # the prompt, which is read once, then loads its own.
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

    @property
    def writers(self) -> dict[str, Writer]:
        """The followers by the name of their core."""
        return {core.name: each for core, each in zip(self.cores, self.followers, strict=True)}
