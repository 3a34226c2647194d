"""Sweeps as TOML files, see README.md for one. An unknown entry is refused, and the message names the nearest."""

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optics
from electronics.part import nearest
from experiments.common.options import short_repr
from experiments.common.toml_entries import check_known, list_of, table_of
from experiments.sweeps.definition import axes, function_name
from experiments.sweeps.definition.axes import Dimension
from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.subjects.product import Product
from experiments.sweeps.subjects.subject import Subject
from experiments.sweeps.subjects.text import Text

TABLES = ("core", "cores", "attention", "metrics", "keys", "seed", "compilations", "set", "on", "axes", "zip", "sobol")
SUBJECTS: dict[str, type[Text] | type[Product]] = {"text": Text, "product": Product}
FUNCTION = "function"
SPACINGS = {"linear": axes.linear, "log": axes.log}


def load(file: str | Path, changes: Mapping[str, Any] | None = None) -> Sweep:
    """Return the sweep that a file defines. Paths in it are relative to the working folder.

    The module of a function of the user's own is found beside the file or in the working folder, and imported.

    Args:
        file: the file.
        changes: entries of the file to replace, as `{"cores": "design.toml"}`, which replaces `core`, and
            `{"attention": "light"}`, which replaces that of `[on]` too.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read as a sweep. The message names the file and the entry.
    """
    if Path(file).is_dir():
        raise ValueError(f"{file} is a folder; a sweep is a .toml file")
    try:
        tables, changes = tomllib.loads(Path(file).read_text(encoding="utf-8")), changes or {}
        if "cores" in changes:
            tables.pop("core", None)
        if "attention" in changes and isinstance(tables.get("on"), dict):
            tables["on"].pop("attention", None)
        return _sweep({**tables, **changes}, Path(file).parent)
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None
    except RecursionError:
        raise ValueError(f"{file}: it is nested far deeper than a sweep's tables") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _sweep(tables: Mapping[str, Any], folder: Path) -> Sweep:
    check_known("the file", tables, TABLES)
    if "core" in tables and "cores" in tables:
        raise ValueError(f"core = {short_repr(tables['core'])} and cores = {short_repr(tables['cores'])}: give one")
    core = tables.get("cores", tables.get("core", "projected_2029"))
    plain = {name: tables[name] for name in ("keys", "seed", "compilations") if name in tables}
    if "metrics" in tables:
        plain["metrics"] = tuple(list_of("metrics", tables["metrics"]))
    sweep = Sweep(
        core=_design(core) if "cores" in tables else _core(core),
        name=str(core),
        dimensions=tuple(_dimensions(tables)),
        fixed=_flat("set", tables.get("set", {})),
        subject=_subject(_with_attention(tables), folder),
        **plain,
    )
    # A named core without axes is one point. A file with neither is an oversight.
    if not sweep.dimensions and not {"core", "cores"} & set(tables):
        raise ValueError("nothing is varied: give at least one axis in [axes], [[zip]] or [sobol], or a core")
    return sweep


def _core(name: Any) -> optics.TensorCore:
    if not isinstance(name, str):
        raise ValueError(f"core = {short_repr(name)} must be the name of a preset or device, or a file in quotes")
    return optics.serialise.load(name) if name.endswith((".toml", ".json")) else optics.preset(name)


def _design(name: Any) -> optics.CoresBySite:
    if not isinstance(name, str) or not name.endswith(".toml"):
        raise ValueError(f"cores = {short_repr(name)} must be the .toml file of a design, in quotes")
    return optics.load_by_site(name)


