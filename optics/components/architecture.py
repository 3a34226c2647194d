"""The parts and numbers of an optical tensor core, and quantities derived from them."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from electronics import ADC, DAC, TIA, DigitalBackend, Number, Overhead, Part, choice, count, number
from electronics.constants import ELEMENTARY_CHARGE
from electronics.validation import because
from optics import checks
from optics.components.correction import Correction
from optics.components.detector import Photodetector
from optics.components.drift import CalibrationSchedule, Drift
from optics.components.encoding import Encoding
from optics.components.free_space import FreeSpace
from optics.components.mask import WeightMask
from optics.components.modulation import Transfer
from optics.components.nonidealities import Effects
from optics.components.source import Source
from optics.constants import transmission

LEAST_ELECTRONS = 1e-4
"""Smallest number of electrons that one full product may bring in a symbol.

With fewer, squares of currents leave the range of float32.
"""


class Architecture(Part):
    """A rows x columns core that multiplies a vector by a matrix of transmissions in one symbol of 1 / clock.

    Attributes:
        rows, columns: size of the mask.
        accumulate: number of row tiles whose charges are integrated before one conversion, for sums longer than the
            core.
        arithmetic: number format in which the emulation multiplies light. "bfloat16" rounds light and transmissions to
            eight significant bits; it is faster on hardware with units for it, and valid for cores whose noise is
            larger than that rounding (docs/performance.md).
        clock: symbol rate.
        vectors_per_load: vectors between two loads of the mask.
        device: serial number of the device. It seeds the fixed device-to-device variation, which is the same for all
            products (`optics.components.device`).
        encoding: how signs and bits are carried, and so how many symbols, sources, pixels and conversions a product
            takes.
        correction: digital correction found by a calibration.
        effects: the share of each nonideality that acts.
    """

    rows: int = count(most=2**20)
    columns: int = count(most=2**20)
    accumulate: int = count(1, most=2**20)
    arithmetic: str = choice("float32", "bfloat16")
    clock: Number = number("Hz", least=1e-3, most=1e15, plausible=(1e5, 1e12))
    vectors_per_load: Number = number("1", least=1, most=1e15)
    device: Number = number("1", least=0, most=2**24 - 1)
    encoding: Encoding
    dac: DAC
    transfer: Transfer
    source: Source
    space: FreeSpace
    mask: WeightMask
    detector: Photodetector
    tia: TIA
    adc: ADC
    drift: Drift
    upkeep: CalibrationSchedule
    correction: Correction
    digital: DigitalBackend
    overhead: Overhead
    effects: Effects

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_combination(self)

    @property
    def rounds_light(self) -> bool:
        """Whether the emulation multiplies light in bfloat16."""
        return self.arithmetic == "bfloat16"

    @property
    def pixels_per_source(self) -> int:
        """Number of pixels that one source illuminates."""
        return self.encoding.pixels * self.encoding.planes * self.columns

    @property
    def pedestal(self) -> Number:
        """Light on a diode from a dark pixel and from stray light, relative to the modulated light of a clear pixel."""
        return self.mask.pedestal(self.effects.extinction) + self.effects.stray_light * self.space.stray_light

    @property
    def unit_current(self) -> Number:
        """Photocurrent [A] of one full product: full drive through a clear pixel less full drive through a dark one."""
        loss_db = self.space.fan_out_loss_db + self.mask.loss_db + self.space.fan_in_loss_db
        modulated = 1 - self.effects.extinction / self.mask.extinction_ratio
        power = self.source.power * transmission(loss_db) * modulated / self.pixels_per_source
        return self.detector.responsivity(self.source.wavelength) * power

    @property
    def electrons(self) -> Number:
        """Photo-electrons of one full product in one symbol."""
        return self.unit_current / (ELEMENTARY_CHARGE * self.clock)


def _check_combination(core: Architecture) -> None:
    """Raise ValueError, with the reason, for numbers that are valid one by one but not together."""
    code = core.encoding
    if core.accumulate > 1 and code.scales == "tile":
        raise ValueError(
            f"accumulate = {core.accumulate} with encoding.scales = 'tile': charges of tiles that stand for "
            "different scales cannot be added before they are converted; use scales = 'vector'"
        )
    for name, slices, bits in (
        ("dac", code.input_slices, core.dac.bits),
        ("mask", code.weight_slices, core.mask.bits),
    ):
        if slices > 1 and checks.anywhere((bits, slices), lambda n: n[0] * n[1] > 16):
            raise ValueError(f"{slices} slices of {name}.bits = {bits} are more than the 16 bits of an operand")
    if checks.anywhere(
        (core.upkeep.probes, core.clock, core.upkeep.interval), lambda n: n[0] * code.symbols / n[1] >= n[2]
    ):
        raise ValueError(
            f"upkeep.probes = {core.upkeep.probes} vectors take longer than upkeep.interval = {core.upkeep.interval} s "
            f"at clock = {core.clock} Hz"
        )
    if checks.anywhere((core.drift.age, core.upkeep.interval), lambda n: n[0] > n[1]):
        raise ValueError(
            f"drift.age = {core.drift.age} s is more than upkeep.interval = {core.upkeep.interval} s: "
            "the core is calibrated before it gets that old"
        )
    if checks.anywhere(core.device, lambda serial: serial != np.floor(serial)):
        raise ValueError(f"device = {core.device} must be a whole number: it is a serial number")
    if checks.anywhere(
        _light_numbers(core), lambda n: n[0] * transmission(n[1]) * n[2] < LEAST_ELECTRONS * n[3] * n[4]
    ):
        raise ValueError(
            f"{because()}source.power = {core.source.power} W at clock = {core.clock} Hz leaves less than "
            f"{LEAST_ELECTRONS:g} electrons of a full product in a symbol, after the losses of space and mask and the "
            f"fan-out over {core.columns} columns"
        )
    sizes = {
        "input_gain": (2, core.rows),
        "output_gain": (core.columns,),
        "output_offset": (core.columns,),
        "pixel_gain": (2, core.rows, core.columns),
    }
    for name, shape in sizes.items():
        found = np.shape(getattr(core.correction, name))
        if found and found[-len(shape) :] != shape:
            raise ValueError(f"correction.{name} has shape {found}; this core needs a number or {shape}")
    pixels = core.correction.pixel_gain
    if not np.ndim(pixels) and checks.anywhere(pixels, lambda gain: gain != 1):
        raise ValueError(
            f"correction.pixel_gain = {pixels} must be 1, for none, or one number per pixel, {sizes['pixel_gain']}: "
            "input_gain and output_gain hold what all pixels of a row or of a column share"
        )


def _light_numbers(core: Architecture) -> tuple[Any, ...]:
    """Power [W], loss [dB], responsivity [A/W], one electron per symbol [A] and pixels per source.

    Concrete numbers become NumPy arrays first, because JAX would compile each operation on them.
    """
    parts = (core.source, core.space, core.mask, core.detector, core.clock)
    source, space, mask, detector, clock = jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, Tracer) else np.asarray(leaf), parts
    )
    loss_db = space.fan_out_loss_db + mask.loss_db + space.fan_in_loss_db
    electron_per_symbol = ELEMENTARY_CHARGE * clock
    return source.power, loss_db, detector.responsivity(source.wavelength), electron_per_symbol, core.pixels_per_source
