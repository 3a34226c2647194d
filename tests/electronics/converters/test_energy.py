"""Energies per conversion and per digital operation against the published figures they were fitted to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics import ADC, DAC, DigitalBackend, Overhead
from electronics.converters import adc_survey, limits
from electronics.digital import measured

FIT = {"bits_exponent": 0.437, "rate_exponent": 1.92, "corner_rate": 14e9}

# Converters that Murmann's survey (revision 2025-06-09) names, P / f_s in pJ at (ENOB, rate).
NAMED = [
    (7.33, 2.7e9, 1.11),  # Wang and Kuo, ISSCC 2023: 8 b
    (9.70, 1.8e9, 4.19),  # Hsieh, ISSCC 2023: 12 b
    (10.0, 250e6, 2.24),  # VLSI 2022: SAR
    (7.07, 4.8e9, 1.60),  # ISSCC 2024: interleaved SAR
    (6.63, 10e9, 2.19),  # ISSCC 2025: 8 b
]


def test_adc_fit_is_the_least_squares_of_the_survey_with_the_errors_that_are_stated():
    assert adc_survey.fit() == pytest.approx(adc_survey.FIT, rel=1e-3)
    enob, rate = np.meshgrid(adc_survey.ENOB, adc_survey.RATES, indexing="ij")
    ratio = np.log(np.asarray(adc_survey.energy(enob, rate)) / adc_survey.ENERGY)
    published = np.isfinite(ratio)
    assert published.sum() == 64
    assert np.exp(np.sqrt(np.mean(ratio[published] ** 2))) == pytest.approx(1.50, abs=0.01)
    assert np.exp(np.abs(ratio[published]).max()) == pytest.approx(3.35, abs=0.01)
    assert abs(np.mean(ratio[published])) < 0.01
    assert float(adc_survey.energy(8.0, 1e9)) == pytest.approx(2.68e-12, rel=2e-3, abs=0)


@pytest.mark.parametrize(("enob", "rate", "picojoule"), NAMED)
def test_the_fit_does_not_flatter_the_converters_that_set_the_envelope(enob, rate, picojoule):
    """Each stands on an outer corner of the staircase, so the smooth fit asks for more, by less than a factor of 5."""
    assert 1 < float(adc_survey.energy(enob, rate)) / (picojoule * 1e-12) < 5


def test_adc_energy_grows_with_bits_and_rate_everywhere_and_without_steps():
    """From 1 to 14 bits and 1 MHz to 50 GHz; a quarter of a bit never costs more than 4**0.25 = 1.41 times."""
    enob = jnp.linspace(1.0, 14.0, 53)
    rate = 10.0 ** jnp.linspace(6.0, np.log10(50e9), 41)
    log_energy = lambda b, f: jnp.log(adc_survey.energy(b, f))  # noqa: E731
    slopes = [jax.vmap(jax.vmap(jax.grad(log_energy, n), (None, 0)), (0, None))(enob, rate) for n in (0, 1)]
    assert np.all(np.asarray(slopes[0]) > 0.3 * np.log(2))
    assert np.all(np.asarray(slopes[1]) > 0)
    table = np.asarray(adc_survey.energy(enob[:, None], rate[None]))
    assert np.all(np.diff(table, axis=0) > 0)
    assert np.all(np.diff(table, axis=1) > 0)
    assert np.max(table[1:] / table[:-1]) < 4**0.25 * 1.001


def test_adc_energy_outside_the_survey_follows_thermal_noise():
    assert adc_survey.energy(15.0, 1e9) / adc_survey.energy(14.0, 1e9) == pytest.approx(4.0, rel=1e-2)


def test_an_adc_is_billed_what_it_resolves():
    """10 bits with an ENOB of 14 has that of 10 bits, and pays for it; 8 of 10 pay for 8, whatever the bits."""

    def joules(bits, enob):
        parts = {"loading": 4, "gain": 1, "jitter": 0, "offset_mismatch": 0, "survey_factor": 1}
        return float(jax.jit(lambda b: ADC(bits=bits, enob=b, **parts).energy(1e9))(enob))

    assert joules(10.0, 14.0) == pytest.approx(joules(10.0, 10.0), rel=1e-6, abs=0)
    assert joules(10.0, 8.0) == pytest.approx(joules(12.0, 8.0), rel=1e-6, abs=0)
    ideal = np.log2(2**10 - 2)
    wanted = limits.sampling_energy(ideal) + float(adc_survey.energy(ideal, 1e9))
    assert joules(10.0, 14.0) == pytest.approx(wanted, rel=1e-4, abs=0)


@pytest.mark.parametrize(("bits", "femtojoule"), [(6, 0.20), (7, 0.81), (8, 3.25), (9, 13.0), (10, 52.0)])
def test_sampling_limit(bits, femtojoule):
    """8 k T SNR at 300 K."""
    assert limits.sampling_energy(bits) == pytest.approx(femtojoule * 1e-15, rel=0.02, abs=0)


def test_nothing_is_cheaper_than_the_sampling_limit():
    cheapest = ADC(bits=9, enob=8, loading=4, gain=1, jitter=0, offset_mismatch=0, survey_factor=0)
    assert float(cheapest.energy(1e9)) == pytest.approx(limits.sampling_energy(8.0), rel=1e-5, abs=0)
    assert float(DAC(bits=9, enob=8, inl=0, energy_at_8_bits=0, **FIT).energy(1e9)) == pytest.approx(
        limits.sampling_energy(8.0), rel=1e-5, abs=0
    )


@pytest.mark.parametrize(("bits", "rate", "picojoule"), [(8, 14e9, 3.57), (12, 14e9, 12.0), (8, 25e9, 10.9)])
def test_dac_energy_passes_through_the_published_parts(bits, rate, picojoule):
    """Caragiulo VLSI 2020 (8 b, 14 GS/s, 16 nm) and the 12 b and 25 GS/s parts that SimPhony lists, half a bit each
    being lost to noise as large as the rounding."""
    dac = DAC(bits=bits, enob=bits - 0.5, inl=0, energy_at_8_bits=3.57e-12, **FIT)
    assert float(dac.energy(rate)) == pytest.approx(picojoule * 1e-12, rel=0.08 if bits == 12 else 0.01, abs=0)


@pytest.fixture
def backend() -> DigitalBackend:
    return DigitalBackend(
        sram_energy=0.12e-12,
        wire_energy=80e-12,
        wire_length=5e-3,
        add_energy=0.2e-12,
        rescale_energy=0.2e-12,
        mac_energy=0.44e-12,
        operation_energy=1.2e-12,
        memory_energy=3.9e-12,
    )


def test_digital_energies_by_hand(backend):
    assert backend.input_movement(9.0) == pytest.approx(9 * 0.12e-12 + 9 * 5 * 0.08e-12, abs=0)
    assert backend.output_movement(10.0) == pytest.approx(10 * 5 * 0.08e-12, abs=0)
    assert backend.weight_fetch(8.0) == pytest.approx(31.2e-12, abs=0)
    # One tile is written once; three tiles are written three times, read twice and added twice.
    assert backend.partial_sum(1) == pytest.approx(24 * 0.12e-12, abs=0)
    assert 3 * backend.partial_sum(3) == pytest.approx(5 * 24 * 0.12e-12 + 2 * 0.2e-12, abs=0)


@pytest.mark.parametrize("bits", [-1000, 0, 2.5, True])
def test_accumulators_have_a_whole_number_of_bits(backend, bits):
    with pytest.raises(ValueError, match=r"DigitalBackend.accumulator_bits = .* must be a whole number >= 1"):
        backend.replace({"accumulator_bits": bits})


def test_a_field_that_was_retired_names_what_replaced_it(backend):
    with pytest.raises(ValueError, match=r"has no field 'word_bits'.*billed by the bits of the DAC and the mask"):
        backend.replace({"word_bits": 8})


def test_overhead_is_what_is_left_between_engine_and_plug():
    box = Overhead(conversion_efficiency=0.9, host_share=0.15)
    host = box.host(1.0)
    assert 1.0 + host + box.conversion(1.0 + host) == pytest.approx(1 / (0.9 * 0.85))
    assert host / (1.0 + host) == pytest.approx(0.15)


@pytest.mark.parametrize(("system", "tops_per_watt"), [("h100", 1.04), ("h200", 1.25), ("b200", 1.82)])
def test_digital_machines_reach_what_was_measured(system, tops_per_watt):
    """Peak x prefill utilisation / (chip power x wall factor); B200 within its MLPerf v5.1 1.6 to 2.2 TFLOP/J."""
    assert measured.tops_per_watt(system) == pytest.approx(tops_per_watt, rel=0.02)


def test_measured_joules_are_watts_over_rate():
    """MLPerf v4.1 and v5.1 power runs: system watts over output tokens a second."""
    by_rate = {0.2436: 6152.98 / 25262.1, 0.0642: 9436.05 / 146960, 0.1011: 10401.0 / 102909}
    wall = [run.j_per_output_token for run in measured.MEASURED_RUNS if run.scope == "wall"]
    assert sorted(wall) == sorted(by_rate)
    for stated, derived in by_rate.items():
        assert stated == pytest.approx(derived, rel=1e-3)
