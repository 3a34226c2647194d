"""Probes of a calibration: what single inputs and Hadamard patterns show of a device, and with which noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import Effects
from optics.analysis import probes

# 17 rows are sent in cropped patterns of a Hadamard matrix of order 20.
ROWS, COLUMNS, ORDER = 17, 32, 20
KEYS = 8
look = jax.jit(probes.probe, static_argnames=("kind", "averages"))


def core(*effects: str, **leaves) -> optics.TensorCore:
    changes = {"device": 3, "effects": Effects.only(*effects)}
    return optics.today(rows=ROWS, columns=COLUMNS).replace(changes | leaves)


def seen(at: optics.TensorCore, kind: str, seed: int = 0) -> probes.Seen:
    return probes.Seen(*jax.device_get(look(at, None, jax.random.key(seed), kind=kind, averages=1)))


def variance(at: optics.TensorCore, kind: str) -> float:
    """Of the rows of the mask as seen, 8 x 1,088 numbers."""
    errors = [found.transfer - found.weights for found in (seen(at, kind, seed) for seed in range(KEYS))]
    return float(np.mean(np.square(errors)))


@pytest.mark.parametrize("rows", [3, 4, 5, 11, 16, 17, 64, 128, 200, 256])
def test_hadamard_matrix_is_orthogonal_and_each_pattern_has_an_input_on(rows):
    order = probes.hadamard_order(rows)
    matrix = probes.hadamard(order)
    np.testing.assert_array_equal(matrix.T @ matrix, order * np.eye(order))
    np.testing.assert_array_equal(matrix[:, 0], 1)
    assert rows < order <= 2 * rows
    assert np.all(np.any(matrix[:, 1 : rows + 1] > 0, axis=1))


def test_patterns_keep_a_quarter_of_their_order_less_of_noise_without_light():
    """var(single) / var(Hadamard) = N / 4. The single inputs also lose 1 / 2 rows to the constant that they share.

    A ratio of variances of 8,704 numbers each: five standard errors, sqrt(2 x 2 / 8,704).
    """
    ratio = variance(core("thermal"), "single") / variance(core("thermal"), "hadamard")
    assert ratio == pytest.approx(ORDER / 4 * (1 - 0.5 / ROWS), rel=5 * np.sqrt(4 / 8704))


def test_patterns_have_twice_the_variance_of_shot_noise():
    """Every input is on in N / 2 patterns: var(single) / var(Hadamard) = N / 2 rows, and the constant as above.

    Variances differ between pixels by their light, 0.3 to 1, which adds a tenth to the standard errors.
    """
    ratio = variance(core("shot"), "single") / variance(core("shot"), "hadamard")
    assert ratio == pytest.approx(ORDER / (2 * ROWS) * (1 - 0.5 / ROWS), rel=5.5 * np.sqrt(4 / 8704))


def test_patterns_show_the_gains_of_every_source_and_output_without_noise():
    """Single inputs show the same, less half of the mean difference of the rails, which they take for a constant."""
    at = core(
        "source_mismatch",
        "detector_mismatch",
        **{"source.gain_mismatch": 0.1, "source.offset_mismatch": 0.0, "detector.imbalance": 0.0},
    )
    single, patterns = seen(at, "single"), seen(at, "hadamard")
    made = jax.device_get(at.prepare().variation)
    expected = made.source_gain[:, :, None] * made.output_gain[None] * single.weights
    np.testing.assert_allclose(patterns.transfer, expected, atol=1e-4)
    constant = np.mean(expected[0] - expected[1], axis=0) / 2
    np.testing.assert_allclose(single.transfer, expected + np.stack([-constant, constant])[:, None], atol=1e-4)


def test_slow_receiver_does_not_mix_patterns():
    """What it leaves goes into the dark symbol in between: all is seen (1 - share) times."""
    at = core("isi", **{"tia.bandwidth": 1e9})
    share = float(at.tia.isi_share(at.clock))
    found = seen(at, "hadamard")
    assert share > 1e-3
    np.testing.assert_allclose(found.transfer, np.stack([found.weights] * 2) * (1 - share), atol=1e-5)


def test_offsets_of_converters_are_removed_before_patterns_are_added_up():
    """The range of a pattern follows the inputs that are on, which cropped patterns have not equally many of."""
    at = core("adc_offset", "correction", **{"adc.offset_mismatch": 0.01})
    found = seen(at, "hadamard")
    np.testing.assert_allclose(found.offsets, at.prepare().variation.adc_offset[0], atol=1e-6)
    np.testing.assert_allclose(found.transfer, np.stack([found.weights] * 2), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adc.span": "rows", "adc.gain": 16.0}, "sums of up to 27.2 full products, and the ADC's full scale holds 4"),
        ({"source.power": 1.0}, "the amplifier's full well holds .*; use 'single'"),
    ],
)
def test_hadamard_probes_that_receivers_would_clip_are_refused(changes, message):
    at = optics.today(rows=64, columns=8).replace(changes)
    with pytest.raises(ValueError, match=message):
        optics.calibrate(at, key=jax.random.key(0), probes="hadamard")


def test_unknown_probes_and_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="probes = 'hadamar' is none of: single, hadamard; did you mean 'hadamard'"):
        optics.calibrate(core(), key=jax.random.key(0), probes="hadamar")
    with pytest.raises(ValueError, match="needs at least 3 rows, and rows of rules.0.core = 2; use 'single'"):
        few = optics.today(rows=2, columns=8)
        optics.calibrate(optics.CoresBySite(core(), {"head": few}), key=jax.random.key(0), probes="hadamard")


def test_calibration_by_patterns_finds_gains_offsets_and_crosstalk():
    changes = {
        "drift.age": 0.0,
        "mask.mismatch": 0.0,
        "mask.blur": 0.0,
        "source.gain_mismatch": 0.1,
        "detector.gain_mismatch": 0.05,
        "adc.offset_mismatch": 0.01,
        "space.input_crosstalk_earlier": 0.02,
        "space.output_crosstalk_later": 0.03,
    }
    raw = optics.projected_2029(rows=ROWS, columns=COLUMNS, effective_bits=9.0).replace({"device": 3} | changes)
    found = optics.calibrate(raw, key=jax.random.key(0), rounds=2, averages=4, probes="hadamard")
    assert found.vectors == 2 * 4 * (4 * ORDER + ROWS)
    assert found.after < found.before / 5
    correction, made = found.core.correction, raw.prepare().variation
    assert float(correction.input_crosstalk_earlier) == pytest.approx(0.02, abs=3e-3)
    assert float(correction.output_crosstalk_later) == pytest.approx(0.03, abs=3e-3)
    rows = np.asarray(made.source_gain * correction.input_gain)[:, 2:-2]
    assert np.std(rows) / np.mean(rows) < 0.01 < np.std(made.source_gain)
    assert np.std(made.adc_offset[0] - correction.output_offset) < 2e-3 < np.std(made.adc_offset) / 3
    assert jnp.ndim(correction.output_gain) == 1
