"""Shot noise by counting, against photo-electrons that NumPy counts one product at a time, and the warning for others.

The bars are five standard errors, which a right program fails with probability below 6e-7 a comparison: of the
difference of two means, variances and skewnesses over n draws each, as in test_poisson.py, and of shares p,
sqrt(p (1 - p) / n).
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import optics
from optics import Effects, Encoding
from optics.core import counting

CHARGE, PLANCK, LIGHT = 1.602176634e-19, 6.62607015e-34, 299792458.0
ROWS, COLUMNS, VECTORS = 8, 4, 8192
DRAWS = VECTORS * COLUMNS
DARK = 0.2
KEY = jax.random.key(7)
X = np.array([1.0, -0.7, 0.5, -0.4, 0.3, 0.2, -0.6, 0.8])
W = np.array([0.9, 0.5, -1.0, 0.7, 0.2, -0.4, 0.6, -0.3])
CODES = {"pair": Encoding(), "one diode": Encoding(inputs="unsigned", weights="offset")}


def products(diodes: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(inputs, light of each product of a diode [rows] in full products, its sign on the pair)."""
    if diodes == "pair":
        return X, np.abs(X * W), np.sign(X * W)
    x = np.abs(X)
    return x, x * (1 + W) / 2, np.ones(ROWS)


def core_of(diodes: str, electrons: float, **changes) -> tuple[optics.TensorCore, float]:
    """(a core whose outputs get so many photo-electrons on the average diode, those of one full product)."""
    pair = diodes == "pair"
    core = optics.today(rows=ROWS, columns=COLUMNS).replace(
        {"effects": Effects.only("shot"), "encoding": CODES[diodes], "detector.counting": "poisson"}
    )
    full = electrons * (1 + pair) / products(diodes)[1].sum()
    loss = sum(float(n) for n in (core.space.fan_out_loss_db, core.mask.loss_db, core.space.fan_in_loss_db))
    photons = full * COLUMNS * (1 + pair) * 10 ** (loss / 10) / float(core.detector.quantum_efficiency)
    clock = float(core.clock)
    power = photons * PLANCK * LIGHT / float(core.source.wavelength) * clock
    return core.replace({"source.power": power, "detector.dark_current": DARK * CHARGE * clock} | changes), full


@jax.jit
def multiply(core, x, w, key):
    return core.matmul(x, w, key=key)


def operands(diodes: str) -> tuple[np.ndarray, np.ndarray]:
    x = products(diodes)[0]
    return np.tile(x.astype(np.float32), (VECTORS, 1)), np.tile(W.astype(np.float32)[:, None], (1, COLUMNS))


def electrons_of(y, diodes: str, full: float) -> np.ndarray:
    """Outputs as photo-electrons: those of the pair's difference, or of the one diode with its dark ones."""
    y = np.asarray(y, np.float64).ravel()
    return y * full if diodes == "pair" else (y + np.abs(X).sum()) / 2 * full + DARK


@pytest.mark.parametrize("electrons", [0.5, 3.0, 30.0])
@pytest.mark.parametrize("diodes", CODES)
def test_outputs_have_the_law_of_counted_photons(diodes, electrons):
    """Mean, variance, skewness, and the shares of no electrons and of the likeliest number; all numbers are whole."""
    core, full = core_of(diodes, electrons)
    found = electrons_of(multiply(core, *operands(diodes), KEY), diodes, full)
    random = np.random.default_rng(1)
    _, light, sign = products(diodes)
    counted = random.poisson(full * light, (DRAWS, ROWS)) @ sign + random.poisson(DARK, DRAWS)
    counted = counted - random.poisson(DARK, DRAWS) if diodes == "pair" else counted
    np.testing.assert_allclose(found, np.round(found), atol=2e-3)
    found, variance = np.round(found), counted.var()
    assert found.mean() == pytest.approx(counted.mean(), abs=5 * np.sqrt(2 * variance / DRAWS))
    assert found.var() / variance == pytest.approx(1, abs=5 * np.sqrt(2 * (2 + 1 / variance) / DRAWS))
    skewness = 5 * np.sqrt(12 / DRAWS) * (1 + 1 / np.sqrt(variance))
    assert stats.skew(found) == pytest.approx(stats.skew(counted), abs=skewness)
    for number in (0, np.median(counted)):
        share = np.mean(counted == number)
        bar = 5 * np.sqrt(2 * max(share, 1 / DRAWS) * (1 - share) / DRAWS)
        assert np.mean(found == number) == pytest.approx(share, abs=bar)


