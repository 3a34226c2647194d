"""The weights as they stand on the mask: what of each source's light reaches each pair of diodes. Made once a load."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from electronics.numerics.bfloat16 import shortened
from electronics.numerics.bounds import at_least, inverse
from electronics.numerics.matmul import product
from electronics.part import Number
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.components.signal import Signal, root

# A second product of fewer rows or columns than this costs little, and an average over so few would be a poor one.
FEWEST_FACTORED = 128
# Standard deviations of what the factors miss, added so that they do not flatter: SmolLM2 lost 0.01 nats less with
# factored light than with exact light where it was 0 (docs/performance.md).
MARGIN = 2.0
# What of a plane a gradient keeps; all else it makes again, of the weights.
SUMS = "sums of a plane"


class WeightCodes(NamedTuple):
    """A tile of weights as the mask is told: code [height, width], scale [1, width], whether a column is used at all
    [1, width], and the unrounded code."""

    code: jax.Array
    scale: jax.Array
    used: jax.Array
    exact: jax.Array


class Factors(NamedTuple):
    """A plane of transmissions t as rows [height, 1] times columns [1, width], its best approximation of rank one by
    sums; residual [1, width]: the norm over the rows of what that leaves of each column."""

    rows: jax.Array
    columns: jax.Array
    residual: jax.Array


class WeightPlane(NamedTuple):
    """One tile, from the light of its sources to that on its diodes, without the losses that all light has alike.

    difference [height, width]: from the difference of an input's rails to that of an output's, in the user's scale;
    total: from the sum of the rails to the sum, as shares of a clear pixel, whole or as factors. clear: what passes
    through a clear pixel. scale [1, width]: the weight that one stands for, inverse [1, width]: 1 / scale; worth
    [1, width]: scale, and 0 for a column of zeros, whose results are known without any light; mean, rms [1, width]: of
    the codes relative to scale, about the mean where all terms have one sign. exact: the codes before they were
    rounded, where someone looks.
    """

    difference: jax.Array
    total: jax.Array | Factors
    clear: Number
    scale: jax.Array
    inverse: jax.Array
    worth: jax.Array
    mean: jax.Array
    rms: jax.Array
    exact: jax.Array | None

    def gathered(self, light: Signal) -> Signal:
        """The light on the pixels [vectors, height] with its total as far summed as need be."""
        if not isinstance(self.total, Factors):
            return light
        return light._replace(total=product(light.total, self.total.rows))

    def shortened(self) -> "WeightPlane":
        """With its transmissions as `short_product` takes them, for a plane that is kept."""
        whole = self.total if isinstance(self.total, Factors) else shortened(self.total)
        return self._replace(difference=shortened(self.difference), total=whole)

    def light_margin(self, light: jax.Array, square: jax.Array) -> jax.Array | float:
        """What is added to the light of each output [vectors, width] so that the factors do not flatter; 0 if exact.

        Factors miss sum_k (a_k - mean a) d_kj of the light a_k of an input, d being what they leave of the mask. For
        independent a and d its standard deviation is rms(a - mean a) |d_j|, and `MARGIN` times that is added.

        Args: light [vectors, 1] as `gathered`; square [vectors, 1], the mean of a^2 over the rows.
        """
        if not isinstance(self.total, Factors):
            return 0.0
        mean = light / jnp.sum(self.total.rows)
        return MARGIN * root(at_least(square - mean**2, 0.0)) * self.total.residual

    def carry(self, light: Signal, multiply: Callable[[jax.Array, jax.Array], jax.Array]) -> Signal:
        """Light that was `gathered` -> on the diodes [vectors, width]; multiply: `product`, or one that rounds."""
        if isinstance(self.total, Factors):
            total = light.total * self.total.columns
        else:
            total = multiply(light.total, self.total)
        return Signal(
            multiply(light.difference, self.difference), total, light.scale * self.scale, light.unit * self.clear
        )


def load(core: Architecture, frozen: DeviceVariation, pixels: WeightCodes, look: bool) -> WeightPlane:
    """Pixels as they are shown, seen through all of the optics that acts on every vector alike.

    Crosstalk, vignetting and the splitter are linear and fixed, so they act on the plane, once, and not on the light
    of each vector. With `look` the unrounded codes are kept.
    """
    on, code = core.effects, core.encoding
    frozen = frozen.cropped(*pixels.code.shape)
    plus, minus = _shown(core, frozen, pixels)
    clear = core.mask.clear(on.extinction)
    signed, whole = (plus, plus) if minus is None else (plus - minus, plus + minus)
    clear_per_unit = inverse(pixels.scale)
    both = Signal(signed, whole * clear_per_unit, pixels.scale, clear)
    lit = both.each(lambda plane: core.space.lit_through(plane, on.input_crosstalk))
    seen = core.space.fan_in(lit, frozen.column_light, on.output_crosstalk, code.balanced)
    relative = pixels.code * clear_per_unit
    mean = jnp.mean(relative, axis=0, keepdims=True)
    about = relative - mean if code.unipolar else relative
    return WeightPlane(
        difference=seen.difference * pixels.used,
        total=_summed(core, seen.total),
        clear=seen.unit,
        scale=pixels.scale,
        inverse=clear_per_unit,
        worth=pixels.scale * pixels.used,
        mean=mean,
        rms=root(jnp.mean(about**2, axis=0, keepdims=True)),
        exact=(pixels.exact if code.pixels == 2 else pixels.exact + core.pedestal * pixels.scale) if look else None,
    )


def _shown(core: Architecture, frozen: DeviceVariation, pixels: WeightCodes) -> tuple[jax.Array, jax.Array | None]:
    """What the pixels of each rail let through; None for the second where a weight has one pixel."""
    mask, on = core.mask, core.effects
    weight = mask.encodable(pixels.code, pixels.scale, on.smallest_step)
    unsettled, blur = mask.unsettled(on.settling), on.blur * mask.blur

    def show(level, gain):
        return mask.show(level, pixels.scale, core.pedestal, gain, unsettled, blur)

    if core.encoding.pixels == 1:
        return show(weight, frozen.pixel_gain[0]), None
    plus, minus = jnp.maximum(weight, 0), jnp.maximum(-weight, 0)
    return show(plus, frozen.pixel_gain[0]), show(minus, frozen.pixel_gain[1])


def _summed(core: Architecture, total: jax.Array) -> jax.Array | Factors:
    """The plane of the light's sum, or its approximation as row sums times column sums over the sum of all.

    The approximation is exact for a vector's light summed over the columns, for a column's under even light, and where
    rows or columns are alike; `WeightPlane.light_margin` bounds what is left from above.
    """
    if core.detector.needs_exact_light or min(total.shape) < FEWEST_FACTORED:
        return total
    rows, columns = jnp.sum(total, axis=1, keepdims=True), jnp.sum(total, axis=0, keepdims=True)
    columns = checkpoint_name(columns, SUMS)
    whole = jnp.sum(columns)
    shares = columns / jnp.where(whole > 0, whole, 1.0)
    residual = checkpoint_name(root(jnp.sum((total - rows * shares) ** 2, axis=0, keepdims=True)), SUMS)
    return Factors(rows, shares, residual)
