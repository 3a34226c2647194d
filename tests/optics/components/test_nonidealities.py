"""Each imperfection alone against its law, written here in float64 from the physics and not from the product.

Operands are of unlike size: physics acts on light, where every vector at its largest input is as bright as any other,
and every column at its largest weight as clear. So truth is computed on u = x / max |x| and t = w / max |w|, and the
scales come on top. Frozen patterns are measured through the light, by single inputs. One shape serves all: only
leaves change. Statistics over n draws have a bar of five standard errors, which a right program fails with
probability 6e-7: sqrt(2 / n) for a variance, 1 / sqrt(n) standard deviations for a mean.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import optics
from optics import Effects, Encoding

CHARGE, PLANCK, LIGHT, BOLTZMANN, KELVIN = 1.602176634e-19, 6.62607015e-34, 299792458.0, 1.380649e-23, 300.0
DRAWS, ROWS, COLUMNS = 4096, 64, 16
KEY = jax.random.key(7)
TOLERANCE = 5 * np.sqrt(2 / DRAWS)


def only(*effects: str, **leaves) -> optics.TensorCore:
    """A core of 64 x 16 on which the named effects act and no other."""
    return optics.today(rows=ROWS, columns=COLUMNS).replace({"effects": Effects.only(*effects)} | leaves)


# LLVM's optimisations left out: for programs that are compiled to be run a few times.
quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@jax.jit
def multiply(core, x, w, key):
    return core.matmul(x, w, key=key)


@quickly
def multiply_once(core, x, w, key):
    return core.matmul(x, w, key=key)


def operands(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """x [DRAWS, ROWS] over four decades, vector by vector, and w [ROWS, COLUMNS] over two, column by column."""
    noise = np.random.default_rng(seed)
    x = noise.normal(size=(DRAWS, ROWS)) * 10.0 ** noise.uniform(-2, 2, (DRAWS, 1))
    w = noise.normal(size=(ROWS, COLUMNS)) * 10.0 ** noise.uniform(-1, 1, COLUMNS)
    return x.astype(np.float32), w.astype(np.float32)


def normalised(x, w):
    """(u, t, scale): inputs and weights within [-1, 1], and what a full product stands for [vectors, columns]."""
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    x_scale, w_scale = np.abs(x).max(axis=1, keepdims=True), np.abs(w).max(axis=0)
    x_scale, w_scale = np.where(x_scale > 0, x_scale, 1), np.where(w_scale > 0, w_scale, 1)
    return x / x_scale, w / w_scale, x_scale * w_scale


def seen(core, x, w, key=KEY) -> np.ndarray:
    """What the core gives, in units of a full product, float64; x is filled up with vectors like its last."""
    full = np.concatenate([x, np.repeat(x[-1:], DRAWS - len(x), axis=0)]).astype(np.float32)
    usual = core.adc.noise == "gaussian" and core.adc.span == "norms"
    run = multiply if usual else multiply_once
    y = np.asarray(run(core, full, np.asarray(w, np.float32), key), np.float64)[: len(x)]
    return y / normalised(x, w)[2]


def assert_law(core, law, rtol: float = 1e-4) -> None:
    """The core's outputs are law(u, t), with errors counted against sum |u| |t|, and differ from u @ t."""
    x, w = operands()
    u, t, _ = normalised(x, w)
    found, size = seen(core, x, w), np.abs(u) @ np.abs(t)
    np.testing.assert_array_less(np.abs(found - law(u, t)) / size, rtol)
    assert np.max(np.abs(u @ t - law(u, t)) / size) > 10 * rtol


