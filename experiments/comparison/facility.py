"""What makers state of whole facilities, and which accountings of peak, watts and PUE give it."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files

from electronics import Constant
from experiments.comparison.digital import format_title
from experiments.comparison.records import Accounting, Claim
from experiments.comparison.schedule import SCHEDULE
from experiments.serving.model import DigitalSystem, system_named

WITHIN = 0.1
"""Relative difference up to which an accounting gives what was stated."""


def claims(names: tuple[str, ...], constants: Mapping[str, Constant] = SCHEDULE) -> list[Claim]:
    """Return what the makers of some systems state, with every accounting of it.

    Args:
        names: systems by name.
        constants: the schedule, whose PUE is taken at its low and nominal value.
    """
    tables = tomllib.loads((files("experiments.comparison") / "facility.toml").read_text(encoding="utf-8"))
    return [_claim(system_named(name), table, constants["pue"]) for name, table in tables.items() if name in names]


def _claim(system: DigitalSystem, table: Mapping, pue: Constant) -> Claim:
    stated = table["facility_ops"] / table["facility_watts"] / 1e12
    accountings = _accountings(system, table["format"], pue)
    return {
        "system": system.name,
        "format": format_title(system, table["format"]),
        "facility_ops": table["facility_ops"],
        "facility_watts": table["facility_watts"],
        "tops_per_watt": stated,
        "source": table["source"],
        "within": WITHIN,
        "accountings": accountings,
        "reproduced_by": [
            number for number, each in enumerate(accountings) if abs(each["tops_per_watt"] / stated - 1) <= WITHIN
        ],
    }


def _accountings(system: DigitalSystem, precision: str, pue: Constant) -> list[Accounting]:
    """Every pair of a peak and of the watts per chip that are published, at the low and the nominal PUE."""
    peak, chip = system.fields[f"peak_{precision}"], system.fields["chip_watts"]
    rack, chips = system.fields["system_watts"], system.fields["system_chips"].value
    rates = {"nominal peak": peak.value, "highest peak": peak.high}
    watts = {
        "chips alone, low": chip.low,
        "chips alone, high": chip.high,
        "rack, low": rack.low / chips,
        "rack, nominal": rack.value / chips,
        "rack, high": rack.high / chips,
    }
    return [
        {
            "rate": rate,
            "peak_ops": ops,
            "watts_of": scope,
            "chip_watts": each,
            "pue": factor,
            "tops_per_watt": ops / (each * factor) / 1e12,
        }
        for rate, ops in rates.items()
        for scope, each in watts.items()
        for factor in dict.fromkeys((pue.low, pue.value))
    ]
