"""A row of a machine or a pair, of which only the figures that a test is about are given."""

from collections.abc import Callable

import pytest

from experiments.serving.model import Range
from experiments.serving.rows import ServingRow


@pytest.fixture
def row() -> Callable[..., ServingRow]:
    """Return a function: names of the prefill and decode system, tokens/s per kW with its range, and what differs."""

    def made(prefill: str, decode: str, rate: tuple[float, float, float], **changes) -> ServingRow:
        fields = {
            "workload": "assistant",
            "prefill": prefill,
            "decode": decode,
            "batch": 8,
            "chips": (1, 1),
            "machines": (1, 1),
            "ttft_s": Range(1.0, 1.0, 1.0),
            "tpot_s": Range(0.05, 0.05, 0.05),
            "tokens_per_s": Range(*rate),
            "j_per_token": Range(1.0, 1.0, 1.0),
            "tokens_per_s_per_kw": Range(*rate),
            "parts": {"prefill_j": 0.5, "decode_j": 0.5, "transfer_j": 0.0, "idle_j": 0.0},
            "nameplate_watts": 1e3,
            "within_limits": True,
        }
        return ServingRow(**{**fields, **changes})

    return made
