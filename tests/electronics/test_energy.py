"""Energies per conversion and per digital operation against the published figures they were fitted to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from electronics import ADC, DAC, DigitalBackend, Overhead, accelerators, adc_survey, limits

FIT = {"bits_exponent": 0.437, "rate_exponent": 1.92, "corner_rate": 14e9}

# Murmann survey, revision 2025-06-09, lowest P / f_s in pJ at (ENOB, rate): named parts of the survey.
SURVEY = [
    (7.0, 1e9, 1.11),  # Wang and Kuo, ISSCC 2023: 8 b, 2.7 GS/s, 7.33 ENOB
    (8.0, 1e9, 4.19),  # Hsieh, ISSCC 2023: 12 b, 1.8 GS/s, 9.70 ENOB
    (10.0, 250e6, 2.24),  # VLSI 2022: 250 MS/s SAR, 10.0 ENOB
    (6.0, 10e9, 2.19),  # ISSCC 2025: 10 GS/s, 6.63 ENOB
    (8.0, 5e9, 15.0),
]


@pytest.mark.parametrize(("enob", "rate", "picojoule"), SURVEY)
def test_adc_energy_passes_through_the_survey(enob, rate, picojoule):
    assert float(adc_survey.energy(enob, rate)) == pytest.approx(picojoule * 1e-12, rel=1e-4, abs=0)


def test_adc_energy_never_falls_with_bits_or_rate():
    enob = jnp.linspace(3.0, 14.0, 67)
    rate = 10.0 ** jnp.linspace(6.5, 11.5, 61)
    table = np.asarray(jax.vmap(lambda b: jax.vmap(lambda f: adc_survey.energy(b, f))(rate))(enob))
    assert np.all(np.diff(table, axis=0) >= -1e-4 * table[1:])
    assert np.all(np.diff(table, axis=1) >= -1e-4 * table[:, 1:])


def test_adc_energy_outside_the_survey_follows_thermal_noise_and_rate():
    assert adc_survey.energy(11.0, 1e9) / adc_survey.energy(10.0, 1e9) == pytest.approx(4.0, rel=1e-4)
    assert adc_survey.energy(8.0, 20e9) / adc_survey.energy(8.0, 10e9) == pytest.approx(2.0, rel=1e-4)


def test_adc_energy_has_the_gradient_of_its_slope():
    slope = jax.grad(lambda b: jnp.log(adc_survey.energy(b, 1e9)))(7.25)
    assert float(slope) == pytest.approx(np.log(4.19 / 1.11) / 0.5, rel=1e-3)


@pytest.mark.parametrize(("bits", "femtojoule"), [(6, 0.20), (7, 0.81), (8, 3.25), (9, 13.0), (10, 52.0)])
def test_sampling_limit(bits, femtojoule):
    """8 k T SNR at 300 K."""
    assert limits.sampling_energy(bits) == pytest.approx(femtojoule * 1e-15, rel=0.02, abs=0)


def test_nothing_is_cheaper_than_the_sampling_limit():
    cheapest = ADC(bits=8, enob=8, loading=4, gain=1, jitter=0, offset_mismatch=0, survey_factor=0)
    assert float(cheapest.energy(1e9)) == pytest.approx(limits.sampling_energy(8.0), rel=1e-5, abs=0)
    assert float(DAC(bits=8, enob=8, inl=0, energy_at_8_bits=0, **FIT).energy(1e9)) == pytest.approx(
        limits.sampling_energy(8.0), rel=1e-5, abs=0
    )


@pytest.mark.parametrize(("enob", "rate", "picojoule"), [(8, 14e9, 3.57), (12, 14e9, 12.0), (8, 25e9, 10.9)])
def test_dac_energy_passes_through_the_published_parts(enob, rate, picojoule):
    """Caragiulo VLSI 2020 (8 b, 14 GS/s, 16 nm) and the 12 b and 25 GS/s parts that SimPhony lists."""
    dac = DAC(bits=8, enob=enob, inl=0, energy_at_8_bits=3.57e-12, **FIT)
    assert float(dac.energy(rate)) == pytest.approx(picojoule * 1e-12, rel=0.08 if enob == 12 else 0.01, abs=0)


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
    assert backend.input_movement() == pytest.approx(8 * 0.12e-12 + 8 * 5 * 0.08e-12, abs=0)
    assert backend.output_movement() == pytest.approx(16 * 5 * 0.08e-12, abs=0)
    assert backend.weight_fetch(8.0) == pytest.approx(31.2e-12, abs=0)
    # One tile is written once; three tiles are written three times, read twice and added twice.
    assert backend.partial_sum(1) == pytest.approx(24 * 0.12e-12, abs=0)
    assert 3 * backend.partial_sum(3) == pytest.approx(5 * 24 * 0.12e-12 + 2 * 0.2e-12, abs=0)


def test_overhead_is_what_is_left_between_engine_and_plug():
    box = Overhead(conversion_efficiency=0.9, host_share=0.15)
    host = box.host(1.0)
    assert 1.0 + host + box.conversion(1.0 + host) == pytest.approx(1 / (0.9 * 0.85))
    assert host / (1.0 + host) == pytest.approx(0.15)


@pytest.mark.parametrize(("system", "tops_per_watt"), [("h100", 1.04), ("h200", 1.25), ("b200", 1.82)])
def test_digital_machines_reach_what_was_measured(system, tops_per_watt):
    """Peak x prefill utilisation / (chip power x wall factor); B200 within its MLPerf v5.1 1.6 to 2.2 TFLOP/J."""
    assert accelerators.tops_per_watt(system) == pytest.approx(tops_per_watt, rel=0.02)


def test_measured_joules_are_watts_over_rate():
    """MLPerf v4.1 and v5.1 power runs: system watts over output tokens a second."""
    by_rate = {0.2436: 6152.98 / 25262.1, 0.0642: 9436.05 / 146960, 0.1011: 10401.0 / 102909}
    wall = [run.j_per_output_token for run in accelerators.MEASURED_RUNS if run.scope == "wall"]
    assert sorted(wall) == sorted(by_rate)
    for stated, derived in by_rate.items():
        assert stated == pytest.approx(derived, rel=1e-3)