def _with_attention(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table [on] with the attention of the file, which is that of a language model."""
    on = table_of("on", tables.get("on", {}))
    if "attention" not in tables:
        return on
    if "attention" in on:
        raise ValueError("attention is given twice, in [on] and beside it: give it once")
    attention, kind = tables["attention"], on.get("kind", "text")
    if kind != "text":
        raise ValueError(f"attention = {short_repr(attention)} is of a language model, and not of kind = {kind!r}")
    return {**on, "attention": attention}


def _subject(table: Any, folder: Path) -> Subject:
    values = dict(table_of("on", table))
    kind = values.pop("kind", "text")
    if kind == FUNCTION:
        check_known(f"[on] of kind {kind!r}", values, [FUNCTION])
        if FUNCTION not in values:
            raise ValueError("[on] of kind 'function' lacks function = 'module:name'")
        return function_name.load(values[FUNCTION], folder)
    if kind not in SUBJECTS:
        raise ValueError(f"on.kind = {kind!r} is nothing that can be run{nearest(str(kind), [*SUBJECTS, FUNCTION])}")
    check_known(f"[on] of kind {kind!r}", values, [field.name for field in dataclasses.fields(SUBJECTS[kind])])
    return SUBJECTS[kind](**values)


def _dimensions(tables: Mapping[str, Any]) -> list[Dimension]:
    dimensions = [_axis(name, values) for name, values in _flat("axes", tables.get("axes", {})).items()]
    if isinstance(tables.get("zip"), Mapping):
        raise ValueError("zip is a list of tables: write [[zip]], in double brackets")
    for number, table in enumerate(list_of("zip", tables.get("zip", []))):
        dimensions.append(
            axes.zipped(*(_axis(name, values) for name, values in _flat(f"zip {number + 1}", table).items()))
        )
    if "sobol" in tables:
        dimensions.append(_sobol(table_of("sobol", tables["sobol"])))
    return dimensions


def _axis(name: str, values: Any) -> Dimension:
    if isinstance(values, Mapping):
        spacing, (low, high), points = _spacing(name, values)
        if points is None:
            raise ValueError(f"axis {name!r} lacks points, how many values it has")
        return SPACINGS[spacing](name, low, high, points)
    return axes.listed(name, list_of(f"axis {name!r}", values))


def _sobol(table: Mapping[str, Any]) -> Dimension:
    check_known("[sobol]", table, ("points", "seed", "axes"))
    bounds = {}
    for name, values in _flat("sobol.axes", table.get("axes", {})).items():
        spacing, (low, high), points = _spacing(
            name, table_of(f"axis {name!r} of sobol, linear or log = [low, high],", values)
        )
        if points is not None:
            raise ValueError(f"axis {name!r} of sobol has points of its own: they are sobol.points, for all axes")
        bounds[name] = (low, high, spacing)
    if "points" not in table:
        raise ValueError("sobol lacks points, how many draws there are")
    return axes.sobol(table["points"], bounds, table.get("seed", 0))


def _spacing(name: str, values: Mapping[str, Any]) -> tuple[str, Sequence[float], Any]:
    """(linear or log, [low, high], number of points where it is given) of an axis's table."""
    check_known(f"axis {name!r}", values, (*SPACINGS, "points"))
    given = [spacing for spacing in SPACINGS if spacing in values]
    if len(given) != 1:
        raise ValueError(f"axis {name!r} must have one of linear = [low, high] and log = [low, high]")
    bounds = list_of(f"axis {name!r}, {given[0]}", values[given[0]])
    if len(bounds) != 2:
        raise ValueError(f"axis {name!r}: {given[0]} = {bounds} must be [low, high]")
    return given[0], bounds, values.get("points")


def _flat(what: str, table: Any, path: str = "") -> dict[str, Any]:
    """Fields by dotted name: `adc.enob = 7` is the table {adc: {enob: 7}} unless it stands in quotes."""
    fields: dict[str, Any] = {}
    for name, value in table_of(what, table).items():
        whole = f"{path}{name}"
        if isinstance(value, Mapping) and not {*SPACINGS, "points"} & set(value):
            fields |= _flat(what, value, f"{whole}.")
        else:
            fields[whole] = value
    return fields
