"""The analogue side of a product: one symbol through light, and one conversion of what it left, top to bottom."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bfloat16 import SHORT_VARIANCE, short_product
from electronics.numerics.bounds import at_least, inverse, within
from electronics.numerics.matmul import product
from electronics.numerics.xla import alone, stage
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.components.signal import Signal, root
from optics.constants import photon_energy
from optics.datapath.full_scale import SiteRange
from optics.datapath.weight_plane import WeightPlane

Seen = dict[str, Any]
# Streams of noise that one symbol and one conversion take.
STREAMS = 2


class Drive(NamedTuple):
    """Vectors as the sources are driven, without noise: analogue [vectors, height], scale [vectors, 1] of full drive.

    used [vectors, 1]: 0 for a vector of zeros, whose results are known without any light, else 1. exact [vectors,
    height]: the codes before they were rounded; mean, square [vectors, 1]: their mean relative to full drive, and the
    sum of their squares, about the mean where all terms have one sign.
    """

    analogue: jax.Array
    scale: jax.Array
    used: jax.Array
    exact: jax.Array
    mean: jax.Array
    square: jax.Array


class Charge(NamedTuple):
    """What the receivers hold after one or several symbols, [vectors, width].

    sent: the sum that the light brought, in the user's scale, and plain: in units of one full product, as are value,
    the charge with what the receivers did to it, and variance, that of its noise.
    """

    sent: jax.Array
    plain: jax.Array
    value: jax.Array
    variance: jax.Array


class Received(NamedTuple):
    """What the ADCs are given [vectors, width], and their full scale, in units of one full product."""

    values: jax.Array
    full: jax.Array

    def seen(self) -> Seen:
        """For the readings."""
        return {
            "full_scale": self.full,
            "conversions": jnp.float32(self.values.size),
            "clipped": jnp.sum((jnp.abs(self.values) > self.full).astype(jnp.float32)),
            "peak": jnp.max(jnp.abs(self.values), axis=0),
            "square": jnp.sum(self.values**2, axis=0),
        }


class AnalogPath:
    """A tile of one device's mask: `symbol` takes vectors as far as the receivers, `convert` from there to numbers."""

    def __init__(self, core: Architecture, frozen: DeviceVariation, range: SiteRange | None):
        self.core, self.frozen, self.range, self.on = core, frozen, range, core.effects
        self.multiply = short_product if core.rounds_light else product

    def drive(self, code: jax.Array, exact: jax.Array, scale: jax.Array, used: jax.Array) -> Drive:
        """Codes [..., vectors, height] of the DACs within scale [..., vectors, 1], bent by DAC and source's curve.

        Their norms, which the receivers' gain follows, are those of `exact`, before they were rounded.
        """
        relative = exact * inverse(scale)
        mean = jnp.mean(relative, axis=-1, keepdims=True)
        about = relative - mean if self.core.encoding.unipolar else relative
        square = jnp.sum(about**2, axis=-1, keepdims=True)
        bent = self.core.dac.bend(code, scale, self.on.dac_nonlinearity)
        return Drive(bent + self.on.linearisation * self._residual(bent, scale), scale, used, exact, mean, square)

    def _residual(self, drive, scale):
        """The light above dark that comes out for the drive that was meant: what the inverse table leaves."""
        meant = jnp.abs(drive) * inverse(scale)
        above_dark = self.core.transfer.linearised(meant) - self._dark.reshape((1,) * drive.ndim)
        residual = (above_dark - meant) * scale
        return jnp.where(drive < 0, -residual, residual)

    @property
    def _dark(self) -> jax.Array:
        return self.core.transfer.linearised(jnp.zeros((1, 1)))

    def symbol(self, drive: Drive, plane: WeightPlane, streams: jax.Array, observe: bool) -> tuple[Charge, Seen]:
        """One symbol per vector: source, fan-out, mask, fan-in, detectors -> (Charge, what was seen).

        What travels is a `Signal`: the numbers in the user's scale beside the watts or amperes of full drive through
        a clear pixel. Noise of the receivers is a variance here, and drawn once, before the ADC.
        """
        core = self.core
        frozen = self.frozen.cropped(*plane.difference.shape)
        light = self._light(drive, plane, frozen, streams)
        on_pixels = core.space.fan_out(light, core.ways)
        charge, now = stage(self._received)(on_pixels, self._mean_square(drive), plane, frozen, streams)
        return charge, self._lights(drive, plane, frozen, streams, now) if observe else {}

    def _mean_square(self, drive: Drive) -> jax.Array:
        """Mean square of the inputs relative to full drive [vectors, 1]."""
        square = drive.square / drive.analogue.shape[-1]
        return square + drive.mean**2 if self.core.encoding.unipolar else square

    def _received(self, on_pixels: Signal, square: jax.Array, plane: WeightPlane, frozen: DeviceVariation, streams):
        """Light on the pixels -> the charge, and the currents that it came of."""
        core, on, code = self.core, self.on, self.core.encoding
        late = on.memory * core.tia.memory(core.clock)
        # What a receiver has late of a sum it has late of each term, and of the light there are fewer numbers.
        on_diodes = plane.carry(on_pixels._replace(total=_held(on_pixels.total, late)), self.multiply)
        current = core.detector.detect(on_diodes, core.source.wavelength)
        relative = current.difference * inverse(on_pixels.scale)
        now = current._replace(difference=_held(relative, late) * plane.inverse, scale=jnp.ones((1, 1)))
        value = core.detector.subtract(now, frozen.output_gain, frozen.imbalance)
        bandwidth = core.tia.noise_bandwidth(core.clock)
        variance = on.thermal * core.tia.noise_variance(bandwidth, core.unit_current)
        if core.detector.counting == "poisson":
            value, variance = value + self._counted(now, streams), jnp.broadcast_to(variance, value.shape)
        else:
            at_most_lit = now._replace(total=now.total + plane.light_margin(on_pixels.total[1:], square))
            # All factors with the bandwidth, so that an output is multiplied once.
            shot = core.detector.shot_variance(at_most_lit, 1 + code.balanced, on.shot * bandwidth, core.unit_current)
            variance = shot + variance
        return Charge(current.difference[1:], relative[1:] * plane.inverse, value, variance), now

    def _counted(self, now: Signal, streams: jax.Array) -> jax.Array:
        """What counted photo-electrons add to their mean [vectors, width], in units of one full product."""
        core, on = self.core, self.on

        def counted():
            # Streams apart from those of the sources' noise, which take the words as they are.
            key = jax.random.fold_in(jax.random.wrap_key_data(streams[1], impl="threefry2x32"), 1)
            electrons = core.detector.shot_fluctuation(
                now, core.encoding.balanced, core.clock, noise.streams(key, (2,))
            )
            return root(on.shot) * electrons * (1 / core.electrons)

        return jax.lax.cond(jnp.asarray(on.shot) > 0, counted, lambda: jnp.zeros_like(now.total))

    def _light(self, drive, plane, frozen, streams) -> Signal:
        """Light of each input, and of its neighbours where they interfere: two programs, of which one runs.

        One vector of darkness comes before the others, for the receivers' memory. `plane` has gathered the light.
        """
        core, on = self.core, self.on
        noisy = self._with_source_noise(drive.analogue, drive.scale, streams)
        scale, used = _after_another(drive.scale, 1.0), _after_another(drive.used, 0.0)

        def beating():
            light = self._emitted(noisy, scale, used, frozen)
            light = core.space.interfere(light, on.input_crosstalk, frozen.phase, core.encoding.sources)
            return plane.gathered(light)

        def undisturbed():
            return plane.gathered(self._emitted(noisy, scale, used, frozen))

        return jax.lax.cond(core.space.interferes(on.input_crosstalk), stage(beating), stage(undisturbed))

    def _emitted(self, noisy, scale, used, frozen) -> Signal:
        offset = frozen.source_offset + self.on.linearisation * self._dark
        light = self.core.source.emit(noisy, scale, frozen.source_gain, offset, self.core.encoding.sources)
        return light.each(lambda value: value * used)

    def _with_source_noise(self, drive, scale, streams):
        """Noise of the DAC and of each laser, drawn per source and symbol, so that all columns see the same draw; and
        that of a laser behind all sources, drawn per symbol. A vector of zeros comes first."""
        core, on = self.core, self.on
        intensity = on.rin * core.source.intensity_variance(core.tia.noise_bandwidth(core.clock))
        common, own = core.source.rin_in_common * intensity, (1 - core.source.rin_in_common) * intensity
        from_dac = on.dac_noise * core.dac.noise_variance()

        def noisy():
            square = (drive * inverse(scale)) ** 2
            variance = from_dac + own * square
            if core.rounds_light:
                # Rounding the light adds this much, as intensity noise does, and so this much less is drawn.
                variance = at_least(variance - SHORT_VARIANCE * square, 0.0)
            shared = noise.scaled(noise.normal(streams[1], (drive.shape[0], 1)), common)
            drawn = scale * noise.gaussian(streams[0], variance)
            return _after_another(drive + drawn + drive * shared, 0.0)

        return jax.lax.cond(from_dac + intensity > 0, stage(noisy), lambda: _after_another(drive, 0.0))

    def convert(self, charge, drive, plane, streams, span) -> tuple[jax.Array, Received]:
        """Amplifier and ADC: charge [vectors, width] -> what is read of it in the user's scale, and what was received.

        `drive` and `plane` are those of all symbols, stacked. Inside, numbers are in units of one full product.
        """
        core, on, symbols = self.core, self.on, drive.scale.shape[0]
        full = self._full_scale(drive, plane, span)
        well = core.tia.largest_current(core.clock) * inverse(core.unit_current)
        value = charge.value + on.saturation * (within(charge.value, -well, well) - charge.value)

        variance = charge.variance + on.jitter * core.adc.jitter_variance(core.clock / symbols) * value**2
        variance += on.thermal * core.tia.reset_variance(core.clock, core.unit_current)
        converter = on.adc_noise * core.adc.noise_variance() * full**2
        offset = self.frozen.adc_offset[:, : value.shape[1]] * full
        received = value + self._receiver_noise(variance, converter, streams) + offset
        codes = core.adc.convert(received, full, on.adc_rounding, on.adc_clipping)
        read = core.correction.read(codes, full, on.correction)
        # Where nothing acts this adds nothing, and the value stays what it is to the last bit.
        worth = (drive.scale[0] * drive.used[0]) * plane.worth[0]
        return charge.sent + worth * (read - charge.plain), Received(received, full)

    def _receiver_noise(self, variance, converter, streams):
        """Noise of the light and the amplifier, and of the converter, in units of one full product."""
        on, shape = self.on, variance.shape
        # What comes out of a conditional lies in memory: the loop over the outputs is faster for it.
        any_noise = on.shot + on.thermal + on.jitter + on.adc_noise > 0
        drawn = jax.lax.cond(any_noise, lambda: noise.normal(streams[0], shape), lambda: jnp.zeros(shape, jnp.float32))
        if self.core.adc.noise == "logistic":
            # A logistic law of scale s has variance (pi s)^2 / 3.
            return (
                noise.scaled(drawn, variance) + noise.scaled(noise.logistic(streams[1], shape), 3 * converter) / jnp.pi
            )
        return noise.scaled(drawn, variance + converter)

    def _full_scale(self, drive, plane, span):
        """Full scale of the ADC in units of one full product [vectors or 1, width or 1]."""
        adc, unipolar = self.core.adc, self.core.encoding.unipolar
        if self.range is not None:
            return span * (1 / adc.gain)
        symbols, rows = drive.analogue.shape[0], drive.analogue.shape[2]
        if adc.span == "rows":
            return jnp.full((1, 1), self.core.rows * symbols) / adc.gain
        full = adc.full_scale(_rms(drive.square, plane.rms))
        if not unipolar:
            return full
        return full + jnp.abs(rows * jnp.sum(drive.mean * plane.mean, axis=0)) * (1 / adc.gain)

    def _lights(self, drive, plane, frozen, streams, current) -> Seen:
        """Light, exact sums and photo-electrons of one symbol, for the readings."""
        core = self.core
        noisy = self._with_source_noise(drive.analogue, drive.scale, streams)
        light = self._emitted(noisy[1:], drive.scale, jnp.ones_like(drive.scale), frozen)
        photons = core.source.power / (photon_energy(core.source.wavelength) * core.clock)
        width = plane.difference.shape[1] / core.columns
        return {
            "exact": product(drive.exact, plane.exact),
            "launched": jnp.sum(light.total) * photons * width,
            "detected": jnp.sum(current.total) * core.electrons,
            "electrons": current.total * core.electrons,
        }


