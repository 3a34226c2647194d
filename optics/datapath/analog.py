"""The analogue path of a product through one tile: source, fan-out, mask, fan-in, detectors, amplifier, ADC.

The methods of `AnalogPath` are in the order of the light. What is done for speed is explained in docs/architecture.md.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics import noise
from electronics.numerics.bfloat16 import BFLOAT16_VARIANCE, bfloat16_product
from electronics.numerics.bounds import at_least, inverse, within
from electronics.numerics.matmul import product
from electronics.numerics.xla import remat_stage, skip_unless
from electronics.part import Number
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation
from optics.components.nonidealities import Effects
from optics.components.signal import Signal, safe_sqrt
from optics.constants import photon_energy
from optics.datapath.diagnostics import Observe, SymbolObservation, observed_alone
from optics.datapath.drive import SourceDrive
from optics.datapath.inter_symbol import apply_isi, with_previous, without_previous
from optics.datapath.operating_point import OperatingPoint
from optics.datapath.weight_plane import WeightPlane

# Streams of random numbers per symbol, and per conversion.
STREAMS = 2


class Charge(NamedTuple):
    """The charge on the receivers after one symbol, or the sum over several, [vectors, width].

    Attributes:
        optical: the sum that the light carries, in the user's scale.
        optical_products: the same in units of one full product.
        value: the charge after detector errors and ISI, in units of one full product.
        variance: variance of its noise, in units of one full product squared.
    """

    optical: jax.Array
    optical_products: jax.Array
    value: jax.Array
    variance: jax.Array


class AnalogPath(NamedTuple):
    """Physics of one tile on one device, a pytree.

    `integrate` takes the driven vectors as far as the charge on the receivers, and `convert` takes that charge to
    numbers. What both do to arrays of one shape is a function of the program that all sites and tiles call.
    """

    core: Architecture
    variation: DeviceVariation
    point: OperatingPoint

    @property
    def on(self) -> Effects:
        """The share of each nonideality that acts."""
        return self.core.effects

    def integrate(
        self, drive: SourceDrive, plane: WeightPlane, streams: jax.Array, observe: Observe
    ) -> tuple[Charge, SymbolObservation | None]:
        """One symbol per vector, from the sources to the charge on the receivers.

        A `Signal` travels between the parts: values in the user's scale beside the power or current of full drive
        through a clear pixel. Receiver noise is carried as a variance and drawn once, before the ADC.

        Args:
            drive: of all vectors.
            plane: the tile's weights.
            streams: random streams of this symbol, uint32 [2, 2].
            observe: whether to return an observation, or of which vectors.
        """
        variation = self.variation.cropped(*plane.differential.shape)
        light = plane.sum_light(self._source_light(drive, streams))
        on_pixels = light.times(self.point.fan_out)
        charge, current = remat_stage(self._detect)(on_pixels, self._mean_square(drive), plane, variation, streams)
        if observe is False:
            return charge, None
        return charge, self._observe(drive, plane, variation, streams, current, observe)

    @jax.jit
    def _source_light(self, drive: SourceDrive, streams: jax.Array) -> Signal:
        """Source: light of each input, after interference with coherent neighbours, [1 + vectors, height].

        A dark vector precedes the others, for ISI; there is none before a single vector.
        """
        core, crosstalk = self.core, self.on.input_crosstalk
        variation = self.variation.cropped(drive.analogue.shape[1], core.columns)
        noisy = remat_stage(self._with_source_noise)(drive.analogue, drive.scale, streams)
        scale, nonzero = with_previous(drive.scale, 1.0), with_previous(drive.nonzero, 0.0)

        light = remat_stage(self._emit)(noisy, scale, nonzero, variation)

        # The conditional returns the powers alone: what does not change would be copied.
        def interfering() -> tuple[jax.Array, jax.Array]:
            mixed = core.space.interfere(light, crosstalk, variation.phase, core.encoding.sources)
            return mixed.differential, mixed.total

        differential, total = skip_unless(
            core.space.interferes(crosstalk), remat_stage(interfering), lambda: (light.differential, light.total)
        )
        return light._replace(differential=differential, total=total)

    def _with_source_noise(self, drive: jax.Array, scale: jax.Array, streams: jax.Array) -> jax.Array:
        """Drive [vectors, height] with DAC and intensity noise, after a dark vector as in `_source_light`.

        DAC noise and the intensity noise of each laser are drawn per source and symbol, so all columns share them. The
        noise of a laser behind all sources is drawn per symbol.
        """
        square = (drive * inverse(scale)) ** 2
        variance = self.point.dac_noise + self.point.intensity_own * square
        if self.core.rounds_light:
            # Rounding the light to bfloat16 adds this variance, so it is not drawn again.
            variance = at_least(variance - BFLOAT16_VARIANCE * square, 0.0)
        shared = noise.scaled(noise.normal(streams[1], (drive.shape[0], 1)), self.point.intensity_common)
        drawn = scale * noise.scaled(noise.stored_normal(streams[0], variance.shape), variance)
        return with_previous(drive + drawn + drive * shared, 0.0)

    def _emit(self, drive: jax.Array, scale: jax.Array, nonzero: jax.Array, variation: DeviceVariation) -> Signal:
        """Light of each input; none for a vector of zeros."""
        offset = variation.source_offset + self.point.dark
        light = self.core.source.emit(drive, scale, variation.source_gain, offset, self.core.encoding.sources)
        return light.apply_linear(lambda value: value * nonzero)

    def _mean_square(self, drive: SourceDrive) -> jax.Array:
        """Mean square of the inputs relative to full drive, [vectors, 1]."""
        square = drive.square / drive.analogue.shape[-1]
        return square + drive.mean**2 if self.core.encoding.range_holds_mean else square

    def _detect(
        self,
        on_pixels: Signal,
        mean_square: jax.Array,
        plane: WeightPlane,
        variation: DeviceVariation,
        streams: jax.Array,
    ) -> tuple[Charge, Signal]:
        """Mask, fan-in and detectors: light on the pixels -> (charge, photocurrent that it came from)."""
        core, isi = self.core, self.point.isi
        # ISI is linear, so it acts on the total light, which has fewer elements than the outputs.
        multiply = bfloat16_product if core.rounds_light else product
        on_diodes = plane.propagate(on_pixels._replace(total=apply_isi(on_pixels.total, isi)), multiply)
        photocurrent = core.detector.detect(on_diodes, core.source.wavelength)
        relative = photocurrent.differential * inverse(on_pixels.scale)
        products = apply_isi(relative, isi) * plane.inverse_scale
        current = photocurrent._replace(differential=products, scale=jnp.ones((1, 1)))
        value = core.detector.subtract(current, variation.output_gain, variation.imbalance)
        value, variance = self._with_receiver_variance(value, current, on_pixels, mean_square, plane, streams)
        optical = without_previous(photocurrent.differential)
        in_products = without_previous(relative) * plane.inverse_scale
        return Charge(optical, in_products, value, variance), current

    def _with_receiver_variance(
        self,
        value: jax.Array,
        current: Signal,
        on_pixels: Signal,
        mean_square: jax.Array,
        plane: WeightPlane,
        streams: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """(charge, variance of its shot and thermal noise); photo-electrons that are counted are in the charge."""
        core, point = self.core, self.point
        if core.detector.counting == "poisson":
            value = value + self._counted_fluctuation(current, streams)
            return value, jnp.broadcast_to(jnp.asarray(point.thermal), value.shape)
        current = current._replace(
            total=current.total + plane.light_margin(without_previous(on_pixels.total), mean_square)
        )
        # `on.shot` scales the bandwidth, so that each output is multiplied by a single factor.
        diodes = 1 + core.encoding.balanced
        shot = core.detector.shot_variance(current, diodes, self.on.shot * point.bandwidth, point.unit_current)
        return value, shot + point.thermal

    def _counted_fluctuation(self, current: Signal, streams: jax.Array) -> jax.Array:
        """Counted photo-electrons less their mean, in units of one full product, [vectors, width]."""
        core, on = self.core, self.on

        def counted() -> jax.Array:
            # A key folded with 1 gives streams independent of those of the source noise.
            key = jax.random.fold_in(jax.random.wrap_key_data(streams[1], impl="threefry2x32"), 1)
            electrons = core.detector.shot_fluctuation(
                current, core.encoding.balanced, core.clock, noise.streams(key, (2,))
            )
            return safe_sqrt(on.shot) * electrons * (1 / core.electrons)

        return skip_unless(jnp.asarray(on.shot) > 0, counted, lambda: jnp.zeros_like(current.total))

    def _observe(
        self,
        drive: SourceDrive,
        plane: WeightPlane,
        variation: DeviceVariation,
        streams: jax.Array,
        current: Signal,
        observe: Observe,
    ) -> SymbolObservation:
        """Light, exact sums and photo-electrons of one symbol."""
        core = self.core
        assert plane.exact is not None, "diagnostics need a plane made with keep_exact"
        noisy = self._with_source_noise(drive.analogue, drive.scale, streams)
        light = self._emit(without_previous(noisy), drive.scale, jnp.ones_like(drive.scale), variation)
        photons = core.source.power / (photon_energy(core.source.wavelength) * core.clock)
        columns_used = plane.differential.shape[1] / core.columns
        return SymbolObservation(
            exact=product(drive.exact, plane.exact),
            launched=jnp.sum(observed_alone(light.total, observe)) * photons * columns_used,
            detected=jnp.sum(observed_alone(current.total, observe)) * core.electrons,
            electrons=current.total * core.electrons,
        )

    def convert(
        self,
        charge: Charge,
        drives: SourceDrive,
        planes: WeightPlane,
        streams: jax.Array,
        calibrated: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Amplifier, ADC and digital correction: charge -> (y, input of the ADC, its full scale), [vectors, width].

        y is in the user's scale, the other two in units of one full product.

        Args:
            charge: integrated over all symbols of the conversion.
            drives, planes: of these symbols, stacked along a leading axis.
            streams: random streams of this conversion, uint32 [2, 2].
            calibrated: full scales of a calibrated site, [1, width], or None.
        """
        full_scale = self._full_scale(drives, planes, calibrated)
        # The receiver's error on top of the optical sum: where no effect acts it is 0 and the sum is exact to the bit.
        output_scale = (drives.scale[0] * drives.nonzero[0]) * planes.output_scale[0]
        y, received = self._convert(charge, full_scale, output_scale, streams, drives.scale.shape[0])
        return y, received, full_scale

    @partial(jax.jit, static_argnums=5)
    def _convert(
        self, charge: Charge, full_scale: jax.Array, output_scale: jax.Array, streams: jax.Array, symbols: int
    ) -> tuple[jax.Array, jax.Array]:
        """(y, input of the ADC), [vectors, width], of the charge of `symbols` symbols."""
        core, on = self.core, self.on
        well = self.point.full_well
        amplified = charge.value + on.saturation * (within(charge.value, -well, well) - charge.value)
        variance = charge.variance + on.jitter * core.adc.jitter_variance(core.clock / symbols) * amplified**2
        variance += self.point.reset
        converter_variance = self.point.adc_noise * full_scale**2
        offset = self.variation.adc_offset[:, : amplified.shape[1]] * full_scale
        received = amplified + self._receiver_noise(variance, converter_variance, streams) + offset
        codes = core.adc.convert(received, full_scale, on.adc_rounding, on.adc_clipping)
        corrected = core.correction.undo_receiver_errors(codes, full_scale, on.correction)
        return charge.optical + output_scale * (corrected - charge.optical_products), received

    def _full_scale(self, drives: SourceDrive, planes: WeightPlane, calibrated: jax.Array | None) -> jax.Array:
        """Full scale of the ADC in units of one full product, [vectors or 1, width or 1]."""
        adc = self.core.adc
        if calibrated is not None:
            return calibrated * (1 / adc.gain)
        symbols, rows = drives.analogue.shape[0], drives.analogue.shape[2]
        if adc.span == "rows":
            return jnp.full((1, 1), self.core.rows * symbols) / adc.gain
        full_scale = jnp.asarray(adc.full_scale(_rms_of_sum(drives.square, planes.rms)))
        if not self.core.encoding.range_holds_mean:
            return full_scale
        return full_scale + jnp.abs(rows * jnp.sum(drives.mean * planes.mean, axis=0)) * (1 / adc.gain)

    def _receiver_noise(self, variance: jax.Array, converter_variance: Number, streams: jax.Array) -> jax.Array:
        """Noise of light and amplifier, and of the converter, in units of one full product."""
        shape = variance.shape
        drawn = noise.stored_normal(streams[0], shape)
        if self.core.adc.noise == "logistic":
            # A logistic distribution of scale s has variance (pi s)^2 / 3.
            return (
                noise.scaled(drawn, variance)
                + noise.scaled(noise.logistic(streams[1], shape), 3 * converter_variance) / jnp.pi
            )
        return noise.scaled(drawn, variance + converter_variance)


def _rms_of_sum(squares: jax.Array, rms: jax.Array) -> jax.Array:
    """rms of a sum of uncorrelated terms, from squares [symbols, vectors, 1] and rms [symbols, 1, width]."""
    if squares.shape[0] == 1:
        return safe_sqrt(squares[0]) * rms[0]
    return safe_sqrt(jnp.sum(squares * rms**2, axis=0))
