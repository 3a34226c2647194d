"""A stretch of numbers on a linear or a logarithmic axis."""

from typing import Any


def between(low: float, high: float, logarithmic: bool, share: Any) -> Any:
    """From `low` at share 0 to `high` at 1, evenly on the axis; numbers, arrays and traced values alike."""
    return low * (high / low) ** share if logarithmic else low + share * (high - low)
