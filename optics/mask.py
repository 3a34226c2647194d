"""The weight mask: a plane of pixels whose transmission stands for the weights."""

import jax
import jax.numpy as jnp

from electronics.part import Number, Part, number
from electronics.rounding import straight_through, to_levels
from optics.book import transmission


class WeightMask(Part):
    """Pixels of 2**bits levels between dark (1 / extinction ratio) and clear, behind an insertion loss."""

    bits: Number = number("bit", least=1, most=16)
    extinction_ratio: Number = number("1", above=1)
    loss_db: Number = number("dB", least=0)
    write_energy: Number = number("J", least=0)
    update_time: Number = number("s", least=0)

    def quantise(self, weight: jax.Array, share: jax.Array) -> jax.Array:
        """Signed weight in [-1, 1], any shape -> the nearest level of the rail of its sign."""
        return straight_through(weight, to_levels(weight, 2.0**self.bits - 1), share)

    def contrast(self, share: jax.Array) -> jax.Array:
        """Transmission of a clear pixel less that of a dark one: T (1 - 1 / ER); `share` of the darkness leaks."""
        return transmission(self.loss_db) * (1 - share / self.extinction_ratio)

    def transmit(self, weight: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Signed weight -> (difference, sum) of the transmissions of its two rails, t+ - t- and t+ + t-.

        t = T (t0 + (1 - t0) w) with t0 = 1 / ER: the difference is free of the pedestal, the sum carries it twice.
        """
        contrast = self.contrast(share)
        pedestal = transmission(self.loss_db) * share / self.extinction_ratio
        return contrast * weight, contrast * jnp.abs(weight) + 2 * pedestal