def test_counts_are_the_same_inside_and_outside_a_jit():
    core, _ = core_of("pair", 3.0)
    x, w = operands("pair")
    np.testing.assert_array_equal(multiply(core, x, w, KEY), core.matmul(x, w, key=KEY))
    assert not np.array_equal(multiply(core, x, w, KEY), multiply(core, x, w, jax.random.key(8)))


def test_the_share_of_shot_noise_scales_its_variance():
    x, w = operands("pair")
    exact = float(X @ W)
    variances = {}
    for share in (0.0, 0.25, 1.0):
        core, _ = core_of("pair", 3.0, **{"effects.shot": share})
        variances[share] = np.var(np.asarray(multiply(core, x, w, KEY), np.float64) - exact)
    assert variances[0.0] < 1e-10
    assert variances[0.25] / variances[1.0] == pytest.approx(0.25, rel=1e-3)


def test_the_gradient_is_a_finite_difference_of_the_mean():
    """Of E y^2 in the logarithm of the power, which falls as V = light / full: the gradient holds the draws and the
    difference does not. Over n draws each has the relative error sqrt((2 + 1 / 6) / n), the difference twice that over
    0.45, of V."""
    core, full = core_of("pair", 3.0, **{"detector.dark_current": 0.0})
    x, w = operands("pair")

    @jax.jit
    def square(factor, key):
        dim = core.replace({"source.power": core.source.power * factor})
        return jnp.mean(dim.matmul(x, w, key=key) ** 2)

    keys = jax.random.split(jax.random.key(0), 8)
    mean = lambda factor: np.mean([float(square(factor, key)) for key in keys])  # noqa: E731
    # Symmetrical in the ratio, so that the difference of 1 / power is exact.
    difference = (mean(1.25) - mean(0.8)) / 0.45
    gradient = np.mean([float(jax.grad(square)(1.0, key)) for key in keys[:2]])
    variance = products("pair")[1].sum() / full
    error = variance * np.sqrt((2 + 1 / 6) / (8 * DRAWS)) * np.hypot(np.sqrt(2) / 0.45, 2)
    cross = 2 * abs(X @ W) * np.sqrt(variance / (8 * DRAWS)) * np.hypot(np.sqrt(2) / 0.45, 2)
    assert gradient == pytest.approx(difference, abs=5 * (error + cross))
    assert 5 * (error + cross) < 0.15 * abs(difference)
    assert gradient == pytest.approx(-variance, abs=5 * (error + cross))


def gaussian(rows: int, electrons: float, **changes):
    """(a core of the physical limit with so many electrons expected of an output, operands cut at four sigma)."""
    core = optics.physical_limit(rows=rows, columns=32).replace({"source.mean_drive": 0.2})
    power = float(core.source.power) * electrons / float(counting.expected_electrons(core, rows))
    bell = [jax.random.truncated_normal(jax.random.key(k), -4, 4, s) / 4 for k, s in ((1, (64, rows)), (2, (rows, 32)))]
    # One full-scale entry each where the other operand is dark, so that the scales are one.
    x, w = bell[0].at[:, 0].set(1.0).at[:, 1].set(0.0), bell[1].at[1].set(1.0).at[0].set(0.0)
    return core.replace({"source.power": power} | changes), x, w


