"""What is fixed when a device is made: the gains, offsets and phases that all its products then see."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bounds import at_least
from optics.components.architecture import Architecture


class DeviceVariation(NamedTuple):
    """The imperfections of one device, with their amounts in: factors about 1, and differences about 0.

    source_gain, source_offset [2, rows]: by rail; phase [1, rows]: cosine between a channel and what leaks into it;
    pixel_gain [2, rows, columns]: by rail of the weight; output_gain, imbalance, adc_offset, column_light (what
    vignetting leaves) [1, columns].
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
        """Of a tile that does not fill the core: its first rows and columns."""
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


def make(core: Architecture) -> DeviceVariation:
    """The device with the serial number `core.device`: same number, same device; spreads are Gaussian.

    Every tile of every product passes through this one device. Amounts stand in the core's leaves, so a device under
    sweep keeps its pattern while the spread changes.
    """
    rows, columns, on = core.rows, core.columns, core.effects
    key = jax.random.key(jnp.asarray(core.device).astype(jnp.uint32))
    channel_key, pixel_key = jax.random.split(key)
    channels = jax.random.normal(channel_key, (8 * rows + 4 * columns,), jnp.float32)
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
        # A direction at random in the plane of two Gaussian numbers.
        phase=field[:1] / jnp.hypot(field[:1], field[1:]),
        # The only pattern as large as the mask: it is drawn where there is a mismatch, at run time.
        pixel_gain=jax.lax.cond(
            jnp.asarray(pixel_spread) > 0,
            lambda: at_least(1 + pixel_spread * noise.normal(noise.streams(pixel_key), (2, rows, columns)), 0.0),
            lambda: jnp.ones((2, rows, columns), jnp.float32),
        ),
        output_gain=(1 + on.detector_mismatch * core.detector.gain_mismatch * output_gain)
        * (1 + on.drift * drift.rms(drift.receiver_rate) * output_drift),
        imbalance=on.detector_mismatch * core.detector.imbalance * imbalance,
        adc_offset=on.adc_offset * core.adc.offset_mismatch * adc_offset,
        column_light=1 + on.vignetting * (profile(columns)[None] - 1),
    )
