"""A core as a file, TOML or JSON, and back without loss: one table a part, SI units, the names of the fields.

Where a part may be one of several kinds, as the `transfer` curve, its table says which: kind = "Laser". What a
calibration measured stands as lists.
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from electronics.part import Part, nearest
from optics.core import TensorCore
from optics.correction import Correction
from optics.transfer import TRANSFERS, Transfer


def to_dict(part: Part) -> dict[str, Any]:
    """The part's fields as plain numbers and nested dicts. Raises ValueError for a stack of parts."""
    listed = isinstance(part, Correction)
    plain = {field.name: _plain(field.name, getattr(part, field.name), listed) for field in dataclasses.fields(part)}
    return {"kind": type(part).__name__} | plain if isinstance(part, Transfer) else plain


def from_dict(values: Mapping[str, Any], kind: type[Part] = TensorCore, path: str = "") -> Any:
    """The part that `to_dict` described.

    Raises ValueError for a name that is not a field (with the nearest that is), for one that is missing, and for a
    value out of its bounds.
    """
    if kind is Transfer:
        kind, values = _transfer(values, path)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise ValueError(f"{kind.__name__} has no field {path + name!r}{kind.instead_of(name)}")
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [path + name for name in required if name not in values]:
        raise ValueError(f"{kind.__name__} lacks {', '.join(missing)}")
    return kind(**{name: _part_or_value(fields[name], value, path) for name, value in values.items()})


def save(core: TensorCore, file: str | Path) -> None:
    """Writes a core to a .toml or .json file."""
    values = to_dict(core)
    text = json.dumps(values, indent=1) + "\n" if _form(file) == ".json" else tomli_w.dumps(values)
    Path(file).write_text(text, encoding="utf-8")


def load(file: str | Path) -> TensorCore:
    """Reads a core from a .toml or .json file; a ValueError names the file and what is wrong in it."""
    read = json.loads if _form(file) == ".json" else tomllib.loads
    try:
        return from_dict(read(Path(file).read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _plain(name: str, value: Any, listed: bool) -> Any:
    if isinstance(value, Part):
        return to_dict(value)
    if isinstance(value, int | str):
        return value
    if np.ndim(value) and not listed:
        raise ValueError(f"{name} is an array of {np.size(value)} values; a file holds one core")
    return np.asarray(value, np.float64).tolist()


def _transfer(values: Mapping[str, Any], path: str) -> tuple[type[Part], dict[str, Any]]:
    """The kind of curve that a table names, and the rest of the table."""
    rest = dict(values)
    name = rest.pop("kind", None)
    if name not in TRANSFERS:
        raise ValueError(f"{path}kind = {name!r} is no curve{nearest(str(name), list(TRANSFERS))}")
    return TRANSFERS[name], rest


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
