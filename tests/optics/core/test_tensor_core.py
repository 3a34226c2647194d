"""The core as a whole: exact where it must be, the same under every transformation, and never NaN."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import optics
from optics import Effects
from optics.datapath import tiling

KEY = jax.random.key(0)
# Of one structure, so that what is compiled for one serves all; test_nonidealities.py draws others.
SCENARIOS = ("today", "projected_2029", "physical_limit", "ideal")


@pytest.fixture(scope="module")
def operands():
    x = jax.random.normal(jax.random.key(1), (33, 300))
    w = jax.random.normal(jax.random.key(2), (300, 70))
    return x, w


def small(core: optics.TensorCore, rows: int = 128, columns: int = 32) -> optics.TensorCore:
    return dataclasses.replace(core, rows=rows, columns=columns)


def distance(a, b) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def assert_same_but_for_ties(a, b) -> None:
    """Equal up to float32, but for the few numbers whose sum, taken in another order, rounds to the next ADC code."""
    a, b = np.asarray(a), np.asarray(b)
    close = np.isclose(a, b, rtol=1e-4, atol=1e-4 * np.std(b))
    assert close.mean() > 0.98
    assert distance(a, b) < 2e-3


@pytest.mark.parametrize(("rows", "columns"), [(1024, 1024), (300, 70), (128, 32), (7, 3), (1, 1)])
def test_ideal_core_is_exact_however_it_is_tiled(operands, rows, columns):
    x, w = operands
    y = small(optics.ideal(), rows, columns).matmul(x, w, key=KEY)
    truth = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    assert distance(y, truth) < 1e-6


@pytest.mark.parametrize(
    ("rows", "columns", "tiles"),
    [(576, 576, (1, 576, 1, 576)), (1536, 576, (2, 768, 1, 576)), (1025, 2049, (2, 513, 3, 683)), (1, 1, (1, 1, 1, 1))],
)
def test_tiles_are_few_and_equal(rows, columns, tiles):
    assert tiling.fit(rows, columns, 1024, 1024)[:4] == tiles


def test_leading_dimensions_are_kept_and_numpy_will_do(operands):
    x, w = (np.asarray(operand, np.float64) for operand in operands)
    core = small(optics.today())
    flat = core.matmul(x, w, key=KEY)
    np.testing.assert_array_equal(core.matmul(x.reshape(3, 11, 300), w, key=KEY), flat.reshape(3, 11, 70))
    assert core.matmul(x[0], w, key=KEY).shape == (70,)
    assert core.observe(x.reshape(3, 11, 300), w, key=KEY)[0].shape == (3, 11, 70)


def test_tiles_put_together_give_the_product(operands):
    x, w = operands
    tiles = tiling.fit(*w.shape, 128, 32)
    xs, ws = tiling.cut_inputs(x, tiles), tiling.cut_weights(w, tiles)
    y = np.concatenate([sum(np.asarray(a @ b) for a, b in zip(xs, column, strict=True)) for column in ws], axis=1)
    np.testing.assert_allclose(y[:, :70], x @ w, rtol=1e-4, atol=1e-4)


def test_partial_sums_carry_independent_noise_that_adds_in_variance(operands):
    """Thermal noise alone: n row tiles give n times the variance of one.

    One number, the mean over 33 x 70 outputs: standard error of its ratio to 3 is below 0.05; the bar is five.
    """
    x, w = operands
    noisy = optics.today().replace({"effects": Effects.uniform(0.0), "effects.thermal": 1.0, "adc.loading": 1e4})
    exact = optics.ideal().matmul(x, w, key=KEY)

    def variance(core):
        return float(jnp.mean((core.matmul(x, w, key=KEY) - exact) ** 2 / jnp.max(jnp.abs(w), axis=0)[None] ** 2))

    assert variance(small(noisy, 100, 1024)) / variance(small(noisy, 300, 1024)) == pytest.approx(3.0, abs=0.25)


@pytest.mark.parametrize("name", ["today", "lightmatter_2025", "ideal"])
def test_jit_is_no_jit(operands, name):
    core = small(optics.preset(name))
    eager = core.matmul(*operands, key=KEY)
    jitted = jax.jit(lambda core, x, w, key: core.matmul(x, w, key=key))(core, *operands, KEY)
    assert_same_but_for_ties(jitted, eager)


def test_vmap_over_cores_is_a_loop(operands):
    cores = [
        small(optics.today().replace({"adc.enob": b, "source.power": p})) for b, p in ((4, 1e-3), (6, 0.1), (9, 1))
    ]
    stack = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *cores)
    run = jax.jit(lambda core: core.matmul(*operands, key=KEY))
    for one, core in zip(jax.jit(jax.vmap(run))(stack), cores, strict=True):
        assert_same_but_for_ties(one, run(core))


def test_same_key_same_noise_other_key_other_noise(operands):
    noises = ("dac_noise", "rin", "shot", "thermal", "adc_noise", "adc_rounding")
    core = small(optics.today()).replace({"effects": Effects.only(*noises)})
    first, again = (core.matmul(*operands, key=KEY) for _ in range(2))
    other = core.matmul(*operands, key=jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    exact = optics.ideal().matmul(*operands, key=KEY)
    correlation = np.corrcoef(np.ravel(first - exact), np.ravel(other - exact))[0, 1]
    # The codes are common to both; the noise is not.
    assert abs(correlation) < 0.2


def test_noise_is_independent_between_vectors_columns_and_tiles():
    """Correlation of n = 4,096 pairs of independent errors has standard error 1 / sqrt(n); the bar is five of them."""
    core = optics.today(rows=64, columns=64).replace({"effects": Effects.uniform(0.0), "effects.thermal": 1.0})
    x, w = jnp.ones((4096, 128)), jnp.ones((128, 128))
    error = np.asarray(core.matmul(x, w, key=KEY) - 128.0, np.float64)
    for a, b in (((0, 0), (0, 1)), ((0, 0), (0, 64))):
        assert abs(np.corrcoef(error[:, a[1]], error[:, b[1]])[0, 1]) < 5 / np.sqrt(4096)
    assert abs(np.corrcoef(error[:-1, 0], error[1:, 0])[0, 1]) < 5 / np.sqrt(4096)


def test_linear_in_the_light_without_effects(operands):
    x, w = operands
    core = small(optics.ideal())
    np.testing.assert_allclose(core.matmul(3 * x, w, key=KEY), 3 * core.matmul(x, w, key=KEY), rtol=1e-5, atol=1e-4)


def test_rows_permuted_with_the_mask_change_nothing_but_the_noise(operands):
    x, w = operands
    order = jax.random.permutation(jax.random.key(5), 300)
    core = optics.ideal()
    np.testing.assert_allclose(core.matmul(x[:, order], w[order], key=KEY), core.matmul(x, w, key=KEY), atol=1e-4)


@jax.jit
def observed(core, x, w, key):
    return core.observe(x, w, key=key)


@settings(max_examples=60, deadline=None)
@given(
    scale=st.floats(-30, 30),
    shape=st.sampled_from([(1, 1, 1), (3, 40, 9), (2, 17, 4)]),
    name=st.sampled_from(SCENARIOS),
    seed=st.integers(0, 2**16),
)
def test_never_nan_at_any_scale_with_zero_rows_and_constant_columns(scale, shape, name, seed):
    vectors, rows, columns = shape
    noise = np.random.default_rng(seed)
    x = (noise.normal(size=(vectors, rows)) * 10.0**scale).astype(np.float32)
    w = noise.normal(size=(rows, columns)).astype(np.float32)
    x[0], w[:, 0] = 0.0, 1.0
    y, seen = observed(small(optics.preset(name), 16, 4), x, w, jax.random.key(seed))
    assert np.all(np.isfinite(y))
    assert np.all(np.asarray(y)[0] == 0)
    assert np.isfinite(seen.clip_rate()) and np.isfinite(seen.mean_drive())


def test_gradient_in_the_operands_is_that_of_the_product(operands):
    """Straight-through: with rounding and noise on, the gradient stays that of x @ w up to the noise."""
    x, w = operands
    core = small(optics.physical_limit(effective_bits=10).replace({"adc.loading": 40.0}))

    @jax.jit
    def gradients(core):
        return jax.grad(lambda x, w: jnp.sum(jnp.sin(core.matmul(x, w, key=KEY) / 20)), (0, 1))(x, w)

    exact = jax.grad(lambda x, w: jnp.sum(jnp.sin(x @ w / 20)), (0, 1))(x, w)
    for rough, smooth, truth in zip(gradients(core), gradients(optics.ideal(core)), exact, strict=True):
        assert distance(rough, truth) < 0.1
        assert distance(smooth, truth) < 1e-5


@pytest.fixture(scope="module")
def squared_error(operands):
    exact = optics.ideal().matmul(*operands, key=KEY)

    def error(core):
        return jnp.mean((core.matmul(*operands, key=KEY) - exact) ** 2)

    return jax.jit(jax.value_and_grad(error))


@pytest.mark.parametrize(
    "name",
    [
        "clock",
        "source.power",
        "source.rin",
        "mask.loss_db",
        "detector.quantum_efficiency",
        "tia.noise_density",
        "adc.enob",
    ],
)
def test_gradient_in_the_hardware_is_a_finite_difference(squared_error, name):
    """Noise is reparametrised, so with the key held a hardware parameter has a derivative; roundings are off."""
    roundings = ("dac_rounding", "weight_rounding", "adc_rounding")
    noisy = small(optics.today(effective_bits=4)).replace({f"effects.{effect}": 0.0 for effect in roundings})
    at = float(noisy.numbers()[name])
    step = 0.005 * abs(at)
    above, below = (squared_error(noisy.replace({name: at + shift}))[0] for shift in (step, -step))
    gradient = float(squared_error(noisy)[1].numbers()[name])
    assert gradient == pytest.approx(float(above - below) / (2 * step), rel=0.03)
    assert gradient != 0


def test_readings_are_those_of_the_errors_that_were_made(operands):
    x, w = operands
    core = small(optics.today())
    y, seen = core.observe(x, w, key=KEY)
    # The same draw: two programs differ in the last bits, and a noise of their own would be 1e4 times as large.
    np.testing.assert_allclose(y, core.matmul(x, w, key=KEY), rtol=1e-5, atol=1e-5)
    exact = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    error = np.asarray(y, np.float64) - exact
    assert float(seen.snr_db()) == pytest.approx(10 * np.log10(np.sum(exact**2) / np.sum(error**2)), abs=0.01)
    rho = np.sqrt(np.mean(exact**2)) / np.mean(np.abs(x) @ np.abs(w))
    assert float(seen.rho()) == pytest.approx(rho, rel=1e-3)
    drive = np.abs(x) / np.abs(x).max(axis=1, keepdims=True)
    assert float(seen.mean_drive()) == pytest.approx(float(drive.mean()), rel=1e-4)
    # Inputs pass once for each of 3 column tiles; each output is converted once for each of 3 row tiles.
    assert float(seen.inputs) == 33 * 300 * 3
    assert float(seen.conversions) == 33 * 72 * 3


def test_enob_against_full_scale_is_the_adcs_own_where_nothing_else_acts(operands):
    core = optics.today().replace({"effects": Effects.uniform(0.0), "effects.adc_noise": 1.0, "adc.enob": 6.5})
    x, w = operands
    # 37,000 conversions: the standard error of the bits is 0.005.
    _, seen = core.observe(jnp.tile(x, (16, 1)), w, key=KEY)
    assert float(seen.enob_full_scale()) == pytest.approx(6.5, abs=0.05)
    # The same product is far worse against its own rms: the loading is lost, 20 log10(12 / sqrt 2) = 18.6 dB.
    assert float(seen.snr_db()) == pytest.approx(6.02 * 6.5 + 1.76 - 18.6, abs=1.0)


@pytest.mark.parametrize(("bits", "enob"), [(8, 8.0), (10, 8.0), (8, 6.5), (7, 6.0)])
def test_converters_have_their_enob_through_a_whole_product(operands, bits, enob):
    """Rounding and additive noise of the ADC together, against full scale; 37,000 conversions, as above.

    The rounding alone of 8 bits has log2(254) = 7.989.
    """
    acting = Effects.only("adc_noise", "adc_rounding", "adc_clipping")
    core = optics.today().replace({"effects": acting, "adc.bits": bits, "adc.enob": enob})
    x, w = operands
    _, seen = core.observe(jnp.tile(x, (16, 1)), w, key=KEY)
    assert float(seen.enob_full_scale()) == pytest.approx(enob, abs=0.05)


@pytest.mark.parametrize(("bits", "enob"), [(8, 8.0), (10, 8.0), (8, 7.5), (8, 6.0)])
def test_dacs_have_their_enob_through_a_whole_product(bits, enob):
    """A sine between dark and full drive beside an input that is always full and that no weight sees.

    IEEE 1241's fit over 2^15 samples: standard error below 0.006 bits.
    """
    phase = 2 * np.pi * 1021 * np.arange(2**15) / 2**15
    x = np.stack([np.ones_like(phase), 0.5 + 0.5 * np.sin(phase)], axis=1).astype(np.float32)
    core = optics.today(rows=2, columns=1).replace(
        {"effects": Effects.only("dac_noise", "dac_rounding"), "dac.bits": bits, "dac.enob": enob}
    )
    y = np.asarray(core.matmul(x, np.array([[0.0], [1.0]], np.float32), key=KEY), np.float64)[:, 0]
    basis = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], axis=1)
    residual = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    assert np.log2(1 / (np.sqrt(12) * residual.std())) == pytest.approx(enob, abs=0.03)


def test_crest_factor_is_that_of_the_inputs(operands):
    """Largest over rms of each vector, the mean over vectors taken of its inverse square."""
    x, w = operands
    _, seen = observed(small(optics.today()), x, w, jax.random.key(0))
    vectors = np.asarray(x, np.float64)
    inverse = np.mean(vectors**2, axis=1) / np.max(np.abs(vectors), axis=1) ** 2
    assert float(seen.crest_factor()) == pytest.approx(np.mean(inverse) ** -0.5, rel=1e-5)


def test_clip_rate_counts_what_is_out_of_range(operands):
    """Gaussian products loaded to one sigma and a full product: P(|z| > 1 + product / sigma), 0.05 for the draw."""
    x, w = (np.asarray(operand, np.float64) for operand in operands)
    one = np.outer(np.abs(x).max(axis=1), np.abs(w).max(axis=0))
    sigma = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=0)) / np.sqrt(w.shape[0])
    expected = np.mean(2 * stats.norm.sf(1 + one / sigma))
    _, seen = optics.ideal().replace({"adc.loading": 1.0}).observe(*operands, key=KEY)
    assert float(seen.clip_rate()) == pytest.approx(expected, abs=0.05)
    assert expected > 0.1


def test_a_product_that_one_outlier_rules_does_not_clip():
    """A massive activation meets a massive weight: their product is no sum of many terms, and must fit all the same."""
    x, w = jnp.full((1, 1024), 1e-3).at[0, 7].set(1000.0), jnp.full((1024, 1), 1e-3).at[7, 0].set(50.0)
    y, seen = optics.ideal().replace({"effects.adc_clipping": 1.0}).observe(x, w, key=KEY)
    assert float(seen.clipped) == 0
    assert float(y[0, 0]) == pytest.approx(50_000, rel=1e-3)


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        (jnp.ones((2, 3)), jnp.ones((4, 5)), "the same rows; x has shape"),
        (jnp.ones(3), jnp.ones((3, 5, 2)), "x must be"),
        (jnp.float32(3), jnp.ones((3, 5)), "x must be"),
        (jnp.ones((2, 0)), jnp.ones((0, 5)), "every dimension must be at least 1"),
        (jnp.ones((2, 3)), jnp.ones((3, 0)), "every dimension must be at least 1"),
        (jnp.ones((2, 3)), jnp.ones((3, 2)).at[1, 1].set(jnp.nan), "w must be finite"),
        (jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 2)), "x and w must be float32"),
    ],
)
def test_operands_that_cannot_be_multiplied_are_refused(x, w, message):
    with pytest.raises(ValueError, match=message):
        optics.today().matmul(x, w, key=KEY)
