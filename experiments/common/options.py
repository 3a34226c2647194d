"""Checks of option values that several programs share."""

import os
from pathlib import Path
from typing import Any

LARGEST_SEED = 2**32 - 1
"""JAX's keys take 32 bits of a seed, so a larger seed would repeat the noise of a smaller one."""


def check_integer(name: str, value: Any, least: int, most: int = 2**31 - 1) -> None:
    """Raise ValueError unless the value is an integer from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} = {short_repr(value)} must be a whole number, at least {least}")
    if value > most:
        raise ValueError(f"{name} = {short_repr(value)} must be a whole number, at most {most}")


def check_power_of_two(name: str, value: Any, most: int = 2**31 - 1) -> None:
    """Raise ValueError unless the value is a power of two from 2 to `most`, as Sobol sequences take."""
    if isinstance(value, int) and (value < 2 or value & (value - 1)):
        raise ValueError(f"{name} = {short_repr(value)} must be a power of two, at least 2")
    check_integer(name, value, 2, most)


def check_seed(name: str, value: Any) -> None:
    """Raise ValueError unless the value is a seed of JAX's keys."""
    check_integer(name, value, 0, LARGEST_SEED)


def short_repr(value: Any) -> str:
    """Return a value as a message states it, cut where it is long; Python cannot print integers of 4,300 digits."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({type(value).__name__} of {len(text)} characters)"


def check_folder(name: str, path: Path) -> None:
    """Raise ValueError unless results can be written into a folder of that path, which need not exist yet."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{name} = {path} must be a folder, and is a file")
    nearest = next((each for each in (path, *path.absolute().parents) if each.exists()), None)
    if nearest is not None and (not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK)):
        raise ValueError(
            f"{name} = {path} cannot be written: {nearest} is {'not writable' if nearest.is_dir() else 'a file'}"
        )


def check_confidence(value: float) -> None:
    """Raise ValueError unless a confidence is between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"confidence = {value} must be between 0 and 1")
