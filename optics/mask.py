"""The weight mask: a plane of pixels whose transmission stands for the weights."""

import jax
import jax.numpy as jnp

from electronics.exact import product
from electronics.part import Number, Part, number
from electronics.rounding import straight_through, to_levels
from optics.book import transmission
from optics.signal import Signal


class WeightMask(Part):
    """Pixels of 2**bits levels between dark (1 / extinction ratio) and clear, behind an insertion loss."""

    bits: Number = number("bit", least=1, most=16)
    extinction_ratio: Number = number("1", above=1)
    loss_db: Number = number("dB", least=0)
    write_energy: Number = number("J", least=0)
    update_time: Number = number("s", least=0)

    def quantise(self, weight: jax.Array, full_scale: jax.Array, share: jax.Array) -> jax.Array:
        """Signed weights within full_scale, any shape -> the nearest level of the rail of their sign."""
        return straight_through(weight, to_levels(weight, full_scale, 2.0**self.bits - 1), share)

    def transmit(
        self, light: Signal, weight: jax.Array, full_scale: jax.Array, share: jax.Array
    ) -> tuple[Signal, Signal]:
        """Light [vectors, rows] through weight [rows, columns], summed over rows: (difference, sum) of the two rails.

        A pixel transmits T (t0 + (1 - t0) w) with t0 = `share` / ER, so the rails differ by T (1 - t0) w, free of the
        pedestal, and together let through T (1 - t0) (|w| + 2 t0 / (1 - t0)). full_scale [1, columns].
        """
        dark = share / self.extinction_ratio
        clear = transmission(self.loss_db) * (1 - dark)
        pedestal = 2 * dark / (1 - dark) * full_scale
        scale = jnp.where((both := light.scale * full_scale) > 0, both, 1.0)
        difference = Signal(product(light.value, weight), scale, light.unit).times(clear)
        return difference, difference._replace(value=product(jnp.abs(light.value), jnp.abs(weight) + pedestal))
