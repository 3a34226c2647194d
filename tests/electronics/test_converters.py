"""Converters: levels, rounding noise, effective bits and gradients against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics import ADC, DAC, TIA

ON = jnp.float32(1)


def adc(bits=8, enob=8.0):
    return ADC(bits=bits, enob=enob, loading=4.0, gain=1.0, jitter=0.0, offset_mismatch=0.0, survey_factor=1.0)


def dac(bits=8, enob=8.0):
    return DAC(bits=bits, enob=enob, inl=0.0, energy_at_8_bits=3.57e-12)


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
    tia = TIA(
        noise_density=5e-12,
        feedback_conductance=0.0,
        integration_capacitance=0.0,
        bandwidth=1e10,
        full_well=1e-12,
        power=3e-3,
    )
    assert tia.noise_variance(5e8) == pytest.approx(25e-24 * 5e8)
    assert tia.energy(1e9) == pytest.approx(3e-12)
