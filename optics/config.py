"""A core as a file, TOML or JSON, and back without loss: one table a part, SI units, the names of the fields."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from electronics.part import Part, nearest
from optics.core import TensorCore


def to_dict(part: Part) -> dict[str, Any]:
    """The part's fields as plain numbers and nested dicts. Raises ValueError for a stack of parts."""
    return {field.name: _plain(field.name, getattr(part, field.name)) for field in dataclasses.fields(part)}


def from_dict(values: Mapping[str, Any], kind: type[Part] = TensorCore, path: str = "") -> Any:
    """The part that `to_dict` described.

    Raises ValueError for a name that is not a field (with the nearest that is), for one that is missing, and for a
    value out of its bounds.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise ValueError(f"{kind.__name__} has no field {path + name!r}{nearest(name, list(fields))}")
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [path + name for name in required if name not in values]:
        raise ValueError(f"{kind.__name__} lacks {', '.join(missing)}")
    return kind(**{name: _part_or_value(fields[name], value, path) for name, value in values.items()})


def save(core: TensorCore, file: str | Path) -> None:
    """Writes a core to a .toml or .json file."""
    values = to_dict(core)
    text = json.dumps(values, indent=1) + "\n" if _form(file) == ".json" else _toml(values)
    Path(file).write_text(text, encoding="utf-8")


def load(file: str | Path) -> TensorCore:
    """Reads a core from a .toml or .json file; a ValueError names the file and what is wrong in it."""
    read = json.loads if _form(file) == ".json" else tomllib.loads
    try:
        return from_dict(read(Path(file).read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Part):
        return to_dict(value)
    if np.ndim(value):
        raise ValueError(f"{name} is an array of {np.size(value)} values; a file holds one core")
    return value if isinstance(value, int | str) else float(value)


def _part_or_value(field: dataclasses.Field, value: Any, path: str) -> Any:
    if not (isinstance(field.type, type) and issubclass(field.type, Part)):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{path + field.name} must be a table of the fields of {field.type.__name__}, got {value!r}")
    return from_dict(value, field.type, f"{path}{field.name}.")


def _form(file: str | Path) -> str:
    suffix = Path(file).suffix
    if suffix not in (".toml", ".json"):
        raise ValueError(f"{file}: a core's file ends in .toml or .json")
    return suffix


def _toml(values: Mapping[str, Any]) -> str:
    top = [f"{name} = {value!r}" for name, value in values.items() if not isinstance(value, Mapping)]
    tables = [
        "\n".join([f"[{name}]", *(f"{field} = {value!r}" for field, value in table.items())])
        for name, table in values.items()
        if isinstance(table, Mapping)
    ]
    return "\n\n".join(["\n".join(top), *tables]) + "\n"
