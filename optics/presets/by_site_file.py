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
nonnegative = "inputs"              # in place of sites: those whose "inputs", or "weights", are never negative
change = { "encoding.inputs" = "unsigned" }
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from electronics.part import nearest
from optics.core.by_site import CoresBySite
from optics.core.site_rule import DIGITAL, Digital, SiteRule
from optics.core.tensor_core import TensorCore
from optics.interpreter.plan import Site, nonnegative_inputs, nonnegative_weights
from optics.presets import serialise
from optics.presets.presets import preset

_FIELDS = ("core", "site")
_SITE_FIELDS = ("sites", "nonnegative", "steps", "positions", "core", "change")
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


def _design(table: Mapping[str, Any], folder: Path) -> CoresBySite:
    _check_names(table, _FIELDS, "the file")
    default = _core(table.get("core"), folder, "core")
    sites = table.get("site", [])
    if not isinstance(sites, list) or not sites:
        raise ValueError("it has no [[site]]: a design of one core is the file of a core")
    rules = [_rule(number, site, default, folder) for number, site in enumerate(sites, start=1)]
    seen: dict[tuple[Any, ...], int] = {}
    for number, rule in enumerate(rules, start=1):
        first = seen.setdefault((rule.sites, rule.steps, rule.positions), number)
        if first != number:
            raise ValueError(f"[[site]] {first} and {number} are both for {rule.label}")
    return CoresBySite(default, rules)


def _rule(number: int, table: Any, default: TensorCore | Digital, folder: Path) -> SiteRule:
    where = f"[[site]] {number}"
    sites = _sites(table, where)
    _check_names(table, _SITE_FIELDS, where)
    steps, positions = (_whole_numbers(table, name, where) for name in ("steps", "positions"))
    change = table.get("change", {})
    if not isinstance(change, Mapping):
        raise ValueError(f"{where}: change = {change!r} must be a table of fields of a core")
    core = _core(table["core"], folder, f"{where}: core") if "core" in table else default
    if change and isinstance(core, Digital):
        raise ValueError(f"{where}: a digital site has no fields to change")
    if not change and "core" not in table:
        raise ValueError(f"{where} says neither core nor change")
    core = core if isinstance(core, Digital) else _changed(core, change, where)
    return SiteRule(sites, core, steps, positions)


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
