"""Device-to-device variation: gains, offsets and phases that are fixed for one device and differ between devices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bounds import at_least
from optics.components.architecture import Architecture


class DeviceVariation(NamedTuple):
    """The fixed variation of one device: factors around 1 and offsets around 0, spreads included.

    Attributes:
        source_gain, source_offset: of the sources of the two rails, [2, rows].
        phase: cosine of the optical phase between an input and the leakage of the earlier one, [1, rows].
        pixel_gain: of the pixels of the two rails of a weight, [2, rows, columns].
        output_gain, imbalance: of the diode pairs, [1, columns].
        adc_offset: fraction of full scale, [1, columns].
        column_light: share of the light that vignetting passes, [1, columns].
    """

    source_gain: jax.Array
    source_offset: jax.Array
    phase: jax.Array
    pixel_gain: jax.Array
    output_gain: jax.Array
    imbalance: jax.Array
    adc_offset: jax.Array
    column_light: jax.Array

    def cropped(self, rows: int, columns: int) -> "DeviceVariation":
        """The variation of the first rows and columns, for a tile that does not fill the core."""
        return DeviceVariation(
            source_gain=self.source_gain[:, :rows],
            source_offset=self.source_offset[:, :rows],
            phase=self.phase[:, :rows],
            pixel_gain=self.pixel_gain[:, :rows, :columns],
            output_gain=self.output_gain[:, :columns],
            imbalance=self.imbalance[:, :columns],
            adc_offset=self.adc_offset[:, :columns],
            column_light=self.column_light[:, :columns],
        )


def draw_variation(core: Architecture) -> DeviceVariation:
    """Draw the variation of the device with the serial number `core.device`; spreads are Gaussian.

    The same number gives the same device, and every tile of every product passes through it. The spreads are leaves of
    the core, so that a device keeps its pattern while a sweep changes them.
    """
    rows, columns, on = core.rows, core.columns, core.effects
    key = jax.random.key(jnp.asarray(core.device).astype(jnp.uint32))
    channel_stream, pixel_stream = noise.streams(key, (2,))
    channels = noise.normal(channel_stream, (8 * rows + 4 * columns,))
    source_gain, source_offset, source_drift, field = channels[: 8 * rows].reshape(4, 2, rows)
    output_gain, imbalance, adc_offset, output_drift = channels[8 * rows :].reshape(4, 1, columns)
    pixel_spread = on.mask_mismatch * core.mask.mismatch
    drift, profile = core.drift, core.space.profile
    return DeviceVariation(
        source_gain=(1 + on.source_mismatch * core.source.gain_mismatch * source_gain)
        * (1 + on.drift * drift.rms(drift.source_rate) * source_drift)
        * drift.thermal_gain(on.drift)
        * (1 + on.vignetting * (profile(rows)[None] - 1)),
        source_offset=on.source_mismatch * core.source.offset_mismatch * source_offset,
        # Cosine of a uniform angle: the direction of a vector of two Gaussian numbers.
        phase=field[:1] / jnp.hypot(field[:1], field[1:]),
        pixel_gain=at_least(1 + pixel_spread * noise.normal(pixel_stream, (2, rows, columns)), 0.0),
        output_gain=(1 + on.detector_mismatch * core.detector.gain_mismatch * output_gain)
        * (1 + on.drift * drift.rms(drift.receiver_rate) * output_drift),
        imbalance=on.detector_mismatch * core.detector.imbalance * imbalance,
        adc_offset=on.adc_offset * core.adc.offset_mismatch * adc_offset,
        column_light=jnp.asarray(1 + on.vignetting * (profile(columns)[None] - 1)),
    )
