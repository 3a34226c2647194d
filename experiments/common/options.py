"""What options must be, where several places ask for the same."""

import os
from pathlib import Path
from typing import Any

LARGEST_SEED = 2**32 - 1
"""JAX's keys take 32 bits of a seed: a larger one would give the noise of a smaller."""


def whole(name: str, value: Any, least: int, most: int = 2**31 - 1) -> None:
    """Raises ValueError unless the value is a whole number from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} = {shown(value)} must be a whole number, at least {least}")
    if value > most:
        raise ValueError(f"{name} = {shown(value)} must be a whole number, at most {most}")


def seed(name: str, value: Any) -> None:
    """Raises ValueError unless the value is a seed of JAX's keys."""
    whole(name, value, 0, LARGEST_SEED)


def shown(value: Any) -> str:
    """A value in a message, however long it is; Python refuses to write integers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({type(value).__name__} of {len(text)} characters)"


def folder(name: str, path: Path) -> None:
    """Raises ValueError unless results can be written into a folder of that path, which need not be there yet."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{name} = {path} must be a folder, and is a file")
    there = next((each for each in (path, *path.absolute().parents) if each.exists()), None)
    if there is not None and (not there.is_dir() or not os.access(there, os.W_OK | os.X_OK)):
        raise ValueError(
            f"{name} = {path} cannot be written: {there} is {'not writable' if there.is_dir() else 'a file'}"
        )


def confidence(value: float) -> None:
    """Raises ValueError for a confidence that is no share."""
    if not 0 < value < 1:
        raise ValueError(f"confidence = {value} must be between 0 and 1")
