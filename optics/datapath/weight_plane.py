"""A tile of weights on the mask, as the transmission from each source to each pair of diodes. Made once per load."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from electronics.numerics.bfloat16 import bfloat16_words
from electronics.numerics.bounds import at_least, choose, inverse
from electronics.part import Number
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.components.signal import Signal, safe_sqrt
from optics.constants import transmission

# Fewest rows and columns of a plane whose light is factored. A second product of a smaller plane costs little, and an
# average over so few would be inaccurate.
FEWEST_FACTORED = 128
# Standard deviations of the error of the factored light that are added to it, so that it does not underestimate shot
# noise: without them SmolLM2 lost 0.01 nats less than with the exact light (docs/performance.md).
MARGIN = 2.0
# Checkpoint name of the parts of a plane that a gradient keeps; it recomputes the others from the weights.
SUMS = "sums of a plane"


class WeightCodes(NamedTuple):
    """A tile of weights as written to the mask.

    Attributes:
        codes: rounded weights within `scale`, [height, width].
        scale: the weight that a clear pixel represents, [1, width].
        nonzero: 0 for a column of zeros, else 1, [1, width].
        exact: the codes before rounding, [height, width].
    """

    codes: jax.Array
    scale: jax.Array
    nonzero: jax.Array
    exact: jax.Array


class LightFactors(NamedTuple):
    """Rank-one approximation rows [height, 1] x columns [1, width] of a plane of transmissions, with the same sums.

    residual: norm over the rows of the error of the approximation, by column, [1, width]; per_light: 1 / sum of all
    rows, or 0 for a dark plane, [1, 1].
    """

    rows: jax.Array
    columns: jax.Array
    residual: jax.Array
    per_light: jax.Array


class WeightPlane(NamedTuple):
    """One tile, from the light of its sources to the light on its diodes, without the losses common to all light.

    Attributes:
        differential: from the difference of an input's rails to that of an output's, in the user's scale,
            [height, width].
        total_power: from the sum of an input's rails to that of an output's, as a share of a clear pixel's
            transmission, [height, width] or as factors.
        max_transmission: transmission of a clear pixel.
        scale: the weight that a clear pixel represents, [1, width].
        inverse_scale: 1 / scale.
        output_scale: `scale`, and 0 for a column of zeros, whose results are 0 whatever the light is, [1, width].
        mean: mean over the rows of the codes relative to `scale`, [1, width].
        rms: rms over the rows of the codes relative to `scale`, about `mean` where the range holds that, [1, width].
        exact: the codes before rounding, kept for diagnostics.
    """

    differential: jax.Array
    total_power: jax.Array | LightFactors
    max_transmission: Number
    scale: jax.Array
    inverse_scale: jax.Array
    output_scale: jax.Array
    mean: jax.Array
    rms: jax.Array
    exact: jax.Array | None

    def sum_light(self, light: Signal) -> Signal:
        """Light on the pixels [vectors, height] with its total summed over the rows where the plane is factored."""
        if not isinstance(self.total_power, LightFactors):
            return light
        # A sum and not a matrix product, so that it can be fused with the light that it sums.
        return light._replace(total=jnp.sum(light.total * self.total_power.rows.T, axis=1, keepdims=True))

    def propagate(self, light: Signal, multiply: Callable[[jax.Array, jax.Array], jax.Array]) -> Signal:
        """Light from `sum_light` -> light on the diodes [vectors, width], through mask and fan-in.

        multiply: `electronics.numerics.matmul.product`, or `bfloat16_product`, which rounds its operands.
        """
        if isinstance(self.total_power, LightFactors):
            total = light.total * self.total_power.columns
        else:
            total = multiply(light.total, self.total_power)
        return Signal(
            multiply(light.differential, self.differential),
            total,
            light.scale * self.scale,
            light.unit * self.max_transmission,
        )

    def light_margin(self, light: jax.Array, mean_square: jax.Array) -> jax.Array | float:
        """Light to add to each output [vectors, width] so that factors do not underestimate it; 0 if it is exact.

        Factors miss sum_k (a_k - mean a) d_kj, where a_k is the light of an input and d the error of the factors. For
        independent a and d its standard deviation is rms(a - mean a) |d_j|; `MARGIN` times that is added.

        Args:
            light: total from `sum_light`, [vectors, 1].
            mean_square: mean of a^2 over the rows, [vectors, 1].
        """
        if not isinstance(self.total_power, LightFactors):
            return 0.0
        mean = light * self.total_power.per_light
        return MARGIN * safe_sqrt(at_least(mean_square - mean**2, 0.0)) * self.total_power.residual

    def in_bfloat16(self) -> "WeightPlane":
        """The plane with its transmissions in the format of `bfloat16_product`, for a plane that is kept."""
        total = self.total_power if isinstance(self.total_power, LightFactors) else bfloat16_words(self.total_power)
        return self._replace(differential=bfloat16_words(self.differential), total_power=total)


def make_plane(core: Architecture, variation: DeviceVariation, weights: WeightCodes, keep_exact: bool) -> WeightPlane:
    """Transmission from the sources through input crosstalk, mask, vignetting, splitter and output crosstalk.

    These are linear and the same for every vector, so they act on the plane once instead of on the light of each
    vector. `keep_exact` keeps the codes before rounding, for diagnostics.
    """
    on, encoding = core.effects, core.encoding
    variation = variation.cropped(*weights.codes.shape)
    inverse_scale = inverse(weights.scale)
    # The difference of the rails is in the user's scale and their sum in shares of full light.
    nothing = jnp.ones_like(inverse_scale)
    scale, per_scale = jnp.stack([weights.scale, nothing]), jnp.stack([inverse_scale, nothing])
    light = _difference_and_sum(_transmissions(core, variation, weights)) * jnp.stack([nothing, inverse_scale])
    illuminated = core.space.through_input_crosstalk(light, on.input_crosstalk)
    differential, total = core.space.fan_in(illuminated, variation.column_light, scale, per_scale, on.output_crosstalk)
    differential = differential * core.space.rail_contrast(on.output_crosstalk, encoding.balanced)
    relative = weights.codes * inverse_scale
    mean = jnp.mean(relative, axis=0, keepdims=True)
    about_mean = relative - mean if encoding.range_holds_mean else relative
    exact = None
    if keep_exact:
        exact = weights.exact if encoding.pixels == 2 else weights.exact + core.pedestal * weights.scale
    return WeightPlane(
        differential=differential * weights.nonzero,
        total_power=_factored(core, total),
        max_transmission=core.mask.max_transmission(on.extinction) * transmission(core.space.fan_in_loss_db),
        scale=weights.scale,
        inverse_scale=inverse_scale,
        output_scale=weights.scale * weights.nonzero,
        mean=mean,
        rms=safe_sqrt(jnp.mean(about_mean**2, axis=0, keepdims=True)),
        exact=exact,
    )


def _transmissions(core: Architecture, variation: DeviceVariation, weights: WeightCodes) -> jax.Array:
    """Transmission of the pixels of each rail, [1 or 2, height, width].

    The rails are one array, so that a program has one kernel for both in each step.
    """
    mask, on = core.mask, core.effects
    levels = mask.raise_to_smallest_step(weights.codes, weights.scale, on.smallest_step)
    unsettled, blur = mask.unsettled_share(on.settling), on.blur * mask.blur
    gain = variation.pixel_gain[: core.encoding.pixels]
    rails = levels[None]
    if core.encoding.pixels == 2:
        # As max(l, 0) and max(-l, 0), whose gradients take four times as long.
        half = 0.5 * levels
        magnitude = jnp.abs(half)
        rails = jnp.stack([magnitude + half, magnitude - half])
    return mask.transmission(rails, weights.scale[None], core.pedestal, gain, unsettled, blur)


def _difference_and_sum(rails: jax.Array) -> jax.Array:
    """Of two rails [2, height, width]; of a single one [1, height, width] itself, twice."""
    if rails.shape[0] == 1:
        return jnp.broadcast_to(rails, (2, *rails.shape[1:]))
    plus, minus = rails[0], rails[1]
    return jnp.stack([plus - minus, plus + minus])


def _factored(core: Architecture, total: jax.Array) -> jax.Array | LightFactors:
    """The plane of the total light as row sums x column sums / sum of all, or as it is where exact light is needed.

    The approximation is exact for the light of a vector summed over the columns, for the light of a column under
    uniform inputs, and where all rows or all columns are alike; `WeightPlane.light_margin` covers its error.
    """
    if core.detector.needs_exact_light or min(total.shape) < FEWEST_FACTORED:
        return total
    rows = checkpoint_name(jnp.sum(total, axis=1, keepdims=True), SUMS)
    columns = checkpoint_name(jnp.sum(total, axis=0, keepdims=True), SUMS)
    whole = jnp.sum(columns, keepdims=True)
    shares = columns / choose(whole > 0, whole, 1.0)
    per_light = choose(whole > 0, 1 / choose(whole > 0, whole, 1.0), 0.0)
    error = checkpoint_name(total - rows * shares, SUMS)
    residual = checkpoint_name(safe_sqrt(jnp.sum(error**2, axis=0, keepdims=True)), SUMS)
    return LightFactors(rows, shares, residual, per_light)
