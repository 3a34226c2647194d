"""The walk of a product through the core: from digital numbers through light and back, top to bottom."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from electronics.exact import product
from optics import encoding, tiling
from optics.book import photon_energy
from optics.frozen import Frozen
from optics.signal import root

if TYPE_CHECKING:
    from optics.core import TensorCore
    from optics.ranges import SiteRange

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


class Walk:
    """One core, one device, and the numbers of one site: `range`, where it was calibrated, holds its full scales."""

    def __init__(self, core: "TensorCore", frozen: Frozen, range: "SiteRange | None" = None):
        self.core, self.frozen, self.range, self.on = core, frozen, range, core.effects

    def __call__(self, x: jax.Array, w: jax.Array, key: jax.Array, observe: bool = False) -> tuple[jax.Array, Seen]:
        """x [vectors, rows], w [rows, columns] -> y [vectors, columns], and with `observe` what was seen."""
        core, code = self.core, self.core.encoding
        tiles = tiling.fit(*w.shape, core.rows, core.columns, core.accumulate)
        lit = tiling.lit(w.shape[0], tiles)
        xs, ws = tiling.cut(x, w, tiles)
        x_scale, w_scale = self._scales(x, w, xs, ws)
        strokes = self._input_strokes(xs, x_scale, lit[:, None, :])
        pixels = self._weight_strokes(ws, w_scale, lit[None, :, :, None])

        y, seen = self._strokes(tiles, strokes, pixels, x_scale, w_scale, key, observe)
        if code.inputs == "offset" or code.weights == "offset":
            y = y - self._offsets(strokes, pixels, x_scale, w_scale, lit)
        # A vector or column of zeros has a result that is known without any light.
        dark = (largest(x, axis=1) == 0) | (largest(w, axis=0) == 0)
        y = jnp.where(dark, 0.0, y[:, : w.shape[1]])
        if observe:
            seen["inputs"] = jnp.float32(xs.size * tiles.column_tiles / tiles.height / tiles.row_tiles * w.shape[0])
            seen["drive"] = tiles.column_tiles * jnp.sum(jnp.abs(xs) / x_scale)
        return y, seen

    def _scales(self, x, w, xs, ws):
        """What full drive [row tiles, vectors, 1] and a clear pixel [column tiles, row tiles, 1, width] stand for."""
        if self.range is not None and self.range.input_scale is not None:
            x_scale = jnp.broadcast_to(self.range.input_scale, (*xs.shape[:2], 1))
        elif self.core.encoding.scales == "tile":
            x_scale = or_one(largest(xs, axis=2))
        else:
            x_scale = jnp.broadcast_to(or_one(largest(x, axis=1)), (*xs.shape[:2], 1))
        w_largest = largest(ws, axis=2)
        if self.core.encoding.scales == "vector":
            w_largest = jnp.broadcast_to(jnp.max(w_largest, axis=1, keepdims=True), w_largest.shape)
        return x_scale, or_one(w_largest)

    def _input_strokes(self, xs, scale, lit):
        core, on, code = self.core, self.on, self.core.encoding
        found = []
        for factor, part in code.input_parts(xs, scale, lit):
            asked = core.correction.drive(part, on.correction)
            asked = asked + on.dac_clipping * (jnp.clip(asked, -scale, scale) - asked)
            strokes = encoding.digits(factor, asked, scale, code.input_slices, core.dac.bits, on.dac_rounding)
            found += strokes if code.input_slices > 1 else [strokes[0]._replace(exact=part)]
        return found

    def _weight_strokes(self, ws, scale, lit):
        core, code = self.core, self.core.encoding
        factor, part = code.weight_part(ws, scale, lit)
        return encoding.digits(factor, part, scale, code.weight_slices, core.mask.bits, self.on.weight_rounding)

    def _strokes(self, tiles, strokes, pixels, x_scale, w_scale, key, observe):
        """Every stroke of the inputs through every stroke of the weights, their digits put together."""
        if len(strokes) == len(pixels) == 1:
            drive, pixel = (
                Drive(strokes[0].code, x_scale, strokes[0].exact),
                Pixels(pixels[0].code, w_scale, pixels[0].exact),
            )
            y, seen = self._plane(tiles, drive, pixel, key, observe)
            return strokes[0].factor * pixels[0].factor * y, seen
        pairs = [(a, b) for a in range(len(strokes)) for b in range(len(pixels))]
        factors = jnp.stack([jnp.asarray(strokes[a].factor * pixels[b].factor, jnp.float32) for a, b in pairs])
        xs, exact_xs = (jnp.stack([getattr(s, name) for s in strokes]) for name in ("code", "exact"))
        ws, exact_ws = (jnp.stack([getattr(s, name) for s in pixels]) for name in ("code", "exact"))

        def one(pair, factor, stroke_key):
            drive = Drive(xs[pair[0]], x_scale, exact_xs[pair[0]])
            pixel = Pixels(ws[pair[1]], w_scale, exact_ws[pair[1]])
            y, seen = self._plane(tiles, drive, pixel, stroke_key, observe)
            return factor * y, seen

        keys = jax.random.split(key, len(pairs))
        return tiling.sum_over(one, jnp.asarray(pairs), factors, keys, combine=_merge)

    def _plane(self, tiles, drive, pixels, key, observe):
        """All tiles of one stroke: columns side by side, groups of rows converted and added digitally."""
        groups, symbols = tiles.groups, tiles.accumulated
        keys = jax.random.split(key, (tiles.column_tiles, groups, symbols + 1))
        grouped = jax.tree.map(lambda a: a.reshape(groups, symbols, *a.shape[1:]), drive)
        full_scale = self._calibrated_spans(tiles)

        def column(column_pixels, column_keys, spans):
            stacked = jax.tree.map(lambda a: a.reshape(groups, symbols, *a.shape[1:]), column_pixels)
            return tiling.sum_over(
                lambda *group: self._group(*group, spans, observe), grouped, stacked, column_keys, combine=_merge
            )

        y, seen = tiling.side_by_side(column, pixels, keys, full_scale)
        return y, seen if tiles.column_tiles == 1 else _over_columns(seen)

    def _calibrated_spans(self, tiles):
        """Full scales of a calibrated site [column tiles, 1, width] in full products; of one that was not, zeros."""
        if self.range is None:
            return jnp.zeros((tiles.column_tiles, 1, 1))
        span = self.range.full_scale
        pad = tiles.column_tiles * tiles.width - span.shape[0]
        return jnp.pad(span, (0, pad), constant_values=1).reshape(tiles.column_tiles, 1, tiles.width)

    def _group(self, drive, pixels, keys, span, observe):
        """Row tiles whose charges add up before one conversion."""
        charge, seen = tiling.sum_over(
            lambda drive, pixels, key: self._symbol(drive, pixels, key, observe), drive, pixels, keys[:-1]
        )
        scale = drive.scale[0] * pixels.scale[0]
        y, more = self._convert(charge, scale, keys[-1], span, drive.code.shape[0], observe)
        if observe:
            seen = seen | more
            error = (y - seen.pop("exact")) / more["full_scale"]
            seen["relative_error"] = jnp.sum((error / scale) ** 2)
            del seen["full_scale"]
        return y, seen

    def _symbol(self, drive: Drive, pixels: Pixels, key: jax.Array, observe: bool) -> tuple[Charge, Seen]:
        """One symbol per vector: DAC, source, fan-out, mask, fan-in, detectors.

        What travels is a `Signal`: the numbers in the user's scale beside the watts or amperes of full drive through
        a clear pixel. Noise of the receivers is a variance here, and drawn once, before the ADC.
        """
        core, on, code = self.core, self.on, self.core.encoding
        frozen = self.frozen.cropped(*pixels.code.shape)

        analogue = self._linearised(core.dac.bend(drive.code, drive.scale, on.dac_nonlinearity), drive.scale)
        noisy = self._with_source_noise(analogue, drive.scale, key)
        light = core.source.emit(noisy, drive.scale, frozen.source_gain, frozen.source_offset, code.sources)
        spread = core.space.fan_out(light, core.ways, on.input_crosstalk, frozen.phase, code.sources)

        pedestal = core.mask.pedestal(on.extinction) + on.stray_light * core.space.stray_light
        plus, minus = self._shown(pixels, pedestal, frozen)
        through = core.mask.transmit(spread, plus, minus, pixels.scale, on.extinction)
        summed = core.space.fan_in(through, on.output_crosstalk, code.balanced)

        current = core.detector.detect(summed, core.source.wavelength, frozen.output_gain, frozen.imbalance)
        bandwidth = core.tia.noise_bandwidth(core.clock)
        variance = on.shot * core.detector.shot_variance(current.quantity(), 1 + code.balanced, bandwidth)
        variance += on.thermal * core.tia.noise_variance(bandwidth)
        reach, mean = _expected(drive.code / drive.scale, pixels.code / pixels.scale, code.unipolar)
        charge = Charge(current.difference, variance / core.unit_current / core.unit_current, reach, mean)
        return charge, self._lights(drive, pixels, light, current, pedestal) if observe else {}

    def _linearised(self, drive, scale):
        """The light that comes out for the drive that was meant, as a drive: what the inverse table leaves."""
        share = self.on.linearisation

        def residual():
            meant = jnp.abs(drive) / scale
            return jax.lax.stop_gradient(jnp.sign(drive) * (self.core.transfer.linearised(meant) - meant)) * scale

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

    def _convert(self, charge, scale, key, span, symbols, observe):
        """Amplifier and ADC: the charge [vectors, width] with the receiver's noise, as codes in the user's scale."""
        core, on = self.core, self.on
        full = self._full_scale(charge, span, symbols)
        value = self._remembered(charge.value, scale)
        well = core.tia.largest_current(core.clock) / core.unit_current * scale
        value = value + on.saturation * (jnp.clip(value, -well, well) - value)

        variance = charge.variance + on.jitter * core.adc.jitter_variance(core.clock) * (value / scale) ** 2
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

    def _offsets(self, strokes, pixels, x_scale, w_scale, lit) -> jax.Array:
        """What the offsets of inputs and weights add to a product [vectors, columns], known digitally.

        (X - a)(W - b) = X W - a W - b X + a b, summed over rows, a and b the offsets where a row is lit; a dark pixel
        that has no partner adds its pedestal to b.
        """
        core, on, code = self.core, self.on, self.core.encoding
        sent = encoding.total(strokes)
        gain = core.correction.drive_gain(sent, on.correction)
        x = jnp.sum(sent / jnp.where(gain > 0, gain, 1.0), axis=2, keepdims=True)[None]
        w = jnp.sum(encoding.total(pixels), axis=2, keepdims=True)
        a = x_scale[None] if code.inputs == "offset" else jnp.zeros((1, 1, 1, 1))
        b, pedestal = jnp.zeros((1, 1, 1, 1)), 0.0
        if code.weights == "offset":
            b = w_scale
            pedestal = 2 * (core.mask.pedestal(on.extinction) + on.stray_light * core.space.stray_light)
        used = jnp.sum(lit, axis=1)[None, :, None, None]
        by_tile = a * w + b * (1 + pedestal) * x - a * b * used
        return jnp.sum(by_tile, axis=1).swapaxes(0, 1).reshape(x_scale.shape[1], -1)


def largest(values: jax.Array, axis: int) -> jax.Array:
    """Largest magnitude along `axis`, which full drive or a clear pixel stands for."""
    return jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axis, keepdims=True))


def or_one(scale: jax.Array) -> jax.Array:
    """The scale, and 1 where there is nothing to scale."""
    return jnp.where(scale > 0, scale, 1.0)


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


def _merge(a, b):
    """Results of two parts: outputs and sums add, peaks take the larger."""
    (y, seen), (z, more) = a, b
    return y + z, {name: (jnp.maximum if name == "peak" else jnp.add)(seen[name], more[name]) for name in seen}


def _over_columns(seen: Seen) -> Seen:
    """Sums over column tiles; what is kept per column stands side by side."""
    return {name: value.reshape(-1) if name in ("peak", "square") else jnp.sum(value) for name, value in seen.items()}
