"""Drift on a timeline: gains walk by the law of the process, and calibrations bring the error back at their cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics

ROWS, COLUMNS, RATE, PATHS = 16, 12, 1e-3, 6
TIMES = [0.0, 450.0, 899.0, 900.0, 1799.0, 1800.0]
VECTORS = jax.random.uniform(jax.random.key(1), (32, ROWS), jnp.float32, -1.0, 1.0)
WEIGHTS = jax.random.uniform(jax.random.key(2), (ROWS, COLUMNS), jnp.float32, -1.0, 1.0)


def core(**leaves) -> optics.TensorCore:
    """No noise, and no imperfection but the drift and the gains of the sources."""
    effects = optics.Effects.only("drift", "source_mismatch", "correction")
    changes = {"device": 7, "effects": effects, "source.gain_mismatch": 0.05, "source.offset_mismatch": 0.0}
    drift = {"drift.source_rate": RATE, "drift.receiver_rate": 0.0, "drift.temperature_change": 0.0}
    return optics.projected_2029(rows=ROWS, columns=COLUMNS).replace(changes | drift | leaves)


def figures(realized, key):
    """Mean square of the change of the sources' gains, and the relative error of a product with them."""
    still = realized.core.replace({"effects.drift": 0.0}).prepare().variation.source_gain
    y = optics.emulate(lambda w, x: x @ w)(realized, key, WEIGHTS, VECTORS)
    exact = VECTORS @ WEIGHTS
    return {
        "walk": (realized.variation.source_gain / still - 1) ** 2,
        "error": jnp.sqrt(jnp.mean((y - exact) ** 2) / jnp.mean(exact**2)),
    }


@pytest.fixture(scope="module")
def timeline():
    return optics.drift_timeline(
        core(), figures, key=jax.random.key(0), times=TIMES, interval=900.0, averages=2, first_rounds=2, paths=PATHS
    )


def test_gains_walk_on_through_the_calibrations(timeline):
    """Variance rate^2 t of 6 x 32 gains: five standard errors. A calibration changes the correction, not the gains."""
    found = timeline.values["walk"].mean(axis=0)
    assert found[0] < 1e-12
    np.testing.assert_allclose(found[1:], RATE**2 * np.array(TIMES[1:]), rtol=5 * np.sqrt(2 / (PATHS * 2 * ROWS)))
    assert timeline.values["walk"].shape == (PATHS, len(TIMES))


def test_calibrations_bring_the_error_back(timeline):
    """3 % of each gain after 900 s, on 5 % of mismatch: a product has it, until the calibration."""
    at = dict(zip(TIMES, timeline.values["error"].mean(axis=0), strict=True))
    np.testing.assert_array_equal(timeline.calibrations, [0, 900, 1800])
    assert at[0.0] < 2e-3
    assert at[900.0] < 2e-3 and at[1800.0] < 2e-3
    assert 0.7 * 0.03 < at[899.0] < 1.3 * 0.03
    assert at[450.0] == pytest.approx(at[899.0] / np.sqrt(2), rel=0.4)
    assert 0.7 * 0.03 < at[1799.0] < 1.3 * 0.03


def test_calibrations_cost_time_and_energy(timeline):
    vectors = 2 * 5 * ROWS
    assert timeline.vectors == vectors == float(timeline.core.upkeep.probes)
    assert float(timeline.core.upkeep.interval) == 900.0
    assert timeline.duty == pytest.approx(vectors / float(timeline.core.clock) / 900, rel=1e-5)
    assert timeline.watts == pytest.approx(timeline.joules / 900, rel=1e-6)
    parts = timeline.core.cost(rows=ROWS, columns=COLUMNS, vectors=vectors, resident=False)
    assert timeline.joules == pytest.approx(float(sum(parts.values())), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": [0.0, 2.0, 1.0]}, "times = .* must be finite, at least one, from 0 on and in order"),
        ({"times": [-1.0]}, "times = .* must be finite, at least one, from 0 on and in order"),
        ({"interval": 0.0}, "interval = 0.0 must be a finite number above 0"),
        ({"interval": 1e-9}, "are more than 100000 events"),
        ({"paths": 0}, "paths = 0 must be a whole number, at least 1"),
        ({"rounds": 0}, "rounds = 0 must be a whole number, at least 1"),
        ({"probes": "hadamar"}, "probes = 'hadamar' is none of: single, hadamard"),
        ({"times": [0.0], "interval": 1e-6, "averages": 10**5}, "take longer than upkeep.interval"),
    ],
)
def test_timeline_that_cannot_be_run_is_refused(changes, message):
    options = {"times": [0.0, 3600.0], "interval": 900.0}
    with pytest.raises(ValueError, match=message):
        optics.drift_timeline(core(), figures, key=jax.random.key(0), **options | changes)
