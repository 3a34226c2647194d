"""Cores by site as a TOML file.

core = "projected_2029"             # of all other sites: a preset, a device, the file of a core, or "digital"

[[site]]
sites = "layers.down"               # name of a site, path of its weights, a pattern of either, or a list of these
change = { "source.power" = 4e-3 }  # fields of the core above

[[site]]
sites = "layers.*"
steps = [0, -1]                     # the first and the last layer
core = "digital"

[[site]]
sites = "layers.*"
positions = [0, 1, -1]              # the first two tokens and the last
core = "digital"

[[site]]
sites = "*activations*"
steps = [1]
heads = [0]                         # the first head of keys of the second layer
core = "digital"

[[site]]
nonnegative = "inputs"              # in place of sites: those whose "inputs", or "weights", are never negative
change = { "encoding.inputs" = "unsigned" }
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from electronics.part import nearest
from optics.core.by_site import CoresBySite
from optics.core.site_rule import DIGITAL, Digital, SiteRule
from optics.core.tensor_core import TensorCore
from optics.interpreter.plan import Site, nonnegative_inputs, nonnegative_weights
from optics.presets import serialise
from optics.presets.presets import preset

_FIELDS = ("core", "site")
_PARTS = ("steps", "positions", "heads")
_SITE_FIELDS = ("sites", "nonnegative", *_PARTS, "core", "change")
_NONNEGATIVE = {"inputs": nonnegative_inputs, "weights": nonnegative_weights}


def load_by_site(file: str | Path) -> CoresBySite:
    """The design in a TOML file, in the form that this module shows. Files that it names are found from its folder.

    Raises:
        ValueError: for what is not of this form, a field that no core has, and two tables for the same sites; it names
            the file and the table.
        OSError: for a file that cannot be read.
    """
    file = Path(file)
    try:
        return _design(tomllib.loads(file.read_text(encoding="utf-8")), file.parent)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def save_by_site(design: CoresBySite, file: str | Path) -> list[Path]:
    """Write a design to a TOML file from which `load_by_site` gives an equal one, and its cores beside it.

    Numbers in which the core of a rule differs from the first are written with the rule. A core that differs from it in
    more than numbers has a file of its own.

    Args:
        design: the design.
        file: the .toml file. The file of the first core is named after it, as "design.core.toml".

    Returns:
        The files, the design's first.

    Raises:
        ValueError: for a rule of sites that a file cannot name, a function of one's own, and for numbers that no file
            of a core may hold.
    """
    file = Path(file)
    files, tables = [file], [_named_sites(rule) for rule in design.rules]
    default: str = "digital"
    if isinstance(design.default, TensorCore):
        default = _saved(design.default, file, "core", files)
    for number, (rule, table) in enumerate(zip(design.rules, tables, strict=True)):
        table |= {name: list(getattr(rule, name)) for name in _PARTS if getattr(rule, name)}
        change = _difference(design.default, rule.core)
        if isinstance(rule.core, Digital):
            table["core"] = "digital"
        elif change is None:
            table["core"] = _saved(rule.core, file, f"rule{number}", files)
        else:
            table["change"] = change
    file.write_text(tomli_w.dumps({"core": default, "site": tables}), encoding="utf-8")
    return files


def _saved(core: TensorCore, file: Path, name: str, files: list[Path]) -> str:
    """Write a core beside the file of its design and return the name of its file."""
    files.append(file.with_suffix(f".{name}.toml"))
    serialise.save(core, files[-1])
    return files[-1].name


def _named_sites(rule: SiteRule) -> dict[str, Any]:
    """The sites of a rule, as a table of the file names them."""
    if not callable(rule.sites):
        return {"sites": rule.sites if isinstance(rule.sites, str) else list(rule.sites)}
    for operand, function in _NONNEGATIVE.items():
        if rule.sites is function:
            return {"nonnegative": operand}
    raise ValueError(f"the rule {rule.label} is a function of a site, which no file can hold: name the sites")


def _difference(default: TensorCore | Digital, core: TensorCore | Digital) -> dict[str, float] | None:
    """The numbers of a core that are not those of the first; None where a table of numbers does not make it of that."""
    if not isinstance(default, TensorCore) or not isinstance(core, TensorCore):
        return None
    old, new = default.numbers(), core.numbers()
    found = {name: new[name] for name in new if not np.array_equal(np.asarray(new[name]), np.asarray(old[name]))}
    change = {name: float(value) for name, value in found.items() if np.ndim(value) == 0}
    same = len(change) == len(found) and bool(change) and default.replace(change) == core
    return change if same else None


def _design(table: Mapping[str, Any], folder: Path) -> CoresBySite:
    _check_names(table, _FIELDS, "the file")
    default = _core(table.get("core"), folder, "core")
    sites = table.get("site", [])
    if not isinstance(sites, list) or not sites:
        raise ValueError("it has no [[site]]: a design of one core is the file of a core")
    rules = [_rule(number, site, default, folder) for number, site in enumerate(sites, start=1)]
    seen: dict[tuple[Any, ...], int] = {}
    for number, rule in enumerate(rules, start=1):
        first = seen.setdefault((rule.sites, rule.steps, rule.positions, rule.heads), number)
        if first != number:
            raise ValueError(f"[[site]] {first} and {number} are both for {rule.label}")
    return CoresBySite(default, rules)


def _rule(number: int, table: Any, default: TensorCore | Digital, folder: Path) -> SiteRule:
    where = f"[[site]] {number}"
    sites = _sites(table, where)
    _check_names(table, _SITE_FIELDS, where)
    parts = [_whole_numbers(table, name, where) for name in _PARTS]
    change = table.get("change", {})
    if not isinstance(change, Mapping):
        raise ValueError(f"{where}: change = {change!r} must be a table of fields of a core")
    core = _core(table["core"], folder, f"{where}: core") if "core" in table else default
    if change and isinstance(core, Digital):
        raise ValueError(f"{where}: a digital site has no fields to change")
    if not change and "core" not in table:
        raise ValueError(f"{where} says neither core nor change")
    core = core if isinstance(core, Digital) else _changed(core, change, where)
    try:
        return SiteRule(sites, core, *parts)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _whole_numbers(table: Mapping[str, Any], name: str, where: str) -> tuple[int, ...]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError(f"{where}: {name} = {values!r} must be a list of whole numbers")
    return tuple(values)


def _sites(table: Any, where: str) -> str | tuple[str, ...] | Callable[[Site], bool]:
    """The sites of a table, as `SiteRule.sites` has them."""
    table = table if isinstance(table, Mapping) else {}
    if "nonnegative" in table:
        if "sites" in table:
            raise ValueError(f"{where} has both sites and nonnegative")
        operand = table["nonnegative"]
        if not isinstance(operand, str) or operand not in _NONNEGATIVE:
            raise ValueError(f'{where}: nonnegative = {operand!r} must be "inputs" or "weights"')
        return _NONNEGATIVE[operand]
    sites = table.get("sites")
    named = [sites] if isinstance(sites, str) else sites
    if not isinstance(named, list) or not named or not all(isinstance(each, str) for each in named):
        raise ValueError(f'{where} needs the sites that it is for, as in sites = "layers.down"')
    return sites if isinstance(sites, str) else tuple(named)


def _changed(core: TensorCore, change: Mapping[str, Any], where: str) -> TensorCore:
    try:
        return core.replace(_dotted(change)) if change else core
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _dotted(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested tables, which TOML makes of keys with dots, as fields of dotted names."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= _dotted(value, f"{path}{name}.") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return found


def _core(name: Any, folder: Path, where: str) -> TensorCore | Digital:
    if not isinstance(name, str):
        raise ValueError(f'{where} = {name!r} must be a preset, a device, a file or "digital", in quotes')
    if name == "digital":
        return DIGITAL
    return serialise.load(folder / name) if name.endswith((".toml", ".json")) else preset(name)


def _check_names(table: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in allowed:
            raise ValueError(f"{where} has no field {name!r}{nearest(name, list(allowed))}")
