"""The fast path against a slow oracle that counts photo-electrons one product at a time, in NumPy float64.

The oracle shares no code with the product: it reads the core's numbers in SI units and knows the physics alone. For
each symbol, source, pixel and draw it counts electrons by Poisson's law, adds them up in their diode, subtracts,
adds the amplifier's Gaussian charge, converts to codes, adds tiles digitally and rescales. The fast path takes a
Gaussian of the same mean and variance for the whole output.

Error rates: a sample mean over n draws has the standard error sqrt(v / n), a sample variance the relative one
sqrt((2 + k) / n) with k the excess kurtosis, and a difference of two the root of the sum of the squares. Unless said
otherwise the bar is five standard errors, which a right program fails with probability 6e-7 a comparison.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import optics
from optics import Effects

CHARGE, PLANCK, LIGHT = 1.602176634e-19, 6.62607015e-34, 299792458.0
BOLTZMANN, KELVIN = 1.380649e-23, 300.0
DRAWS, COLUMNS = 4096, 4
ORACLE_DRAWS = {64: 8000, 256: 2000, 1024: 1000}
RECEIVED = ("shot", "thermal", "extinction", "adc_noise", "adc_rounding", "adc_clipping")


class Oracle:
    """A core that counts. Numbers are in electrons of one symbol, or in full products of `full` electrons."""

    def __init__(self, core: optics.TensorCore):
        n = {name: float(value) for name, value in core.numbers().items()}
        on = {name.removeprefix("effects."): value for name, value in n.items() if name.startswith("effects.")}
        self.code, self.rows, self.accumulate = core.encoding, core.rows, core.accumulate
        self.two_sources, self.two_pixels = self.code.inputs == "rails", self.code.weights == "rails"
        self.diodes = 1 + (self.two_sources or self.two_pixels)
        # Electrons through one pixel that lets everything pass: a source lights the pixels of all columns.
        loss_db = n["space.fan_out_loss_db"] + n["mask.loss_db"] + n["space.fan_in_loss_db"]
        photons = n["source.power"] * n["source.wavelength"] / (PLANCK * LIGHT * n["clock"])
        self.launched = photons
        self.pixel = photons * 10 ** (-loss_db / 10) * n["detector.quantum_efficiency"]
        self.pixel /= core.columns * (2 if self.two_pixels else 1)
        self.closed = on["extinction"] / n["mask.extinction_ratio"]
        self.full = self.pixel * (1 - self.closed)
        self.dark = n["detector.dark_current"] / (CHARGE * n["clock"])
        # Charge i_n^2 / (2 f) of a symbol in electrons^2, and k T C of a reset, once per reading.
        self.amplifier = on["thermal"] * n["tia.noise_density"] ** 2 / (2 * n["clock"] * CHARGE**2)
        self.reset = on["thermal"] * BOLTZMANN * KELVIN * n["tia.integration_capacitance"] / CHARGE**2
        self.loading, self.gain, self.codes = n["adc.loading"], n["adc.gain"], 2 ** (n["adc.bits"] - 1) - 1
        # A sine from -FS to FS has the power FS^2 / 2, and 1.5 x 4**ENOB times that of the noise.
        self.converter = on["adc_noise"] * 0.5 / (1.5 * 4 ** n["adc.enob"])
        self.rounds, self.clips = on["adc_rounding"] == 1, on["adc_clipping"] == 1

    def multiply(self, x, w, draws: int, seed: int) -> tuple[np.ndarray, float]:
        """x [rows] @ w [rows, columns] by counting: (y [draws, columns], photo-electrons counted per MAC)."""
        self.random, self.counted = np.random.default_rng(seed), 0.0
        x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
        x_scale, w_scale = np.abs(x).max(), np.abs(w).max(axis=0)
        x, w = x / x_scale, w / w_scale
        x_sent = x if self.code.inputs != "offset" else (1 + x) / 2
        total = 0.0
        for first in range(0, len(x), self.rows * self.accumulate):
            group = range(first, min(first + self.rows * self.accumulate, len(x)), self.rows)
            tiles = [slice(start, start + self.rows) for start in group]
            full_scale = self.full_scale(x, w, tiles)
            for sign, sources in self.symbols(x):
                charge = sum(self.symbol([(rail, level[tile]) for rail, level in sources], w[tile], draws) for tile in tiles)
                total += sign * self.read(charge, full_scale)
        total = total / self.full
        if not self.two_pixels:
            # The dark light of lone pixels, then w = 2 w' - 1.
            total = total - self.closed / (1 - self.closed) * x_sent.sum()
            total = 2 * total - x_sent.sum()
        if self.code.inputs == "offset":
            total = 2 * total - w.sum(axis=0)
        return total * x_scale * w_scale, self.counted / (draws * w.size)

    def symbols(self, x):
        """(digital sign, [(rail of a source, its light)]) of each symbol."""
        plus, minus = np.maximum(x, 0), np.maximum(-x, 0)
        return {
            "rails": [(1, [(1, plus), (-1, minus)])],
            "slots": [(1, [(1, plus)]), (-1, [(1, minus)])],
            "offset": [(1, [(1, (1 + x) / 2)])],
        }[self.code.inputs]

    def symbol(self, sources, w, draws: int) -> np.ndarray:
        """Electrons of the plus diode less those of the minus diode, with the amplifier's noise [draws, columns]."""
        pixels = [(1, np.maximum(w, 0)), (-1, np.maximum(-w, 0))] if self.two_pixels else [(1, (1 + w) / 2)]
        difference = self.random.normal(0, math.sqrt(self.amplifier), (draws, w.shape[1]))
        for source_rail, light in sources:
            lit = light > 0
            for pixel_rail, level in pixels:
                passed = self.closed + (1 - self.closed) * level[lit]
                counts = self.count(self.pixel * light[lit, None] * passed, draws)
                self.counted += counts.sum()
                difference += source_rail * pixel_rail * counts
        for rail in (1, -1)[: self.diodes]:
            # The mean dark current is known and taken off.
            difference += rail * (self.random.poisson(self.dark, difference.shape) - self.dark)
        return difference

    def count(self, rates, draws: int) -> np.ndarray:
        """Sum over rows of Poisson counts of each product, rates [rows, columns] -> [draws, columns]."""
        chunk = max(1, 2**20 // max(rates.size, 1))
        sizes = [min(chunk, draws - start) for start in range(0, draws, chunk)]
        return np.concatenate([self.random.poisson(rates, (size, *rates.shape)).sum(axis=1) for size in sizes])

    def full_scale(self, x, w, tiles):
        """Electrons at the ADC's full scale: a product, and `loading` rms of uncorrelated terms, over the gain."""
        square = sum(np.sum(x[tile] ** 2) * np.sum(w[tile] ** 2, axis=0) / self.rows for tile in tiles)
        return (1 + self.loading * np.sqrt(square)) / self.gain * self.full

    def read(self, charge, full_scale):
        """The charge through the ADC, in electrons again."""
        charge = charge + self.random.normal(0, math.sqrt(self.reset), charge.shape)
        charge = charge + self.random.normal(size=charge.shape) * np.sqrt(self.converter) * full_scale
        code = charge / full_scale * self.codes
        code = np.rint(code) if self.rounds else code
        return (np.clip(code, -self.codes, self.codes) if self.clips else code) / self.codes * full_scale


def operands(rows: int, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Signed Gaussian x [rows] and w [rows, columns], float32, of different scales."""
    noise = np.random.default_rng(rows)
    x, w = noise.normal(size=rows), noise.normal(size=(rows, columns)) * np.linspace(0.5, 3, columns)
    return x.astype(np.float32), w.astype(np.float32)


def core_of(rows: int, *effects: str, **fields) -> optics.TensorCore:
    """A core of 128 columns on which the named effects act, with dark current and finite contrast that are felt."""
    core = optics.today(rows=rows, columns=128)
    return core.replace({"effects": Effects.only(*effects), "mask.extinction_ratio": 20.0} | fields)


def lit(core: optics.TensorCore, x, w, electrons: float) -> optics.TensorCore:
    """The core with light for `electrons` detected photo-electrons per MAC on these operands, and a receiver to it.

    With S the shot variance of that light, diodes add S / 10 each by their dark current, the amplifier S / 2, and the
    ADC S / 2 in steps of at most one sqrt(S), so that none is lost beside the others.
    """
    now = Oracle(core)
    x, w = np.abs(x) / np.abs(x).max(), np.abs(w) / np.abs(w).max(axis=0)
    both = 2 * now.closed + (1 - now.closed) * w
    share = electrons / (np.mean(x @ both) / len(x) * now.pixel)
    variance, clock = electrons * len(x), float(core.clock)
    full_scale = np.mean(now.full_scale(x, w, [slice(0, len(x))])) * share
    return core.replace(
        {
            "source.power": float(core.source.power) * share,
            "detector.dark_current": 0.1 * variance * CHARGE * clock,
            "tia.noise_density": math.sqrt(variance / 2 * 2 * clock) * CHARGE,
            "adc.bits": 1.0 + math.ceil(math.log2(1 + full_scale / math.sqrt(variance))),
            "adc.enob": math.log(full_scale**2 / (3 * variance / 2), 4),
        }
    )


@jax.jit
def observe(core: optics.TensorCore, x: jax.Array, w: jax.Array, key: jax.Array):
    return core.observe(x, w, key=key)


def draw(core: optics.TensorCore, x, w) -> tuple[np.ndarray, optics.Readings]:
    """The fast path's products of one x over many draws, float64 [DRAWS, columns], and what was seen."""
    y, seen = observe(core, np.tile(x, (DRAWS, 1)), w, jax.random.key(7))
    return np.asarray(y, np.float64), seen


def assert_same_moments(y: np.ndarray, counted: np.ndarray, electrons: float) -> None:
    """Means of each column, and the variance's ratio averaged over columns, to five standard errors.

    electrons: least expected count of an output, whose excess kurtosis is 1 / electrons.
    """
    fast, slow = y.var(axis=0), counted.var(axis=0)
    error = np.sqrt(fast / len(y) + slow / len(counted))
    assert np.all(np.abs(y.mean(axis=0) - counted.mean(axis=0)) < 5 * error)
    columns, kurtosis = y.shape[1], 2 + 1 / electrons
    bar = 5 * math.sqrt(kurtosis / (len(y) * columns) + kurtosis / (len(counted) * columns))
    assert np.mean(fast / slow) == pytest.approx(1.0, abs=bar)


@pytest.mark.parametrize("rows", ORACLE_DRAWS)
@pytest.mark.parametrize("electrons", [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0])
def test_mean_and_variance_are_those_of_counted_electrons(rows, electrons):
    """Shot noise, dark current, pedestal, amplifier and ADC, at detected photo-electrons per MAC from 0.1 to 10,000.

    The light that the readings report is what the oracle counted, a Poisson number, to five standard errors.
    """
    x, w = operands(rows)
    core = lit(core_of(rows, *RECEIVED), x, w, electrons)
    y, seen = draw(core, x, w)
    counted, per_mac = Oracle(core).multiply(x, w, ORACLE_DRAWS[rows], seed=11)
    assert_same_moments(y, counted, electrons * rows / 2)
    macs = ORACLE_DRAWS[rows] * w.size
    assert float(seen.detected_per_mac()) == pytest.approx(per_mac, abs=5 * math.sqrt(per_mac / macs) + 1e-5 * per_mac)
    assert per_mac == pytest.approx(electrons, rel=0.01)
