"""Mask technologies: numbers that belong together, with their sources, on a core and in its bill."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics.constants import MARKS
from optics import Effects
from optics.presets.masks import _TABLES
from optics.presets.scenario import SCENARIOS

OFFERED = [(name, scenario) for name in optics.MASK_TECHNOLOGIES for scenario in SCENARIOS if scenario in _TABLES[name]]
MASK = {f"mask.{field.name}" for field in dataclasses.fields(optics.WeightMask)}
SHAPE = jax.ShapeDtypeStruct


def equal_numbers(one: optics.TensorCore, other: optics.TensorCore, rtol: float = 0.0) -> bool:
    new, old = one.numbers(), other.numbers()
    return all(np.allclose(new[name], old[name], rtol=rtol, atol=0) for name in old)


@pytest.mark.parametrize(("technology", "scenario"), OFFERED)
def test_every_number_of_a_technology_has_a_source_and_fits_a_core(technology, scenario):
    constants = optics.mask_constants(technology, scenario)
    core = optics.with_mask(optics.preset(scenario), technology, scenario)
    assert set(constants) >= MASK
    for field, constant in constants.items():
        assert constant.source and constant.mark in MARKS
        assert not constant.source.startswith("not published; as ") or constant.mark == "assumed"
        assert float(core.numbers()[field]) == pytest.approx(constant.value, rel=1e-6, abs=0), field
        # An implausible value warns, and a warning is an error here.
        for end in (constant.low, constant.value, constant.high):
            core.replace({field: end})
    slices = core.encoding.weight_slices
    assert slices == optics.mask_structure(technology)["encoding.weight_slices"]
    assert constants["mask.bits"].high * slices <= 16
    assert (constants["mask.bits"].value == 1) == (slices == 8)


def test_a_field_of_the_file_that_no_core_has_is_none():
    """`mask_constants` reads the fields that a scenario has, so that one misspelt in the file would be left out."""
    for technology, scenario in OFFERED:
        table = _TABLES[technology]
        assert set(table) <= {"about", "not_offered", "structure", "fields", *SCENARIOS}
        assert {*table["fields"], *table[scenario]} <= set(optics.mask_constants(technology, scenario))
        assert not set(table["fields"]) & set(table[scenario])


def test_the_table_of_the_guide_has_the_constants():
    """Slices, then bits, contrast and time of a load, for today and projected_2029."""
    page = (Path(__file__).parents[3] / "docs" / "guide" / "cores.md").read_text(encoding="utf-8")
    section = page.partition("## The mask, by technology")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if "| `" in line[:4]]
    assert [row[0] for row in rows] == list(optics.MASK_TECHNOLOGIES)
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
    for name, slices, *cells in rows:
        assert int(slices) == optics.mask_structure(name)["encoding.weight_slices"]
        for scenario, (bits, contrast, load) in (("today", cells[:3]), ("projected_2029", cells[3:])):
            of = {field: constant.value for field, constant in optics.mask_constants(name, scenario).items()}
            assert (of["mask.bits"], of["mask.extinction_ratio"]) == (float(bits), float(contrast))
            number, unit = load.split()
            seconds = of["mask.update_time"] + of["mask.settle_time"]
            assert float(number) * units[unit] == pytest.approx(seconds, rel=5e-3)


def test_unknown_names_name_the_nearest():
    core = optics.today(rows=8, columns=8)
    with pytest.raises(ValueError, match=r"no mask technology 'nematic'; did you mean 'nematic_lc'\?"):
        optics.with_mask(core, "nematic")
    with pytest.raises(ValueError, match=r"no mask technology 'dmdd'; did you mean 'dmd'\?"):
        optics.mask_constants("dmdd", "today")
    with pytest.raises(ValueError, match=r"no constants for 'todya'; did you mean 'today'\?"):
        optics.with_mask(core, "dmd", "todya")
    with pytest.raises(
        ValueError, match="'dmd' is not offered in physical_limit: the flight of a mirror .* it is in today"
    ):
        optics.with_mask(core, "dmd", "physical_limit")
    with pytest.raises(ValueError, match="core = 3 must be a TensorCore or a CoresBySite"):
        optics.with_mask(3, "dmd")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_presets_are_those_of_the_constants_alone(scenario):
    assert optics.from_constants(optics.constants_of(scenario)) == optics.preset(scenario)
    assert optics.from_constants(optics.constants_of(scenario), structure={}) == optics.preset(scenario)


@pytest.mark.parametrize(("technology", "scenario"), OFFERED)
def test_with_mask_changes_the_mask_alone(technology, scenario):
    core = optics.preset(scenario)
    masked, constants = optics.with_mask(core, technology, scenario), optics.mask_constants(technology, scenario)
    moved = {name for name, value in masked.numbers().items() if value != core.numbers()[name]}
    assert moved <= {*constants, "tia.full_well"}
    assert float(masked.tia.full_well) <= float(core.tia.full_well)


@pytest.mark.parametrize(("technology", "scenario"), OFFERED)
def test_sizing_the_light_after_with_mask_gives_the_core_of_the_constants(technology, scenario):
    """So that a search with `with_mask` and a verdict from constants are of one machine."""
    constants = optics.constants_of(scenario) | optics.mask_constants(technology, scenario)
    wanted = optics.from_constants(constants, structure=optics.mask_structure(technology))
    found = optics.with_effective_bits(optics.with_mask(optics.preset(scenario), technology, scenario), 7.0)
    assert found.encoding == wanted.encoding
    assert equal_numbers(found, wanted, rtol=1e-5)


def test_a_mask_replaces_the_one_before_it():
    core = optics.projected_2029(rows=8, columns=8)
    direct = optics.with_effective_bits(optics.with_mask(core, "nematic_lc"), 7.0)
    sized = optics.with_effective_bits(optics.with_mask(core, "dmd"), 7.0)
    found = optics.with_effective_bits(optics.with_mask(sized, "nematic_lc"), 7.0)
    assert found.encoding == core.encoding
    assert equal_numbers(found, direct, rtol=1e-5)


def test_a_design_gets_the_mask_on_every_core():
    core = optics.projected_2029(rows=8, columns=8)
    design = optics.CoresBySite(core, {"head": core.replace({"source.power": 2 * core.source.power})})
    masked = optics.with_mask(design, "dmd", "today")
    assert [each.encoding.weight_slices for each in masked.by_name.values()] == [8, 8]
    for name, each in masked.by_name.items():
        assert equal_numbers(each, optics.with_mask(design.by_name[name], "dmd", "today"))


def test_with_mask_traces_and_vmaps():
    core = optics.projected_2029(rows=8, columns=8)
    powers = jnp.array([0.01, 0.02])

    def masked(power):
        return optics.with_mask(core.replace({"source.power": power}), "dmd", "today")

    found = jax.jit(jax.vmap(masked))(powers)
    for number, power in enumerate(np.asarray(powers)):
        assert equal_numbers(jax.tree.map(lambda leaf, at=number: leaf[at], found), masked(power), rtol=1e-6)


# Vectors per load for 90 % of the time at work, R = 9 f tau, by the time of a load and the clock, to two digits.
CLOCKS = (100e6, 1e9, 5e9)
NINETY_PERCENT = {
    16e-3: (1.4e7, 1.4e8, 7e8),
    1e-3: (9e5, 9e6, 4.5e7),
    100e-6: (9e4, 9e5, 4.5e6),
    31e-6: (2.8e4, 2.8e5, 1.4e6),
    1e-6: (900, 9e3, 4.5e4),
    100e-9: (90, 900, 4.5e3),
    10e-9: (9, 90, 450),
}


def duty(core: optics.TensorCore, vectors: float) -> float:
    """Share of the time in which the core multiplies, from the bill of a product that fills it, without calibration."""
    core = core.replace({"vectors_per_load": vectors, "upkeep.probes": 0.0})
    sites = optics.trace(lambda w, x: x @ w)(
        SHAPE((core.rows, core.columns), np.float32), SHAPE((64, core.rows), np.float32)
    )
    seconds = optics.price(core, sites).core_seconds
    return 64 * core.encoding.symbols / float(core.clock) / float(seconds)


@pytest.mark.parametrize("seconds", NINETY_PERCENT)
def test_vectors_for_ninety_percent_are_those_of_the_table(seconds):
    core = optics.projected_2029(rows=16, columns=16).replace({"mask.settle_time": 0.0, "mask.update_time": seconds})
    for clock, vectors in zip(CLOCKS, NINETY_PERCENT[seconds], strict=True):
        # Two digits: 1 part in 20 of R is 0.5 % of the duty.
        assert duty(core.replace({"clock": clock}), vectors) == pytest.approx(0.9, abs=0.006)


@pytest.mark.parametrize(("technology", "scenario"), OFFERED)
def test_a_slow_mask_waits_as_the_closed_form_says(technology, scenario):
    core = optics.with_mask(optics.preset(scenario, rows=16, columns=16), technology, scenario)
    constants = optics.mask_constants(technology, scenario)
    wait = constants["mask.update_time"].value + constants["mask.settle_time"].value
    for vectors in (256, 16384, 65536):
        busy = vectors / 1e9
        assert duty(core, vectors) == pytest.approx(busy / (busy + wait), rel=1e-4)


def test_idle_sources_and_receivers_are_billed_for_the_wait():
    """(rows x sources x bias + columns x planes x amplifier) x tau for each load, over its MACs and the plug."""
    core = optics.with_mask(optics.today(rows=16, columns=16), "dmd", "today")
    core = core.replace({"vectors_per_load": 1000})
    sites = optics.trace(lambda w, x: x @ w)(SHAPE((16, 16), np.float32), SHAPE((64, 16), np.float32))
    bill = optics.price(core, sites)
    power = 16 * 2 * 0.9e-3 + 16 * 8 * 3e-3
    wait = 30.72e-6 + 13e-6
    idle = float(bill.components["idle at reload"]) / float(bill.components["TIA"])
    # The amplifiers of eight planes are powered in each symbol.
    assert idle == pytest.approx(64 / 1000 * power * wait / (64 * 16 * 8 * 3e-3 / 1e9), rel=1e-4)


@pytest.mark.parametrize("technology", ["dmd", "ferroelectric_lc"])
@pytest.mark.parametrize("over", ["planes", "passes"])
def test_a_product_of_binary_planes_is_that_of_a_loop(technology, over):
    """Eight planes of one bit a rail, in float64: y = sum over planes of 2^k / 255 x sum of x over the lit pixels."""
    core = optics.with_mask(optics.today(rows=8, columns=4).replace({"encoding.weight_slices_over": over}), technology)
    core = core.replace({"effects": Effects.only("weight_rounding", "extinction", "smallest_step")})
    x = np.asarray(jax.random.normal(jax.random.key(1), (5, 11)), np.float64)
    w = np.asarray(jax.random.normal(jax.random.key(2), (11, 4)), np.float64)
    wanted = np.zeros((5, 4))
    for column in range(4):
        largest = max(abs(w[row, column]) for row in range(11))
        for plane in range(8):
            for row in range(11):
                code = round(abs(w[row, column]) / largest * 255)
                if code >> plane & 1:
                    for vector in range(5):
                        sign = 1 if w[row, column] > 0 else -1
                        wanted[vector, column] += x[vector, row] * sign * largest * 2**plane / 255
    found = core.matmul(jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32), key=jax.random.key(3))
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(wanted - x @ w).max() > 1e-4


def test_binary_planes_convert_eight_times_and_passes_write_eight_times():
    planes = optics.with_mask(optics.today(rows=16, columns=16), "dmd", "today")
    passes = optics.with_mask(
        optics.today(rows=16, columns=16).replace({"encoding.weight_slices_over": "passes"}), "dmd", "today"
    )
    sites = optics.trace(lambda w, x: x @ w)(SHAPE((16, 16), np.float32), SHAPE((64, 16), np.float32))
    grey, side, after = (optics.price(core, sites) for core in (optics.today(rows=16, columns=16), planes, passes))
    for bill in (side, after):
        assert float(bill.components["ADC"]) == pytest.approx(8 * float(grey.components["ADC"]), rel=1e-5)
    # Of eight passes each has a wait and a symbol of its own.
    assert float(after.core_seconds) == pytest.approx(8 * float(side.core_seconds), rel=1e-3)
    assert float(after.components["DAC"]) == pytest.approx(8 * float(side.components["DAC"]), rel=1e-5)
