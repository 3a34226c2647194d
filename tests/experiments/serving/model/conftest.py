"""A machine whose times and joules are known, for what joins two machines."""

import dataclasses

import pytest

from experiments.serving.model import Cost


@dataclasses.dataclass(frozen=True)
class Clockwork:
    """A second for a prompt; for a step a tenth, or a tenth for its attention and a fifth for its products alone."""

    name: str = "clockwork"
    chips: int = 1
    memory_bytes: float = 1e12
    hand_over_bandwidth: float = 1000 * 65_536 / 0.5
    idle_watts: float = 30.0
    nameplate_watts: float = 100.0
    wall_factor: float = 1.0
    tokens_per_pass: int = 1000
    largest_batch: int = 64

    def check(self, model):
        pass

    def prefill(self, model, batch, new, cached=0.0):
        return Cost(1.0 * batch, 50.0 * batch)

    def decode_step(self, model, batch, context):
        return Cost(0.1, 2.0)

    def attention_step(self, model, batch, context):
        return Cost(0.1, 1.0)

    def products_step(self, model, batch):
        return Cost(0.2, 4.0)


@pytest.fixture
def clockwork() -> type[Clockwork]:
    """The machine's class: its fields may be given."""
    return Clockwork
