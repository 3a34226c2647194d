"""Cores, weights and converters behind a rate, against the arithmetic of a 1 exaOPS machine done by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics

SHAPE = jax.ShapeDtypeStruct
# Nothing but multiplying: no waiting for the mask, no calibration.
BUSY = {"mask.update_time": 0.0, "mask.settle_time": 0.0, "upkeep.probes": 0.0}


def product(rows, columns, vectors=512):
    return optics.trace(lambda w, x: x @ w)(SHAPE((rows, columns), jnp.float32), SHAPE((vectors, rows), jnp.float32))


def busy(size=1024, **changes):
    return optics.today(rows=size, columns=size).replace(BUSY | changes)


def system_of(core, sites=None, weights=1e9, **options):
    bill = optics.price(core, sites or product(2 * core.rows, 3 * core.columns))
    return optics.system(core, bill, weights=weights, **options)


@pytest.mark.parametrize("size", [256, 1024, 2048])
@pytest.mark.parametrize(("clock", "weights"), [(1e9, 5e8), (100e6, 5e9)])
def test_resident_weights_depend_on_the_clock_alone(size, clock, weights):
    """OPS / (2 f): each resident weight does one MAC a symbol. 1e18 / 2e9 = 5e8."""
    found = system_of(busy(size, clock=clock))
    assert float(found.resident_weights) == pytest.approx(weights, rel=1e-5)
    assert float(found.utilisation) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(("size", "cores"), [(1024, 477), (2048, 119)])
def test_cores_of_an_exaops(size, cores):
    """1e18 / 2 MAC/s over N^2 x 1e9 each: 476.8 and 119.2. Two sources an input, one ADC a column."""
    found = system_of(busy(size))
    assert float(found.cores) == pytest.approx(1e18 / 2 / 1e9 / size**2, rel=1e-5)
    assert round(float(found.cores)) == cores
    assert float(found.sources) == pytest.approx(float(found.cores) * size * 2, rel=1e-5)
    assert float(found.converters) == pytest.approx(float(found.cores) * size, rel=1e-5)
    # A tile is written for 16,384 vectors, in 16,384 symbols of 1 ns of each core.
    assert float(found.loads_per_second) == pytest.approx(1e18 / 2 / 1e9 / size**2 * 1e9 / 16384, rel=1e-5)


def test_more_weights_than_32_bits_count_have_passes_where_the_time_is_an_array():
    """Products of activations are loaded at least once, by a maximum of JAX."""
    sites = optics.trace(lambda w, x: (x @ w) @ x.T, policy=optics.AttentionOnLight(busy(64)))(
        SHAPE((64, 64), jnp.float32), SHAPE((64, 64), jnp.float32)
    )
    bill = optics.price(busy(64), sites)
    assert isinstance(bill.core_seconds, jax.Array)
    found = optics.system(busy(64), bill, weights=70_000_000_000)
    assert float(found.passes * found.resident_weights) == pytest.approx(70e9, rel=1e-6)


def test_sources_and_converters_of_477_cores():
    """476.8 x 1,024: half a million ADCs and, at two sources an input, a million lasers."""
    found = system_of(busy())
    assert float(found.sources) == pytest.approx(476.837 * 1024 * 2, rel=1e-5)
    assert float(found.converters) == pytest.approx(476.837 * 1024, rel=1e-5)
    unsigned = system_of(busy(**{"encoding.inputs": "unsigned"}))
    assert float(unsigned.sources) == pytest.approx(476.837 * 1024, rel=1e-5)
    assert float(unsigned.converters) == pytest.approx(476.837 * 1024, rel=1e-5)


@pytest.mark.parametrize(("model", "passes"), [("LLAMA_3_1_8B", 16.06), ("LLAMA_3_1_70B", 141.1)])
def test_passes_over_published_models(model, passes):
    """8,030,261,248 and 70,553,706,496 parameters (Meta's counts) over 5e8 at 1 GHz; a tenth of that at 100 MHz."""
    weights = models.parameter_count(getattr(models, model))
    assert float(system_of(busy(), weights=weights).passes) == pytest.approx(passes, rel=1e-3)
    assert float(system_of(busy(clock=100e6), weights=weights).passes) == pytest.approx(passes / 10, rel=1e-3)


@pytest.mark.parametrize("vectors", [1000.0, 16384.0])
@pytest.mark.parametrize(("ratio", "utilisation"), [(9.0, 0.9), (1.0, 0.5), (99.0, 0.99)])
def test_reloading_takes_its_share_of_the_time(vectors, ratio, utilisation):
    """R / f of work and tau of waiting: R / f / (R / f + tau). R = 9 f tau keeps a core busy for 90 %."""
    tau = vectors / 1e9 / ratio
    core = busy(vectors_per_load=vectors, **{"mask.update_time": 0.75 * tau, "mask.settle_time": 0.25 * tau})
    found = system_of(core)
    assert float(found.utilisation) == pytest.approx(utilisation, rel=1e-5)
    assert float(found.cores) == pytest.approx(476.837 / utilisation, rel=1e-5)


def test_calibration_takes_its_share_of_the_time():
    """36e9 probes of 1 ns in an hour are 1 % of it, 720e9 are 20 %."""
    for probes, utilisation in ((36e9, 0.99), (720e9, 0.8)):
        found = system_of(busy(**{"upkeep.probes": probes, "upkeep.interval": 3600.0}))
        assert float(found.utilisation) == pytest.approx(utilisation, rel=1e-5)
        assert float(found.cores) == pytest.approx(476.837 / utilisation, rel=1e-5)


def test_tiles_that_are_not_full_are_not_used():
    """512 x 256 on 1,024 x 1,024: an eighth of the pixels. 1,025 x 1,024 takes two tiles, each half full."""
    assert float(system_of(busy(), product(512, 256)).utilisation) == pytest.approx(1 / 8, rel=1e-5)
    assert float(system_of(busy(), product(1025, 1024)).utilisation) == pytest.approx(1025 / 2048, rel=1e-5)


def test_what_stays_digital_needs_no_core():
    """64 x 64 x 32 MACs on light and 32 x 32 x 64 digital ones: two thirds of the cores, at full utilisation."""

    def scores(w, x):
        return (x @ w) @ (x @ w).T

    sites = optics.trace(scores)(SHAPE((64, 64), jnp.float32), SHAPE((32, 64), jnp.float32))
    # Traced twice over: the same product stands on both sides of the digital one.
    optical = sum(site.macs for site in sites if site.optical)
    assert (optical, len(sites)) == (2 * 64 * 64 * 32, 3)
    found = system_of(busy(64), sites)
    share = optical / (optical + 32 * 32 * 64)
    assert float(found.resident_weights) == pytest.approx(share * 5e8, rel=1e-5)
    assert float(found.utilisation) == pytest.approx(1, rel=1e-5)


def test_signs_and_digits_take_symbols_sources_and_converters():
    """Slots: two symbols a MAC, twice the cores, and each is as busy. Planes: two detectors a column. Passes: twice the
    time, and a mask that holds half of each weight."""
    rails = system_of(busy())
    slots = system_of(busy(**{"encoding.inputs": "slots"}))
    planes = system_of(busy(**{"encoding.weight_slices": 2}))
    passes = system_of(busy(**{"encoding.weight_slices": 2, "encoding.weight_slices_over": "passes"}))

    def relative(found):
        names = ("cores", "utilisation", "resident_weights", "sources", "converters")
        return [float(getattr(found, name) / getattr(rails, name)) for name in names]

    assert relative(slots) == pytest.approx([2, 1, 2, 1, 2], rel=1e-5)
    assert relative(planes) == pytest.approx([1, 1, 1, 1, 2], rel=1e-5)
    assert relative(passes) == pytest.approx([2, 1, 1, 2, 2], rel=1e-5)


@pytest.mark.parametrize("name", ["today", "projected_2029", "lumai_nova", "lightmatter_2025"])
@pytest.mark.parametrize("ops", [1e18, 2e15])
def test_watts_are_those_of_the_bill(name, ops):
    """Joules a MAC times half the operations a second; 100 TOPS/W are 10 kW at 1 exaOPS."""
    core = optics.preset(name)
    bill = optics.price(core, product(4096, 4096), operations={"norms": 1e9}, memory_bits={"KV cache": 1e9})
    found = optics.system(core, bill, weights=1e9, ops=ops)
    assert set(found.watts) == set(bill.components)
    assert float(found.total_watts) == pytest.approx(float(bill.watts_at(ops)), rel=1e-5)
    assert float(found.total_watts) == pytest.approx(ops / 1e12 / float(bill.tops_per_watt), rel=1e-5)
    joules = {name: float(energy) for name, energy in bill.components.items()}
    for line, watts in found.watts.items():
        assert float(watts) == pytest.approx(joules[line] / bill.macs * ops / 2, rel=1e-5), line


def test_everything_grows_with_the_rate():
    core = optics.today()
    once, thrice = system_of(core), system_of(core, ops=3e18)
    for name in ("cores", "resident_weights", "sources", "converters", "loads_per_second", "total_watts"):
        assert float(getattr(thrice, name)) == pytest.approx(3 * float(getattr(once, name)), rel=1e-5), name
    assert float(thrice.utilisation) == pytest.approx(float(once.utilisation), rel=1e-6)
    assert float(thrice.passes) == pytest.approx(float(once.passes) / 3, rel=1e-5)


def test_clocks_may_be_mapped_and_differentiated():
    """Resident weights are OPS / (2 f) and their slope -OPS / (2 f^2)."""
    core, clocks = busy(), jnp.array([1e8, 5e8, 2e9])

    def resident(clock):
        return system_of(dataclasses.replace(core, clock=clock)).resident_weights

    np.testing.assert_allclose(jax.jit(jax.vmap(resident))(clocks), 5e17 / np.array([1e8, 5e8, 2e9]), rtol=1e-5)
    assert float(jax.jit(jax.grad(resident))(1e9)) == pytest.approx(-0.5, rel=1e-5)
