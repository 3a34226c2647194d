"""The optical tensor core: one object that perturbs a matrix product and prices it."""

import jax
import jax.numpy as jnp

from electronics import ADC, DAC, TIA, DigitalBackend, Number, Overhead, Part, number, static
from electronics.exact import product
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
        """x [..., rows] @ w [rows, columns] -> [..., columns], float32, as this core delivers it.

        Any size: what is larger than the core is tiled, each tile converts its own partial sums, and these are added
        digitally. The gradient passes roundings straight through and noise as a reparametrisation. Raises ValueError
        for shapes that do not fit, a dimension of 0, another dtype, and (outside a trace) weights that are not finite.
        """
        x, w = checks.product(x, w)
        return self._walk(x, w, key, observe=False)[0]

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Readings]:
        """As `matmul`, and what was seen on the way, at the price of the exact product beside."""
        x, w = checks.product(x, w)
        y, sums = self._walk(x, w, key, observe=True)
        exact = product(x, w)
        return y, Readings(
            outputs=jnp.float32(y.size),
            signal=jnp.sum(exact**2),
            error=jnp.sum((y - exact) ** 2),
            # Sum over all outputs of sum_k |x_k| |w_k|, without the product of the magnitudes.
            light=jnp.sum(jnp.abs(x), axis=tuple(range(x.ndim - 1))) @ jnp.sum(jnp.abs(w), axis=1),
            **jax.tree.map(jnp.sum, sums),
        )

    def _walk(self, x, w, key, observe):
        shape = (*x.shape[:-1], w.shape[1])
        x = x.reshape(-1, x.shape[-1])
        x_largest, w_largest = _largest(x, axis=1), _largest(w, axis=0)
        x_scale, w_scale = _or_one(x_largest), _or_one(w_largest)
        tiles = tiling.fit(*w.shape, self.rows, self.columns)
        x_tiles, w_tiles = tiling.cut(x, w, tiles)
        scales = tiling.cut_columns(w_scale, tiles)
        keys = jax.random.split(key, (tiles.column_tiles, tiles.row_tiles))

        def column(weights, scale, column_keys):
            return tiling.sum_over(lambda *t: self._tile(*t, x_scale, scale, observe), x_tiles, weights, column_keys)

        y, sums = tiling.side_by_side(column, w_tiles, scales, keys)
        # A vector or column of zeros has a result that is known without any light.
        y = jnp.where((x_largest == 0) | (w_largest == 0), 0.0, y[:, : w.shape[1]])
        return y.reshape(shape), sums

    def _tile(self, x, w, key, x_scale, w_scale, observe):
        """One symbol per vector: x [vectors, height] @ w [height, width], scales [vectors, 1] and [1, width].

        What travels is a `Signal`: the numbers in the user's scale beside the watts or amperes of full drive through
        a clear pixel. Noise is summed as a variance in units of that product, and drawn once, before the ADC.
        """
        source_key, receiver_key = jax.random.split(key)
        on = self.effects

        drive = self.dac.convert(x, x_scale, on.dac_rounding)
        light = self.source.emit(self._with_source_noise(drive, x_scale, source_key), x_scale)
        light = self.space.fan_out(light, RAILS * self.columns)

        pixel = self.mask.quantise(w, w_scale, on.weight_rounding)
        difference, both = self.mask.transmit(light, pixel, w_scale, on.extinction)
        difference, both = self.space.fan_in(difference), self.space.fan_in(both)

        current = self.detector.detect(difference, self.source.wavelength)
        total = self.detector.detect(both, self.source.wavelength)
        variance = on.shot * self.detector.shot_variance(total.quantity(), self.bandwidth)
        variance += on.thermal * self.tia.noise_variance(self.bandwidth)

        span = self._span(drive / x_scale, pixel / w_scale)
        relative_variance = variance / current.unit**2 + on.adc_noise * self.adc.noise_variance() * span**2
        noise = _sqrt(relative_variance) * jax.random.normal(receiver_key, current.value.shape)
        received = current.value + noise * current.scale
        full_scale = span * current.scale
        y = self.adc.convert(received, full_scale, on.adc_rounding, on.adc_clipping)
        return y, self._seen(x, w, y, x_scale, received, full_scale) if observe else {}

    def _with_source_noise(self, drive, scale, key):
        """Noise of the DAC and of each laser: drawn per source and symbol, so all columns see the same draw."""
        variance = self.effects.dac_noise * self.dac.noise_variance()
        variance += self.effects.rin * self.source.intensity_variance(self.bandwidth) * (drive / scale) ** 2
        return drive + scale * _sqrt(variance) * jax.random.normal(key, drive.shape)

    def _span(self, drive, pixel):
        """Full scale of the ADC in units of one full product, from the norms of the vectors and of the columns."""
        vector_norm = jnp.sqrt(jnp.sum(drive**2, axis=1, keepdims=True) / drive.shape[1])
        column_norm = jnp.sqrt(jnp.sum(pixel**2, axis=0, keepdims=True))
        return self.adc.full_scale(jax.lax.stop_gradient(vector_norm * column_norm))

    def _seen(self, x, w, y, x_scale, received, full_scale):
        return {
            "conversions": jnp.float32(y.size),
            "clipped": jnp.sum((jnp.abs(received) > full_scale).astype(jnp.float32)),
            "relative_error": jnp.sum(((y - product(x, w)) / full_scale) ** 2),
            "inputs": jnp.float32(x.size),
            "drive": jnp.sum(jnp.abs(x) / x_scale),
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
            # A signed weight owns RAILS pixels under each of the RAILS sources of its input.
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


def _largest(values, axis):
    """Largest magnitude along `axis`, which full drive or a clear pixel stands for."""
    return jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axis, keepdims=True))


def _or_one(scale):
    """The scale, and 1 where there is nothing to scale."""
    return jnp.where(scale > 0, scale, 1.0)


def _sqrt(variance):
    """Square root whose gradient at 0 is 0 and not infinite."""
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
