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
from jax.core import Tracer

from electronics.part import Part, nearest
from electronics.validation import without_plausibility
from optics.components.correction import Correction
from optics.components.modulation import TRANSFERS, Transfer
from optics.core.tensor_core import TensorCore

LISTS = ("correction.input_gain", "correction.output_gain", "correction.output_offset", "correction.pixel_gain")
"""Fields that may be lists in a file: what a calibration measured, by row, by column or by pixel."""


def to_dict(part: Part) -> dict[str, Any]:
    """The part's fields as plain numbers and nested dicts.

    Raises ValueError for what `from_dict` would not give back: a stack of parts, traced numbers, and a part of a class
    that no file can name.
    """
    _check_kinds(part, TensorCore if isinstance(part, TensorCore) else type(part), "")
    return _table_of(part)


def _table_of(part: Part) -> dict[str, Any]:
    listed = LISTS if isinstance(part, Correction) else ()
    names = [field.name for field in dataclasses.fields(part)]
    plain = {name: _plain(name, getattr(part, name), f"correction.{name}" in listed) for name in names}
    return {"kind": type(part).__name__} | plain if isinstance(part, Transfer) else plain


def from_dict(values: Mapping[str, Any], kind: type[Part] = TensorCore, path: str = "") -> Any:
    """The part that `to_dict` described.

    Raises ValueError for a name that is not a field (with the nearest that is), for one that is missing, and for a
    value out of its bounds.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"a {kind.__name__} is a table of its fields, got {_short(values)}")
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
    """Writes a core to a .toml or .json file, from which `load` gives an equal one.

    Raises ValueError, and writes nothing, for what `load` would refuse: see `to_dict`, and numbers out of bounds.
    """
    form = _form(file)
    try:
        values = to_dict(core)
        with without_plausibility():
            again = from_dict(values)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    # Trees of the class may hold numbers that no constructor has seen, as after an optimiser's step.
    if again != core:
        raise ValueError(f"{file}: {_difference(again, core)}")
    text = json.dumps(values, indent=1) + "\n" if form == ".json" else tomli_w.dumps(values)
    Path(file).write_text(text, encoding="utf-8")


def load(file: str | Path) -> TensorCore:
    """Reads a core from a .toml or .json file; a ValueError names the file and what is wrong in it."""
    read = json.loads if _form(file) == ".json" else tomllib.loads
    try:
        return from_dict(read(Path(file).read_text(encoding="utf-8")))
    except RecursionError:
        raise ValueError(f"{file}: it is nested far deeper than a core's tables") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _check_kinds(part: Any, kind: type, path: str) -> None:
    """Raises ValueError for a part of a class that a file cannot name, and so would come back as another."""
    known = TRANSFERS.values() if kind is Transfer else [kind]
    if type(part) not in known:
        named = ", ".join(each.__name__ for each in known)
        raise ValueError(
            f"{path.rstrip('.') or 'the core'} is a {type(part).__name__}, which a file cannot name; it holds: {named}"
        )
    for field in dataclasses.fields(part):
        if isinstance(field.type, type) and issubclass(field.type, Part):
            _check_kinds(getattr(part, field.name), field.type, f"{path}{field.name}.")


def _difference(again: TensorCore, core: TensorCore) -> str:
    """The first number that is not the same."""
    new, old = again.numbers(), core.numbers()
    for name, value in old.items():
        if not np.array_equal(np.asarray(value), np.asarray(new[name])):
            return f"{name} = {value} of {np.asarray(value).dtype} is no float32 number, so it would not come back"
    return "it would not come back as it is"


def _plain(name: str, value: Any, listed: bool) -> Any:
    if isinstance(value, Part):
        return _table_of(value)
    if isinstance(value, int | str):
        return value
    if isinstance(value, Tracer):
        raise ValueError(f"{name} is traced; a file holds numbers, so save outside of jit, grad and vmap")
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
        return value if field.metadata.get("static") else _number(field, value, path)
    if not isinstance(value, Mapping):
        raise ValueError(
            f"{path + field.name} must be a table of the fields of {field.type.__name__}, got {_short(value)}"
        )
    return from_dict(value, field.type, f"{path}{field.name}.")


def _number(field: dataclasses.Field, value: Any, path: str) -> Any:
    """A number, or a list of them where a calibration measured one for each row, column or pixel."""
    name, unit = path + field.name, field.metadata["unit"]
    if isinstance(value, list) and name in LISTS:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be one number in {unit}, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({type(value).__name__} of {len(text)} characters)"


def _form(file: str | Path) -> str:
    suffix = Path(file).suffix
    if suffix not in (".toml", ".json"):
        raise ValueError(f"{file}: a core's file ends in .toml or .json")
    return suffix
