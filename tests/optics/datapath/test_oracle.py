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
import numpy as np
import pytest
from scipy import stats

import optics
from optics import Effects

CHARGE, PLANCK, LIGHT = 1.602176634e-19, 6.62607015e-34, 299792458.0
BOLTZMANN, KELVIN = 1.380649e-23, 300.0
# A batch of one vector through four columns again and again: every output of a column is a draw. The product fills
# half of the core's columns.
VECTORS, WIDTH, COLUMNS, CORE_COLUMNS = 256, 256, 4, 512
DRAWS = VECTORS * WIDTH // COLUMNS
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
        self.pixel = photons * 10 ** (-loss_db / 10) * n["detector.quantum_efficiency"]
        planes = self.code.weight_slices if self.code.weight_slices_over == "planes" else 1
        self.pixel /= core.columns * planes * (2 if self.two_pixels else 1)
        self.closed = on["extinction"] / n["mask.extinction_ratio"]
        self.full = self.pixel * (1 - self.closed)
        self.dark = n["detector.dark_current"] / (CHARGE * n["clock"])
        # Charge i_n^2 / (2 f) of a symbol in electrons^2, and k T C of a reset, once per reading.
        self.amplifier = on["thermal"] * n["tia.noise_density"] ** 2 / (2 * n["clock"] * CHARGE**2)
        self.reset = on["thermal"] * BOLTZMANN * KELVIN * n["tia.integration_capacitance"] / CHARGE**2
        self.loading, self.gain, self.codes = n["adc.loading"], n["adc.gain"], 2 ** (n["adc.bits"] - 1) - 1
        # A sine from -FS to FS has the power FS^2 / 2, and 1.5 x 4**ENOB times that of noise and rounding together.
        self.converter = on["adc_noise"] * max(0.5 / (1.5 * 4 ** n["adc.enob"]) - 1 / (12 * self.codes**2), 0)
        self.rounds, self.clips = on["adc_rounding"] == 1, on["adc_clipping"] == 1

    def multiply(self, x, w, draws: int, seed: int) -> tuple[np.ndarray, float]:
        """x [rows] @ w [rows, columns] by counting: (y [draws, columns], photo-electrons counted per MAC)."""
        self.random, self.counted, self.clipped = np.random.default_rng(seed), 0.0, []
        x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
        x_scale, w_scale = np.abs(x).max(), np.abs(w).max(axis=0)
        x, w = x / x_scale, w / w_scale
        x_sent = x if self.code.inputs != "offset" else (1 + x) / 2
        total = 0.0
        for tiles in self.groups(len(x)):
            full_scale = self.full_scale(x, w, tiles)
            for sign, sources in self.symbols(x):
                charge = 0.0
                for tile in tiles:
                    charge = charge + self.symbol([(rail, light[tile]) for rail, light in sources], w[tile], draws)
                total += sign * self.read(charge, full_scale)
        total = total / self.full
        if not self.two_pixels:
            # The dark light of lone pixels; of offset ones then w = 2 w' - 1.
            total = total - self.closed / (1 - self.closed) * x_sent.sum()
        if self.code.weights == "offset":
            total = 2 * total - x_sent.sum()
        if self.code.inputs == "offset":
            total = 2 * total - w.sum(axis=0)
        return total * x_scale * w_scale, self.counted / (draws * w.size)

    def groups(self, rows: int) -> list[list[slice]]:
        """The rows of each tile, in groups that share a conversion; the core's rows divide `rows`."""
        tiles = [slice(start, start + self.rows) for start in range(0, rows, self.rows)]
        return [tiles[i : i + self.accumulate] for i in range(0, len(tiles), self.accumulate)]

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
        pixels = {
            "rails": [(1, np.maximum(w, 0)), (-1, np.maximum(-w, 0))],
            "offset": [(1, (1 + w) / 2)],
            "unsigned": [(1, w)],
        }[self.code.weights]
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
        self.clipped.append(np.mean(np.abs(charge) > full_scale))
        code = charge / full_scale * self.codes
        code = np.rint(code) if self.rounds else code
        return (np.clip(code, -self.codes, self.codes) if self.clips else code) / self.codes * full_scale


