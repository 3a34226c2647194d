"""What digital machines were measured to need, at the wall and at the utilisation they reach."""

import dataclasses
import tomllib
from importlib.resources import files

from electronics.constants import Constant, parse


@dataclasses.dataclass(frozen=True)
class MeasuredRun:
    """A published inference run: joules per output token of a model on a system, and what the joules cover."""

    system: str
    model: str
    precision: str
    scenario: str
    j_per_output_token: float
    scope: str
    source: str


_TABLES = tomllib.loads((files("electronics.digital") / "measured.toml").read_text(encoding="utf-8"))

MEASURED_RUNS = tuple(MeasuredRun(**row) for row in _TABLES.pop("measured"))
ENERGY_PER_MAC: dict[str, Constant] = {
    name.removesuffix(".energy_per_mac"): constant for name, constant in parse(_TABLES).items()
}


def tops_per_watt(system: str) -> float:
    """Operations per joule / 1e12 that the system reaches at the wall."""
    return 2e-12 / ENERGY_PER_MAC[system].value
