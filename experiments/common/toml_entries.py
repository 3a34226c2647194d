"""Entries of a TOML file that a user wrote, with one clear error for each that cannot be meant."""

from collections.abc import Mapping, Sequence
from typing import Any

from electronics.part import nearest
from experiments.common.options import short_repr


def check_known(where: str, given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raise ValueError for an entry that is not allowed, with the nearest that is."""
    for name in given:
        if name not in allowed:
            raise ValueError(f"{where} has no entry {name!r}{nearest(name, list(allowed))}")


def table_of(what: str, value: Any) -> Mapping[str, Any]:
    """Return a table. Raises ValueError for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} = {short_repr(value)} must be a table")
    return value


def list_of(what: str, value: Any, least: int = 0) -> list[Any]:
    """Return a list of at least so many entries. Raises ValueError for anything else."""
    if not isinstance(value, list) or len(value) < least:
        raise ValueError(f"{what} = {short_repr(value)} must be a list, in brackets")
    return value
