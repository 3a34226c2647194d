"""What an optical tensor core is made of: its parts, their numbers, and what follows from them alone."""

from electronics import ADC, DAC, TIA, DigitalBackend, Number, Overhead, Part, choice, count, number
from electronics.book import ELEMENTARY_CHARGE
from optics import checks
from optics.components.correction import Correction
from optics.components.detector import Photodetector
from optics.components.drift import Drift, Upkeep
from optics.components.encoding import Encoding
from optics.components.free_space import FreeSpace
from optics.components.mask import WeightMask
from optics.components.modulation import Transfer
from optics.components.nonidealities import Effects
from optics.components.source import Source
from optics.constants import transmission


class Machine(Part):
    """A rows x columns core that multiplies a vector by a matrix of transmissions in one symbol of 1 / clock.

    `encoding` says how signs and bits are carried, and so how many symbols, sources, pixels and conversions a product
    takes. `accumulate` tiles of a sum longer than the core are integrated before one conversion. `vectors_per_load`
    is how many vectors pass between two loads of the mask. `device` is a serial number: it fixes the imperfections
    that a device is made with, the same for all its products. `correction` is what a calibration found. `arithmetic`
    is what the emulation multiplies light in: "bfloat16" rounds light and transmissions to eight significant bits, is
    faster where hardware has units for it, and is for cores with more noise than that (docs/performance.md).
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
    upkeep: Upkeep
    correction: Correction
    digital: DigitalBackend
    overhead: Overhead
    effects: Effects

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.combination(self)

    @property
    def rounds_light(self) -> bool:
        """Whether the emulation multiplies light in eight significant bits."""
        return self.arithmetic == "bfloat16"

    @property
    def ways(self) -> int:
        """Pixels that one source lights."""
        return self.encoding.pixels * self.encoding.planes * self.columns

    @property
    def pedestal(self) -> Number:
        """Light that a dark pixel and stray light add to a diode's, over the modulated light of a clear pixel."""
        return self.mask.pedestal(self.effects.extinction) + self.effects.stray_light * self.space.stray_light

    @property
    def unit_current(self) -> Number:
        """Photocurrent [A] of one full product: full drive through one clear pixel, less that through a dark one."""
        loss_db = self.space.fan_out_loss_db + self.mask.loss_db + self.space.fan_in_loss_db
        modulated = 1 - self.effects.extinction / self.mask.extinction_ratio
        power = self.source.power * transmission(loss_db) * modulated / self.ways
        return self.detector.responsivity(self.source.wavelength) * power

    @property
    def electrons(self) -> Number:
        """Photo-electrons of one full product in one symbol."""
        return self.unit_current / (ELEMENTARY_CHARGE * self.clock)
