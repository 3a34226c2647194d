"""Numbers out of bounds are refused, implausible ones warned about with the likely slip; parts are equal by value."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import electronics
import optics
from electronics import TIA, DigitalBackend, Part, PlausibilityWarning, count, number, static
from electronics.validation import caused_by, slip, without_plausibility

CORE = optics.today(rows=8, columns=4)


class Sample(Part):
    """A part with one field of each kind."""

    length: electronics.Number = number("m", least=0, most=1e3, plausible=(1e-6, 1e-3))
    rate: electronics.Number = number("Hz", above=0, most=1e15, plausible=(1e6, None))
    size: int = count(1, most=100)
    words: int = static(8)


def sample(**given):
    return Sample(**({"length": 1e-4, "rate": 1e9} | given))


def test_a_plausible_number_is_silent(recwarn):
    sample(length=[1e-6, 1e-3], rate=1e6)
    sample(length=0.0)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"length": 5.0},
            "Sample.length = 5 m is outside the plausible range, 1e-06 to 0.001 m; did you mean 5e-06 m (5 um)?",
        ),
        ({"rate": 10}, "Sample.rate = 10 Hz is outside the plausible range, at least 1e+06 Hz; did you mean"),
        ({"length": np.array([1e-4, 2e-9])}, "Sample.length = 2e-09 m is outside the plausible range"),
        ({"length": jnp.float32(0.5)}, "Sample.length = 0.5 m is outside the plausible range"),
    ],
)
def test_an_implausible_number_is_warned_about_at_the_callers_line(given, text):
    with pytest.warns(PlausibilityWarning) as seen:
        sample(**given)
    (warning,) = seen.list
    assert str(warning.message).startswith(text)
    # `sample` above, and not a line of the library.
    assert warning.filename == __file__


def test_what_was_there_before_is_not_warned_about_again():
    with pytest.warns(PlausibilityWarning, match="Sample.length = 5 m"):
        found = sample(length=5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(found.replace({"rate": 2e9}).length) == 5.0
        with without_plausibility():
            sample(rate=1.0)


def test_a_traced_number_passes_unchecked(recwarn):
    assert float(jax.jit(lambda rate: sample(rate=rate).rate)(-1.0)) == -1.0
    assert not recwarn.list


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "said"),
    [
        (1550.0, "m", (3e-7, 1e-5), "; did you mean 1.55e-06 m (1550 nm)?"),
        (20.0, "W", (1e-12, 5.0), "; did you mean 0.02 W (20 mW) or 2e-05 W (20 uW)?"),
        (10.0, "Hz", (1e8, 1e11), "; did you mean 1e+10 Hz (10 GHz)?"),
        (85.0, "1", (0.0, 1.0), "; did you mean 0.85 (85 %)?"),
        (140.0, "dB/Hz", (-200.0, -100.0), "; did you mean -140 dB/Hz (140 without its sign)?"),
        (1000.0, "S", (1e-6, 0.1), "; did you mean 0.001 S (1000 Ohm) or 1e-06 S (1000 nS)?"),
        (6e6, "C", (1e-17, 1e-11), "; did you mean 9.61306e-13 C (6e+06 electrons)"),
        (1500.0, "dB", (0.0, 20.0), ""),
        (np.nan, "m", (0.0, 1.0), ""),
        (0.0, "Hz", (1.0, 1e12), ""),
        (5e-9, "A", (1e-15, 1e-10), ""),
    ],
)
def test_the_slip_is_the_unit_that_makes_it_plausible(value, unit, wanted, said):
    assert slip(value, unit, wanted).startswith(said)
    assert bool(slip(value, unit, wanted)) == bool(said)


def test_a_message_names_what_the_user_asked_for():
    with caused_by("photons = 1e9 per MAC"):
        with pytest.raises(
            ValueError, match=r"^photons = 1e9 per MAC: Sample.length = 2000.0 m is out of range.*1000$"
        ):
            sample(length=2000.0)
        with pytest.warns(PlausibilityWarning, match=r"^photons = 1e9 per MAC: Sample.length = 2 m is .* m$"):
            sample(length=2.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": 0}, "Sample.size = 0 must be a whole number >= 1"),
        ({"size": 101}, "Sample.size = 101 must be a whole number <= 100"),
        ({"size": True}, "Sample.size = True must be a whole number"),
        ({"size": 2.0}, "Sample.size = 2.0 must be a whole number"),
        ({"size": 10**5000}, "Sample.size = an integer of 16610 bits must be a whole number <= 100"),
        ({"words": -1000}, "Sample.words = -1000 must be a whole number >= 1"),
        ({"words": "8"}, "Sample.words = '8' must be a whole number"),
        ({"words": [8]}, r"Sample.words = \[8\] must be a whole number"),
        ({"rate": 10**400}, "Sample.rate = an integer of 1329 bits Hz is out of range"),
        ({"rate": 1e300}, "Sample.rate = 1e.300 Hz is out of range"),
        ({"rate": "1e9"}, "Sample.rate must be a number in Hz, got '1e9'"),
        ({"rate": None}, "Sample.rate must be a number in Hz, got None"),
        ({"rate": 1j}, "Sample.rate must be a number in Hz, got 1j"),
        ({"rate": [1e9, [2e9]]}, "Sample.rate must be a number in Hz"),
        ({"rate": {"value": 1e9}}, "Sample.rate must be a number in Hz"),
        ({"rate": np.array([1e9, np.nan])}, r"Sample.rate = .*nan.* Hz is out of range: it must be finite"),
        ({"rate": -1e9}, "Sample.rate = -1000000000.0 Hz is out of range"),
    ],
)
def test_what_cannot_be_is_one_clear_error(given, words):
    with pytest.raises(ValueError, match=words) as refused:
        sample(**given)
    assert len(str(refused.value)) < 250


def test_static_counts_of_the_digital_backend_are_checked():
    counted = [name for name in ("word_bits", "output_bits", "accumulator_bits") if hasattr(DigitalBackend, name)]
    assert counted
    for name in counted:
        with pytest.raises(ValueError, match=f"DigitalBackend.{name} = -1000 must be a whole number >= 1"):
            CORE.replace({f"digital.{name}": -1000})


def test_parts_are_equal_by_type_structure_and_numbers():
    assert optics.today() == optics.today()
    assert hash(optics.today()) == hash(optics.today())
    assert optics.today() != optics.projected_2029()
    for change in (
        {"adc.enob": 7.0},
        {"rows": 16},
        {"encoding.inputs": "slots"},
        {"correction.output_gain": np.ones(4)},
    ):
        assert CORE.replace(change) != CORE
    on_device = jax.tree.map(jnp.asarray, CORE)
    assert on_device == CORE and hash(on_device) == hash(CORE)
    assert CORE.replace({"adc.jitter": -0.0}) == CORE.replace({"adc.jitter": 0.0})
    assert hash(CORE.replace({"adc.jitter": -0.0})) == hash(CORE.replace({"adc.jitter": 0.0}))
    assert CORE != "today" and CORE is not None and CORE.adc != CORE.dac
    stack = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), CORE)
    assert stack != CORE and stack == jax.tree.map(np.asarray, stack)


def test_a_subclass_of_the_same_numbers_is_another_part():
    class Another(TIA):
        """As its base."""

    given = {name: CORE.tia.numbers()[name] for name in CORE.tia.numbers()}
    assert Another(**given) != CORE.tia and TIA(**given) == CORE.tia


def test_traced_parts_compare_by_identity_without_an_error():
    seen = []

    @jax.jit
    def look(core):
        other = core.replace({"adc.enob": 7.0})
        seen.extend([core == core, core == jax.tree.map(lambda leaf: leaf, core), core == other, core == CORE])
        return hash(core) == hash(core)

    look(CORE)
    assert seen == [True, True, False, False]


def test_an_equal_core_is_the_same_static_argument():
    traced = []

    def macs(core, x):
        traced.append(core)
        return x * core.rows

    compiled = jax.jit(macs, static_argnums=0)
    for core in (optics.today(rows=8), optics.today(rows=8), optics.today(rows=16)):
        compiled(core, 1.0)
    assert [core.rows for core in traced] == [8, 16]
    assert {optics.today(): 1}[optics.today()] == 1
