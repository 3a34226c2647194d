"""What users slip on is caught on a whole core; what is allowed, however absurd, gives finite numbers."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics import Part, PlausibilityWarning
from optics.presets.scenario import SCENARIOS

CORE = optics.today(rows=8, columns=4)
REFUSED = [
    ({"source.wavelength": 1550}, "Source.wavelength = 1550 m", "did you mean 1.55e-06 m (1550 nm)?"),
    ({"source.wavelength": 1.55}, "Source.wavelength = 1.55 m", "did you mean 1.55e-06 m (1.55 um)?"),
    ({"source.rin": 140}, "Source.rin = 140 dB/Hz", "did you mean -140 dB/Hz"),
    ({"source.wall_plug_efficiency": 20}, "Source.wall_plug_efficiency = 20 1", "did you mean 0.2 (20 %)?"),
    ({"source.mean_drive": 6}, "Source.mean_drive = 6 1", "did you mean 0.06 (6 %)?"),
    ({"detector.quantum_efficiency": 85}, "Photodetector.quantum_efficiency = 85 1", "did you mean 0.85 (85 %)?"),
    ({"overhead.host_share": 15}, "Overhead.host_share = 15 1", "did you mean 0.15 (15 %)?"),
    ({"mask.mismatch": 3}, "WeightMask.mismatch = 3 1", "did you mean 0.03 (3 %)?"),
    ({"adc.jitter": 100}, "ADC.jitter = 100 s", "1e-13 s (100 fs)"),
    ({"dac.energy_at_8_bits": 3.57}, "DAC.energy_at_8_bits = 3.57 J", "3.57e-12 J (3.57 pJ)"),
    ({"tia.noise_density": 5}, "TIA.noise_density = 5 A/sqrt(Hz)", "5e-12 A/sqrt(Hz) (5 pA/sqrt(Hz))"),
    ({"tia.full_well": 6e6}, "TIA.full_well = 6000000.0 C", "9.61306e-13 C (6e+06 electrons)"),
    ({"digital.sram_energy": 0.12}, "DigitalBackend.sram_energy = 0.12 J/bit", "1.2e-13 J/bit (0.12 pJ/bit)"),
    ({"digital.mac_energy": 0.444}, "DigitalBackend.mac_energy = 0.444 J", "4.44e-13 J (0.444 pJ)"),
    ({"mask.loss_db": 1500}, "WeightMask.loss_db = 1500 dB is out of range", "<= 60"),
    ({"clock": 1e21}, "TensorCore.clock = 1e+21 Hz is out of range", "<= 1e+15"),
    ({"rows": 10**9}, "TensorCore.rows = 1000000000", "<= 1048576"),
    ({"transfer.entries": 10**9}, "Laser.entries = 1000000000", "<= 1048576"),
    ({"encoding.input_slices": 17}, "Encoding.input_slices = 17", "<= 16"),
    ({"clock": 10.0}, "vectors take longer than upkeep.interval", "at clock = 10.0 Hz"),
    ({"source.power": 1e-30}, "source.power = 1", "leaves less than 0.0001 electrons of a full product"),
    (dict.fromkeys(("mask.loss_db", "space.fan_in_loss_db"), 60.0), "leaves less than 0.0001 electrons", "losses"),
]
WARNED = [
    ({"source.power": 20}, "Source.power = 20 W", "did you mean 0.02 W (20 mW)"),
    ({"clock": 1000.0, "upkeep.probes": 0.0}, "TensorCore.clock = 1000 Hz", "1e+09 Hz (1000 MHz)"),
    ({"clock": 10, "upkeep.probes": 0.0}, "TensorCore.clock = 10 Hz", "1e+10 Hz (10 GHz)"),
    ({"source.bias_power": 1.4}, "Source.bias_power = 1.4 W", "0.0014 W (1.4 mW)"),
    ({"digital.wire_length": 5}, "DigitalBackend.wire_length = 5 m", "0.005 m (5 mm)"),
    ({"mask.update_time": 16}, "WeightMask.update_time = 16 s", "0.016 s (16 ms)"),
    ({"tia.feedback_conductance": 50}, "TIA.feedback_conductance = 50 S", "0.02 S (50 Ohm)"),
    ({"tia.bandwidth": 30}, "TIA.bandwidth = 30 Hz", "3e+10 Hz (30 GHz)"),
    ({"mask.loss_db": 30}, "WeightMask.loss_db = 30 dB", "at most 20 dB"),
]


@pytest.mark.parametrize(("changes", "named", "said"), REFUSED, ids=lambda value: str(value)[:40])
@pytest.mark.filterwarnings("ignore::electronics.PlausibilityWarning")
def test_a_slip_that_cannot_be_meant_is_refused(changes, named, said):
    with pytest.raises(ValueError) as refused:
        CORE.replace(changes)
    assert named in str(refused.value) and said in str(refused.value)


@pytest.mark.parametrize(("changes", "named", "said"), WARNED, ids=lambda value: str(value)[:40])
def test_a_slip_that_might_be_meant_is_warned_about(changes, named, said):
    with pytest.warns(PlausibilityWarning) as seen:
        CORE.replace(changes)
    (warning,) = seen.list
    assert named in str(warning.message) and said in str(warning.message)
    assert warning.filename == __file__


def test_no_preset_device_or_range_of_the_constants_is_warned_about():
    """Every low, nominal and high of every constant, put on its own core."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = 0
        for name in (*SCENARIOS, *optics.DEVICES):
            core = optics.preset(name)
            for field, constant in optics.constants_of(name).items():
                for value in (constant.low, constant.value, constant.high):
                    if (field, value) == ("source.power", 0.0):
                        # An end that its distribution never reaches: a core without light is none.
                        continue
                    # A short interval between calibrations takes a core that is no older.
                    core.replace({"drift.age": 0.0, field: value} if field == "upkeep.interval" else {field: value})
                    checked += 1
        assert optics.ideal() is not None
    assert checked > 2000


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: optics.with_photons_per_mac(CORE, 1e30), r"^photons = 1e\+30 per MAC: Source.power = "),
        (lambda: optics.with_photons_per_mac(CORE, -3), "^photons = -3 must be a finite number above 0"),
        (lambda: optics.with_photons_per_mac(CORE, 0), "^photons = 0 must be a finite number above 0"),
        (lambda: optics.with_photons_per_mac(CORE, float("nan")), "^photons = nan must be a finite number above 0"),
        (lambda: optics.with_photons_per_mac(CORE, float("inf")), "^photons = inf must be a finite number above 0"),
        (lambda: optics.with_photons_per_mac(CORE, "300"), "^photons = '300' must be a number"),
        (
            lambda: optics.with_photons_per_mac(CORE, 1e-12),
            "^photons = 1e-12 per MAC: source.power = .* leaves less than",
        ),
        (lambda: optics.with_effective_bits(CORE, 70), "^effective_bits = 70 must be between 0 and 24"),
        (lambda: optics.with_effective_bits(CORE, np.nan), "^effective_bits = nan must be between 0 and 24"),
        (lambda: optics.today(effective_bits=23.9), "^effective_bits = 23.9: Source.power = "),
    ],
)
@pytest.mark.filterwarnings("ignore::electronics.PlausibilityWarning")
def test_light_names_what_was_asked_for(given, words):
    with pytest.raises(ValueError, match=words):
        given()


