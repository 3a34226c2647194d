"""Each noise term alone against its closed form, written here in float64 from the physics and not from the product.

Every test draws 8,192 vectors of the same input through 8 columns with a fixed key. A sample variance over n
independent draws has a relative standard error of sqrt(2 / n); the tolerance is five of them with n = 8,192 (columns
that share a draw count once), which a right program fails with probability below 1e-6.
"""

import jax
import numpy as np
import pytest

import optics
from optics import Effects

# Samples by the million take longer where nothing is optimised than their programs take to compile.
pytestmark = pytest.mark.optimised

CHARGE, PLANCK, LIGHT = 1.602176634e-19, 6.62607015e-34, 299792458.0
DRAWS, COLUMNS = 8192, 8
TOLERANCE = 5 * np.sqrt(2 / DRAWS)
SIZES = (64, 256, 1024)
POWERS = (0.2e-3, 20e-3)


def only(*effects: str, rows: int, power: float = 2e-3, **leaves) -> optics.TensorCore:
    """A core on which the named effects act and no other."""
    dark = {"source.power": power, "detector.dark_current": 0.0}
    core = optics.today(rows=rows, columns=128).replace({"effects": Effects.uniform(0.0)} | dark)
    return core.replace({f"effects.{name}": 1.0 for name in effects} | leaves)


