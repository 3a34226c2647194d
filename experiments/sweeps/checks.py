"""What options must be, where several places ask for the same."""

from typing import Any


def whole(name: str, value: Any, least: int) -> None:
    """Raises ValueError unless the value is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} = {value!r} must be a whole number, at least {least}")


def confidence(value: float) -> None:
    """Raises ValueError for a confidence that is no share."""
    if not 0 < value < 1:
        raise ValueError(f"confidence = {value} must be between 0 and 1")
