"""Technologies of weight masks: the numbers of a mask that belong together, each with its source, see `masks.toml`."""

import dataclasses
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from electronics import Constant, Number
from electronics.part import nearest
from optics.core.by_site import CoresBySite, MachineT
from optics.core.tensor_core import TensorCore
from optics.presets.scenario import SCENARIOS, scenario_constants

_TABLES = tomllib.loads((files("optics.presets") / "masks.toml").read_text(encoding="utf-8"))
MASK_TECHNOLOGIES: dict[str, str] = {name: table["about"] for name, table in _TABLES.items()}
"""What each technology of a weight mask is, by name."""


def mask_constants(technology: str, scenario: str = "projected_2029") -> dict[str, Constant]:
    """The constants that a mask technology sets, by the dotted name of the core's field, with their ranges.

    They are all numbers of the mask, and `source.wavelength` where the technology works at one alone. One at 1,310 nm
    also sets `source.wall_plug_efficiency` and `detector.quantum_efficiency`, since the emitters and silicon diodes of
    850 nm do not work there. A number of the mask that is not published is that of the scenario and counts as assumed.

    Args:
        technology: a name in `MASK_TECHNOLOGIES`.
        scenario: "today", "projected_2029" or "physical_limit".

    Raises:
        ValueError: for an unknown name (naming the nearest), and for a scenario in which the technology is not offered.
    """
    given = _given(technology, scenario)
    found: dict[str, Constant] = {}
    for field, constant in scenario_constants(scenario).items():
        name = f"{technology}.{field}.{scenario}"
        if field in given:
            found[field] = dataclasses.replace(constant, name=name, **given[field])
        elif field.startswith("mask."):
            source = f"not published; as {scenario}: {constant.source}"
            found[field] = dataclasses.replace(constant, name=name, mark="assumed", source=source)
    return found


def mask_structure(technology: str) -> dict[str, Any]:
    """The static fields of a core that a mask technology sets, by dotted name: the number of bit slices of a weight."""
    return dict(_table(technology)["structure"])


def with_mask(core: MachineT, technology: str, scenario: str = "projected_2029") -> MachineT:
    """`core` with the mask of a technology; traces and vmaps where the numbers of the core do.

    It sets the fields of `mask_constants`, at their values, and of `mask_structure`. Binary pixels hold one digit of
    `encoding.weight_slices`, each with conversions of its own; `encoding.weight_slices_over` of the core says whether
    the digits stand on planes side by side or are written one after the other. The source power stays: size the light
    anew with `with_effective_bits` or `with_source_power`. Where the mask passes less light, the integrator's full well
    shrinks with it, and sizing the light restores it. So the core is then that of `from_constants`.

    Args:
        core: a core, or a design, all of whose cores get the mask.
        technology: a name in `MASK_TECHNOLOGIES`.
        scenario: whose numbers of the technology are taken.

    Raises:
        ValueError: as `mask_constants`, and where the core cannot have the mask.
    """
    values = {field: constant.value for field, constant in mask_constants(technology, scenario).items()}
    return _changed(core, {**mask_structure(technology), **values})


def _changed(core: Any, changes: Mapping[str, Any]) -> Any:
    if isinstance(core, CoresBySite):
        return core.with_cores({name: _changed(each, changes) for name, each in core.by_name.items()})
    if not isinstance(core, TensorCore):
        raise ValueError(f"core = {core!r} must be a TensorCore or a CoresBySite")
    masked = core.replace(changes)
    passed = _electrons_at_full_contrast(masked) / _electrons_at_full_contrast(core)
    # The smaller of 1 and what is passed, in plain arithmetic, so that a core that is made inside a jit holds numbers.
    return masked.replace({"tia.full_well": core.tia.full_well * (1 + passed - abs(1 - passed)) / 2})


def _electrons_at_full_contrast(core: TensorCore) -> Number:
    """Photo-electrons of one full product, were a dark pixel dark: light is sized without regard to contrast."""
    return core.electrons / (1 - core.effects.extinction / core.mask.extinction_ratio)


def _given(technology: str, scenario: str) -> dict[str, dict[str, Any]]:
    table = _table(technology)
    if scenario not in SCENARIOS:
        raise ValueError(f"no constants for {scenario!r}{nearest(scenario, list(SCENARIOS))}")
    if scenario not in table:
        offered = " and ".join(name for name in SCENARIOS if name in table)
        raise ValueError(
            f"the mask technology {technology!r} is not offered in {scenario}: {table['not_offered']}; "
            f"it is in {offered}"
        )
    return {**table["fields"], **table[scenario]}


def _table(technology: str) -> dict[str, Any]:
    if technology not in _TABLES:
        raise ValueError(f"no mask technology {technology!r}{nearest(str(technology), list(_TABLES))}")
    return _TABLES[technology]
