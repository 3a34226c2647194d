"""The analogue side of a product: one symbol through light, and one conversion of what it left, top to bottom."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from electronics.exact import product
from optics.book import photon_energy
from optics.frozen import Frozen
from optics.machine import Machine
from optics.ranges import SiteRange
from optics.signal import root

Seen = dict[str, Any]


class Pixels(NamedTuple):
    """A tile of weights as the mask holds it: code [height, width], scale [1, width], and the unrounded code."""

    code: jax.Array
    scale: jax.Array
    exact: jax.Array


class Drive(NamedTuple):
    """Vectors as the DACs hold them: code [vectors, height], scale [vectors, 1], and the unrounded code."""

    code: jax.Array
    scale: jax.Array
    exact: jax.Array


class Charge(NamedTuple):
    """What the receivers hold after one or several symbols, [vectors, width].

    value: the sum, in the user's scale; variance: of its noise, in units of one full product squared; reach: squared
    rms of a sum of uncorrelated terms of these norms; pedestal: what terms of one sign add up to, both likewise.
    """

    value: jax.Array
    variance: jax.Array
    reach: jax.Array
    pedestal: jax.Array


class Tile:
    """A tile of one device's mask: `symbol` takes vectors as far as the receivers, `convert` from there to numbers."""

    def __init__(self, core: Machine, frozen: Frozen, range: SiteRange | None):
        self.core, self.frozen, self.range, self.on = core, frozen, range, core.effects

    def symbol(self, drive: Drive, pixels: Pixels, key: jax.Array, observe: bool) -> tuple[Charge, Seen]:
        """One symbol per vector: DAC, source, fan-out, mask, fan-in, detectors.

        What travels is a `Signal`: the numbers in the user's scale beside the watts or amperes of full drive through
        a clear pixel. Noise of the receivers is a variance here, and drawn once, before the ADC.
        """
        core, on, code = self.core, self.on, self.core.encoding
        frozen = self.frozen.cropped(*pixels.code.shape)

        analogue = self._linearised(core.dac.bend(drive.code, drive.scale, on.dac_nonlinearity), drive.scale)
        noisy = self._with_source_noise(analogue, drive.scale, key)
        # A source that is not lit gives what its curve gives without light asked for.
        dark = on.linearisation * core.transfer.linearised(jnp.zeros((1, 1)))
        light = core.source.emit(noisy, drive.scale, frozen.source_gain, frozen.source_offset + dark, code.sources)
        spread = core.space.fan_out(light, core.ways, on.input_crosstalk, frozen.phase, code.sources)

        pedestal = core.mask.pedestal(on.extinction) + on.stray_light * core.space.stray_light
        plus, minus = self._shown(pixels, pedestal, frozen)
        through = core.mask.transmit(spread, plus, minus, pixels.scale, on.extinction)
        summed = core.space.fan_in(through, frozen.column_light, on.output_crosstalk, code.balanced)

        current = core.detector.detect(summed, core.source.wavelength, frozen.output_gain, frozen.imbalance)
        bandwidth = core.tia.noise_bandwidth(core.clock)
        variance = on.shot * core.detector.shot_variance(current.quantity(), 1 + code.balanced, bandwidth)
        variance += on.thermal * core.tia.noise_variance(bandwidth)
        reach, mean = _expected(drive.code / drive.scale, pixels.code / pixels.scale, code.unipolar)
        charge = Charge(current.difference, variance / core.unit_current / core.unit_current, reach, mean)
        return charge, self._lights(drive, pixels, light, current, pedestal) if observe else {}

    def _linearised(self, drive, scale):
        """The light above dark that comes out for the drive that was meant: what the inverse table leaves."""
        share = self.on.linearisation

        def residual():
            meant = jnp.abs(drive) / scale
            above_dark = self.core.transfer.linearised(meant) - self.core.transfer.linearised(jnp.zeros((1, 1)))
            return jax.lax.stop_gradient(jnp.sign(drive) * (above_dark - meant)) * scale

        return drive + share * jax.lax.cond(jnp.asarray(share) > 0, residual, lambda: jnp.zeros_like(drive))

    def _with_source_noise(self, drive, scale, key):
        """Noise of the DAC and of each laser, drawn per source and symbol, so that all columns see the same draw; and
        that of a laser behind all sources, drawn per symbol."""
        core, on = self.core, self.on
        own_key, common_key = jax.random.split(key)
        intensity = on.rin * core.source.intensity_variance(core.tia.noise_bandwidth(core.clock))
        common = core.source.rin_in_common
        variance = on.dac_noise * core.dac.noise_variance() + intensity * (1 - common) * (drive / scale) ** 2
        own = scale * root(variance) * jax.random.normal(own_key, drive.shape)
        shared = root(intensity * common) * jax.random.normal(common_key, (drive.shape[0], 1))
        return drive + own + drive * shared

    def _shown(self, pixels, pedestal, frozen):
        """Transmissions of the pixels of each rail; None for the second where a weight has one pixel."""
        mask, on = self.core.mask, self.on
        weight = mask.encodable(pixels.code, pixels.scale, on.smallest_step)
        unsettled, blur = mask.unsettled(on.settling), on.blur * mask.blur

        def show(level, gain):
            return mask.show(level, pixels.scale, pedestal, gain, unsettled, blur)

        if self.core.encoding.pixels == 1:
            return show(weight, frozen.pixel_gain[0]), None
        plus, minus = jnp.maximum(weight, 0), jnp.maximum(-weight, 0)
        return show(plus, frozen.pixel_gain[0]), show(minus, frozen.pixel_gain[1])

    def convert(self, charge, scale, key, span, symbols, observe):
        """Amplifier and ADC: the charge [vectors, width] with the receiver's noise, as codes in the user's scale."""
        core, on = self.core, self.on
        full = self._full_scale(charge, span, symbols)
        value = self._remembered(charge.value, scale)
        well = core.tia.largest_current(core.clock) / core.unit_current * scale
        value = value + on.saturation * (jnp.clip(value, -well, well) - value)

        variance = charge.variance + on.jitter * core.adc.jitter_variance(core.clock / symbols) * (value / scale) ** 2
        variance += on.thermal * core.tia.reset_variance(core.clock) / core.unit_current / core.unit_current
        converter = on.adc_noise * core.adc.noise_variance() * full**2
        if core.adc.noise == "logistic":
            key, tail_key = jax.random.split(key)
            # A logistic law of scale s has variance (pi s)^2 / 3.
            tail = root(3 * converter) / jnp.pi * jax.random.logistic(tail_key, value.shape)
            noise = root(variance) * jax.random.normal(key, value.shape) + tail
        else:
            noise = root(variance + converter) * jax.random.normal(key, value.shape)
        full_scale = full * scale
        offset = self.frozen.adc_offset[:, : value.shape[1]] * full_scale
        received = value + noise * scale + offset
        codes = core.adc.convert(received, full_scale, on.adc_rounding, on.adc_clipping)
        y = core.correction.read(codes, full_scale, scale, on.correction)
        return y, self._readings(received, full, scale) if observe else {}

    def _remembered(self, value, scale):
        """With what is left of the charge of the vector before, in the order of the vectors."""
        charge = value / scale
        before = jnp.concatenate([jnp.zeros_like(charge[:1]), charge[:-1]])
        return value + self.on.memory * self.core.tia.memory(self.core.clock) * scale * (before - charge)

    def _full_scale(self, charge, span, symbols):
        """Full scale of the ADC in units of one full product [vectors or 1, width or 1]."""
        adc = self.core.adc
        if self.range is not None:
            return span / adc.gain
        if adc.span == "rows":
            return jnp.full((1, 1), self.core.rows * symbols) / adc.gain
        return adc.full_scale(root(charge.reach)) + jnp.abs(charge.pedestal) / adc.gain

    def _lights(self, drive, pixels, light, current, pedestal) -> Seen:
        """Light and exact sums of one symbol, for the readings."""
        core = self.core
        photons = core.source.power / (photon_energy(core.source.wavelength) * core.clock)
        exact = pixels.exact if core.encoding.pixels == 2 else pixels.exact + pedestal * pixels.scale
        width = pixels.code.shape[1] / core.columns
        return {
            "exact": product(drive.exact, exact),
            "launched": jnp.sum(light.total / light.scale) * photons * width,
            "detected": jnp.sum(current.total / current.scale) * core.electrons,
        }

    def _readings(self, received, full, scale) -> Seen:
        relative = received / scale
        return {
            "full_scale": full,
            "conversions": jnp.float32(received.size),
            "clipped": jnp.sum((jnp.abs(relative) > full).astype(jnp.float32)),
            "peak": jnp.max(jnp.abs(relative), axis=0),
            "square": jnp.sum(relative**2, axis=0),
        }


def _expected(drive, pixel, unipolar):
    """(squared rms of a sum of uncorrelated terms, its mean) from the norms, known digitally, of vector and column."""
    drive, pixel = jax.lax.stop_gradient((drive, pixel))
    rows = drive.shape[1]
    mean = jnp.zeros((1, 1))
    if unipolar:
        drive_mean, pixel_mean = jnp.mean(drive, axis=1, keepdims=True), jnp.mean(pixel, axis=0, keepdims=True)
        mean = rows * drive_mean * pixel_mean
        drive, pixel = drive - drive_mean, pixel - pixel_mean
    return jnp.sum(drive**2, axis=1, keepdims=True) / rows * jnp.sum(pixel**2, axis=0, keepdims=True), mean