def _after_another(values: jax.Array, first: float) -> jax.Array:
    """values [vectors, any] after one vector more, which is `first` throughout.

    By an update in place: XLA computes what it pads or concatenates number by number, eight times as slowly.
    """
    return jnp.full((values.shape[0] + 1, values.shape[1]), first, jnp.float32).at[1:].set(values.astype(jnp.float32))


def _overlapping(values: jax.Array, share: jax.Array) -> jax.Array:
    """values [1 + vectors, width] less the share that is left to the vector after, more what the one before left."""
    return values[1:] + share * (values[:-1] - values[1:])


@jax.custom_jvp
def _held(values, share):
    """As `_overlapping`; a vector that is not finite leaves nothing to the next, so that a NaN stays in its row."""
    before = jnp.where(jnp.isfinite(values[:-1]), values[:-1], 0.0)
    return values[1:] + share * (before - values[1:])


@_held.defjvp
def _held_jvp(primals, tangents):
    values, share = primals
    # In a pass of its own, or going backwards a fusion would pad.
    moved = alone(_overlapping, share > -1, tangents[0], share)
    return _held(values, share), moved + tangents[1] * (values[:-1] - values[1:])


def _rms(drive, plane):
    """rms of a sum of uncorrelated terms, of squares [symbols, vectors, 1] and rms [symbols, 1, width] of both."""
    if drive.shape[0] == 1:
        return root(drive[0]) * plane[0]
    return root(jnp.sum(drive * plane**2, axis=0))
