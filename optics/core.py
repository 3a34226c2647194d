"""The optical tensor core: one object that perturbs a matrix product and prices it."""

import jax
import jax.numpy as jnp

from electronics import ADC, DAC, TIA, DigitalBackend, Number, Overhead, Part, number, static
from optics import checks, tiling
from optics.detector import Photodetector
from optics.effects import Effects
from optics.mask import WeightMask
from optics.readings import Readings
from optics.source import Source
from optics.space import FreeSpace

RAILS = 2


class TensorCore(Part):
    """A rows x columns core that multiplies a vector by a matrix of transmissions in one symbol of 1 / clock.

    Signs are carried on two rails in space: each input owns two sources, each weight two pixels per source, each
    output two diodes whose currents subtract. So one symbol does rows x columns signed products, and every source
    spreads its light over RAILS x columns pixels. The gain before the ADC follows the norms of the vector and of the
    column, which are known digitally (`ADC.loading`). `vectors_per_load` is how many vectors pass between two loads
    of the mask.
    """

    rows: int = static()
    columns: int = static()
    clock: Number = number("Hz", above=0)
    vectors_per_load: Number = number("1", least=1)
    dac: DAC
    source: Source
    space: FreeSpace
    mask: WeightMask
    detector: Photodetector
    tia: TIA
    adc: ADC
    digital: DigitalBackend
    overhead: Overhead
    effects: Effects

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"TensorCore.{name} = {value!r} must be a whole number >= 1")

    @property
    def bandwidth(self) -> Number:
        """Noise bandwidth [Hz] of a matched integrate-and-dump receiver: clock / 2."""
        return self.clock / 2

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [vectors, rows] @ w [rows, columns] -> [vectors, columns] as this core delivers it.

        Any size: what is larger than the core is tiled, each tile converts its own partial sums, and these are added
        digitally. float32 inside. The gradient passes roundings straight through and noise as a reparametrisation.
        """
        return self._walk(x, w, key, observe=False)[0]

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Readings]:
        """As `matmul`, and what was seen on the way, at the price of the exact product beside."""
        y, sums = self._walk(x, w, key, observe=True)
        exact = x @ w
        return y, Readings(
            outputs=jnp.float32(y.size),
            signal=jnp.sum(exact**2),
            error=jnp.sum((y - exact) ** 2),
            light=jnp.sum(jnp.abs(x), axis=0) @ jnp.sum(jnp.abs(w), axis=1),
            **jax.tree.map(jnp.sum, sums),
        )

    def _walk(self, x, w, key, observe):
        checks.product(x, w)
        x_scale, drive = _normalise(x, axis=1)
        w_scale, weight = _normalise(w, axis=0)
        tiles = tiling.fit(*w.shape, self.rows, self.columns)
        drive_tiles, weight_tiles = tiling.cut(drive, weight, tiles)
        keys = jax.random.split(key, (tiles.column_tiles, tiles.row_tiles))

        def column(weights, column_keys):
            return tiling.sum_over(lambda *tile: self._tile(*tile, observe=observe), drive_tiles, weights, column_keys)

        y, sums = tiling.side_by_side(column, weight_tiles, keys)
        return y[:, : w.shape[1]] * x_scale * w_scale, sums

    def _tile(self, drive, weight, key, observe):
        """One symbol per vector: drive [vectors, height], weight [height, width], both in [-1, 1] -> their product."""
        source_key, receiver_key = jax.random.split(key)
        on = self.effects

        level = self.dac.convert(drive, on.dac_rounding)
        light = self.source.emit(self._with_source_noise(level, source_key))
        light = self.space.fan_out(light, RAILS * self.columns)

        pixel = self.mask.quantise(weight, on.weight_rounding)
        difference, both = self.mask.transmit(pixel, on.extinction)
        signal_light = self.space.fan_in(light @ difference)
        total_light = self.space.fan_in(jnp.abs(light) @ both)

        current = self.detector.detect(signal_light, self.source.wavelength)
        total_current = self.detector.detect(total_light, self.source.wavelength)
        variance = on.shot * self.detector.shot_variance(total_current, self.bandwidth)
        variance += on.thermal * self.tia.noise_variance(self.bandwidth)

        full_scale = self._full_scale_current(level, pixel)
        variance += on.adc_noise * self.adc.noise_variance() * full_scale**2
        current += _sqrt(variance) * jax.random.normal(receiver_key, current.shape)
        code = self.adc.convert(current / full_scale, on.adc_rounding, on.adc_clipping)

        product = code * full_scale / self.unit_current()
        return product, self._seen(drive, weight, product, current, full_scale) if observe else {}

    def _with_source_noise(self, level, key):
        """Noise of the DAC and of each laser: drawn per source and symbol, so all columns see the same draw."""
        variance = self.effects.dac_noise * self.dac.noise_variance()
        variance += self.effects.rin * self.source.intensity_variance(self.bandwidth) * level**2
        return level + _sqrt(variance) * jax.random.normal(key, level.shape)

    def unit_current(self) -> Number:
        """Photocurrent [A] that one fully driven source gives through one clear pixel pair, dark level subtracted."""
        light = self.space.fan_out(self.source.emit(1.0), RAILS * self.columns)
        light = self.space.fan_in(light * self.mask.contrast(self.effects.extinction))
        return self.detector.detect(light, self.source.wavelength)

    def _full_scale_current(self, level, pixel):
        """[vectors, width]: the ADC's loading times the rms that uncorrelated terms of these norms would have."""
        vector_norm = jnp.sqrt(jnp.sum(level**2, axis=1, keepdims=True) / level.shape[1])
        column_norm = jnp.sqrt(jnp.sum(pixel**2, axis=0, keepdims=True))
        rms = jax.lax.stop_gradient(vector_norm * column_norm)
        return self.adc.full_scale(jnp.where(rms > 0, rms, 1.0)) * self.unit_current()

    def _seen(self, drive, weight, product, current, full_scale):
        relative = (product - drive @ weight) * self.unit_current() / full_scale
        return {
            "conversions": jnp.float32(product.size),
            "clipped": jnp.sum((jnp.abs(current) > full_scale).astype(jnp.float32)),
            "relative_error": jnp.sum(relative**2),
            "inputs": jnp.float32(drive.size),
            "drive": jnp.sum(jnp.abs(drive)),
        }

    def cost(self, *, rows: int, columns: int, vectors: float, resident: bool) -> dict[str, Number]:
        """Energy [J] by component of `vectors` vectors through a rows x columns product.

        Unused rows are dark and unused columns are not read, but each source lights all columns of the core. Where
        the second operand is not resident (it is an activation), the mask is written anew for these vectors.
        """
        tiles = tiling.fit(rows, columns, self.rows, self.columns)
        driven = vectors * rows * tiles.column_tiles
        converted = vectors * columns * tiles.row_tiles
        fills = self._fills(vectors, resident)
        written = fills * rows * columns
        fetch = self.digital.weight_fetch(self.mask.bits) if resident else self.digital.input_movement()
        idle_time = fills * self.mask.update_time
        return {
            "DAC": driven * self.dac.energy(self.clock),
            "laser light": driven * self.source.light_energy(self.clock),
            "laser bias": driven * RAILS * self.source.bias_energy(self.clock),
            "TIA": converted * self.tia.energy(self.clock),
            "ADC": converted * self.adc.energy(self.clock),
            "input movement": driven * (self.digital.input_movement() + self.digital.rescale_energy),
            "output movement": converted * (self.digital.output_movement() + self.digital.rescale_energy),
            "partial sums": converted * self.digital.partial_sum(tiles.row_tiles),
            "weight fetch": written * fetch,
            "mask write": written * RAILS * RAILS * self.mask.write_energy,
            "idle at reload": idle_time
            * (rows * tiles.column_tiles * RAILS * self.source.bias_power + columns * tiles.row_tiles * self.tia.power),
        }

    def digital_cost(self, macs: float) -> Number:
        """Energy [J] of `macs` multiply-accumulates that stay digital."""
        return macs * self.digital.mac_energy

    def time(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """Time [s] that one core is held by `vectors` vectors through a rows x columns product, loads included."""
        loads = self.loads(rows=rows, columns=columns, vectors=vectors, resident=resident)
        return self._tile_count(rows, columns) * vectors / self.clock + loads * self.mask.update_time

    def loads(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """How many times a tile of weights is written for these vectors; a share of one where weights stay longer."""
        return self._tile_count(rows, columns) * self._fills(vectors, resident)

    def _tile_count(self, rows, columns):
        tiles = tiling.fit(rows, columns, self.rows, self.columns)
        return tiles.row_tiles * tiles.column_tiles

    def _fills(self, vectors, resident):
        return vectors / self.vectors_per_load if resident else 1.0


def _normalise(values, axis):
    """(scale, values / scale) with the largest magnitude along `axis` at 1; all zeros keep the scale 0."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axis, keepdims=True))
    return largest, values / jnp.where(largest > 0, largest, 1.0)


def _sqrt(variance):
    """Square root whose gradient at 0 is 0 and not infinite."""
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
