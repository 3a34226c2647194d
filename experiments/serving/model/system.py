"""Digital systems as data: constants with ranges, and the machine at a corner of the ranges."""

import dataclasses
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from electronics.constants import Constant, parse
from electronics.part import nearest
from experiments.serving.model.digital_machine import DigitalMachine, Software

Corner = Literal["nominal", "best", "worst"]
CORNERS: tuple[Corner, ...] = ("nominal", "best", "worst")
BETTER_HIGH = ("peak_", "memory_", "sram_", "link_", "network_", "compute_util", "weight_util", "kv_util")
"""Prefixes of the fields whose best end is the high one; for all others it is the low one."""


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
"""Constants fitted to published rows, by `family.field` or `software.field`."""
SOFTWARE: Mapping[str, Constant] = MappingProxyType(_constants("software.toml"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitalSystem:
    """A kind of machine.

    Attributes:
        name, title: short and full name.
        fields: constants by field name.
        family: name of the fitted constants that it shares with other systems.
        software: name of its default software in software.toml.
        parallel: each chip has a part of every layer ("tensor"), or its own layers ("pipeline").
        optical: whether its products with weights run on light.
    """

    name: str
    title: str
    fields: Mapping[str, Constant]
    family: str = ""
    software: str = "own"
    parallel: Literal["tensor", "pipeline"] = "tensor"
    optical: bool = False

    @property
    def precisions(self) -> tuple[str, ...]:
        """Names of the precisions in which it multiplies."""
        return tuple(name.removeprefix("peak_") for name in self.fields if name.startswith("peak_"))

    def constant(self, field: str, calibration: Mapping[str, Constant] = CALIBRATION) -> Constant | None:
        """Return the system's own constant, else its family's, else the common one, else None."""
        own = self.fields.get(field)
        return own or calibration.get(f"{self.family}.{field}") or _COMMON.get(f"common.{field}")

    def at(
        self,
        chips: int,
        corner: Corner = "nominal",
        software: str | None = None,
        calibration: Mapping[str, Constant] = CALIBRATION,
    ) -> DigitalMachine:
        """Return the machine of `chips` chips with every field at its nominal, best or worst value."""
        if chips < 1:
            raise ValueError(f"chips = {chips} must be at least 1")

        def optional(field: str) -> float | None:
            constant = self.constant(field, calibration)
            return None if constant is None else pick(constant, field, corner)

        def number(field: str) -> float:
            value = optional(field)
            if value is None:
                raise ValueError(f"system {self.name!r} has no {field}")
            return value

        rack_watts = optional("system_watts")
        memory = "memory" if "memory_bytes" in self.fields else "sram"
        chip_watts = number("chip_watts")
        return DigitalMachine(
            name=self.name,
            chips=chips,
            parallel=self.parallel,
            peak={name: number(f"peak_{name}") for name in self.precisions},
            chip_memory=number(f"{memory}_bytes"),
            chip_bandwidth=number(f"{memory}_bandwidth"),
            link_bandwidth=number("link_bandwidth") * number("link_utilisation"),
            chip_network=number("network_bandwidth"),
            compute_utilisation=number("compute_utilisation"),
            weight_utilisation=number("weight_utilisation"),
            kv_utilisation=number("kv_utilisation"),
            layer_seconds=number("layer_seconds"),
            layer_growth=number("layer_growth"),
            reduce_seconds=number("reduce_seconds"),
            reduce_growth=number("reduce_growth"),
            memory_share=number("memory_share"),
            chip_watts=chip_watts,
            chip_idle_watts=chip_watts * number("idle_share"),
            busy_watts=chip_watts * (optional("busy_share") or 1.0),
            flop_joules=optional("flop_joules"),
            byte_joules=optional("byte_joules"),
            wall_factor=number("wall_factor"),
            rack_watts=None if rack_watts is None else rack_watts / number("system_chips"),
            software=_software(software or self.software, corner, calibration),
        )


def pick(constant: Constant, field: str, corner: Corner) -> float:
    """Return the constant's nominal value, or the end of its range that is best or worst for the machine."""
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
    """Return the system of a short name; raise ValueError, with the nearest name, for an unknown one."""
    if name not in SYSTEMS:
        raise ValueError(f"no system {name!r}{nearest(name, list(SYSTEMS))}")
    return SYSTEMS[name]


def hand_over_joules(corner: Corner = "nominal") -> float:
    """Return the energy per byte from one machine to another, both ends included [J/B]."""
    return pick(_COMMON["common.hand_over_joules"], "hand_over_joules", corner)


def hand_over_seconds(corner: Corner = "nominal") -> float:
    """Return the latency of a message from one machine to another [s]."""
    return pick(_COMMON["common.hand_over_seconds"], "hand_over_seconds", corner)


@lru_cache(maxsize=4096)
def machine(name: str, chips: int, corner: Corner = "nominal", software: str | None = None) -> DigitalMachine:
    """Return `system_named(name).at(...)`, cached: a comparison builds the same machine many times."""
    return system_named(name).at(chips, corner, software)
