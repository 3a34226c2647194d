"""Free space: a lens copies each source over the columns, another sums each column onto its detectors."""

import jax

from electronics.part import Number, Part, number
from optics.book import transmission


class FreeSpace(Part):
    """Losses of the optics before and after the weight mask."""

    fan_out_loss_db: Number = number("dB", least=0)
    fan_in_loss_db: Number = number("dB", least=0)

    def fan_out(self, light: jax.Array, ways: int) -> jax.Array:
        """Power of each source [W] -> power on each of the `ways` pixels that it lights [W]."""
        return light * transmission(self.fan_out_loss_db) / ways

    def fan_in(self, light: jax.Array) -> jax.Array:
        """Power summed over a column behind the mask [W] -> power on its detector [W]."""
        return light * transmission(self.fan_in_loss_db)
