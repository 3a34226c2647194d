"""Constants with their sources, read from the TOML file that stands beside the code of each domain."""

import dataclasses
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

MARKS = ("measured", "published", "vendor", "derived", "memory", "assumed", "defined")


@dataclasses.dataclass(frozen=True)
class Constant:
    """One number with its uncertainty and its origin.

    `mark` says how sure it is: measured (read in the primary text), published (read through a secondary source),
    vendor (stated by a seller), derived (by a formula the source names), memory (widely stated, but no text was at
    hand to check it), assumed (chosen here), defined (exact).
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    year: int
    mark: str
    source: str

    def __post_init__(self) -> None:
        if self.mark not in MARKS:
            raise ValueError(f"constant {self.name}: mark {self.mark!r} must be one of {', '.join(MARKS)}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"constant {self.name}: low <= value <= high fails: {self.low}, {self.value}, {self.high}")

    def __str__(self) -> str:
        return (
            f"{self.name} = {self.value:g} {self.unit} ({self.low:g} to {self.high:g}) "
            f"[{self.mark}, {self.year}] {self.source}"
        )


def read(file: Traversable) -> dict[str, Constant]:
    """All constants of a TOML file, see `parse`."""
    return parse(tomllib.loads(file.read_text(encoding="utf-8")))


def parse(tables: Mapping[str, Mapping]) -> dict[str, Constant]:
    """Constants by dotted name: `part.field`, or `part.field.scenario` where each scenario has its own row."""
    found: dict[str, Constant] = {}
    for part, fields in tables.items():
        for field, entry in fields.items():
            rows = {key: row for key, row in entry.items() if key != "unit"}
            rows = {"": rows} if "value" in rows else {f".{scenario}": row for scenario, row in rows.items()}
            for suffix, row in rows.items():
                name = f"{part}.{field}{suffix}"
                found[name] = Constant(name=name, unit=entry["unit"], **row)
    return found


CONSTANTS = read(files("electronics") / "constants.toml")

BOLTZMANN = CONSTANTS["physics.boltzmann"].value
ELEMENTARY_CHARGE = CONSTANTS["physics.charge"].value
ROOM_TEMPERATURE = CONSTANTS["physics.room_temperature"].value
