"""A core goes to a file and comes back the same, and a file that is not one is refused by name."""

import dataclasses
import json
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import config


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("name", optics.PRESETS)
def test_round_trip_loses_nothing(tmp_path, name, suffix):
    core = optics.preset(name).replace({"adc.enob": 11 / 3, "source.power": 1.2345678e-30})
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
        (
            {"digital__word_bits": 8},
            "DigitalBackend has no field 'digital.word_bits'; movement is billed by the bits of",
        ),
        ({"digital__output_bits": 16}, r"no field 'digital.output_bits'; movement is billed .*: adc.bits"),
        ({"digital__accumulator_bits": -1000}, "DigitalBackend.accumulator_bits = -1000 must be a whole number >= 1"),
        ({"adc__enob": 14}, r"ADC.enob = 14.0 bit is more than ADC.bits = 10.0 bit allow: ENOB includes the rounding"),
        ({"dac__bits": 4}, r"DAC.enob = 7.5 bit is more than DAC.bits = 4.0 bit allow"),
        ({"clok": 1e9}, r"TensorCore has no field 'clok'; did you mean 'clock'\?"),
        ({"adc__enob": None, "adc__bits": None}, "ADC lacks adc.bits, adc.enob"),
        ({"mask__loss_db": -1.0}, "WeightMask.loss_db = -1.0 dB is out of range"),
        ({"adc": 8}, "adc must be a table of the fields of ADC, got 8"),
        ({"rows": 10.5}, "TensorCore.rows = 10.5 must be a whole number"),
        ({"accumulate": 0}, "TensorCore.accumulate = 0 must be a whole number >= 1"),
        ({"encoding__inputs": "rail"}, "Encoding.inputs = 'rail' is none of: rails, slots, offset"),
        ({"encoding__weight_slices": True}, "Encoding.weight_slices = True must be a whole number >= 1"),
        ({"adc__span": "columns"}, "ADC.span = 'columns' is none of: norms, rows"),
        ({"adc__noise": "cauchy"}, "ADC.noise = 'cauchy' is none of: gaussian, logistic"),
        ({"transfer__kind": "Lazer"}, r"transfer.kind = 'Lazer' is no curve; did you mean 'Laser'\?"),
        ({"transfer__kind": None}, "transfer.kind = None is no curve"),
        ({"transfer__kind": "MachZehnder"}, "MachZehnder has no field 'transfer.threshold'"),
        ({"transfer__rollover": None}, "Laser lacks transfer.rollover"),
        ({"drift": None}, "TensorCore lacks drift"),
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


CURVES = (
    optics.Straight(bias_error=0.01, entries=3),
    optics.Laser(bias_error=0.01, threshold=0.3, rollover=0.2),
    optics.LED(bias_error=-0.01, quadratic=0.5, cubic=-0.1, entries=2),
    optics.MachZehnder(bias_error=0.0, extinction_ratio=200.0),
    optics.ElectroAbsorption(bias_error=0.0, extinction_ratio=10.0, entries=1024),
)
CODE = optics.Encoding(
    inputs="slots", weights="offset", input_slices=2, weight_slices=2, weight_slices_over="passes", scales="tile"
)


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: type(curve).__name__)
def test_structure_goes_to_a_file_and_back(tmp_path, curve, suffix):
    """Every static field off its default, every kind of curve by name, and what a calibration measured as lists."""
    core = optics.today(rows=6, columns=4).replace(
        {
            "transfer": curve,
            "encoding": CODE,
            "adc.span": "rows",
            "adc.noise": "logistic",
            "correction.input_gain": np.linspace(0.5, 1, 12).reshape(2, 6),
            "correction.output_gain": np.geomspace(0.9, 1.1, 4),
        }
    )
    file = tmp_path / f"core{suffix}"
    config.save(core, file)
    again = config.load(file)
    # The structure holds the classes and the static fields.
    assert jax.tree.structure(again) == jax.tree.structure(core)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(core), strict=True))
    table = (json.loads if suffix == ".json" else tomllib.loads)(file.read_text(encoding="utf-8"))
    assert table["transfer"]["kind"] == type(curve).__name__
    assert np.shape(table["correction"]["input_gain"]) == (2, 6)


@pytest.mark.parametrize("name", optics.PRESETS)
def test_a_preset_in_a_file_is_the_whole_preset(name):
    """No field of any part is left out: a default that changes later changes no file."""

    def fields(part):
        return {
            field.name: fields(value) if dataclasses.is_dataclass(value) else None
            for field in dataclasses.fields(part)
            for value in [getattr(part, field.name)]
        }

    def keys(table):
        return {name: keys(value) if isinstance(value, dict) else None for name, value in table.items()}

    core = optics.preset(name)
    found = keys(config.to_dict(core))
    assert found["transfer"].pop("kind", "none") is None
    assert found == fields(core)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accumulate": 2, "encoding.scales": "tile"}, "charges of tiles that stand for different scales cannot be"),
        ({"encoding.input_slices": 3}, "3 slices of dac.bits = 8.* are more than the 16 bits of an operand"),
        ({"encoding.weight_slices": 3}, "3 slices of mask.bits = 8.* are more than the 16 bits of an operand"),
        ({"upkeep.probes": 4e12}, r"upkeep.probes = .* vectors take longer than upkeep.interval = 3600"),
        ({"encoding.inputs": "slots", "upkeep.probes": 2e12}, "vectors take longer than upkeep.interval"),
        ({"drift.age": 3601.0}, "the core is calibrated before it gets that old"),
        ({"device": 1.5}, "device = 1.5 must be a whole number"),
        ({"correction.output_gain": np.ones(5)}, r"correction.output_gain has shape \(5,\).* or \(1024,\)"),
        ({"correction.output_offset": np.zeros(5)}, r"correction.output_offset has shape \(5,\).* or \(1024,\)"),
        ({"correction.input_gain": np.ones(1024)}, r"correction.input_gain has shape \(1024,\).* or \(2, 1024\)"),
    ],
)
def test_what_cannot_be_together_is_refused_with_its_reason(changes, reason):
    """Each number alone is possible; the last change makes the combination impossible."""
    *before, last = changes.items()
    core = optics.today().replace(dict(before))
    with pytest.raises(ValueError, match=reason):
        core.replace(dict([last]))


def test_what_is_just_possible_together_is_made():
    """At the limits of the combinations: 16 bits in slices, probes that leave some time, as old as the interval."""
    core = optics.today().replace({"upkeep.probes": 3.5e12, "drift.age": 3600.0, "device": 2.0**24 - 1})
    core = core.replace(
        {"upkeep.probes": 0.0, "encoding.input_slices": 2, "encoding.weight_slices": 2, "accumulate": 4}
    )
    assert float(core.dac.bits) * core.encoding.input_slices == 16
    assert core.replace({"dac.bits": 1.0, "dac.enob": 1.0, "encoding.input_slices": 16}).encoding.symbols == 16


def test_changes_that_are_possible_together_are_made_in_any_order():
    """Sixteen slices of one bit each, whichever of the two is named first."""
    changes = {"dac.bits": 1.0, "dac.enob": 1.0, "encoding.input_slices": 16, "upkeep.probes": 0.0}
    for names in (list(changes), list(changes)[::-1]):
        core = optics.today().replace({name: changes[name] for name in names})
        assert (float(core.dac.bits), core.encoding.input_slices) == (1.0, 16)
