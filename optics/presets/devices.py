"""Cores of devices that are described in public, each number with its source: see `devices.toml`."""

import dataclasses
import tomllib
from importlib.resources import files

from electronics import Constant
from electronics.part import nearest
from optics.components.modulation import TRANSFERS
from optics.core.tensor_core import TensorCore
from optics.presets.scenario import build, scenario_constants

_TABLES = tomllib.loads((files("optics.presets") / "devices.toml").read_text(encoding="utf-8"))
DEVICES: dict[str, str] = {name: table["about"] for name, table in _TABLES.items()}


def device(name: str) -> TensorCore:
    """The core of a published or announced device; an unknown name is a ValueError that gives the nearest."""
    structure = dict(_table(name)["structure"])
    kind = TRANSFERS[structure.pop("transfer", "Laser")]
    values = {field: constant.value for field, constant in device_constants(name).items()}
    return build(values, structure, {"transfer": kind})


def device_constants(name: str) -> dict[str, Constant]:
    """The constants of a device by field. What it does not publish is its base's and counts as assumed."""
    table = _table(name)
    kind = TRANSFERS[table["structure"].get("transfer", "Laser")]
    curve = {f"transfer.{field.name}" for field in dataclasses.fields(kind)}
    given = table["fields"]
    found: dict[str, Constant] = {}
    for field, constant in scenario_constants(table["base"]).items():
        if field in given:
            found[field] = dataclasses.replace(constant, name=f"{name}.{field}", **given[field])
        elif not field.startswith("transfer.") or field in curve:
            source = f"not published; as {table['base']}: {constant.source}"
            found[field] = dataclasses.replace(constant, name=f"{name}.{field}", mark="assumed", source=source)
    for field in given.keys() - found.keys():
        found[field] = Constant(name=f"{name}.{field}", unit="1", **given[field])
    return found


def _table(name: str) -> dict:
    if name not in _TABLES:
        raise ValueError(f"no device {name!r}{nearest(name, list(_TABLES))}")
    return _TABLES[name]
