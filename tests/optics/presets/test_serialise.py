"""A core goes to a file and comes back the same, and a file that is not one is refused by name."""

import dataclasses
import json
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics import ADC
from optics.presets import serialise


@pytest.mark.parametrize("suffix", [".toml", ".json"])
@pytest.mark.parametrize("name", optics.PRESETS)
def test_round_trip_loses_nothing(tmp_path, name, suffix):
    core = optics.preset(name).replace({"adc.enob": 11 / 3, "source.power": 1.2345678e-3})
    serialise.save(core, tmp_path / f"core{suffix}")
    again = serialise.load(tmp_path / f"core{suffix}")
    assert again == core
    assert jax.tree.structure(again) == jax.tree.structure(core)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(core), strict=True))


def changed(**edits):
    values = serialise.to_dict(optics.today())
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
        ({"adc__enob": [7, 8]}, r"adc.enob must be one number in bit, got \[7, 8\]"),
        ({"clock": [1e9]}, r"clock must be one number in Hz, got \[1000000000.0\]"),
        ({"correction__input_crosstalk_later": [0.0]}, "correction.input_crosstalk_later must be one number in 1"),
        ({"correction__output_gain": [1.0, "2"]}, "Correction.output_gain must be a number in 1"),
        ({"correction__input_gain": [[1.0], [1.0, 2.0]]}, "Correction.input_gain must be a number in 1"),
        ({"rows": [1024]}, r"TensorCore.rows = \[1024\] must be a whole number"),
        ({"adc__span": ["rows"]}, r"ADC.span = \['rows'\] is none of: norms, rows"),
        ({"adc__enob": "7"}, "adc.enob must be one number in bit, got '7'"),
        ({"adc__enob": True}, "adc.enob must be one number in bit, got True"),
        ({"adc__enob": {"value": 7}}, "adc.enob must be one number in bit"),
        ({"clock": 10**400}, "TensorCore.clock = an integer of 1329 bits Hz is out of range"),
        ({"rows": 10**400}, "TensorCore.rows = an integer of 1329 bits must be a whole number <= 1048576"),
        ({"digital__accumulator_bits": -1000}, "accumulator_bits = -1000 must be a whole number >= 1"),
    ],
)
def test_what_is_not_a_core_is_refused(edits, message):
    with pytest.raises(ValueError, match=message):
        serialise.from_dict(changed(**edits))


def test_files_are_named_in_errors(tmp_path):
    (tmp_path / "broken.toml").write_text("rows = [", encoding="utf-8")
    with pytest.raises(ValueError, match="broken.toml: "):
        serialise.load(tmp_path / "broken.toml")
    with pytest.raises(ValueError, match="core.yaml: a core's file ends in .toml or .json"):
        serialise.save(optics.today(), tmp_path / "core.yaml")


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".toml", "a = " + "[" * 5000 + "]" * 5000, "nested far deeper than a core's tables"),
        (".json", "[" * 100_000 + "]" * 100_000, "nested far deeper than a core's tables"),
        (".json", "[1, 2]", r"a TensorCore is a table of its fields, got \[1, 2\]"),
        (".json", '{"rows": ' + "1" * 5000 + "}", "integer"),
        (".toml", "rows = " + "1" * 5000, "integer"),
        (".toml", "\xff", "core.toml: "),
    ],
    ids=["nested TOML", "nested JSON", "a list", "digits in JSON", "digits in TOML", "no TOML"],
)
def test_a_file_that_is_no_table_of_a_core_is_one_line(tmp_path, suffix, text, message):
    file = tmp_path / f"core{suffix}"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message) as refused:
        serialise.load(file)
    assert len(str(refused.value).splitlines()) == 1


class Own(optics.Straight):
    """A curve of a user's own, which no file can name."""


class OwnADC(ADC):
    """A converter of a user's own."""


def test_what_load_would_refuse_is_not_saved(tmp_path):
    """A class that no file can name, numbers of no machine, float64, tracers: each is refused by save, with nothing
    written."""
    core, file = optics.today(rows=6, columns=4), tmp_path / "core.toml"
    converter = OwnADC(**{field.name: getattr(core.adc, field.name) for field in dataclasses.fields(core.adc)})
    refused = {
        "transfer is a Own, which a file cannot name": core.replace({"transfer": Own(bias_error=0.0)}),
        "adc is a OwnADC, which a file cannot name": core.replace({"adc": converter}),
        "DAC.bits = -8.0 bit is out of range": jax.tree.map(lambda leaf: -leaf, core),
        "clock = 1000000000.1 of float64": jax.tree.map(
            lambda leaf: np.float64(leaf) + 0.1 if leaf is core.clock else leaf, core
        ),
        "out of range": jax.tree.map(lambda leaf: np.float32(np.nan), core),
        "input_crosstalk_later is an array of 2 values": core.replace({"correction.input_crosstalk_later": [0.0, 0.1]}),
        "correction.output_gain has shape": jax.tree.map(
            lambda leaf: np.ones(3, np.float32) if leaf is core.correction.output_gain else leaf, core
        ),
    }
    for message, given in refused.items():
        with pytest.raises(ValueError, match=r"core\.toml: ") as error:
            serialise.save(given, file)
        assert message in str(error.value)
    with pytest.raises(ValueError, match="is traced; a file holds numbers"):
        jax.jit(lambda core: serialise.save(core, file))(core)
    assert not file.exists()


def test_numpy_structure_is_saved_as_what_it_is(tmp_path):
    core = optics.today(rows=np.int64(6), columns=np.int32(4))
    assert type(core.rows) is int
    serialise.save(core, tmp_path / "core.toml")
    assert serialise.load(tmp_path / "core.toml") == core == optics.today(rows=6, columns=4)


def test_a_stack_of_cores_is_not_one():
    core = optics.today()
    stack = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 3), core)
    with pytest.raises(ValueError, match="clock is an array of 3 values; a file holds one core"):
        serialise.to_dict(stack)


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
    serialise.save(core, file)
    again = serialise.load(file)
    assert again == core
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
    found = keys(serialise.to_dict(core))
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
