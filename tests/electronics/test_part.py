"""Parts are pytrees whose constructors refuse impossible machines with one clear message."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics import ADC, DAC

FIT = {"bits_exponent": 0.437, "rate_exponent": 1.92, "corner_rate": 14e9}


@pytest.fixture
def adc() -> ADC:
    return ADC(bits=8, enob=7.5, loading=4.0, gain=1.0, jitter=0.0, offset_mismatch=0.0, survey_factor=1.0)


def test_numbers_are_float32_leaves_and_structure_is_not(adc):
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(adc))
    assert len(jax.tree.leaves(adc)) == 7
    core = optics.today()
    assert jax.tree.structure(core) == jax.tree.structure(core.replace({"adc.enob": 3, "clock": jnp.float32(2e9)}))
    assert jax.tree.structure(core) != jax.tree.structure(dataclasses.replace(core, rows=512))


def test_replace_reaches_nested_leaves_and_copies(adc):
    core = optics.today()
    changed = core.replace({"adc.enob": 6.5, "source.power": 2e-3})
    assert (float(changed.adc.enob), float(changed.source.power)) == (6.5, pytest.approx(2e-3))
    assert float(core.adc.enob) == 8.0
    assert set(core.numbers()) == set(changed.numbers())
    assert float(changed.numbers()["adc.enob"]) == 6.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adc.enobb": 7}, r"ADC has no field 'enobb'.*did you mean 'enob'\?"),
        ({"adx.enob": 7}, r"TensorCore has no field 'adx'.*did you mean 'adc'\?"),
        ({"clock.rate": 7}, r"TensorCore.clock is a value"),
        ({"adc.bits": 0}, r"ADC.bits = 0 bit is out of range: it must be finite and >= 2"),
        ({"dac.bits": 0}, r"DAC.bits = 0 bit is out of range: it must be finite and >= 1"),
        ({"mask.loss_db": -1.0}, r"WeightMask.loss_db = -1.0 dB is out of range: it must be finite and >= 0"),
        ({"source.power": float("nan")}, r"Source.power = nan W is out of range"),
        ({"mask.extinction_ratio": jnp.float32(1.0)}, r"WeightMask.extinction_ratio = 1.0 1 is out of range.*>= 1.001"),
        ({"dac.enob": "eight"}, r"DAC.enob must be a number in bit, got 'eight'"),
        ({"rows": 0}, r"TensorCore.rows = 0 must be a whole number >= 1"),
        ({"effects.shot": 1.5}, r"Effects.shot = 1.5 1 is out of range.*<= 1"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        optics.today().replace(changes)


def test_trees_of_the_class_that_are_no_machine_are_allowed(adc):
    negative = jax.tree.map(lambda leaf: -leaf, adc)
    assert float(negative.bits) == -8.0
    gradient = jax.grad(lambda dac: dac.energy(1e9) * -1e12)(
        DAC(bits=8, enob=7.5, inl=0, energy_at_8_bits=1e-12, **FIT)
    )
    assert float(gradient.energy_at_8_bits) == pytest.approx(-1e12)


def test_parts_cannot_be_changed_in_place(adc):
    with pytest.raises(dataclasses.FrozenInstanceError):
        adc.bits = 4
