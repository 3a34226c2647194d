"""Converters: levels, rounding noise, effective bits and gradients against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics import ADC, DAC, TIA

FIT = {"bits_exponent": 0.437, "rate_exponent": 1.92, "corner_rate": 14e9}

ON = jnp.float32(1)


def adc(bits=8, enob=None, gain=1.0, jitter=0.0):
    enob = bits if enob is None else enob
    return ADC(bits=bits, enob=enob, loading=4.0, gain=gain, jitter=jitter, offset_mismatch=0.0, survey_factor=1.0)


def dac(bits=8, enob=None, inl=0.0):
    return DAC(bits=bits, enob=bits if enob is None else enob, inl=inl, energy_at_8_bits=3.57e-12, **FIT)


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


def sine_fit_enob(recorded: np.ndarray, phase: np.ndarray, full_scale: float) -> float:
    """IEEE 1241: log2(full scale peak to peak / (sqrt 12 x rms residual)) after a fit of sine and offset."""
    basis = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], axis=1)
    residual = recorded - basis @ np.linalg.lstsq(basis, recorded, rcond=None)[0]
    return np.log2(full_scale / (np.sqrt(12) * np.sqrt(np.mean(residual**2))))


# Ideal converters have log2(2**b - 2) and log2(2**b - 1) bits.
@pytest.mark.parametrize(
    ("bits", "enob", "measured"), [(8, 8.0, 7.989), (10, 8.0, 8.0), (8, 6.5, 6.5), (7, 6.0, 6.0), (12, 9.7, 9.7)]
)
def test_enob_is_what_a_sine_fit_measures(bits, enob, measured):
    """A sine of 99 % of full scale, 2^16 samples: the standard error of the ENOB is below 1 / (sqrt(2 n) ln 2) = 0.004.

    The bar of 0.02 is five of them; clipping of the noise at the crests and non-uniform rounding take less than 0.002.
    """
    samples = 2**16
    phase = 2 * np.pi * 1021 * np.arange(samples) / samples
    noise = np.random.default_rng(0).normal(size=samples)
    converter = adc(bits, enob)
    sent = 0.99 * np.sin(phase) + np.sqrt(float(converter.noise_variance())) * noise
    read = np.asarray(converter.convert(jnp.asarray(sent, jnp.float32), ON, ON, ON), np.float64)
    assert sine_fit_enob(read, phase, 2.0) == pytest.approx(measured, abs=0.02)
    source = dac(bits, enob)
    levels = np.asarray(source.convert(jnp.asarray(0.5 + 0.495 * np.sin(phase), jnp.float32), ON, ON), np.float64)
    drive = levels + np.sqrt(float(source.noise_variance())) * noise
    ideal = np.log2(2**bits - 1)
    assert sine_fit_enob(drive, phase, 1.0) == pytest.approx(min(enob, ideal), abs=0.02)
    assert float(converter.effective_bits()) == pytest.approx(measured, abs=1e-3)
    assert float(source.effective_bits()) == pytest.approx(min(enob, ideal), abs=1e-3)


def test_an_enob_above_the_bits_is_refused_and_a_traced_one_is_clamped():
    for make, name in ((adc, "ADC"), (dac, "DAC")):
        with pytest.raises(ValueError, match=rf"{name}.enob = 14.0 bit is more than {name}.bits = 10.0 bit allow"):
            make(10, 14.0)
        with pytest.raises(ValueError, match="ENOB includes the rounding"):
            make(jnp.array([10.0, 8.0]), jnp.array([9.0, 9.0]))
        assert make(10, 10.0).noise_variance() == 0.0
        wanted, excess = make(10, 10.0), jax.jit(lambda b, make=make: (make(10, b), make(10, b).energy(1e9)))(14.0)
        assert float(excess[0].noise_variance()) == 0.0
        assert float(excess[1]) == pytest.approx(float(wanted.energy(1e9)), rel=1e-6, abs=0)


@pytest.mark.parametrize("make", [adc, dac])
def test_bits_are_no_free_accuracy(make):
    """At one ENOB, more codes are made up for by more additive noise; above the ideal ENOB, energy follows the bits."""
    whole = {bits: float(make(bits, 7.0).noise_variance()) + rounding(make, bits) for bits in (8, 9, 12)}
    assert whole[8] == pytest.approx(whole[12], rel=1e-5) == pytest.approx(whole[9], rel=1e-5)
    energy = [float(jax.jit(lambda b: make(b, 12.0).energy(1e9))(bits)) for bits in (5.0, 6.0, 7.0, 8.0)]
    assert np.all(np.diff(energy) > 0)


def rounding(make, bits: float) -> float:
    """Bennett's variance of the rounding alone, over full scale squared."""
    steps = 2 ** (bits - 1) - 1 if make is adc else 2**bits - 1
    return 1 / (12 * steps**2)


@pytest.mark.parametrize(("make", "sine"), [(adc, 0.5), (dac, 0.125)])
def test_additive_noise_has_the_gradients_of_its_closed_form(make, sine):
    """d/d ENOB = -2 ln 2 V, V = sine / SNR the whole error; d/d bits is the rounding's own with the sign turned."""
    of = jax.grad(lambda v: jax.jit(lambda v: make(v[0], v[1]).noise_variance())(v))(jnp.array([9.0, 7.0]))
    whole, step = sine / (1.5 * 4.0**7), 1e-3
    slope = (rounding(make, 9 + step) - rounding(make, 9 - step)) / (2 * step)
    np.testing.assert_allclose(of, [-slope, -2 * np.log(2) * whole], rtol=1e-4)


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
    assert float(tia(bandwidth=bandwidth).isi_share(1e9)) == pytest.approx(missing, rel=2e-3)


def test_a_well_fills_at_its_charge_per_symbol():
    assert float(tia(full_well=2e-15).largest_current(1e9)) == pytest.approx(2e-6, rel=1e-6)