def operands(rows: int, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Signed Gaussian x [rows] and w [rows, columns], float32, of different scales."""
    noise = np.random.default_rng(rows)
    x, w = noise.normal(size=rows), noise.normal(size=(rows, columns)) * np.linspace(0.5, 3, columns)
    return x.astype(np.float32), w.astype(np.float32)


def core_of(rows: int, *effects: str, **fields) -> optics.TensorCore:
    """A core on which the named effects act, with dark current and finite contrast that are felt."""
    core = optics.today(rows=rows, columns=CORE_COLUMNS)
    return core.replace({"effects": Effects.only(*effects), "mask.extinction_ratio": 20.0} | fields)


def lit(core: optics.TensorCore, x, w, electrons: float) -> optics.TensorCore:
    """The core with light for `electrons` detected photo-electrons per MAC on these operands, and a receiver to it.

    With S the shot variance of that light, diodes add S / 10 each by their dark current, the amplifier S / 2, and the
    ADC S / 2 in steps of at most one sqrt(S), so that none is lost beside the others.
    """
    now, rows = Oracle(core), len(x)
    x, w = np.abs(x) / np.abs(x).max(), np.abs(w) / np.abs(w).max(axis=0)
    share = electrons / (np.mean(x @ (2 * now.closed + (1 - now.closed) * w)) / rows * now.pixel)
    variance, clock = electrons * rows, float(core.clock)
    full_scale = np.mean(now.full_scale(x, w, now.groups(rows)[0])) * share
    bits = 1.0 + math.ceil(math.log2(1 + full_scale / math.sqrt(variance)))
    converter = variance / 2 + (full_scale / (2 ** (bits - 1) - 1)) ** 2 / 12
    return core.replace(
        {
            "source.power": float(core.source.power) * share,
            "detector.dark_current": 0.1 * variance * CHARGE * clock,
            "tia.noise_density": math.sqrt(variance / 2 * 2 * clock) * CHARGE,
            "adc.bits": bits,
            "adc.enob": math.log(full_scale**2 / (3 * converter), 4),
        }
    )


@jax.jit
def observe(core: optics.TensorCore, x: jax.Array, w: jax.Array, key: jax.Array):
    return core.observe(x, w, key=key)


def draw(core: optics.TensorCore, x, w) -> tuple[np.ndarray, optics.Diagnostics]:
    """The fast path's products of one x over many draws, float64 [DRAWS, columns], and what was seen."""
    y, seen = observe(core, np.tile(x, (VECTORS, 1)), np.tile(w, (1, WIDTH // COLUMNS)), jax.random.key(7))
    return np.asarray(y, np.float64).reshape(DRAWS, COLUMNS), seen


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


def test_clipping_is_that_of_counted_electrons():
    """A gain that overdrives the ADC: moments, and the share of the conversions that clip, sqrt(p (1 - p) / n) each."""
    x, w = operands(64)
    core = lit(core_of(64, *RECEIVED, **{"adc.gain": 12.0}), x, w, electrons=10.0)
    (y, seen), oracle = draw(core, x, w), Oracle(core)
    counted, _ = oracle.multiply(x, w, ORACLE_DRAWS[64], seed=12)
    assert_same_moments(y, counted, 320.0)
    share = np.mean(oracle.clipped)
    error = math.sqrt(share * (1 - share) * (1 / DRAWS + 1 / ORACLE_DRAWS[64]) / COLUMNS)
    assert float(seen.clip_rate()) == pytest.approx(share, abs=5 * error)
    assert 0.05 < share < 0.95


def test_codes_are_those_of_the_oracle():
    """Without noise every output is the oracle's code of the exact product, +-7 of them, a third of them clipped."""
    x = np.random.default_rng(9).normal(size=(VECTORS, 64)).astype(np.float32)
    w = np.tile(operands(64)[1], (1, WIDTH // COLUMNS))
    core = core_of(64, "adc_rounding", "adc_clipping", **{"adc.bits": 4.0, "adc.enob": 4.0, "adc.gain": 12.0})
    oracle = Oracle(core)
    oracle.random, oracle.clipped = np.random.default_rng(0), []
    x_scale, w_scale = np.abs(x).max(axis=1, keepdims=True).astype(np.float64), np.abs(w).max(axis=0).astype(np.float64)
    drive, shown = x / x_scale, w / w_scale
    expected = [
        oracle.read(row @ shown * oracle.full, oracle.full_scale(row, shown, [slice(0, 64)])) / oracle.full
        for row in drive
    ]
    y, _ = observe(core, x, w, jax.random.key(0))
    np.testing.assert_allclose(np.asarray(y, np.float64), np.array(expected) * x_scale * w_scale, rtol=1e-5, atol=1e-5)
    assert 0.1 < np.mean(oracle.clipped) < 0.5


@pytest.mark.parametrize("electrons", [1.0, 100.0])
@pytest.mark.parametrize(
    ("inputs", "weights"),
    [
        ("slots", "rails"),
        ("slots", "offset"),
        ("rails", "offset"),
        ("offset", "rails"),
        ("offset", "offset"),
        ("rails", "unsigned"),
    ],
)
def test_every_encoding_has_the_moments_of_counted_electrons(inputs, weights, electrons):
    """Light, pedestal, dark current and amplifier by the encoding's sources, pixels, diodes and symbols, N = 1,024.

    No ADC: its full scale by encoding is a choice of design. Light as for two rails and `electrons` per MAC.
    """
    x, w = operands(1024)
    w = np.abs(w) if weights == "unsigned" else w
    core = lit(core_of(1024, "shot", "thermal", "extinction"), x, w, electrons)
    # Dark current that is felt beside the light of the offsets, so that one diode does not pass for two.
    dark = 20 * float(core.detector.dark_current)
    core = core.replace({"encoding": optics.Encoding(inputs=inputs, weights=weights), "detector.dark_current": dark})
    counted, per_mac = Oracle(core).multiply(x, w, 500, seed=13)
    y, seen = draw(core, x, w)
    assert_same_moments(y, counted, electrons * 1024 / 2)
    error = math.sqrt(per_mac / (500 * w.size))
    assert float(seen.detected_per_mac()) == pytest.approx(per_mac, abs=5 * error + 1e-5 * per_mac)


# --- Where a Gaussian is no longer the law of counted electrons. ---

KS_DRAWS = 4096
# Two samples of n differ by this much with probability 0.001 where their laws are the same.
KS_BAR = 1.9495 * math.sqrt(2 / KS_DRAWS)


def electrons_of(level: float, diodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Fast and counted electrons of outputs with `level` expected on each of one or two diodes [KS_DRAWS] each."""
    noise = np.random.default_rng(3)
    x, w = np.sign(noise.normal(size=64)), noise.uniform(0.2, 1, size=(64, 1))
    # Products of one sign meet in one diode; of either sign, half of them in each.
    w[32:] = w[:32]
    half = np.where(np.arange(64) < 32, 1, -1)[:, None] if diodes == 2 else 1
    x, w = x.astype(np.float32), np.tile(w * half * x[:, None], (1, COLUMNS)).astype(np.float32)
    core = core_of(64, "shot", **{"detector.dark_current": 0.0})
    light = np.abs(x) @ np.abs(w[:, 0]) / np.abs(w).max() * Oracle(core).pixel
    core = core.replace({"source.power": float(core.source.power) * level * diodes / light})
    unit = np.abs(w).max() / Oracle(core).full
    counted, _ = Oracle(core).multiply(x, w[:, :1], KS_DRAWS, seed=5)
    return draw(core, x, w)[0][:KS_DRAWS, 0] / unit, counted[:, 0] / unit


@pytest.mark.parametrize("diodes", [1, 2])
def test_at_a_hundred_electrons_a_diode_4096_draws_do_not_tell_gaussian_from_counted(diodes):
    """Kolmogorov-Smirnov at a false alarm rate of 0.001, where the bar is 0.043: the laws are 0.027 and 0.014 apart."""
    fast, counted = electrons_of(100.0, diodes)
    assert stats.ks_2samp(fast, counted).statistic < KS_BAR


@pytest.mark.parametrize("diodes", [1, 2])
@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
def test_at_three_electrons_a_diode_gaussian_and_counted_are_told_apart(level, diodes):
    """The laws are 0.08 to 0.44 apart; like laws would be 0.072 apart with the probability of 1e-9 that is asked."""
    fast, counted = electrons_of(level, diodes)
    assert stats.ks_2samp(fast, counted).pvalue < 1e-9


@pytest.mark.parametrize("level", [3.0, 100.0])
def test_counts_are_skew_and_never_negative_and_the_fast_path_is_neither(level):
    """One diode: skewness 1 / sqrt(L), its standard error sqrt(6 / n) and for counts a little more; none is negative
    and exp(-L) are none at all. The fast path is symmetrical, and negative with probability Phi(-sqrt L)."""
    fast, counted = electrons_of(level, 1)
    error = math.sqrt(6 / KS_DRAWS)
    assert abs(stats.skew(fast)) < 5 * error
    assert stats.skew(counted) == pytest.approx(1 / math.sqrt(level), abs=5 * error * (1 + 1 / math.sqrt(level)))
    assert counted.min() > -1e-6
    for found, chance in ((np.abs(counted) < 1e-6, math.exp(-level)), (fast < 0, stats.norm.cdf(-math.sqrt(level)))):
        assert np.mean(found) == pytest.approx(chance, abs=5 * math.sqrt(chance / KS_DRAWS))


# --- What signs cost. ---

# Launched photons per MAC for 30 dB on four-sigma data, by a separate Monte Carlo, and their ratio in round numbers.
SIGNS = {
    ("rails", "rails"): (4_020, 1),
    ("slots", "rails"): (4_020, 1),
    ("rails", "offset"): (20_200, 5),
    ("slots", "offset"): (20_200, 5),
    ("offset", "rails"): (100_700, 25),
    ("offset", "offset"): (505_000, 125),
}


@pytest.fixture(scope="module")
def four_sigma():
    """Gaussian operands cut at four sigma, and one full-scale entry each where the other operand is 0."""
    x = np.array(jax.random.truncated_normal(jax.random.key(1), -4, 4, (VECTORS, 1024))) / 4
    w = np.array(jax.random.truncated_normal(jax.random.key(2), -4, 4, (1024, WIDTH))) / 4
    x[:, 0], x[:, 1], w[1], w[0] = 1, 0, 1, 0
    return x, w


@pytest.fixture(scope="module")
def launched(four_sigma):
    """Photons that the sources send per MAC for 30 dB, by encoding: shot noise alone, no losses, all are detected."""
    none = {
        "space.fan_out_loss_db": 0.0,
        "mask.loss_db": 0.0,
        "space.fan_in_loss_db": 0.0,
        "detector.dark_current": 0.0,
    }
    core = core_of(1024, "shot", **none, **{"detector.quantum_efficiency": 1.0, "detector.light": "exact"})
    found = {}
    for inputs, weights in SIGNS:
        coded = core.replace({"encoding": optics.Encoding(inputs=inputs, weights=weights)})
        _, seen = observe(coded, *four_sigma, jax.random.key(3))
        found[inputs, weights] = float(seen.launched_per_mac()) * 10 ** ((30 - float(seen.snr_db())) / 10)
    return found


@pytest.mark.parametrize("code", SIGNS)
def test_photons_for_30_db_follow_from_the_light_of_the_encoding(four_sigma, launched, code):
    """With n electrons a product, n = SNR F / E y^2: F the sum of all light of an output, times 4 for each offset,
    whose number is twice what is sent. Launched: n, the mean drive, and the pixels of a weight.

    The noise is that of 65,536 outputs: relative standard error sqrt(2 / 65,536), five of them are 2.8 %.
    """
    x, w = (operand.astype(np.float64) for operand in four_sigma)
    light, factor = (np.abs(x), 1) if code[0] != "offset" else ((1 + x) / 2, 4)
    passed, factor, pixels = (np.abs(w), factor, 2) if code[1] == "rails" else ((1 + w) / 2, 4 * factor, 1)
    expected = 1000 * factor * np.mean(light @ passed) / np.mean((x @ w) ** 2) * np.mean(light) * pixels
    assert launched[code] == pytest.approx(expected, rel=5 * math.sqrt(2 / 65_536))


def test_signs_cost_1_5_25_and_125(launched):
    """A fifth is E|w| of four-sigma data: ratios within 5 % of round numbers, photons within 5 % of those known."""
    for code, (photons, ratio) in SIGNS.items():
        assert launched[code] / launched["rails", "rails"] == pytest.approx(ratio, rel=0.05)
        assert launched[code] == pytest.approx(photons, rel=0.05)


# --- Sums longer than the core: 256 rows in four tiles of 64, `accumulate` of which share a conversion. ---

CUTS = [(256, 1), (64, 1), (64, 2), (64, 4)]


def cut_core(cut: tuple[int, int], *effects: str, **fields) -> optics.TensorCore:
    """A core of cut[0] rows that accumulates cut[1] tiles."""
    return core_of(cut[0], *effects, accumulate=cut[1], **fields)


def parts(cut: tuple[int, int]) -> tuple[int, int]:
    """(tiles of 256 rows, conversions of an output)."""
    return 256 // cut[0], 256 // cut[0] // cut[1]


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_sum_has_the_moments_of_counted_electrons(cut):
    """All noises of reception at once, and a capacitor's reset noise with each conversion, at 30 electrons per MAC."""
    x, w = operands(256)
    core = lit(cut_core(cut, *RECEIVED), x, w, electrons=30.0)
    core = core.replace({"tia.integration_capacitance": 30e-15})
    counted, _ = Oracle(core).multiply(x, w, ORACLE_DRAWS[256], seed=14)
    assert_same_moments(draw(core, x, w)[0], counted, 30.0 * 256 / 2)


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_changes_nothing_but_the_noise_of_the_receivers(cut):
    """Exact without noise; shot noise sum |x| |w| / n for every cut; i_n^2 B once per tile, k T C per conversion."""
    x, w = operands(256)
    size_x, size_w = np.abs(x).astype(np.float64), np.abs(w).astype(np.float64)
    scale = size_x.max() * size_w.max(axis=0)
    truth = x.astype(np.float64) @ w
    np.testing.assert_allclose(
        draw(cut_core(cut), x, w)[0], np.tile(truth, (DRAWS, 1)), atol=1e-6 * (size_x @ size_w).max()
    )

    def variance(*effects, **fields):
        """Of full products squared, averaged over columns."""
        return draw(cut_core(cut, *effects, **fields), x, w)[0].var(axis=0) / scale**2

    tiles, conversions = parts(cut)
    bar = 5 * math.sqrt(2 / (DRAWS * COLUMNS))
    core = cut_core(cut)
    full, clock = Oracle(core).full, float(core.clock)
    shot = size_x @ size_w / scale / full
    exact = {"detector.dark_current": 0.0, "detector.light": "exact"}
    assert np.mean(variance("shot", **exact) / shot) == pytest.approx(1, abs=bar)
    amplifier = tiles * 5e-12**2 / (2 * clock * CHARGE**2)
    reset = conversions * BOLTZMANN * KELVIN * 30e-15 / CHARGE**2
    for density, capacitance, expected in ((5e-12, 0.0, amplifier), (0.0, 30e-15, reset)):
        fields = {"tia.noise_density": density, "tia.integration_capacitance": capacitance}
        assert np.mean(variance("thermal", **fields)) * full**2 == pytest.approx(expected, rel=bar)


@pytest.mark.parametrize("loading", [1e-3, 6.0])
@pytest.mark.parametrize("cut", CUTS)
def test_adc_noise_comes_once_per_group(cut, loading):
    """Sum over groups of FS^2 / (3 x 4**ENOB), FS = 1 + loading sqrt(sum over tiles of |x|^2 |w|^2 / height).

    At a small loading, where FS is one product, that is a conversion's noise times the conversions: 1, 4, 2, 1.
    """
    x, w = operands(256)
    size_x, size_w = np.abs(x).astype(np.float64), np.abs(w).astype(np.float64)
    scale, (rows, accumulate) = size_x.max() * size_w.max(axis=0), cut
    norms = (size_x**2).reshape(-1, rows).sum(axis=1)[:, None] * (size_w**2).reshape(-1, rows, COLUMNS).sum(axis=1)
    square = norms.reshape(-1, accumulate, COLUMNS).sum(axis=1) / rows / scale**2
    expected = np.sum((1 + loading * np.sqrt(square)) ** 2, axis=0) / (3 * 4**5.0)
    y, _ = draw(cut_core(cut, "adc_noise", **{"adc.enob": 5.0, "adc.bits": 24.0, "adc.loading": loading}), x, w)
    bar = 5 * math.sqrt(2 / (DRAWS * COLUMNS))
    assert np.mean(y.var(axis=0) / scale**2 / expected) == pytest.approx(1, abs=bar)
    if loading < 1:
        assert np.mean(y.var(axis=0) / scale**2) * 3 * 4**5.0 == pytest.approx(parts(cut)[1], rel=bar + 0.01)


# --- Eight input slices of one bit by two weight slices of four. ---


def sliced(over: str, *effects: str) -> optics.TensorCore:
    """A core of 8 x 1 bit inputs and 2 x 4 bit weights."""
    encoding = optics.Encoding(input_slices=8, weight_slices=2, weight_slices_over=over)
    bits = {"dac.bits": 1.0, "dac.enob": 1.0, "mask.bits": 4.0, "detector.dark_current": 0.0}
    return core_of(64, "dac_rounding", "weight_rounding", *effects, **bits, encoding=encoding)


def eight_bits(shape: tuple[int, int], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(levels -255 to 255 with the largest on each line along `axis`, numbers that are rounded to level / 255)."""
    noise = np.random.default_rng(shape)
    levels, within = noise.integers(-255, 256, shape), noise.uniform(-0.45, 0.45, shape)
    first = tuple(0 if along == axis else slice(None) for along in (0, 1))
    levels[first], within[first] = 255, 0.0
    within = np.where(np.abs(levels) == 255, -np.sign(levels) * np.abs(within), within)
    return levels, ((levels + within) / 255).astype(np.float32)


@pytest.mark.parametrize("over", ["planes", "passes"])
def test_slices_put_together_are_the_product_of_numbers_of_eight_bits(over):
    """x and w to the nearest of 2**8 levels of magnitude, multiplied in float64; the core's sums are float32."""
    (x_levels, x), (w_levels, w) = eight_bits((VECTORS, 64), axis=1), eight_bits((64, WIDTH), axis=0)
    y, _ = observe(sliced(over), x, w, jax.random.key(0))
    expected = (x_levels / 255) @ (w_levels / 255)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert np.abs(x.astype(np.float64) @ w - expected).max() > 1e-3


@pytest.mark.parametrize("over", ["planes", "passes"])
def test_shot_noise_of_a_slice_weighs_as_its_place_squared(over):
    """Sum over slices a, b of (2**a 16**b)^2 sum of digits / n; two planes share the light, so that n is half."""
    (x_levels, x), (w_levels, w) = eight_bits((1, 64), axis=1), eight_bits((64, COLUMNS), axis=0)
    core = sliced(over, "shot")
    expected = 0.0
    for a in range(8):
        for b in range(2):
            digits = (np.abs(x_levels[0]) >> a & 1) @ (np.abs(w_levels) >> 4 * b & 15)
            expected += (2**a * 16**b / 255**2) ** 2 * 15 * digits / Oracle(core).full
    y, _ = draw(core, x[0], w)
    assert np.mean(y.var(axis=0) / expected) == pytest.approx(1, abs=5 * math.sqrt(2 / (DRAWS * COLUMNS)))
