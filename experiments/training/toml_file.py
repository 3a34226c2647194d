"""Studies as TOML files, see docs/guide/train.md. An unknown entry is refused, and the message names the nearest."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optics
from electronics.part import nearest
from experiments.common.options import check_integer, check_seed, short_repr
from experiments.common.toml_entries import check_known, list_of, table_of
from experiments.training import task
from experiments.training.method.trainable import Trainable
from experiments.training.run.options import Options
from experiments.training.study import CODESIGN, METHODS, NONE, Study
from optics.analysis.inverse import Knob
from optics.core.by_site import Machine

TABLES = ("function", "core", "set", "photons_per_mac", "methods", "seeds", "draws", "figure", "train", "codesign")
OWN = ("optimiser", "trainable", "seed", "knobs", "knob_rate", "price")
TRAINED = ("kind", "rank", "alpha", "paths")
HARDWARE = ("knobs", "price", "knob_rate")
SPACINGS = ("linear", "log")


def load(file: str | Path) -> Study:
    """Return the study that a file defines. Its module is found beside the file or in the working folder.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as a study. The message names the file and the entry.
    """
    path = Path(file)
    try:
        return _study(tomllib.loads(path.read_text(encoding="utf-8")), path.parent)
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def machine(name: Any) -> Machine:
    """Return the core of a name: of a preset, a device, or a file of a core or a design."""
    if not isinstance(name, str):
        raise ValueError(f"core = {short_repr(name)} must be the name of a preset or device, or a file in quotes")
    if not name.endswith((".toml", ".json")):
        return optics.preset(name)
    try:
        return optics.serialise.load(name)
    except ValueError as of_core:
        try:
            return optics.load_by_site(name)
        except ValueError:
            raise of_core from None


def _study(tables: Mapping[str, Any], folder: Path) -> Study:
    check_known("the file", tables, TABLES)
    if "function" not in tables:
        raise ValueError("function = 'module:name' is missing: what is trained")
    names = tables.get("core", "projected_2029")
    names = names if isinstance(names, list) else [names]
    cores = {_stem(name): machine(name).replace(_flat(table_of("set", tables.get("set", {})))) for name in names}
    methods = tuple(_listed("methods", tables, ["light"]))
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"methods: {short_repr(method)} is none{nearest(str(method), list(METHODS))}")
    hardware = _hardware(table_of("codesign", tables.get("codesign", {})))
    if (CODESIGN in methods) != bool(hardware):
        raise ValueError("methods names 'codesign' where there is a table [codesign] with knobs, and only there")
    seeds = _seeds(tables.get("seeds", 1))
    draws = tables.get("draws", 8)
    check_integer("draws", draws, 1, 10**6)
    photons = _listed("photons_per_mac", tables, None)
    if photons is not None and any(not isinstance(each, int | float) or not each > 0 for each in photons):
        raise ValueError(f"photons_per_mac = {short_repr(photons)} must be numbers above 0")
    return Study(
        task=task.load(tables["function"], folder),
        cores=cores,
        photons=photons,
        methods=tuple(method for method in methods if method != NONE),
        seeds=seeds,
        options=_options(table_of("train", tables.get("train", {}))),
        knobs=hardware,
        figure=str(tables.get("figure", "loss")),
        draws=draws,
    )


def _seeds(given: Any) -> list[int]:
    seeds = list(range(given)) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(seeds, list) or not seeds:
        raise ValueError(f"seeds = {short_repr(given)} must be how many, or a list of them")
    for seed in seeds:
        check_seed("seeds", seed)
    return seeds


def _options(table: Mapping[str, Any]) -> Options:
    plain = [field.name for field in dataclasses.fields(Options) if field.name not in OWN]
    check_known("[train]", table, [*plain, *TRAINED])
    what = {name: table[name] for name in ("kind", "rank", "alpha") if name in table}
    if "paths" in table:
        words = tuple(list_of("train.paths", table["paths"], least=1))
        what["where"] = lambda path: any(word in path for word in words)
    options = Options(trainable=Trainable(**what), **{name: table[name] for name in plain if name in table})
    options.check()
    return options


def _hardware(table: Mapping[str, Any]) -> dict[str, Any]:
    """The options of codesign, nothing of an empty table."""
    if not table:
        return {}
    check_known("[codesign]", table, HARDWARE)
    knobs = {
        name: _knob(name, values) for name, values in _flat(table_of("codesign.knobs", table.get("knobs", {}))).items()
    }
    if not knobs:
        raise ValueError("[codesign] lacks knobs, the numbers of the core that are trained")
    Options(knobs=knobs, **{name: table[name] for name in HARDWARE[1:] if name in table}).check()
    return {**{name: table[name] for name in HARDWARE[1:] if name in table}, "knobs": knobs}


def _knob(name: str, values: Any) -> Knob:
    given = [spacing for spacing in SPACINGS if isinstance(values, Mapping) and spacing in values]
    if len(given) != 1 or len(values) != 1:
        raise ValueError(f"knob {name!r} must be one of linear = [low, high] and log = [low, high]")
    bounds = list_of(f"knob {name!r}", values[given[0]], least=1)
    if len(bounds) != 2 or not all(isinstance(each, int | float) for each in bounds):
        raise ValueError(f"knob {name!r}: {given[0]} = {bounds} must be [low, high]")
    return Knob(float(bounds[0]), float(bounds[1]), given[0] == "log")


def _flat(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Fields by dotted name."""
    fields: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping) and not set(SPACINGS) & set(value):
            fields |= _flat(value, f"{path}{name}.")
        else:
            fields[f"{path}{name}"] = value
    return fields


def _stem(name: Any) -> str:
    return Path(str(name)).stem


def _listed(name: str, tables: Mapping[str, Any], default: Any) -> Any:
    return list_of(name, tables[name], least=1) if name in tables else default
