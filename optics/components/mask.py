"""The weight mask: a plane of pixels whose transmissions represent the weights."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import choose, inverse
from electronics.numerics.rounding import straight_through
from electronics.numerics.xla import fusion_barrier
from electronics.part import Number, Part, number
from optics.components.signal import shifted, sum_of_neighbours
from optics.constants import transmission


class WeightMask(Part):
    """Pixels of 2**bits levels between dark (1 / extinction ratio) and clear, behind an insertion loss.

    Attributes:
        bits: bits of a pixel.
        extinction_ratio: transmission of a clear pixel over that of a dark one.
        smallest_step: smallest nonzero magnitude that a pixel can show, as a fraction of full scale.
        mismatch: rms pixel-to-pixel spread of the transmission, relative to each.
        blur: share of a pixel's transmission that is that of its four neighbours.
        loss_db: insertion loss.
        write_energy: per pixel.
        update_time: of a load. It is followed by `settle_time`, in which the pixels approach their new values with the
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

    def raise_to_smallest_step(self, weight: jax.Array, full_scale: jax.Array, share: Number) -> jax.Array:
        """Weights within full_scale, with nonzero magnitudes below the smallest step raised to it."""
        least = self.smallest_step * jax.lax.stop_gradient(full_scale)
        constant = jax.lax.stop_gradient(weight)
        raised = choose(jnp.abs(constant) < least, jnp.sign(constant) * least, constant)
        return straight_through(weight, raised, full_scale, share)

    def pedestal(self, share: Number) -> Number:
        """Light through a dark pixel over the modulated light of a clear one: t0 / (1 - t0), with t0 = share / ER."""
        dark = share / self.extinction_ratio
        return dark / (1 - dark)

    def unsettled_share(self, share: Number) -> Number:
        """Share of the previous weights left after settling: exp(-settle time / response time)."""
        return share * jnp.exp(-self.settle_time / self.response_time)

    def transmission(
        self,
        level: jax.Array,
        full_scale: jax.Array,
        pedestal: Number,
        gain: jax.Array,
        unsettled_share: Number,
        blur: Number,
    ) -> jax.Array:
        """Transmission of the pixels [rails, rows, columns], as multiples of full_scale for a clear pixel.

        Args:
            level: weights of each rail, from 0 to full_scale.
            full_scale: the weight that a clear pixel represents, [1, 1, columns].
            pedestal: transmission of a dark pixel over the modulated one of a clear pixel.
            gain: mismatch of the pixels, [rails, rows, columns].
            unsettled_share: share of the previous weights, which are assumed to be these weights shifted by one column.
            blur: share of the four neighbours.
        """
        written = (level + pedestal * full_scale) * gain
        per_full_scale = inverse(full_scale)

        # Pixels mix in light, so values of columns of different full scales are converted to light first.
        def settle(written, unsettled_share, full_scale, per_full_scale):
            light = written * per_full_scale
            return written + full_scale * (unsettled_share * (shifted(light) - light))

        def blur_pixels(settled, blur, full_scale, per_full_scale):
            light = settled * per_full_scale
            return settled + full_scale * (blur * (sum_of_neighbours(light) / 4 - light))

        settled = fusion_barrier(settle, written, unsettled_share, full_scale, per_full_scale)
        return fusion_barrier(blur_pixels, settled, blur, full_scale, per_full_scale)

    def max_transmission(self, share: Number) -> Number:
        """Modulated light through a clear pixel, as a share of the incident light."""
        return transmission(self.loss_db) * (1 - share / self.extinction_ratio)
