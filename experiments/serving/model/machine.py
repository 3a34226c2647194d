"""What the serving of a model asks of any machine, digital or optical.

A machine is a fixed number of chips that hold one copy of a model. It says how long a pass takes and how many joules it
adds to what the machine draws anyway; batching, hand-over and idling are then the same arithmetic for all machines
(`experiments.serving.model.serving`). An optical system is a machine too: it needs these attributes and two methods.
"""

import dataclasses
from typing import Protocol, Self

from experiments.serving.model.shape import Model


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds that a pass takes, and joules at the wall that it adds to the idle machine's."""

    seconds: float
    joules: float

    def __add__(self, other: Self) -> Self:
        return dataclasses.replace(self, seconds=self.seconds + other.seconds, joules=self.joules + other.joules)

    def scaled(self, factor: float) -> Self:
        """So many passes, or a share of one."""
        return dataclasses.replace(self, seconds=self.seconds * factor, joules=self.joules * factor)


class Machine(Protocol):
    """Chips that hold one copy of a model; all numbers are of all its chips together, watts at the wall."""

    name: str
    chips: int
    memory_bytes: float
    """Bytes that weights, keys and values may fill."""
    hand_over_bandwidth: float
    """Bytes/s, one way, by which keys and values leave for another machine or come from it."""
    idle_watts: float
    """Watts while it waits, host and cooling included."""
    nameplate_watts: float
    """Watts that the power supply must be laid out for."""
    wall_factor: float
    """Watts at the wall over watts of the chips."""
    tokens_per_pass: int
    """Prompt tokens that one pass takes at most: longer prompts need several, short ones share one."""
    largest_batch: int
    """Sequences that the software decodes at once at most, whatever the memory holds."""

    def check(self, model: Model) -> None:
        """Raises ValueError if the machine cannot multiply in the model's precision."""

    def prefill(self, model: Model, batch: int, new: float, cached: float = 0.0) -> Cost:
        """Reads `new` tokens of each of `batch` prompts, whose first `cached` tokens' keys are in memory already."""

    def decode_step(self, model: Model, batch: int, context: float) -> Cost:
        """One more token for each of `batch` sequences that see `context` keys each, on average."""


def require_link(one: Machine, other: Machine, bandwidth: float) -> None:
    """Raises ValueError where the link between two machines carries nothing."""
    if not bandwidth > 0:
        raise ValueError(f"no link joins {one.name} and {other.name}: its bandwidth is {bandwidth} B/s")