def test_readings_count_outputs_below_the_limit_and_the_estimate_is_near():
    core, x, w = gaussian(128, 36.0)
    _, seen = core.replace({"tia.noise_density": 1e-12}).observe(x, w, key=KEY)
    full = float(core.electrons)
    electrons = full * np.abs(np.asarray(x)) @ np.abs(np.asarray(w))
    assert float(seen.share_below_counting_limit()) == pytest.approx(np.mean(electrons < 36), abs=0.03)
    assert 0.1 < np.mean(electrons < 36) < 0.9
    assert float(seen.detected / seen.conversions) == pytest.approx(36, rel=0.1)


def test_a_vector_of_zeros_needs_no_light():
    core, x, w = gaussian(128, 1e4)
    _, seen = core.observe(x.at[:16].set(0.0), w.at[:, :4].set(0.0), key=KEY)
    assert float(seen.few_electrons) == 0


@pytest.mark.parametrize(
    ("electrons", "changes", "warned"),
    [
        (3.0, {}, True),
        (1e4, {}, False),
        (3.0, {"effects.shot": 0.0}, False),
        # 30 electrons of amplifier noise cover any counting statistics.
        (3.0, {"tia.noise_density": 30 * CHARGE * np.sqrt(2e9)}, False),
    ],
)
def test_a_warning_names_the_product_where_counting_matters(electrons, changes, warned):
    core, x, w = gaussian(128, electrons, **changes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jax.make_jaxpr(lambda core: core.observe(x, w, key=KEY)[0])(core)
        assert not [str(w.message) for w in caught if "photo-electrons" in str(w.message)]
        core.observe(x, w, key=KEY)
    messages = [str(w.message) for w in caught if "photo-electrons" in str(w.message)]
    assert bool(messages) == warned
    assert counting.matters(core) == (warned or electrons > 36)
    assert not counting.matters(core.replace({"detector.counting": "poisson"}))
    if warned:
        assert "128 x 32 weights: 100% of the outputs have fewer than 36" in messages[0]


def test_emulate_names_the_site_that_is_too_dim_without_running_diagnostics():
    """A core of 32 rows at half a photon per MAC: 0.5 x 0.8 or fewer electrons per product, some 5 per output."""
    dim = optics.with_photons_per_mac(optics.physical_limit(rows=32, columns=16), 0.5)
    x, params = jnp.ones((3, 32)), {"layer": jnp.ones((32, 8))}
    run = optics.emulate(lambda p, x: x @ p["layer"])
    with pytest.warns(UserWarning, match=r"000 layer 32x8: some .* photo-electrons are expected per output"):
        run(dim, KEY, params, x)
    with pytest.warns(UserWarning, match="000 layer 32x8: 100% of the outputs have fewer than 36"):
        optics.emulate(lambda p, x: x @ p["layer"], diagnostics=True)(dim, KEY, params, 0.01 * x.at[:, 0].set(100.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(dim.replace({"detector.counting": "poisson"}), KEY, params, x)
        run(optics.today(rows=32, columns=16), KEY, params, x)


@pytest.mark.parametrize("name", ["today", "physical_limit"])
def test_a_core_that_a_compiled_function_captures_is_looked_at(name):
    """Its numbers are concrete inside a trace of something else."""
    core, w, x = optics.preset(name, rows=16, columns=8), jnp.ones((16, 8)), jnp.ones((4, 16))
    run = optics.emulate(lambda p, x: x @ p)
    wanted = jax.jit(run)(core, KEY, w, x)
    np.testing.assert_allclose(jax.jit(lambda x: run(core, KEY, w, x))(x), wanted, rtol=1e-5)
    _, turns = jax.lax.scan(lambda carry, key: (carry, run(core, key, w, x)), 0.0, KEY[None])
    np.testing.assert_allclose(turns[0], wanted, rtol=1e-5)