def test_light_that_is_implausible_is_warned_about_by_what_was_asked_for():
    with pytest.warns(PlausibilityWarning, match=r"^effective_bits = 12: Source.power = [\d.]+ W is outside .* W$"):
        optics.today(effective_bits=12)
    with pytest.warns(PlausibilityWarning, match=r"^photons = 10000000.0 per MAC: Source.power"):
        optics.with_photons_per_mac(optics.today(), 1e7)


def test_light_still_traces():
    found = jax.jit(jax.vmap(optics.with_photons_per_mac, (None, 0)))(CORE, jnp.array([10.0, 20.0]))
    np.testing.assert_allclose(found.source.power[1], 2 * found.source.power[0], rtol=1e-6)


X = jax.random.normal(jax.random.key(1), (3, 8), jnp.float32)
W = jax.random.normal(jax.random.key(2), (8, 4), jnp.float32)


@pytest.fixture(scope="module")
def measured():
    """A core's product, its bill, its time and its light, compiled once."""
    sites = optics.trace(lambda w, x: x @ w)(W, X)

    def measure(core):
        bill = optics.price(core, sites)
        return (
            core.matmul(X, W, key=jax.random.key(0)),
            bill.components,
            bill.core_seconds,
            optics.photons_per_mac(core),
        )

    return jax.jit(measure)


def ends(part, path=""):
    """(dotted name, the two ends of what is allowed) of every number; an excluded end is just missed."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            yield from ends(value, f"{path}{field.name}.")
        elif bounds := field.metadata.get("bounds"):
            up, down = np.float32(np.inf), np.float32(-np.inf)
            low = bounds["least"] if bounds["above"] is None else np.nextafter(np.float32(bounds["above"]), up)
            high = bounds["most"] if bounds["below"] is None else np.nextafter(np.float32(bounds["below"]), down)
            yield path + field.name, (low, high)


def finite(found) -> bool:
    return all(bool(np.all(np.isfinite(leaf))) for leaf in jax.tree.leaves(found))


def test_every_number_has_two_ends():
    assert len(list(ends(CORE))) == len(CORE.numbers())
    assert all(low is not None and high is not None for _, (low, high) in ends(CORE))


@pytest.mark.filterwarnings("ignore::electronics.PlausibilityWarning")
def test_a_core_at_any_end_of_any_number_is_finite_or_refused(measured):
    tried = 0
    for name, values in ends(CORE):
        for value in values:
            try:
                core = CORE.replace({name: value})
            except ValueError:
                continue
            assert finite(measured(core)), (name, value)
            tried += 1
    assert tried > 150


@pytest.mark.filterwarnings("ignore::electronics.PlausibilityWarning")
def test_a_core_at_many_ends_at_once_is_finite_or_refused(measured):
    """Each of 100 cores has a tenth of its numbers at an end; the draws are fixed, so nothing here fails by chance."""
    draws, tried = np.random.default_rng(0), 0
    for _ in range(100):
        chosen = {name: values[draws.integers(2)] for name, values in ends(CORE) if draws.random() < 0.1}
        chosen.pop("device", None)
        try:
            core = CORE.replace(chosen)
        except ValueError:
            continue
        assert finite(measured(core)), chosen
        tried += 1
    assert tried > 50
