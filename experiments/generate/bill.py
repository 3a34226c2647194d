"""Energy of continuations, priced as `otc bill` prices one token."""

from functools import cached_property

import numpy as np

import models
from experiments.common.workload import Attention, Phase, Workload
from optics.core.by_site import Machine


class Bill:
    """The energy of a batch of continuations: the prompts, and each decode step with the tokens before it.

    Prompts that are padded are billed as if all were as long as the longest, as they are computed. Of a decode step all
    but attention, softmax and the KV cache is the same. Digital attention grows by the same for each token of context,
    and in a layer with a sliding window up to its width: steps are priced at these widths and at both ends, and those
    between interpolated. Attention on light grows by whole tiles, so that each step is priced.

    Attributes:
        count: tokens of a continuation.
        batch: continuations.
    """

    def __init__(
        self,
        config: models.DecoderConfig,
        prompt: int,
        count: int,
        batch: int = 1,
        attention: Attention = "digital",
    ):
        self._config = config
        self._attention: Attention = attention
        self.count, self.batch = count, batch
        self._prompt = prompt
        self.prefill = self._workload("prefill", prompt)
        # The last token is not read.
        self._contexts = range(prompt + 1, prompt + count) if count > 1 else range(prompt, prompt + 1)

    def _workload(self, phase: Phase, context: int) -> Workload:
        return Workload(config=self._config, phase=phase, context=context, batch=self.batch, attention=self._attention)

    @cached_property
    def steps(self) -> list[Workload]:
        """The decode steps that are priced, by rising context."""
        first, last = self._contexts[0], self._contexts[-1]
        if self._attention == "digital":
            windows = {kind.window for kind in self._config.layer_kinds if kind.window is not None}
            contexts = sorted({first, last, *(width for width in windows if first < width < last)})
        else:
            contexts = list(self._contexts)
        return [self._workload("decode", each) for each in contexts]

    @property
    def at_full_cache(self) -> Workload:
        """A decode step that multiplies all positions of the cache, as the emulated one does."""
        return self._workload("decode", self._prompt + self.count)

    @property
    def workloads(self) -> list[Workload]:
        """The prompts, and the first and the last decode step."""
        return [self.prefill, self.steps[0], self.steps[-1]]

    def price(self, core: Machine) -> "Price":
        """Price a core."""
        prompts, steps = self.prefill.price(core), [each.price(core) for each in self.steps]
        priced = [each.context for each in self.steps], [float(bill.total) for bill in steps]
        basis = {"prefill": list(prompts.basis), "decode": list(steps[0].basis)}
        return Price(float(prompts.total), np.interp(self._contexts, *priced), basis)


class Price:
    """What continuations cost on one core [J].

    Attributes:
        prefill: of the prompts.
        basis: what the bill rests on, by phase.
    """

    def __init__(self, prefill: float, steps: np.ndarray, basis: dict[str, list[str]]):
        self.prefill, self.basis = prefill, basis
        self._steps = steps

    def decode(self, steps: int) -> float:
        """Energy of the first decode steps [J]."""
        return float(np.sum(self._steps[:steps]))
