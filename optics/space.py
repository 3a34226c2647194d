"""Free space: a lens copies each source over the columns, another sums each column onto its detectors."""

from electronics.part import Number, Part, number
from optics.book import transmission
from optics.signal import Signal


class FreeSpace(Part):
    """Losses of the optics before and after the weight mask."""

    fan_out_loss_db: Number = number("dB", least=0)
    fan_in_loss_db: Number = number("dB", least=0)

    def fan_out(self, light: Signal, ways: int) -> Signal:
        """Power of each source -> power on each of the `ways` pixels that it lights."""
        return light.times(transmission(self.fan_out_loss_db) / ways)

    def fan_in(self, light: Signal) -> Signal:
        """Power summed over a column behind the mask -> power on its detector."""
        return light.times(transmission(self.fan_in_loss_db))
