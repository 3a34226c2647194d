"""Converters: levels, rounding noise, effective bits and gradients against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics import ADC, DAC, TIA

FIT = {"bits_exponent": 0.437, "rate_exponent": 1.92, "corner_rate": 14e9}

ON = jnp.float32(1)


def adc(bits=8, enob=8.0, gain=1.0, jitter=0.0):
    return ADC(bits=bits, enob=enob, loading=4.0, gain=gain, jitter=jitter, offset_mismatch=0.0, survey_factor=1.0)


def dac(bits=8, enob=8.0, inl=0.0):
    return DAC(bits=bits, enob=enob, inl=inl, energy_at_8_bits=3.57e-12, **FIT)


def tia(**changes):
    silent = {"noise_density": 0.0, "feedback_conductance": 0.0, "integration_capacitance": 0.0}
    return TIA(**silent | {"bandwidth": 1e10, "full_well": 1e-12, "power": 3e-3} | changes)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_dac_sets_two_to_the_bits_levels_of_light(bits):
    drive = jnp.linspace(-1.0, 1.0, 20001)
    levels = np.unique(np.asarray(dac(bits=bits).convert(drive, ON, ON)))
    assert len(levels[levels >= 0]) == 2**bits
    np.testing.assert_allclose(levels, -levels[::-1], atol=1e-7)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_adc_has_symmetric_codes_and_clips(bits):
    seen = adc(bits=bits).convert(jnp.linspace(-2.0, 2.0, 20001), ON, ON, ON)
    levels = np.unique(np.asarray(seen))
    assert len(levels) == 2**bits - 1
    assert (levels.min(), levels.max()) == (-1.0, 1.0)


def test_rounding_is_to_the_nearest_level_and_costs_a_twelfth_of_the_step_squared():
    # Uniform inputs: var = D^2 / 12; standard error of the variance over n samples is below 2 / sqrt(n) of it.
    x = jax.random.uniform(jax.random.key(0), (200_000,), minval=-1.0, maxval=1.0)
    step = 1 / (2**7 - 1)
    error = np.asarray(adc(bits=8).convert(x, ON, ON, ON) - x, np.float64)
    assert np.abs(error).max() <= step / 2 * 1.001
    assert error.var() == pytest.approx(step**2 / 12, rel=4 * 2 / np.sqrt(x.size))


def test_effects_scale_rounding_and_clipping_away():
    x = jnp.array([-1.7, 0.1234, 1.2])
    np.testing.assert_array_equal(adc(bits=3).convert(x, ON, 0 * ON, 0 * ON), x)
    np.testing.assert_allclose(adc(bits=3).convert(x, ON, 0 * ON, ON), [-1.0, 0.1234, 1.0], rtol=1e-6)


@pytest.mark.parametrize("enob", [4.0, 6.5, 10.0])
def test_enob_is_that_of_a_full_scale_sine(enob):
    """IEEE 1241: ENOB = (SINAD - 1.76 dB) / 6.02 dB, a sine of full scale over the noise."""
    sine = 0.5  # variance of a sine of amplitude 1, the full scale of the signed ADC
    sinad = 10 * np.log10(sine / adc(enob=enob).noise_variance())
    assert (sinad - 1.76) / 6.02 == pytest.approx(enob, abs=0.01)
    unipolar = 0.5 * 0.5**2  # a sine between dark and full drive
    sinad = 10 * np.log10(unipolar / dac(enob=enob).noise_variance())
    assert (sinad - 1.76) / 6.02 == pytest.approx(enob, abs=0.01)


def test_gradient_passes_rounding_and_stops_where_the_adc_clips():
    x = jnp.array([-1.5, -0.3, 0.0, 0.71, 1.2])
    through = jax.grad(lambda x: jnp.sum(adc(bits=4).convert(x, ON, ON, ON)))(x)
    np.testing.assert_array_equal(through, [0.0, 1.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(dac().convert(x, ON, ON)))(x), np.ones(5))


def test_tia_noise_and_power():
    assert tia(noise_density=5e-12).noise_variance(5e8) == pytest.approx(25e-24 * 5e8, abs=0)
    assert tia().energy(1e9) == pytest.approx(3e-12, abs=0)


@pytest.mark.parametrize("scale", [1.0, 250.0])
@pytest.mark.parametrize("inl", [0.02, -0.1])
def test_inl_keeps_the_end_points_and_peaks_at_its_own_value(scale, inl):
    """Error INL (3 sqrt 3 / 2) (u - u^3) of full scale: 0 at 0 and 1, INL at u = 1 / sqrt 3, odd in the drive."""
    drive = np.linspace(-1, 1, 20001)
    bent = np.asarray(dac(inl=inl).bend(jnp.asarray(drive * scale, jnp.float32), scale * ON, ON), np.float64) / scale
    error = bent - drive
    np.testing.assert_allclose(error[[0, 10000, -1]], 0, atol=1e-7)
    assert np.abs(error).max() == pytest.approx(abs(inl), rel=1e-4)
    assert abs(drive[np.argmax(error * np.sign(drive) * np.sign(inl))]) == pytest.approx(3**-0.5, abs=2e-3)
    np.testing.assert_allclose(error, -error[::-1], atol=3e-7)
    np.testing.assert_array_equal(dac(inl=inl).bend(jnp.asarray(drive, jnp.float32), ON, 0 * ON), drive.astype("f4"))


@pytest.mark.parametrize(("rate", "sigma", "snr"), [(1e9, 1e-12, 50.06), (1e9, 1e-13, 70.06), (1e10, 1e-13, 50.06)])
def test_jitter_limits_the_snr_by_the_slope_of_the_signal(rate, sigma, snr):
    """Walden (1999): -20 log10(2 pi f_in sigma) at f_in = rate / 2."""
    assert -10 * np.log10(float(adc(jitter=sigma).jitter_variance(rate))) == pytest.approx(snr, abs=0.01)


def test_gain_divides_the_full_scale():
    """(1 + 4 rms) / gain."""
    np.testing.assert_allclose(adc(gain=5.0).full_scale(jnp.array([0.0, 1.0, 2.5])), [0.2, 1.0, 2.2], rtol=1e-6)


def test_receivers_have_three_noises_that_add():
    """4 k T / R at 300 K: 1.66e-24 A^2/Hz of 10 kOhm; sqrt(k T C) / q: 402 electrons of 1 pF and 40 of 10 fF."""
    resistor, both = (tia(feedback_conductance=1e-4, noise_density=d).noise_variance(1e9) for d in (0.0, 1e-12))
    assert resistor == pytest.approx(1.657e-24 * 1e9, rel=1e-3, abs=0)
    assert both == pytest.approx((1.657e-24 + 1e-24) * 1e9, rel=1e-3, abs=0)
    for capacitance, electrons in ((1e-12, 402), (10e-15, 40.2)):
        for rate in (1e6, 1e10):
            current = np.sqrt(float(tia(integration_capacitance=capacitance).reset_variance(rate)))
            assert current / rate / 1.602176634e-19 == pytest.approx(electrons, rel=2e-3)


@pytest.mark.parametrize("bandwidth", [0.3e9, 1e9, 30e9, 1e13])
def test_a_single_pole_delays_its_share_of_the_charge(bandwidth):
    """A unit current from 0 to T charges 1 - exp(-t / tau): what has not come by T, integrated step by step."""
    tau = 1 / (2 * np.pi * bandwidth) * 1e9
    steps = np.linspace(0, 1, 2_000_001)
    missing = np.trapezoid(np.exp(-steps / tau), steps)
    assert float(tia(bandwidth=bandwidth).memory(1e9)) == pytest.approx(missing, rel=2e-3)


def test_a_well_fills_at_its_charge_per_symbol():
    assert float(tia(full_well=2e-15).largest_current(1e9)) == pytest.approx(2e-6, rel=1e-6)
