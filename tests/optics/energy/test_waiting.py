"""Energy of cores that wait, against sums over tiles done by hand and closed forms of time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics.energy.waiting import (
    Standby,
    WaitingLine,
    at_plug,
    drain_share,
    idle_watts,
    waiting,
    waiting_time,
)

ALL_ON = Standby(converters=1.0, unused=1.0)
CASES = {
    "full": (128, 96, {}),
    "partly filled": (150, 100, {}),
    "smaller than a core": (17, 5, {}),
    "accumulated": (150, 100, {"accumulate": 2}),
    "two symbols and planes": (
        150,
        100,
        {"encoding.inputs": "slots", "encoding.weight_slices": 2, "encoding.weight_slices_over": "planes"},
    ),
}


def sites_of(rows, columns, vectors=512):
    shapes = (rows, columns), (vectors, rows)
    return optics.trace(lambda w, x: x @ w)(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))


def core_of(**changes):
    return optics.today(rows=64, columns=32).replace({"vectors_per_load": 100.0, **changes})


def by_hand(core, rows, columns, vectors, standby):
    """{line: J without host} by a loop over tiles, in float64, from the numbers of the parts alone."""
    code, clock = core.encoding, float(core.clock)
    groups = int(np.ceil(np.ceil(rows / core.rows) / core.accumulate))
    accumulated = int(np.ceil(np.ceil(rows / core.rows) / groups))
    row_tiles, column_tiles = groups * accumulated, int(np.ceil(columns / core.columns))
    dac = float(core.dac.energy(clock)) * clock
    update = float(core.mask.update_time) + float(core.mask.settle_time)
    reload = vectors / float(core.vectors_per_load) * code.passes * update
    held = vectors * code.symbols / clock + reload
    of_row = code.sources * float(core.source.bias_power)
    found = dict.fromkeys(WaitingLine, 0.0)
    for row_tile in range(row_tiles):
        used_rows = rows // row_tiles + (row_tile < rows % row_tiles)
        for column_tile in range(column_tiles):
            used_columns = columns // column_tiles + (column_tile < columns % column_tiles)
            for every, line in ((accumulated, WaitingLine.RELOAD), (core.accumulate, WaitingLine.UNUSED)):
                adc = float(core.adc.energy(clock / every)) * clock / every
                if line == WaitingLine.RELOAD:
                    watts = standby.converters * (used_rows * dac + used_columns * code.planes * adc)
                    found[line] += reload * watts
                else:
                    of_column = code.planes * (float(core.tia.power) + standby.converters * adc)
                    watts = (core.rows - used_rows) * (of_row + standby.converters * dac)
                    found[line] += held * standby.unused * (watts + (core.columns - used_columns) * of_column)
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("standby", [ALL_ON, Standby(0.3, 0.6), Standby(0.0, 0.0)], ids=str)
def test_waiting_matches_a_loop_over_tiles(name, standby):
    rows, columns, changes = CASES[name]
    core = core_of(**changes)
    found = waiting(core, sites_of(rows, columns), standby)
    expected = by_hand(core, rows, columns, 512, standby)
    for line in WaitingLine:
        assert float(found[line]) == pytest.approx(float(at_plug(core)) * expected[line], rel=2e-5, abs=1e-18), line


def test_full_tiles_leave_nothing_unused():
    found = waiting(core_of(), sites_of(128, 96), ALL_ON)
    assert float(found[WaitingLine.UNUSED]) == 0.0
    assert float(found[WaitingLine.RELOAD]) > 0.0


def test_bill_and_unused_rows_and_columns_are_the_power_of_whole_cores():
    """Bias and amplifiers of a bill, of reloads and of unused rows: all cores that are held, at their idle power."""
    core, sites = core_of(**{"upkeep.probes": 0.0}), sites_of(150, 100)
    bill = optics.price(core, sites)
    # Without standby of converters, what draws power whether or not it works is bias and amplifiers.
    unused = waiting(core, sites, Standby(converters=0.0, unused=1.0))[WaitingLine.UNUSED] / at_plug(core)
    static = sum(bill.components[line] for line in ("laser bias", "TIA", "idle at reload"))
    assert float(static + unused) == pytest.approx(float(bill.core_seconds * idle_watts(core, 0.0)), rel=1e-5)


def test_at_plug_is_the_factor_of_the_bill():
    core = core_of()
    components = optics.price(core, sites_of(150, 100)).components
    own = sum(v for name, v in components.items() if name not in ("host, network, fans", "power conversion"))
    assert float(sum(components.values()) / own) == pytest.approx(float(at_plug(core)), rel=1e-5)


def test_waiting_of_a_design_adds_up_over_its_cores():
    """Two products, each on a core of its own size, and a design whose third product is digital."""
    wide, narrow = core_of(), optics.projected_2029(rows=16, columns=16).replace({"vectors_per_load": 50.0})

    def forward(w, x):
        return (x @ w["a"]) @ w["b"] @ w["c"]

    shapes = {
        name: jax.ShapeDtypeStruct(shape, jnp.float32)
        for name, shape in {"a": (70, 40), "b": (40, 20), "c": (20, 9)}.items()
    }
    sites = optics.trace(forward)(shapes, jax.ShapeDtypeStruct((32, 70), jnp.float32))
    names = [site.name for site in sites]
    design = optics.CoresBySite(wide, {names[1]: narrow, names[2]: optics.DIGITAL})
    found = waiting(design, sites, ALL_ON)
    alone = [waiting(core, [site], ALL_ON) for core, site in ((wide, sites[0]), (narrow, sites[1]))]
    # All share the host of the first core.
    factors = [float(at_plug(wide) / at_plug(core)) for core in (wide, narrow)]
    for line in WaitingLine:
        expected = sum(factor * float(one[line]) for factor, one in zip(factors, alone, strict=True))
        assert float(found[line]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("busy", "other", "overlap", "expected"),
    [
        (2.0, 3.0, 0.0, 3.0),  # one after the other: the cores wait for all of it
        (2.0, 3.0, 1.0, 1.0),  # side by side: for what is longer than their own work
        (3.0, 2.0, 1.0, 0.0),
        (3.0, 2.0, 0.5, 1.0),
        (2.0, 0.0, 0.5, 0.0),
    ],
)
def test_waiting_time_is_that_of_the_schedule(busy, other, overlap, expected):
    assert float(waiting_time(busy, other, overlap)) == pytest.approx(expected)


@pytest.mark.parametrize(("stages", "units"), [(1, 7), (4, 1), (4, 12)])
def test_drain_share_matches_a_simulated_pipeline(stages, units):
    """A unit enters a stage when it has left the one before and the stage is free; each takes a step."""
    left = np.zeros((stages + 1, units + 1), int)
    for unit in range(1, units + 1):
        for stage in range(1, stages + 1):
            left[stage, unit] = max(left[stage - 1, unit], left[stage, unit - 1]) + 1
    idle = stages * int(left[-1, -1]) - stages * units
    assert drain_share(stages, units) == pytest.approx(idle / (stages * units))
