"""What changes between calibrations, against the laws of random walks, and what keeping calibrated takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import CalibrationSchedule, Drift, Effects
from optics.components.device import draw_variation

ROWS, COLUMNS = 64, 16


def drift(**changes) -> Drift:
    still = dict.fromkeys(
        ("source_rate", "receiver_rate", "reversion", "age", "temperature_coefficient", "temperature_change"), 0.0
    )
    return Drift(**still | changes)


@pytest.mark.parametrize("age", [0.0, 1.0, 1800.0, 1e7])
def test_a_free_walk_grows_with_the_root_of_time(age):
    assert float(drift(age=age).rms(2e-5)) == pytest.approx(2e-5 * np.sqrt(age), rel=1e-6)


@pytest.mark.parametrize("reversion", [1e-9, 1e-5, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("age", [1e-3, 100.0, 1e5])
def test_reversion_holds_the_walk(reversion, age):
    """Ornstein-Uhlenbeck from a start at the mean: s sqrt((1 - exp(-2 k t)) / 2 k), in float64."""
    expected = 3e-4 * np.sqrt(-np.expm1(-2 * reversion * age) / (2 * reversion))
    assert float(drift(reversion=reversion, age=age).rms(3e-4)) == pytest.approx(expected, rel=1e-5)


def test_laws_are_those_of_simulated_gains():
    """20,000 gains, 400 steps of dg = -k g dt + s dW (Euler-Maruyama), k t = 0, 0.5 and 5.

    Five standard errors of an rms, sqrt(1 / 2 n), and the steps' own error, k dt / 2.
    """
    noise, walkers, steps, age = np.random.default_rng(0), 20_000, 400, 100.0
    for strength in (0.0, 0.5, 5.0):
        gains, step = np.zeros(walkers), age / steps
        for _ in range(steps):
            gains += -strength / age * gains * step + 1e-3 * np.sqrt(step) * noise.normal(size=walkers)
        found = float(drift(reversion=strength / age, age=age).rms(1e-3))
        assert gains.std() == pytest.approx(found, rel=5 * np.sqrt(0.5 / walkers) + strength / steps / 2)


def test_weak_reversion_is_continuous_with_none():
    """Across the switch between the two forms at 2 k t = 1e-6, to float32."""
    values = [float(drift(reversion=k, age=100.0).rms(1.0)) for k in (0.0, 4e-9, 4.9e-9, 5.1e-9, 6e-9, 1e-8)]
    np.testing.assert_allclose(values, 10 * np.ones(6), rtol=2e-6)


@pytest.mark.parametrize("name", ["source_rate", "reversion", "age"])
@pytest.mark.parametrize(("reversion", "age"), [(0.0, 100.0), (1e-3, 100.0), (0.0, 0.0), (1e-3, 0.0)])
def test_gradients_are_finite(name, reversion, age):
    """At no reversion: d rms / dk = -rms t / 2. At no age the root of time is vertical: 0 is given, and not NaN."""
    at = drift(source_rate=1e-3, reversion=reversion, age=age)
    found = float(getattr(jax.grad(lambda d: d.rms(d.source_rate))(at), name))
    assert np.isfinite(found)
    if (name, reversion, age) == ("reversion", 0.0, 100.0):
        assert found == pytest.approx(-1e-3 * np.sqrt(100.0) * 100 / 2, rel=1e-4)


@jax.jit
def made(core):
    return draw_variation(core)


def core(**leaves):
    changes = {f"drift.{name}": value for name, value in leaves.items()}
    still = optics.today(rows=ROWS, columns=COLUMNS).replace(
        {"effects": Effects.only("drift"), "drift": drift(), "upkeep.interval": 1e6}
    )
    return still.replace(changes)


def test_gains_of_a_device_have_wandered_by_the_law():
    """Each source's and each receiver's own: 32 devices, 4,096 and 512 gains, five standard errors of an rms."""
    at = core(source_rate=1e-3, receiver_rate=4e-4, age=900.0)
    devices = [made(at.replace({"device": number})) for number in range(32)]
    sources, receivers = (np.array([getattr(d, n) for d in devices]) for n in ("source_gain", "output_gain"))
    assert sources.std() == pytest.approx(0.03, rel=5 * np.sqrt(0.5 / sources.size))
    assert receivers.std() == pytest.approx(0.012, rel=5 * np.sqrt(0.5 / receivers.size))
    assert sources.mean() == pytest.approx(1, abs=5 * 0.03 / np.sqrt(sources.size))
    # A device that ages keeps its directions: the pattern grows, and is no new one.
    older = made(at.replace({"drift.age": 3600.0}))
    young = made(at)
    np.testing.assert_allclose(older.source_gain - 1, 2 * (young.source_gain - 1), rtol=1e-3, atol=1e-6)


def test_temperature_moves_all_sources_alike():
    """-0.7 % a kelvin, 3 kelvins: 0.979 of the light of each, and nothing at the receivers."""
    found = made(core(temperature_coefficient=-0.007, temperature_change=3.0))
    np.testing.assert_allclose(found.source_gain, np.full((2, ROWS), 0.979), rtol=1e-6)
    np.testing.assert_allclose(found.output_gain, np.ones((1, COLUMNS)), rtol=1e-6)
    off = made(core(temperature_coefficient=-0.007, temperature_change=3.0).replace({"effects.drift": 0.0}))
    np.testing.assert_array_equal(off.source_gain, np.ones((2, ROWS)))


def test_probes_take_time_and_energy_from_the_work():
    """1e9 probes of two symbols of 1 ns every 10 s are a fifth of the time: all takes 1.25 times as long."""
    assert float(CalibrationSchedule(interval=10.0, probes=1e9).lost_duty(2e-9)) == pytest.approx(0.2, rel=1e-6)
    sites = optics.trace(lambda w, x: x @ w)(
        jax.ShapeDtypeStruct((64, 16), jnp.float32), jax.ShapeDtypeStruct((100, 64), jnp.float32)
    )
    plain = optics.today(rows=ROWS, columns=COLUMNS).replace(
        {"encoding": optics.Encoding(inputs="slots"), "drift.age": 0.0, "upkeep.interval": 10.0, "upkeep.probes": 0.0}
    )
    without, with_probes = (optics.price(plain.replace({"upkeep.probes": n}), sites) for n in (0.0, 1e9))
    assert float(with_probes.core_seconds) == pytest.approx(1.25 * float(without.core_seconds), rel=1e-5)
    parts = with_probes.components
    work = sum(float(parts[name]) for name in ("DAC", "laser light", "laser bias", "TIA", "ADC"))
    assert float(parts["calibration"]) == pytest.approx(work / 4, rel=1e-5)
    assert float(without.components["calibration"]) == 0


@pytest.mark.parametrize("reversion", [0.0, 1e-3])
def test_path_has_the_variance_and_the_covariance_of_the_process(reversion):
    """Ornstein-Uhlenbeck from 0, at steps of very different length, 20,000 gains.

    cov(s, t) = r^2 exp(-k (t - s)) (1 - exp(-2 k s)) / 2 k, and r^2 s for k = 0. The estimate of a covariance of n
    pairs has the standard error sqrt((c_ss c_tt + c_st^2) / n), of which five are allowed, and 1e-4 for float32.
    """
    walkers, rate, times = 20_000, 2e-3, np.array([0.0, 1.0, 60.0, 900.0, 900.0, 3600.0])
    at = drift(reversion=reversion)
    found = np.asarray(at.path(rate, times, (walkers,), jax.random.key(0)), np.float64)
    assert found.shape == (len(times), walkers)
    first, last = np.minimum.outer(times, times), np.maximum.outer(times, times)
    grown = first if reversion == 0 else -np.expm1(-2 * reversion * first) / (2 * reversion)
    expected = rate**2 * np.exp(-reversion * (last - first)) * grown
    own = np.diag(expected)
    error = np.sqrt((np.outer(own, own) + expected**2) / walkers)
    np.testing.assert_array_less(np.abs(found @ found.T / walkers - expected), 5 * error + 1e-4 * expected + 1e-30)
    np.testing.assert_array_less(np.abs(found.mean(axis=1)), 5 * np.sqrt(own / walkers) + 1e-30)
    np.testing.assert_array_equal(found[3], found[4])
    # At each time by itself the walk has the law by which a core of that age is drawn.
    laws = [float(drift(reversion=reversion, age=age).rms(rate)) for age in times]
    np.testing.assert_allclose(laws, np.sqrt(own), rtol=1e-5)


def test_states_are_walks_of_all_gains_by_their_own_rates():
    found = drift(source_rate=1e-3, receiver_rate=4e-4).states([900.0, 1800.0], ROWS, COLUMNS, jax.random.key(3))
    assert found.sources.shape == (2, 2, ROWS) and found.receivers.shape == (2, 1, COLUMNS)
    assert np.std(found.sources[0]) == pytest.approx(0.03, rel=5 * np.sqrt(0.5 / (2 * ROWS)))
    assert np.std(found.receivers[0]) == pytest.approx(0.012, rel=5 * np.sqrt(0.5 / COLUMNS))


@pytest.mark.parametrize("times", [[], [-1.0], [2.0, 1.0], [np.nan], [[0.0]]])
def test_path_at_times_that_are_no_timeline_is_refused(times):
    with pytest.raises(ValueError, match="must be finite, at least one, from 0 on and in order"):
        drift().path(1e-3, times, (1,), jax.random.key(0))