def operands(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """x [rows] and w [rows, COLUMNS], signed, with the largest magnitude of x and of each column at 1."""
    noise = np.random.default_rng(rows)
    x, w = noise.normal(size=rows), noise.normal(size=(rows, COLUMNS))
    return x / np.abs(x).max(), w / np.abs(w).max(axis=0)


@jax.jit
def multiply(core: optics.TensorCore, x: jax.Array, w: jax.Array, key: jax.Array) -> jax.Array:
    return core.matmul(x, w, key=key)


def draw(core: optics.TensorCore, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Errors of the emulated product over many draws, float64 [DRAWS, COLUMNS]."""
    many = np.tile(np.asarray(x, np.float32), (DRAWS, 1))
    y = multiply(core, many, np.asarray(w, np.float32), jax.random.key(7))
    return np.asarray(y, np.float64) - x @ w


def electrons_per_product(core: optics.TensorCore) -> float:
    """Photo-electrons of a symbol for x = 1 through a clear pixel, by hand; a source lights two pixels a column."""
    loss_db = float(core.space.fan_out_loss_db) + float(core.mask.loss_db) + float(core.space.fan_in_loss_db)
    pixel = float(core.source.power) * 10 ** (-loss_db / 10) / (2 * core.columns)
    photons = pixel / (PLANCK * LIGHT / float(core.source.wavelength)) / float(core.clock)
    return float(core.detector.quantum_efficiency) * photons


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("power", POWERS)
def test_shot_noise_is_that_of_all_the_light(rows, power):
    """Poisson: the variance of the difference count is the sum of both counts, sum |x| |w| (Schottky; Hamerly 2019)."""
    core, (x, w) = only("shot", rows=rows, power=power), operands(rows)
    error = draw(core, x, w)
    expected = np.abs(x) @ np.abs(w) / electrons_per_product(core)
    np.testing.assert_allclose(error.var(axis=0), expected, rtol=TOLERANCE)
    assert np.all(np.abs(error.mean(axis=0)) < 5 * np.sqrt(expected / DRAWS))


@pytest.mark.parametrize("rows", SIZES)
def test_the_pedestal_of_finite_extinction_cancels_but_its_shot_noise_stays(rows):
    """t = t0 + (1 - t0) w on both rails: mean unchanged, count sum |x| ((1 - t0) |w| + 2 t0), signal (1 - t0)."""
    core, (x, w) = only("shot", "extinction", rows=rows, **{"mask.extinction_ratio": 10.0}), operands(rows)
    error, t0 = draw(core, x, w), 0.1
    light = np.abs(x) @ ((1 - t0) * np.abs(w) + 2 * t0)
    expected = light / (electrons_per_product(core) * (1 - t0) ** 2)
    np.testing.assert_allclose(error.var(axis=0), expected, rtol=TOLERANCE)
    assert np.all(np.abs(error.mean(axis=0)) < 5 * np.sqrt(expected / DRAWS))


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("power", POWERS)
def test_thermal_noise_is_that_of_the_amplifier(rows, power):
    """var I = i_n^2 f / 2, whatever the light."""
    core, (x, w) = only("thermal", rows=rows, power=power), operands(rows)
    unit = electrons_per_product(core) * CHARGE * float(core.clock)
    expected = float(core.tia.noise_density) ** 2 * float(core.clock) / 2 / unit**2
    np.testing.assert_allclose(draw(core, x, w).var(axis=0), np.full(COLUMNS, expected), rtol=TOLERANCE)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("power", POWERS)
def test_rin_is_relative_to_each_source_and_shared_by_the_columns(rows, power):
    """Independent lasers: covariance of two outputs = 10**(RIN / 10) B sum_k x_k^2 w_ki w_kj."""
    core, (x, w) = only("rin", rows=rows, power=power, **{"source.rin": -110.0}), operands(rows)
    expected = 10**-11 * float(core.clock) / 2 * (w.T * x**2) @ w
    found = np.cov(draw(core, x, w), rowvar=False)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=TOLERANCE)


@pytest.mark.parametrize("rows", SIZES)
def test_dac_noise_is_shared_by_the_columns(rows):
    """A full-scale sine between dark and full drive has variance 1/8: sigma^2 = 1 / (8 x 1.5 x 4**ENOB) per source,
    less the twelfth of the step squared that the rounding of 8 bits would add."""
    core, (x, w) = only("dac_noise", rows=rows, **{"dac.enob": 5.0}), operands(rows)
    expected = w.T @ w * (1 / (8 * 1.5 * 4**5) - 1 / (12 * 255**2))
    found = np.cov(draw(core, x, w), rowvar=False)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=TOLERANCE)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("loading", [6.0, 24.0])
def test_adc_noise_is_counted_against_the_full_scale(rows, loading):
    """sigma = FS / (2 sqrt 2) 10**(-(6.02 ENOB + 1.76) / 20), FS peak to peak = 2 (1 + loading x expected rms), less
    the twelfth of the step squared of 10 bits."""
    core, (x, w) = only("adc_noise", rows=rows, **{"adc.loading": loading, "adc.enob": 6.0}), operands(rows)
    full_scale = 1 + loading * np.linalg.norm(x) * np.linalg.norm(w, axis=0) / np.sqrt(rows)
    sigma = 2 * full_scale / (2 * np.sqrt(2)) * 10 ** (-(6.02 * 6.0 + 1.76) / 20)
    expected = sigma**2 - (full_scale / 511) ** 2 / 12
    np.testing.assert_allclose(draw(core, x, w).var(axis=0), expected, rtol=TOLERANCE + 2e-3)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("bits", [5.0, 7.0])
@pytest.mark.parametrize("stage", ["dac", "mask", "adc"])
def test_quantisation_noise_is_a_twelfth_of_the_step_squared(rows, bits, stage):
    """D^2 / 12 per rounded number, summed with the other operand squared (Bennett 1948), over random operands."""
    effect = {"dac": "dac_rounding", "mask": "weight_rounding", "adc": "adc_rounding"}[stage]
    enob = {} if stage == "mask" else {f"{stage}.enob": bits}
    core = only(effect, rows=rows, **{f"{stage}.bits": bits} | enob)
    x = jax.random.uniform(jax.random.key(1), (1024, rows), minval=-1.0, maxval=1.0).at[:, 0].set(1.0)
    w = jax.random.uniform(jax.random.key(2), (rows, 32), minval=-1.0, maxval=1.0).at[0].set(1.0)
    y = multiply(core, x, w, jax.random.key(3))
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    error = np.asarray(y, np.float64) - x @ w
    step = 1 / (2**bits - 1)
    full_scale = 1 + (
        float(core.adc.loading) * np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=0)) / np.sqrt(rows)
    )
    expected = {
        "dac": step**2 / 12 * np.sum(w[1:] ** 2, axis=0)[None],
        "mask": step**2 / 12 * np.sum(x[:, 1:] ** 2, axis=1)[:, None],
        "adc": (full_scale / (2 ** (bits - 1) - 1)) ** 2 / 12,
    }[stage]
    # The mask's errors are frozen: 32 columns of `rows` of them, hence the looser bar.
    tolerance = {"dac": 0.06, "mask": 5 * np.sqrt(2 / 32), "adc": 0.06}[stage]
    assert np.mean(error**2 / expected) == pytest.approx(1.0, abs=tolerance)


@pytest.mark.parametrize("rows", SIZES)
def test_terms_add(rows):
    """All noise terms at once: the variance is the sum of the variances, roundings included."""
    names = ("shot", "thermal", "rin", "adc_noise", "dac_noise")
    x, w = operands(rows)
    alone = sum(draw(only(name, rows=rows), x, w).var(axis=0) for name in names)
    together = draw(only(*names, rows=rows), x, w).var(axis=0)
    np.testing.assert_allclose(together, alone, rtol=2 * TOLERANCE)


@pytest.mark.parametrize("photons", [20.0, 2000.0])
def test_gaussian_shot_noise_has_the_moments_of_counted_photons(photons):
    """NumPy counts photo-electrons product by product (Poisson, each rail for itself) and shares no code."""
    rows, draws = 64, 20_000
    x, w = operands(rows)
    core = only("shot", rows=rows)
    core = core.replace({"source.power": float(core.source.power) * photons / electrons_per_product(core)})
    counter = np.random.default_rng(5)
    rates = photons * np.abs(x)[:, None] * np.abs(w)
    counts = counter.poisson(rates, size=(draws, *rates.shape))
    counted = np.einsum("drc,rc->dc", counts, np.sign(x)[:, None] * np.sign(w)) / photons - x @ w
    gaussian = draw(core, x, w)
    np.testing.assert_allclose(gaussian.var(axis=0), counted.var(axis=0), rtol=2 * TOLERANCE)
    assert np.all(np.abs(counted.mean(axis=0) - gaussian.mean(axis=0)) < 5 * np.sqrt(2 * counted.var(axis=0) / DRAWS))
