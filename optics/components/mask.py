"""The weight mask: a plane of pixels whose transmission stands for the weights."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.numerics.rounding import replaced
from electronics.numerics.xla import alone
from electronics.part import Number, Part, number
from optics.components.signal import neighbours
from optics.constants import transmission


class WeightMask(Part):
    """Pixels of 2**bits levels between dark (1 / extinction ratio) and clear, behind an insertion loss.

    smallest_step: smallest magnitude above none that a pixel can show, as a fraction of full scale; mismatch: spread
    of the pixels' transmission, relative to each; blur: share of a pixel's light that shows its four neighbours'
    weights. A load takes `update_time`, then one waits `settle_time`, while pixels approach their new value with the
    time constant `response_time`.
    """

    bits: Number = number("bit", least=1, most=16)
    extinction_ratio: Number = number("1", least=1.001, most=1e12)
    smallest_step: Number = number("1", least=0, below=1)
    mismatch: Number = number("1", least=0, most=1)
    blur: Number = number("1", least=0, most=0.8)
    loss_db: Number = number("dB", least=0, most=60, plausible=(None, 20))
    write_energy: Number = number("J", least=0, most=1, plausible=(None, 1e-6))
    update_time: Number = number("s", least=0, most=1e6, plausible=(None, 1))
    settle_time: Number = number("s", least=0, most=1e6, plausible=(None, 1))
    response_time: Number = number("s", least=1e-18, most=1e6, plausible=(None, 1))

    def encodable(self, weight: jax.Array, full_scale: jax.Array, share: jax.Array) -> jax.Array:
        """Weights within full_scale with those too small to be shown, but not 0, pushed up to the smallest step."""
        least = self.smallest_step * jax.lax.stop_gradient(full_scale)
        held = jax.lax.stop_gradient(weight)
        pushed = jnp.where(jnp.abs(held) < least, jnp.sign(held) * least, held)
        return replaced(weight, pushed, full_scale, share)

    def pedestal(self, share: Number) -> Number:
        """Light through a dark pixel over the modulated light of a clear one: t0 / (1 - t0), t0 = share / ER."""
        dark = share / self.extinction_ratio
        return dark / (1 - dark)

    def unsettled(self, share: Number) -> Number:
        """Share of the previous weights that still shows: exp(-settle time / response time)."""
        return share * jnp.exp(-self.settle_time / self.response_time)

    def show(self, level: jax.Array, full_scale: jax.Array, pedestal: Number, gain: jax.Array, unsettled, blur):
        """What the pixels of one rail let through [rows, columns], full_scale [1, columns] standing for a clear one.

        level: the weights of this rail, from 0 to full_scale; pedestal: what a dark pixel lets through of a clear
        one's modulated light; gain: mismatch. The weights shown before are taken to be like these, one column on.
        """
        shown = (level + pedestal * full_scale) * gain
        clear = inverse(full_scale)

        # Pixels mix as light does, whatever number each column's light stands for.
        def settling(shown, unsettled, full_scale, clear):
            light = shown * clear
            return shown + full_scale * (unsettled * (jnp.roll(light, 1, axis=1) - light))

        def blurring(shown, blur, full_scale, clear):
            light = shown * clear
            around = sum(beside for axis in (0, 1) for beside in neighbours(light, axis))
            return shown + full_scale * (blur * (around / 4 - light))

        settled = alone(settling, unsettled > -1, shown, unsettled, full_scale, clear)
        return alone(blurring, blur > -1, settled, blur, full_scale, clear)

    def clear(self, share: Number) -> Number:
        """Modulated light through a clear pixel, as a share of what reaches it."""
        return transmission(self.loss_db) * (1 - share / self.extinction_ratio)
