"""Cores by name. Every number that is not an argument comes from the constants files, with its source."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from electronics import Constant
from electronics.part import nearest
from electronics.validation import without_plausibility
from optics.components.nonidealities import Effects
from optics.core.tensor_core import TensorCore
from optics.energy.light_budget import with_effective_bits
from optics.presets.devices import DEVICES, device, device_constants
from optics.presets.scenario import SCENARIOS, build, scenario_constants

DESIGN_BITS = 7.0
# Source power [W] before it is sized: so large that the full well of the constants, for DESIGN_BITS, is not enlarged.
BLINDING = 1e3


def today(*, rows: int = 1024, columns: int = 1024, effective_bits: float = 7.0) -> TensorCore:
    """Parts that were published or sold by 2026, in the free-space architecture that Lumai describes.

    Mismatch, vignetting and crosstalk are what a calibration leaves. `effective_bits` sizes the light: the SNR of the
    analogue product against its own rms is 6.02 b - 7.27 dB for four-sigma Gaussian inputs and weights on a full
    core, with shot and TIA noise and everything else ideal.
    """
    return _core("today", rows, columns, effective_bits)


def projected_2029(*, rows: int = 1024, columns: int = 1024, effective_bits: float = 7.0) -> TensorCore:
    """The same core with the parts that may be had in 2029; most of its numbers are assumed (see `assumptions`)."""
    return _core("projected_2029", rows, columns, effective_bits)


def physical_limit(*, rows: int = 1024, columns: int = 1024, effective_bits: float = 7.0) -> TensorCore:
    """The same core without loss or waste: shot noise, 8 k T SNR converters, unit efficiencies, alike parts."""
    return _core("physical_limit", rows, columns, effective_bits)


def ideal(core: TensorCore | None = None) -> TensorCore:
    """`core` with every effect off: exact products, the same bill.

    Without a core it is the physical limit at 2048 x 2048, the largest that is claimed for this architecture: a sum
    over more rows than the core has is taken in parts, and float32 rounds another order of summation differently.
    """
    return (physical_limit(rows=2048, columns=2048) if core is None else core).replace(
        {"effects": Effects.uniform(0.0)}
    )


PRESETS: dict[str, Callable[..., TensorCore]] = {
    "today": today,
    "projected_2029": projected_2029,
    "physical_limit": physical_limit,
    "ideal": ideal,
    **{name: partial(device, name) for name in DEVICES},
}


def preset(name: str, **options: float) -> TensorCore:
    """The preset or device of that name; an unknown one is a ValueError that names the nearest."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}{nearest(name, list(PRESETS))}")
    return PRESETS[name](**options)


def from_constants(
    constants: Mapping[str, Constant],
    *,
    rows: int = 1024,
    columns: int = 1024,
    effective_bits: float = DESIGN_BITS,
    structure: Mapping[str, Any] | None = None,
) -> TensorCore:
    """The core of constants by field, as `constants_of` gives those of a scenario; light as in `today`.

    structure: static fields by dotted name, as `mask_structure` gives those of a mask technology.
    """
    values = {field: constant.value for field, constant in constants.items()}
    static = {"rows": rows, "columns": columns, **(structure or {})}
    with without_plausibility():
        unlit = build({**values, "source.power": BLINDING}, static, {})
    return with_effective_bits(with_effective_bits(unlit, DESIGN_BITS), effective_bits)


def constants_of(name: str) -> dict[str, Constant]:
    """The constants behind a preset or device, by the dotted name of the core's field that each one sets."""
    if name in DEVICES:
        return device_constants(name)
    if name not in SCENARIOS:
        raise ValueError(f"no constants for {name!r}{nearest(name, [*SCENARIOS, *DEVICES])}")
    return scenario_constants(name)


def assumptions(name: str) -> list[Constant]:
    """The constants of a preset that nobody measured or published."""
    return [constant for constant in constants_of(name).values() if constant.mark == "assumed"]


def _core(scenario: str, rows: int, columns: int, effective_bits: float) -> TensorCore:
    return from_constants(scenario_constants(scenario), rows=rows, columns=columns, effective_bits=effective_bits)
