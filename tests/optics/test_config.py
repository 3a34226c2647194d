"""A core goes to a file and comes back the same, and a file that is not one is refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import config


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("name", optics.PRESETS)
def test_round_trip_loses_nothing(tmp_path, name, suffix):
    core = optics.preset(name).replace({"adc.enob": 22 / 3, "source.power": 1.2345678e-30})
    config.save(core, tmp_path / f"core{suffix}")
    again = config.load(tmp_path / f"core{suffix}")
    assert jax.tree.structure(again) == jax.tree.structure(core)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(core), strict=True))


def changed(**edits):
    values = config.to_dict(optics.today())
    for dotted, value in edits.items():
        part, _, field = dotted.rpartition("__")
        table = values[part] if part else values
        if value is None:
            del table[field]
        else:
            table[field] = value
    return values


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"adc__enobb": 7}, r"ADC has no field 'adc.enobb'; did you mean 'enob'\?"),
        ({"clok": 1e9}, r"TensorCore has no field 'clok'; did you mean 'clock'\?"),
        ({"adc__enob": None, "adc__bits": None}, "ADC lacks adc.bits, adc.enob"),
        ({"mask__loss_db": -1.0}, "WeightMask.loss_db = -1.0 dB is out of range"),
        ({"adc": 8}, "adc must be a table of the fields of ADC, got 8"),
        ({"rows": 10.5}, "TensorCore.rows = 10.5 must be a whole number"),
    ],
)
def test_what_is_not_a_core_is_refused(edits, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(changed(**edits))


def test_files_are_named_in_errors(tmp_path):
    (tmp_path / "broken.toml").write_text("rows = [", encoding="utf-8")
    with pytest.raises(ValueError, match="broken.toml: "):
        config.load(tmp_path / "broken.toml")
    with pytest.raises(ValueError, match="core.yaml: a core's file ends in .toml or .json"):
        config.save(optics.today(), tmp_path / "core.yaml")


def test_a_stack_of_cores_is_not_one():
    core = optics.today()
    stack = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 3), core)
    with pytest.raises(ValueError, match="clock is an array of 3 values; a file holds one core"):
        config.to_dict(stack)