def one_vector(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The same signed input DRAWS times, and weights of unlike columns."""
    noise = np.random.default_rng(seed)
    x, (_, w) = noise.normal(size=ROWS), operands(seed)
    return np.tile(x.astype(np.float32) * 30, (DRAWS, 1)), w


def noise_of(core, x, w, key=KEY) -> np.ndarray:
    u, t, _ = normalised(x, w)
    return seen(core, x, w, key) - u @ t


def electrons(core) -> float:
    """Photo-electrons of a full product in a symbol, by hand: a source lights two pixels a column."""
    loss = 10 ** (-float(core.space.fan_out_loss_db + core.mask.loss_db + core.space.fan_in_loss_db) / 10)
    photons = float(core.source.power) * loss / (2 * COLUMNS) * float(core.source.wavelength) / (PLANCK * LIGHT)
    return float(core.detector.quantum_efficiency) * photons / float(core.clock)


def banded(places: int, earlier: float, later: float) -> np.ndarray:
    """[from, to]: a channel gives these shares of its light to its neighbours and keeps the rest."""
    return (
        np.diag(np.full(places, 1 - earlier - later))
        + np.diag([earlier] * (places - 1), -1)
        + np.diag([later] * (places - 1), 1)
    )


SINGLE = np.concatenate([np.eye(ROWS), -np.eye(ROWS)]).astype(np.float32)
CLEAR = np.ones((ROWS, COLUMNS), np.float32)
DEVICES = range(32)


# --- Sources ---


def test_source_gains_spread_by_rail_and_are_the_devices_own():
    """Single inputs on either rail: 2 x 64 gains, N(1, 0.1), the same in all columns; 32 devices, n = 4,096."""
    core = only("source_mismatch", **{"source.gain_mismatch": 0.1, "source.offset_mismatch": 0.0})
    found = []
    for device in DEVICES:
        gains = seen(core.replace({"device": device}), SINGLE, CLEAR) * np.repeat([1, -1], ROWS)[:, None]
        np.testing.assert_allclose(gains, gains[:, :1] * np.ones(COLUMNS), rtol=1e-5)
        found.append(gains[:, 0])
    found = np.array(found)
    assert found.std() == pytest.approx(0.1, rel=TOLERANCE / 2)
    assert found.mean() == pytest.approx(1, abs=5 * 0.1 / np.sqrt(found.size))
    # Neither devices nor rails nor neighbours have anything in common; 5 / sqrt(n) each.
    rails = found.reshape(len(DEVICES), 2, ROWS) - 1
    for a, b in ((found[:-1], found[1:]), (rails[:, 0], rails[:, 1]), (rails[..., 1:], rails[..., :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_source_offsets_are_light_of_what_should_be_dark():
    """A column clear at one row, with the other inputs dark: the offsets of its two rails, neither below nothing.

    max(a, 0) - max(b, 0) of two N(0, s): variance s^2 (1 - 1 / pi), mean 0. A source at half drive takes its whole
    offset, of either sign: variance s^2 (3 / 2 - 1 / (2 pi)), mean -s / sqrt(2 pi) from the dark rail.
    """
    core = only("source_mismatch", **{"source.gain_mismatch": 0.0, "source.offset_mismatch": 0.02})
    w = np.eye(ROWS)[:, :COLUMNS] + 0 * CLEAR
    x = np.zeros((2, ROWS), np.float32)
    x[:, -1] = 1.0
    x[1, :COLUMNS] = 0.5
    dark, lit = np.array([seen(core.replace({"device": d}), x, w) for d in DEVICES]).transpose(1, 0, 2).reshape(2, -1)
    lit = lit - 0.5
    # Heavier tails than a Gaussian's: the variance's relative standard error is below 2 / sqrt(n).
    assert dark.var() == pytest.approx(0.02**2 * (1 - 1 / np.pi), rel=5 * 2 / np.sqrt(dark.size))
    assert lit.var() == pytest.approx(0.02**2 * (1.5 - 0.5 / np.pi), rel=5 * 2 / np.sqrt(lit.size))
    assert abs(dark.mean()) < 5 * dark.std() / np.sqrt(dark.size)
    assert lit.mean() == pytest.approx(-0.02 / np.sqrt(2 * np.pi), abs=5 * lit.std() / np.sqrt(lit.size))


def test_a_pattern_stays_while_noise_differs_between_calls_and_sites():
    """Two sites and two keys: without noise the same errors to the last bit, with it the same mean and other noise."""
    quiet = only("source_mismatch", "mask_mismatch", "detector_mismatch", **{"tia.noise_density": 1e-10})
    run = quickly(optics.emulate(lambda w, x: (x @ w, x @ w)))
    x, w = one_vector()
    first, again = (run(quiet, jax.random.key(seed), w, x) for seed in (1, 2))
    for other in (first[1], *again):
        np.testing.assert_array_equal(first[0], other)
    noisy = quiet.replace({"effects.thermal": 1.0})
    calls = [*run(noisy, jax.random.key(1), w, x), *run(noisy, jax.random.key(2), w, x)]
    noise = [np.asarray(y, np.float64) - np.asarray(first[0], np.float64) for y in calls]
    for number, a in enumerate(noise):
        assert np.all(np.abs(a.mean(axis=0)) < 5 * a.std(axis=0) / np.sqrt(DRAWS))
        for b in noise[:number]:
            assert abs(np.corrcoef(a[:, 0], b[:, 0])[0, 1]) < 5 / np.sqrt(DRAWS)
    assert np.any(np.asarray(run(quiet.replace({"device": 1}), jax.random.key(1), w, x)[0]) != first[0])


def test_rin_in_common_moves_all_outputs_together():
    """y (1 + d): covariance 10**(RIN / 10) B y_i y_j, of rank one; half in common adds half of the sources' own."""
    x, w = one_vector()
    u, t, _ = normalised(x[:1], w)
    y, variance = (u @ t)[0], 10**-10.5 * 1e9 / 2
    own = (t.T * u[0] ** 2) @ t
    for share in (1.0, 0.5, 0.0):
        found = noise_of(only("rin", **{"source.rin": -105.0, "source.rin_in_common": share}), x, w)
        expected = variance * (share * np.outer(y, y) + (1 - share) * own)
        size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        np.testing.assert_allclose(np.cov(found, rowvar=False) / size, expected / size, atol=TOLERANCE)
        if share == 1:
            np.testing.assert_allclose(found, np.outer(found[:, 0] / y[0], y), atol=1e-4 * np.abs(y).max())


def test_dac_inl_bends_the_drive_by_its_peak_and_keeps_the_ends():
    """x + INL (3 sqrt 3 / 2) x (1 - x^2): dark and full drive stay, at 1 / sqrt 3 the error is INL, odd in x."""
    core = only("dac_nonlinearity", **{"dac.inl": 0.05})
    x = np.zeros((4, ROWS), np.float32)
    x[:, 0], x[:, 1] = 1.0, (0.0, 1.0, 3**-0.5, -(3**-0.5))
    w = 0.001 * CLEAR
    w[0], w[1, 0], w[0, 1] = 0.0, 2.0, 3.0
    found = seen(core, x, w)
    np.testing.assert_allclose(found[:, 0], [0, 1, 3**-0.5 + 0.05, -(3**-0.5) - 0.05], atol=1e-6)
    np.testing.assert_allclose(found[:, 1], 1 + 0.001 / 3 * found[:, 0], atol=1e-5)
    assert_law(core, lambda u, t: (u + 0.05 * 1.5 * 3**0.5 * u * (1 - u**2)) @ t)


def test_lit_sources_follow_the_curve_that_the_table_leaves():
    """Threshold moved by -1 % of full drive since the table was made: light v + 0.01 slope, v = (u - 0.2) / 0.8."""
    core = only("linearisation", **{"transfer.threshold": 0.2, "transfer.rollover": 0.0, "transfer.bias_error": -0.01})
    assert_law(core, lambda u, t: (np.sign(u) * np.maximum(np.abs(u) - 0.01 / 0.8, 0)) @ t, rtol=1e-3)


# --- Free space ---


def test_vignetting_falls_with_the_square_of_the_distance_from_the_axis():
    r, c = np.linspace(-1, 1, ROWS), np.linspace(-1, 1, COLUMNS)
    law = lambda u, t: ((u * (1 - 0.3 * r**2)) @ t) * (1 - 0.3 * c**2)  # noqa: E731
    assert_law(only("vignetting", **{"space.vignetting": 0.3}), law)


def test_light_lost_to_vignetting_makes_no_shot_noise():
    """What arrives is counted, sum |u| |t| (1 - v r^2) (1 - v c^2) electrons a product: the variance of the count."""
    core = only("shot", "vignetting", **{"space.vignetting": 0.6, "detector.dark_current": 0.0, "source.power": 1e-6})
    x, w = one_vector()
    u, t, _ = normalised(x[:1], w)
    r, c = np.linspace(-1, 1, ROWS), np.linspace(-1, 1, COLUMNS)
    variance = ((np.abs(u) * (1 - 0.6 * r**2)) @ np.abs(t))[0] * (1 - 0.6 * c**2) / electrons(core)
    np.testing.assert_allclose(seen(core, x, w).var(axis=0), variance, rtol=TOLERANCE)


INPUT_SHARES = {"space.input_crosstalk_earlier": 0.03, "space.input_crosstalk_later": 0.07}
OUTPUT_SHARES = {"space.output_crosstalk_earlier": 0.02, "space.output_crosstalk_later": 0.05, "space.rail_leak": 0.0}


def test_input_crosstalk_is_a_banded_matrix_before_the_mask():
    """Single inputs through a mask with one clear pixel a column read the matrix off; any input passes it."""
    core, matrix = only("input_crosstalk", **INPUT_SHARES), banded(ROWS, 0.03, 0.07)
    np.testing.assert_allclose(seen(core, SINGLE, np.eye(ROWS)[:, :COLUMNS])[:ROWS], matrix[:, :COLUMNS], atol=1e-6)
    assert_law(core, lambda u, t: u @ matrix @ t)


def test_output_crosstalk_is_a_banded_matrix_behind_the_mask():
    """Light leaks, whatever each column's numbers stand for: (u @ t) C, and then the scales of the columns."""
    core, matrix = only("output_crosstalk", **OUTPUT_SHARES), banded(COLUMNS, 0.02, 0.05)
    # Columns of one scale, each with a single clear pixel, beside a row that sets the scale of all.
    np.testing.assert_allclose(seen(core, SINGLE[:COLUMNS], np.eye(ROWS)[:, :COLUMNS] + 0 * CLEAR), matrix, atol=1e-6)
    assert_law(core, lambda u, t: (u @ t) @ matrix)


def test_rail_leak_takes_twice_its_share_from_the_difference():
    quiet = dict.fromkeys(OUTPUT_SHARES, 0.0)
    core = only("output_crosstalk", **quiet | {"space.rail_leak": 0.02})
    assert_law(core, lambda u, t: (u @ t) * (1 - 2 * 0.02))


def interference(share: float, coherence: float = 1.0) -> optics.TensorCore:
    return only(
        "input_crosstalk",
        **{
            "space.input_crosstalk_earlier": 0.0,
            "space.input_crosstalk_later": share,
            "space.coherence": coherence,
        },
    )


def test_coherent_crosstalk_is_the_square_of_the_sum_of_the_fields():
    """|sqrt(1 - s) a + sqrt(s) b exp(i phi)|^2 for fields a, b of neighbours; all powers, at any scale of the input.

    Each channel's cos(phi) is read off from equal powers; phases are uniform, so its mean is 0 and its variance 1/2.
    At -40 dB of power the interference is up to 2 sqrt(1e-4) = 2 % of the light.
    """
    w = np.eye(ROWS)[:, :COLUMNS]
    noise = np.random.default_rng(4)
    power = noise.uniform(0.05, 1, (DRAWS, ROWS))
    power[:, -1] = 1.0
    ones = np.ones((1, ROWS), np.float32)
    cosines = []
    for device in DEVICES:
        core = interference(1e-4).replace({"device": device})
        cosines.append((seen(core, ones, w)[0, 1:] - 1) / 2e-2)
    assert np.max(np.abs(cosines)) <= 1.001
    assert np.max(np.abs(cosines)) > 0.99
    assert np.mean(cosines) == pytest.approx(0, abs=5 * np.sqrt(0.5 / np.size(cosines)))
    assert np.var(cosines) == pytest.approx(0.5, rel=5 / np.sqrt(np.size(cosines)))
    own, leaked = power[:, 1:COLUMNS], power[:, : COLUMNS - 1]
    for share in (1e-4, 0.04, 0.2):
        found = seen(interference(share).replace({"device": DEVICES[-1]}), power, w)[:, 1:]
        law = (1 - share) * own + share * leaked + 2 * np.sqrt(share * (1 - share) * own * leaked) * cosines[-1]
        np.testing.assert_allclose(found, law, atol=2e-4, err_msg=f"share {share}")


def test_interference_knows_no_scale_of_the_inputs():
    """Light is light: inputs of 1e-25 and 1e25 interfere as those of 1 do."""
    core, w = interference(0.04), np.eye(ROWS)[:, :COLUMNS]
    x = np.random.default_rng(4).uniform(0.05, 1, (8, ROWS))
    for scale in (1e-25, 1e25):
        np.testing.assert_allclose(seen(core, x * scale, w), seen(core, x, w), rtol=1e-4)


def test_incoherent_channels_add_their_powers():
    matrix = banded(ROWS, 0.0, 1e-2)
    assert_law(interference(1e-2, coherence=0.0), lambda u, t: u @ matrix @ t, rtol=1e-5)


def test_interference_never_takes_more_light_than_there_is():
    """A channel a that its neighbour's leakage, as strong, extinguishes: nothing is left, and no less than nothing."""
    core = interference(0.3).replace({"space.input_crosstalk_earlier": 0.3})
    x = np.ones((1, ROWS))
    for weak in (0.3, 0.5, 0.7):
        x[0, 1::2] = weak
        assert seen(core, x, np.eye(ROWS)[:, :COLUMNS]).min() > -1e-6


def test_stray_light_adds_shot_noise_and_no_mean():
    """s of a clear pixel's light on each diode from each source: variance sum |u| (|t| + 2 s) over the electrons."""
    core = only("shot", "stray_light", **{"space.stray_light": 0.2, "detector.dark_current": 0.0, "source.power": 1e-6})
    x, w = one_vector()
    u, t, _ = normalised(x[:1], w)
    found = noise_of(core, x, w)
    variance = (np.abs(u) @ (np.abs(t) + 2 * 0.2))[0] / electrons(core)
    np.testing.assert_allclose(found.var(axis=0), variance, rtol=TOLERANCE)
    assert np.all(np.abs(found.mean(axis=0)) < 5 * np.sqrt(variance / DRAWS))


# --- Mask ---


def test_pixel_mismatch_spreads_each_weight_by_its_share():
    """t (1 + s z): relative errors N(0, s) of every pixel of either rail, and of a product sum u^2 t^2 s^2."""
    core = only("mask_mismatch", **{"mask.mismatch": 0.05})
    noise = np.random.default_rng(6)
    w = noise.uniform(0.2, 1, (ROWS, COLUMNS)) * noise.choice([-1, 1], (ROWS, COLUMNS))
    exact = normalised(SINGLE[:ROWS], w)[1]
    plus, minus = (seen(core, SINGLE[:ROWS], sign * w) / (sign * exact) - 1 for sign in (1, -1))
    for errors in (plus, minus):
        assert errors.std() == pytest.approx(0.05, rel=5 * np.sqrt(0.5 / errors.size))
        assert errors.mean() == pytest.approx(0, abs=5 * 0.05 / np.sqrt(errors.size))
    # A weight of the other sign stands on the other rail's pixel.
    assert abs(np.corrcoef(plus.ravel(), minus.ravel())[0, 1]) < 5 / np.sqrt(plus.size)
    x, _ = one_vector()
    u, t, _ = normalised(x[:1], w)
    found = np.array([noise_of(core.replace({"device": d}), x[:1], w)[0] for d in range(64)])
    variance = 0.05**2 * (u**2 @ t**2)[0]
    assert np.mean(found**2 / variance) == pytest.approx(1, abs=5 * np.sqrt(2 / found.size))


def test_one_bright_pixel_blurs_into_its_four_neighbours():
    """b of its light to the neighbours in row and column, a quarter each; at the edge of the plane it is lost.

    A column of weights that stand for less is as bright: the scale of each column is set by a row of clear pixels.
    """
    core = only("blur", **{"mask.blur": 0.2})
    scale = 10.0 ** np.linspace(-1, 1, COLUMNS)
    for row, column in ((30, 8), (0, 5), (40, 0), (ROWS - 1, COLUMNS - 1)):
        w = np.zeros((ROWS, COLUMNS))
        w[20], w[row, column] = scale, scale[column]
        expected = np.zeros((ROWS, COLUMNS))
        for i, j, share in ((0, 0, 0.8), (1, 0, 0.05), (-1, 0, 0.05), (0, 1, 0.05), (0, -1, 0.05)):
            if 0 <= row + i < ROWS and 0 <= column + j < COLUMNS:
                expected[row + i, column + j] = share
        away = np.abs(np.arange(ROWS) - 20) > 1
        np.testing.assert_allclose(seen(core, SINGLE[:ROWS], w)[away], expected[away], atol=1e-6)


def test_weights_below_the_smallest_step_are_shown_as_that_step():
    """0 stays dark, what is smaller than 0.1 of full scale goes up to it, the rest stays."""

    def law(u, t):
        return u @ np.where((t != 0) & (np.abs(t) < 0.1), 0.1 * np.sign(t), t)

    assert_law(only("smallest_step", **{"mask.smallest_step": 0.1}), law)
    w = np.zeros((ROWS, COLUMNS))
    w[0], w[1] = 1.0, 0.01
    found = seen(only("smallest_step", **{"mask.smallest_step": 0.1}), SINGLE[:3], w)[:, 0]
    np.testing.assert_allclose(found, [1.0, 0.1, 0.0], atol=1e-6)


@pytest.mark.parametrize("waited", [0.0, 1.0, 3.0])
def test_pixels_settle_exponentially_from_the_weights_shown_before(waited):
    """t + exp(-T / tau) (before - t), where the pixel showed before what its neighbour's column shows now."""
    core = only("settling", **{"mask.response_time": 2e-6, "mask.settle_time": waited * 2e-6})
    left = np.exp(-waited)
    assert_law(core, lambda u, t: u @ (t + left * (np.roll(t, 1, axis=1) - t)))


# --- Receiver ---


def test_detector_gains_spread_from_output_to_output():
    core = only("detector_mismatch", **{"detector.gain_mismatch": 0.04, "detector.imbalance": 0.0})
    found = np.array([seen(core.replace({"device": d}), SINGLE, CLEAR) for d in DEVICES])
    gains = found[:, 0]
    np.testing.assert_allclose(found, np.repeat([1, -1], ROWS)[:, None] * gains[:, None], rtol=1e-5)
    assert gains.std() == pytest.approx(0.04, rel=5 * np.sqrt(0.5 / gains.size))
    assert gains.mean() == pytest.approx(1, abs=5 * 0.04 / np.sqrt(gains.size))


def test_diodes_of_a_pair_differ():
    """Responses 1 + d / 2 and 1 - d / 2: (D + d S / 2) of the light's difference D and sum S = sum |u| |t|."""
    core = only("detector_mismatch", **{"detector.gain_mismatch": 0.0, "detector.imbalance": 0.06})
    both = np.array([seen(core.replace({"device": d}), SINGLE, CLEAR) for d in DEVICES])
    # What single inputs of either sign have in common.
    differences = both[:, 0] + both[:, ROWS]
    assert differences.std() == pytest.approx(0.06, rel=5 * np.sqrt(0.5 / differences.size))
    core = core.replace({"device": DEVICES[-1]})
    assert_law(core, lambda u, t: u @ t + differences[-1] / 2 * (np.abs(u) @ np.abs(t)))


def test_dark_current_adds_its_own_shot_noise():
    """Two diodes: 2 I_d / (q f) electrons a symbol beside the light's."""
    core = only("shot", **{"detector.dark_current": 1e-8, "source.power": 1e-7})
    x, w = one_vector()
    u, t, _ = normalised(x[:1], w)
    full = electrons(core)
    variance = (np.abs(u) @ np.abs(t))[0] / full + 2 * 1e-8 / (CHARGE * 1e9) / full**2
    np.testing.assert_allclose(noise_of(core, x, w).var(axis=0), variance, rtol=TOLERANCE)
    assert np.all(2 * 1e-8 / (CHARGE * 1e9) / full**2 > 0.5 * variance)


def thermal(**leaves) -> optics.TensorCore:
    none = {"tia.noise_density": 0.0, "tia.feedback_conductance": 0.0, "tia.integration_capacitance": 0.0}
    return only("thermal", **none | leaves)


def test_a_resistor_gives_johnson_noise():
    """Variance 4 k T / R B of the current, B = f / 2, at 300 K and 10 kOhm; an amplifier's noise adds to it."""
    x, w = one_vector()
    for amplifier in (0.0, 1e-12):
        core = thermal(**{"tia.feedback_conductance": 1e-4, "tia.noise_density": amplifier})
        current = (4 * BOLTZMANN * KELVIN * 1e-4 + amplifier**2) * 1e9 / 2
        unit = electrons(core) * CHARGE * 1e9
        np.testing.assert_allclose(noise_of(core, x, w).var(axis=0), current / unit**2, rtol=TOLERANCE)


def test_a_reset_leaves_k_t_c():
    """sqrt(k T C) / q = 402 electrons at 1 pF and 300 K, whatever the clock."""
    x, w = one_vector()
    for clock in (1e9, 1e8):
        core = thermal(**{"tia.integration_capacitance": 1e-12, "clock": clock})
        found = noise_of(core, x, w).std(axis=0) * electrons(core)
        np.testing.assert_allclose(found, np.full(COLUMNS, 402), rtol=TOLERANCE / 2 + 2e-3)


def test_a_slow_receiver_remembers_the_charge_of_the_vectors_before():
    """A pole of tau = 1 / (2 pi B), current on for T: of its charge (tau / T) (1 - a) comes later, a = exp(-T / tau),
    all but a share a of that in the next symbol. At B = f, a is 0.002. Charge knows no scale of vectors.
    """
    core = only("isi", **{"tia.bandwidth": 1e9, "clock": 1e9})
    lag = 1 / (2 * np.pi)
    late, a = lag * (1 - np.exp(-1 / lag)), np.exp(-1 / lag)

    def law(u, t):
        y = u @ t
        out = (1 - late) * y
        for before in range(1, 4):
            out[before:] += late * (1 - a) * a ** (before - 1) * y[:-before]
        return out

    x, w = operands()
    u, t, _ = normalised(x, w)
    found = seen(core, x, w)
    np.testing.assert_allclose(found, law(u, t), atol=2 * late * a * np.abs(u @ t).max())
    np.testing.assert_allclose(found[0], (1 - late) * (u @ t)[0], rtol=1e-4)


def test_a_full_well_holds_no_more():
    """Charge of either sign beyond the well is lost: Q = n q sum u t, clipped at the well."""
    core = only("saturation")
    well = 1.5 * electrons(core) * CHARGE
    assert_law(core.replace({"tia.full_well": well}), lambda u, t: np.clip(u @ t, -1.5, 1.5))


# --- Converter ---


def test_jitter_is_relative_to_what_is_sampled():
    """SNR = -20 log10(2 pi f_in sigma) at f_in = f / 2, for each output against itself; 0.2 dB for 4,096 draws."""
    x, w = one_vector()
    u, t, _ = normalised(x[:1], w)
    found = noise_of(only("jitter", **{"adc.jitter": 1e-11}), x, w).std(axis=0)
    snr = 20 * np.log10(np.abs(u @ t)[0] / found)
    np.testing.assert_allclose(snr, -20 * np.log10(2 * np.pi * 0.5e9 * 1e-11), atol=20 * np.log10(1 + TOLERANCE / 2))


def full_scale(core, u, t) -> np.ndarray:
    """1 + loading rms of uncorrelated terms, by the norms of vector and column, over the gain [vectors, columns]."""
    rms = np.outer(np.linalg.norm(u, axis=1), np.linalg.norm(t, axis=0)) / np.sqrt(ROWS)
    return (1 + float(core.adc.loading) * rms) / float(core.adc.gain)


@pytest.mark.parametrize("law", ["gaussian", "logistic"])
def test_adc_noise_has_its_variance_and_its_tails(law):
    """(FS^2 / 2) / (1.5 x 4**ENOB) by either law; excess kurtosis 0, and 1.2 of a logistic.

    n = 65,536: the standard error of the kurtosis is sqrt(24 / n) = 0.02, and by simulation 0.1 for the logistic.
    """
    core = only("adc_noise", **{"adc.enob": 6.0, "adc.bits": 24.0, "adc.noise": law, "adc.gain": 2.0})
    x, w = one_vector()
    u, t, _ = normalised(x[:1], w)
    found = noise_of(core, x, w) / (full_scale(core, u, t) / np.sqrt(3 * 4**6.0))
    kurtosis = 6 / 5 if law == "logistic" else 0
    assert found.var() == pytest.approx(1, rel=5 * np.sqrt((2 + kurtosis) / found.size))
    assert stats.kurtosis(found.ravel()) == pytest.approx(kurtosis, abs=0.5 if law == "logistic" else 0.1)


def test_adc_offsets_are_fractions_of_the_full_scale():
    """Each column's own, the same for every vector: its spread over devices, n = 512."""
    core = only("adc_offset", **{"adc.offset_mismatch": 0.01, "adc.gain": 2.0})
    x, w = operands()
    u, t, _ = normalised(x[:64], w)
    size = full_scale(core, u, t)
    found = np.array([noise_of(core.replace({"device": d}), x[:64], w) / size for d in DEVICES])
    np.testing.assert_allclose(found, found.mean(axis=1, keepdims=True) * np.ones((1, 64, 1)), atol=1e-5)
    offsets = found[:, 0]
    assert offsets.std() == pytest.approx(0.01, rel=5 * np.sqrt(0.5 / offsets.size))
    assert offsets.mean() == pytest.approx(0, abs=5 * 0.01 / np.sqrt(offsets.size))


@pytest.mark.parametrize("gain", [1.0, 8.0, 20.0])
def test_gain_divides_the_full_scale_and_the_rest_clips(gain):
    """No output beyond (1 + 12 rms) / gain, those within untouched."""
    core = only("adc_clipping", **{"adc.gain": gain, "adc.loading": 12.0})
    x, w = operands()
    u, t, _ = normalised(x, w)
    limit = full_scale(core, u, t)
    np.testing.assert_allclose(seen(core, x, w), np.clip(u @ t, -limit, limit), atol=1e-4)
    assert np.mean(np.abs(u @ t) > limit) == 0 if gain == 1 else np.mean(np.abs(u @ t) > limit) > 1e-3


def test_a_range_of_all_rows_fits_whatever_the_numbers_are():
    """span "rows": the full scale is 64 full products over the gain; clipping, the step and the noise follow it."""
    rows = {"adc.span": "rows", "adc.gain": 16.0}
    x, w = operands()
    u, t, _ = normalised(x, w)
    clipped = seen(only("adc_clipping", **rows), x, w)
    np.testing.assert_allclose(clipped, np.clip(u @ t, -4, 4), atol=1e-4)
    assert np.mean(np.abs(u @ t) > 4) > 1e-3
    step = 4 / (2**5 - 1)
    codes = seen(only("adc_rounding", **rows, **{"adc.bits": 6.0, "adc.enob": 6.0}), x, w) / step
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    assert np.max(np.abs(codes - u @ t / step)) == pytest.approx(0.5, abs=0.01)
    noise = noise_of(only("adc_noise", **rows, **{"adc.enob": 6.0, "adc.bits": 24.0}), x, w)
    assert noise.var() == pytest.approx(4**2 / (3 * 4**6.0), rel=5 * np.sqrt(2 / noise.size))


# --- All of them at once, at their worst ---

STRUCTURES = {
    "rails": ({"accumulate": 3}, optics.Laser(threshold=0.1, rollover=0.1, bias_error=0.0)),
    "slots": (
        {"encoding": Encoding(inputs="slots", weights="offset"), "adc.noise": "logistic"},
        optics.MachZehnder(extinction_ratio=20.0, bias_error=0.0),
    ),
    "offset": (
        {"encoding": Encoding(inputs="offset", scales="tile"), "adc.span": "rows"},
        optics.LED(quadratic=-0.35, cubic=-0.1, bias_error=0.0, entries=2),
    ),
    "slices": (
        {"encoding": Encoding(weights="offset", input_slices=2, weight_slices=2), "dac.bits": 4.0, "mask.bits": 4},
        optics.ElectroAbsorption(extinction_ratio=10.0, bias_error=0.0),
    ),
}
# Leaf: lowest and highest; drawn at either end, or between them in the logarithm where both are above 0.
EXTREMES = {
    "device": (0, 2**24 - 1),
    "clock": (1e6, 1e11),
    "dac.enob": (1, 16),
    "dac.inl": (-0.25, 0.25),
    "transfer.bias_error": (-1, 1),
    "source.power": (1e-6, 10),
    "source.rin": (-200, -60),
    "source.rin_in_common": (0, 1),
    "source.gain_mismatch": (0, 1),
    "source.offset_mismatch": (0, 1),
    "space.vignetting": (0, 0.99),
    "space.input_crosstalk_earlier": (0, 0.4),
    "space.input_crosstalk_later": (0, 0.4),
    "space.output_crosstalk_earlier": (0, 0.4),
    "space.output_crosstalk_later": (0, 0.4),
    "space.coherence": (0, 1),
    "space.rail_leak": (0, 0.49),
    "space.stray_light": (0, 1),
    "mask.extinction_ratio": (1.5, 1e6),
    "mask.smallest_step": (0, 0.99),
    "mask.mismatch": (0, 1),
    "mask.blur": (0, 0.8),
    "mask.settle_time": (0, 1),
    "mask.response_time": (1e-12, 1),
    "detector.quantum_efficiency": (0.05, 1),
    "detector.dark_current": (0, 1e-3),
    "detector.gain_mismatch": (0, 1),
    "detector.imbalance": (0, 1),
    "tia.noise_density": (0, 1e-9),
    "tia.feedback_conductance": (0, 1),
    "tia.integration_capacitance": (0, 1e-9),
    "tia.bandwidth": (1e3, 1e15),
    "tia.full_well": (1e-18, 1),
    "adc.bits": (2, 24),
    "adc.enob": (1, 20),
    "adc.loading": (1e-3, 1e3),
    "adc.gain": (1e-3, 1e3),
    "adc.jitter": (0, 1e-9),
    "adc.offset_mismatch": (0, 1),
    "drift.source_rate": (0, 0.1),
    "drift.receiver_rate": (0, 0.1),
    "drift.reversion": (0, 1e3),
    "drift.age": (0, 3600),
    "drift.temperature_coefficient": (-0.1, 0.1),
    "drift.temperature_change": (-100, 100),
    "correction.input_crosstalk_later": (-0.4, 0.4),
    "correction.output_crosstalk_later": (-0.4, 0.4),
    "correction.output_offset": (-1, 1),
}


def drawn(name: str, noise: np.random.Generator) -> optics.TensorCore:
    """A core that is possible, with its numbers at their ends or between them."""
    changes, transfer = STRUCTURES[name]
    leaves = {}
    for leaf, (low, high) in EXTREMES.items():
        place = noise.choice([0.0, 1.0, noise.uniform()])
        leaves[leaf] = low * (high / low) ** place if low > 0 else low + (high - low) * place
    leaves["device"] = np.floor(leaves["device"])
    # ENOB includes the rounding.
    leaves["adc.enob"] = min(leaves["adc.enob"], leaves["adc.bits"])
    leaves["dac.enob"] = min(leaves["dac.enob"], changes.get("dac.bits", 8.0))
    core = optics.today(rows=16, columns=4).replace({"upkeep.probes": 0.0, "transfer": transfer} | changes | leaves)
    return core.replace({"effects": Effects.uniform(noise.choice([1.0, noise.uniform()]))})


@settings(max_examples=200, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(STRUCTURES)), scale=st.floats(-30, 30), seed=st.integers(0, 2**32 - 1))
def test_no_device_gives_nan(name, scale, seed):
    """Any possible core, at any input scale, with a zero vector and a constant and a zero column: finite numbers."""
    noise = np.random.default_rng(seed)
    x = (noise.normal(size=(3, 40)) * 10.0**scale).astype(np.float32)
    w = noise.normal(size=(40, 9)).astype(np.float32)
    x[0], w[:, 0], w[:, 1] = 0.0, 1.0, 0.0
    y = np.asarray(multiply_once(drawn(name, noise), x, w, jax.random.key(seed % 1000)))
    assert np.all(np.isfinite(y))
    assert np.all(y[0] == 0) and np.all(y[:, 1] == 0)


@quickly
def gradient(core):
    x, w = (np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in ((3, 16), (16, 4)))
    return jax.grad(lambda core: jnp.sum(core.matmul(x, w, key=KEY) ** 2))(core)


@pytest.mark.parametrize("power", [1e-6, 1e-3, 1.0])
def test_gradients_are_finite_at_any_light(power):
    """Of the presets, at 0.02 to 20,000 uA of a full product: no leaf's derivative is NaN or infinite."""
    core = optics.today(rows=16, columns=4).replace({"source.power": power})
    assert not [name for name, value in gradient(core).numbers().items() if not np.all(np.isfinite(value))]


def test_gradients_are_finite_where_everything_is_zero():
    """Zero spreads, shares and times have square roots of 0 behind them, and so has an effect that is off."""
    core = optics.today(rows=16, columns=4).replace({"source.power": 1.0})
    zero = [n for n, (low, high) in EXTREMES.items() if low <= 0 <= high and n not in ("device", "mask.settle_time")]
    for changes in (dict.fromkeys(zero, 0.0), {"effects": Effects.uniform(0.0)}):
        found = gradient(core.replace(changes)).numbers()
        assert not [name for name, value in found.items() if not np.all(np.isfinite(value))]
