"""Energy of a continuation, priced as `otc bill` prices one token."""

import models
from experiments.common.workload import Workload
from optics.core.by_site import Machine


class Bill:
    """The energy of a continuation: the prompt, and each decode step with the tokens before it.

    Of a decode step all but attention, softmax and the KV cache is the same, and these grow by the same for each token
    of context. Two steps are priced, and those between them interpolated.
    """

    def __init__(self, config: models.DecoderConfig, prompt: int, count: int):
        self._prefill = Workload(config=config, phase="prefill", context=prompt)
        self._span = max(count - 2, 0)
        first = prompt + 1 if count > 1 else prompt
        self._ends = [Workload(config=config, phase="decode", context=each) for each in (first, first + self._span)]
        self.count = count

    @property
    def workloads(self) -> list[Workload]:
        """The prompt, and the first and the last decode step."""
        return [self._prefill, *self._ends]

    def price(self, core: Machine) -> "Price":
        """Price a core."""
        prompt, first, last = (each.price(core) for each in self.workloads)
        growth = (float(last.total) - float(first.total)) / max(self._span, 1)
        basis = {"prefill": list(prompt.basis), "decode": list(first.basis)}
        return Price(float(prompt.total), float(first.total), growth, basis)


class Price:
    """What a continuation costs on one core [J].

    Attributes:
        prefill: of the prompt.
        basis: what the bill rests on, by phase.
    """

    def __init__(self, prefill: float, first: float, growth: float, basis: dict[str, list[str]]):
        self.prefill, self.basis = prefill, basis
        self._first, self._growth = first, growth

    def decode(self, steps: int) -> float:
        """Energy of the first decode steps [J]."""
        return steps * self._first + self._growth * steps * (steps - 1) / 2
