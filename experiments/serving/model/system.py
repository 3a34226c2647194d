"""Systems as data: every number a constant with its range, and the machine that they make at a corner of the ranges."""

import dataclasses
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from electronics.constants import Constant, parse
from electronics.part import nearest
from experiments.serving.model.digital import DigitalMachine, Software

Corner = Literal["nominal", "best", "worst"]
CORNERS: tuple[Corner, ...] = ("nominal", "best", "worst")
BETTER_HIGH = ("peak_", "memory_", "sram_", "link_", "network_", "compute_util", "weight_util", "kv_util")
"""How the names begin of those fields that are the better the higher they are; of all others low is better."""


def _tables(name: str) -> dict[str, Any]:
    tables = tomllib.loads((files("experiments.serving.model") / name).read_text(encoding="utf-8"))
    for table in tables.values():
        for field in table.values():
            if isinstance(field, dict):
                field.setdefault("low", field["value"])
                field.setdefault("high", field["value"])
    return tables


def _constants(name: str) -> dict[str, Constant]:
    return parse(_tables(name))


CALIBRATION: Mapping[str, Constant] = MappingProxyType(_constants("calibration.toml"))
"""What was fitted to published rows, by `family.field` or `software.field`."""
SOFTWARE: Mapping[str, Constant] = MappingProxyType(_constants("software.toml"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitalSystem:
    """A kind of machine: its constants by field name, and whose fits it borrows.

    `family` and `software` name tables of fits; `parallel` says how chips share a model: each a part of every layer
    ("tensor"), or each its own layers ("pipeline").
    """

    name: str
    title: str
    fields: Mapping[str, Constant]
    family: str = ""
    software: str = "own"
    parallel: Literal["tensor", "pipeline"] = "tensor"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of the precisions in which it multiplies."""
        return tuple(name.removeprefix("peak_") for name in self.fields if name.startswith("peak_"))

    def constant(self, field: str, calibration: Mapping[str, Constant] = CALIBRATION) -> Constant | None:
        """The system's own constant, else its family's, else the one common to all; None if nobody has one."""
        own = self.fields.get(field)
        return own or calibration.get(f"{self.family}.{field}") or _COMMON.get(f"common.{field}")

    def at(
        self,
        chips: int,
        corner: Corner = "nominal",
        software: str | None = None,
        calibration: Mapping[str, Constant] = CALIBRATION,
    ) -> DigitalMachine:
        """The machine of so many chips with every field at its nominal value, or at its best or worst."""
        if chips < 1:
            raise ValueError(f"chips = {chips} must be at least 1")

        def number(field: str) -> float | None:
            constant = self.constant(field, calibration)
            return None if constant is None else pick(constant, field, corner)

        rack, system_chips = number("system_watts"), number("system_chips")
        in_memory = "memory_bytes" in self.fields
        watts = number("chip_watts")
        return DigitalMachine(
            name=self.name,
            chips=chips,
            parallel=self.parallel,
            peak={name: number(f"peak_{name}") for name in self.precisions},
            chip_memory=number("memory_bytes" if in_memory else "sram_bytes"),
            chip_bandwidth=number("memory_bandwidth" if in_memory else "sram_bandwidth"),
            link_bandwidth=number("link_bandwidth") * number("link_utilisation"),
            chip_network=number("network_bandwidth"),
            **{name: number(name) for name in _SAME_NAME},
            chip_watts=watts,
            chip_idle_watts=watts * number("idle_share"),
            busy_watts=watts * (number("busy_share") or 1.0),
            rack_watts=None if rack is None else rack / system_chips,
            software=_software(software or self.software, corner, calibration),
        )


_SAME_NAME = (
    "compute_utilisation",
    "weight_utilisation",
    "kv_utilisation",
    "layer_seconds",
    "layer_growth",
    "reduce_seconds",
    "memory_share",
    "flop_joules",
    "byte_joules",
    "wall_factor",
)


def pick(constant: Constant, field: str, corner: Corner) -> float:
    """The constant's nominal value, or that end of its range which is best or worst for the machine."""
    if corner == "nominal":
        return constant.value
    return constant.high if (corner == "best") == field.startswith(BETTER_HIGH) else constant.low


def _software(name: str, corner: Corner, calibration: Mapping[str, Constant]) -> Software:
    if f"{name}.largest_batch" not in SOFTWARE:
        raise ValueError(f"no software {name!r}{nearest(name, sorted({key.partition('.')[0] for key in SOFTWARE}))}")

    def number(field: str) -> float:
        return pick(SOFTWARE.get(f"{name}.{field}") or calibration[f"{name}.{field}"], field, corner)

    return Software(
        step_seconds=number("step_seconds"),
        sequence_seconds=number("sequence_seconds"),
        tokens_per_pass=int(number("tokens_per_pass")),
        largest_batch=int(number("largest_batch")),
    )


def _read() -> tuple[dict[str, Constant], dict[str, DigitalSystem]]:
    tables = _tables("systems.toml")
    common = parse({"common": tables.pop("common")})
    systems = {}
    for name, table in tables.items():
        fields = {field: entry for field, entry in table.items() if isinstance(entry, dict)}
        words = {field: entry for field, entry in table.items() if field not in fields}
        constants = {key.partition(".")[2]: constant for key, constant in parse({name: fields}).items()}
        systems[name] = DigitalSystem(name=name, fields=MappingProxyType(constants), **words)
    return common, systems


_COMMON, _SYSTEMS = _read()
SYSTEMS: Mapping[str, DigitalSystem] = MappingProxyType(_SYSTEMS)
"""Every system by its short name."""


def system_named(name: str) -> DigitalSystem:
    """The system of that short name; an unknown one is a ValueError that names the nearest."""
    if name not in SYSTEMS:
        raise ValueError(f"no system {name!r}{nearest(name, list(SYSTEMS))}")
    return SYSTEMS[name]


def hand_over_joules(corner: Corner = "nominal") -> float:
    """J per byte that goes from one machine to another, all ends included."""
    return pick(_COMMON["common.hand_over_joules"], "hand_over_joules", corner)


def hand_over_seconds(corner: Corner = "nominal") -> float:
    """Latency [s] of one message from one machine to another."""
    return pick(_COMMON["common.hand_over_seconds"], "hand_over_seconds", corner)


@lru_cache(maxsize=4096)
def machine(name: str, chips: int, corner: Corner = "nominal", software: str | None = None) -> DigitalMachine:
    """`system_named(name).at(...)`, kept: a sweep asks for the same machine many times."""
    return system_named(name).at(chips, corner, software)
