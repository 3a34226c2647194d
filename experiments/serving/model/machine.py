"""Protocol of a machine that serves a model, digital or optical.

A machine is a fixed number of chips that hold one copy of a model. It states how long a pass takes and the energy that
the pass adds to the idle draw. Batching, hand-over and idling follow from these for every machine, see
`experiments.serving.model.batching`.
"""

import dataclasses
from typing import Protocol, Self

from experiments.serving.model.transformer_cost import Model


@dataclasses.dataclass(frozen=True)
class Cost:
    """Time of a pass [s], and energy at the wall [J] above that of the idle machine."""

    seconds: float
    joules: float

    def __add__(self, other: Self) -> Self:
        return dataclasses.replace(self, seconds=self.seconds + other.seconds, joules=self.joules + other.joules)

    def scaled(self, factor: float) -> Self:
        """Cost of `factor` passes, which may be a share of one."""
        return dataclasses.replace(self, seconds=self.seconds * factor, joules=self.joules * factor)


class Machine(Protocol):
    """Chips that hold one copy of a model. All numbers are of all its chips together, watts at the wall."""

    @property
    def name(self) -> str:
        """Short name of the system."""
        ...

    @property
    def chips(self) -> int:
        """Chips that hold one copy of a model."""
        ...

    @property
    def memory_bytes(self) -> float:
        """Bytes that weights, keys and values may fill."""
        ...

    @property
    def hand_over_bandwidth(self) -> float:
        """Bandwidth, one way, at which keys and values leave for or come from another machine [B/s]."""
        ...

    @property
    def idle_watts(self) -> float:
        """Power while it waits, host and cooling included [W]."""
        ...

    @property
    def nameplate_watts(self) -> float:
        """Power that the supply must be sized for [W]."""
        ...

    @property
    def wall_factor(self) -> float:
        """Power at the wall over power of the chips."""
        ...

    @property
    def tokens_per_pass(self) -> int:
        """Largest number of prompt tokens in a pass: longer prompts need several, short ones share one."""
        ...

    @property
    def largest_batch(self) -> int:
        """Largest number of sequences that the software decodes at once, whatever the memory holds."""
        ...

    def check(self, model: Model) -> None:
        """Raise ValueError if the machine cannot multiply in the model's precision."""
        ...

    def prefill(self, model: Model, batch: int, new: float, cached: float = 0.0) -> Cost:
        """Read `new` tokens of each of `batch` prompts; the keys of their first `cached` tokens are in memory."""
        ...

    def decode_step(self, model: Model, batch: int, context: float) -> Cost:
        """Write one token for each of `batch` sequences that see `context` keys each, on average."""
        ...


def require_link(one: Machine, other: Machine, bandwidth: float) -> None:
    """Raise ValueError if the link between two machines has no bandwidth."""
    if not bandwidth > 0:
        raise ValueError(f"no link joins {one.name} and {other.name}: its bandwidth is {bandwidth} B/s")
