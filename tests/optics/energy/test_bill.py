"""The bill against arithmetic done by hand and against a budget by hand of a 1 exaOPS, 10 kW system."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import models
import optics
from electronics import IntegerCore
from electronics.converters import adc_survey

SHAPE = jax.ShapeDtypeStruct


def product(rows=4096, columns=4096, vectors=512, **options):
    return optics.trace(lambda w, x: x @ w, **options)(
        SHAPE((rows, columns), jnp.float32), SHAPE((vectors, rows), jnp.float32)
    )


@pytest.mark.parametrize("name", optics.PRESETS)
def test_components_sum_to_the_total_and_the_total_to_the_watts(name):
    bill = optics.price(optics.preset(name), product())
    assert sum(map(float, bill.components.values())) == pytest.approx(float(bill.total), rel=1e-5)
    assert float(bill.per_mac) * bill.macs == pytest.approx(float(bill.total), rel=1e-5)
    assert float(bill.tops_per_watt) == pytest.approx(2e-12 / float(bill.per_mac), rel=1e-5)
    assert float(bill.watts_at(1e18)) == pytest.approx(float(bill.per_mac) * 5e17, rel=1e-5)
    assert all(float(energy) >= 0 for energy in bill.components.values())


def test_target_identity():
    """1 exaOPS in 10 kW = 100 TOPS/W = 10 fJ/OP = 20 fJ/MAC."""
    core = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=20e-15)
    bill = optics.price(core, product())
    assert float(bill.tops_per_watt) == pytest.approx(100, rel=1e-5)
    assert float(bill.watts_at(1e18)) == pytest.approx(10e3, rel=1e-5)


# The survey's envelope [pJ] at 1 GS/s, by ENOB, which the budget by hand reads off without a fit.
ENVELOPE = {6: 1.11, 7: 1.11, 8: 4.19}


def core_by_hand(scenario, size, enob):
    """What the budget by hand of a 1 exaOPS, 10 kW machine assumes: inputs that are never negative, from one source
    each, of the mean drive of Gaussian numbers, under four pixels a weight; outputs moved in words of 16 bits, weights
    of 8 with the sign; no requantising, and no waiting for the mask or for a calibration."""
    core = optics.preset(scenario, rows=size, columns=size)
    return core.replace(
        {
            "encoding.inputs": "unsigned",
            "source.mean_drive": 0.2,
            "adc.bits": 16.0,
            "adc.enob": enob,
            "adc.survey_factor": core.adc.survey_factor * ENVELOPE[enob] / adc_survey.energy(enob, 1e9) * 1e-12,
            "mask.bits": 7.0,
            "digital.rescale_energy": 0.0,
            "mask.update_time": 0.0,
            "mask.settle_time": 0.0,
            "upkeep.probes": 0.0,
            "mask.write_energy": 2 * core.mask.write_energy,
        }
    )


@pytest.mark.parametrize(
    ("scenario", "bits", "by_hand"),
    [
        ("today", 6, 63),
        ("today", 7, 113),
        ("projected_2029", 6, 18.9),
        ("projected_2029", 7, 34),
        ("physical_limit", 6, 1.2),
        ("physical_limit", 7, 3.4),
    ],
)
def test_totals_of_the_budget_by_hand(scenario, bits, by_hand):
    """Noise counted against the product's own rms: system fJ/MAC at 1 GHz, 16 k vectors per load, ADC of the same bits.

    All agree within 2 %; what remains is how many partial sums are read back.
    """
    core = optics.with_effective_bits(core_by_hand(scenario, 1024, bits), bits)
    bill = optics.price(core, product(16 * 1024, 1024, 512))
    assert float(bill.per_mac) * 1e15 == pytest.approx(by_hand, rel=0.05)


@pytest.mark.parametrize(
    ("scenario", "size", "by_hand"),
    [("today", 1024, 44), ("today", 2048, 23), ("projected_2029", 1024, 15.3), ("projected_2029", 2048, 8.3)],
)
def test_totals_of_the_budget_by_hand_against_full_scale(scenario, size, by_hand):
    """Noise counted against the largest signal of a detector, 8 bits below it; all agree within 2 %."""
    core = optics.with_effective_bits(core_by_hand(scenario, size, 8), 8.0, against="full scale")
    bill = optics.price(core, product(16 * size, size, 512))
    assert float(bill.per_mac) * 1e15 == pytest.approx(by_hand, rel=0.05)


def test_every_line_by_hand():
    """A 100 x 50 product of 8 vectors on a 64 x 32 core: two row tiles, two column tiles."""
    core = optics.today(rows=64, columns=32).replace(
        {"vectors_per_load": 4.0, "source.mean_drive": 0.2, "mask.settle_time": 0.5e-6, "upkeep.probes": 36e9}
    )
    found = optics.price(core, product(100, 50, 8)).components
    by_hand = {
        "DAC": 8 * 100 * 2 * float(core.dac.energy(1e9)),
        "laser light": 8 * 100 * 2 * float(core.source.power) * 0.2 / 0.25 / 1e9,
        "laser bias": 8 * 100 * 2 * 2 * 0.9e-3 / 1e9,
        "TIA": 8 * 50 * 2 * 3e-3 / 1e9,
        "ADC": 8 * 50 * 2 * float(core.adc.energy(1e9)),
        # 8 bits of magnitude and a sign; the 10 bits of the ADC.
        "input movement": 8 * 100 * 2 * (9 * 0.12e-12 + 9 * 5 * 0.08e-12 + 0.2e-12),
        "output movement": 8 * 50 * 2 * (10 * 5 * 0.08e-12 + 0.2e-12),
        "partial sums": 8 * 50 * (3 * 24 * 0.12e-12 + 0.2e-12),
        "weight fetch": 2 * 100 * 50 * 9 * 3.9e-12,
        "mask write": 2 * 100 * 50 * 4 * 1.25e-12,
        "idle at reload": 2 * 1.5e-6 * (100 * 2 * 2 * 0.9e-3 + 50 * 2 * 3e-3),
    }
    # 36e9 probes of 1 ns in an hour are 1 % of the time: for 99 symbols of work there is one of calibration.
    by_hand["calibration"] = sum(by_hand[name] for name in ("DAC", "laser light", "laser bias", "TIA", "ADC")) / 99
    engine = sum(by_hand.values())
    by_hand |= {"host, network, fans": engine / 0.85 - engine, "power conversion": engine / 0.85 * (1 / 0.9 - 1)}
    assert set(found) == set(by_hand)
    for name, energy in by_hand.items():
        assert float(found[name]) == pytest.approx(energy, rel=1e-4, abs=0), name


def test_operations_and_memory_by_hand():
    """An operation of 1.2 pJ, a bit of main memory of 3.9 pJ; host and conversion take their shares of them too."""
    core = optics.today()
    operations, bits = {"norms": 3e9, "softmax": 5e8}, {"KV cache": 2e9}
    plain = optics.price(core, product()).components
    found = optics.price(core, product(), operations=operations, memory_bits=bits).components
    added = {"norms": 3e9 * 1.2e-12, "softmax": 5e8 * 1.2e-12, "KV cache": 2e9 * 3.9e-12}
    box = ("host, network, fans", "power conversion")
    assert set(found) == {*plain, *added}
    for name, energy in added.items():
        assert float(found[name]) == pytest.approx(energy, rel=1e-5)
    for name in set(plain) - set(box):
        assert float(found[name]) == float(plain[name])
    extra = sum(added.values())
    grown = [float(found[name]) - float(plain[name]) for name in box]
    by_hand = [extra / 0.85 - extra, extra / 0.85 / 0.9 - extra / 0.85]
    assert grown == pytest.approx(by_hand, rel=1e-3)


def test_lines_of_one_name_add_up():
    """What moves the numbers of a softmax and what computes them may stand on one line."""
    core = optics.today()
    found = optics.price(core, product(), operations={"softmax": 1e9}, memory_bits={"softmax": 1e9}).components
    assert float(found["softmax"]) == pytest.approx(1e9 * (1.2e-12 + 3.9e-12), rel=1e-5)


def test_slopes_towards_operation_and_bit_are_their_counts():
    """Over the efficiency of host and supply: 0.85 x 0.9."""

    def total(core):
        return optics.price(core, product(), operations={"norms": 3e9}, memory_bits={"KV cache": 2e9}).total

    slope = jax.grad(total)(optics.today()).digital
    assert float(slope.operation_energy) == pytest.approx(3e9 / 0.85 / 0.9, rel=1e-4)
    # The bits of the weights that the product itself fetches, sign included: 512 of 16,384 vectors a load.
    fetched = 4096 * 4096 * 9 * 512 / 16384
    assert float(slope.memory_energy) == pytest.approx((2e9 + fetched) / 0.85 / 0.9, rel=1e-4)


def test_what_is_billed_is_not_omitted():
    """Of the four costs that may be left out, each disappears when its line is given, though it be empty."""
    always = ("thermal control of the optics", "cooling outside the server (PUE)")
    work, memory = (
        "norms, softmax, rotary embedding, activations and other element-wise work",
        "KV-cache and activation traffic to main memory",
    )
    core, sites = optics.today(), product()
    assert optics.price(core, sites).omitted == (work, memory, *always)
    assert optics.price(core, sites, operations={"norms": 1.0}).omitted == (memory, *always)
    assert optics.price(core, sites, memory_bits={"KV cache": 1.0}).omitted == (work, *always)
    assert optics.price(core, sites, operations={}, memory_bits={}).omitted == always


def test_a_core_without_a_price_for_operations_is_refused():
    core = IntegerCore(activation_bits=8, weight_bits=8, mac_energy=20e-15)
    with pytest.raises(TypeError, match="a core with a method 'operation_cost' is needed"):
        optics.price(core, product(), operations={"norms": 1.0})
    with pytest.raises(TypeError, match="a core with a method 'memory_cost' is needed"):
        optics.price(core, product(), memory_bits={"KV cache": 1.0})
    assert "norms" not in optics.price(core, product(), operations={}).components


def test_time_and_loads():
    core = optics.today(rows=64, columns=32).replace(
        {"vectors_per_load": 4.0, "mask.update_time": 0.7e-6, "mask.settle_time": 0.3e-6, "upkeep.probes": 36e9}
    )
    bill = optics.price(core, product(100, 50, 8))
    assert float(bill.loads) == 4 * 2
    assert float(bill.core_seconds) == pytest.approx(4 * (8e-9 + 2 * 1e-6) / 0.99, rel=1e-5)


def test_a_product_of_activations_pays_for_the_mask_each_time():
    def scores(w, x):
        return (x @ w) @ (x @ w).T

    shapes = SHAPE((64, 64), jnp.float32), SHAPE((32, 64), jnp.float32)
    core = optics.today()
    digital = optics.price(core, optics.trace(scores)(*shapes)).components
    assert float(digital["digital products"]) == pytest.approx(32 * 32 * 64 * float(core.digital.mac_energy), rel=1e-5)
    optical = optics.price(core, optics.trace(scores, policy=optics.everything)(*shapes))
    assert "digital products" not in optical.components
    stationary_writes = 2 * 64 * 64 * 32 / float(core.vectors_per_load)
    written = float(optical.components["mask write"]) / (4 * float(core.mask.write_energy))
    assert written == pytest.approx(stationary_writes + 64 * 32, rel=1e-5)


def test_ideal_costs_what_its_core_costs():
    core = optics.today()
    ideal, real = optics.price(optics.ideal(core), product()), optics.price(core, product())
    assert float(ideal.total) == float(real.total)


def test_price_vmaps_and_differentiates():
    core = optics.today()
    powers = jnp.linspace(1e-3, 1e-1, 5)

    def total(power):
        return optics.price(
            dataclasses.replace(core, source=dataclasses.replace(core.source, power=power)), product()
        ).total

    np.testing.assert_allclose(jax.vmap(total)(powers), [total(p) for p in powers], rtol=1e-5)
    slope = (total(0.03) - total(0.02)) / 0.01
    assert float(jax.grad(total)(0.025)) == pytest.approx(float(slope), rel=1e-3)
    slopes = jax.grad(lambda core: optics.price(core, product()).total)(core)
    assert float(slopes.adc.enob) > 0
    # A bit more is a bit more to move: of 512 x 4,096 inputs on four column tiles, and of as many outputs of four rows.
    per_bit = {"dac": 0.12e-12 + 5 * 0.08e-12, "adc": 5 * 0.08e-12}
    for converter, energy in per_bit.items():
        expected = 512 * 4096 * 4 * energy / 0.85 / 0.9
        assert float(getattr(slopes, converter).bits) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "operand", "output", "weight"),
    [
        ({}, 9, 10, 9),
        ({"encoding.inputs": "slots"}, 9, 10, 9),
        ({"encoding.inputs": "offset", "encoding.weights": "offset"}, 8, 10, 8),
        ({"encoding.inputs": "unsigned", "adc.bits": 12.0}, 8, 12, 9),
        ({"dac.bits": 4.0, "dac.enob": 4.0, "encoding.input_slices": 2, "encoding.weight_slices": 2}, 9, 10, 17),
    ],
)
def test_movement_follows_the_bits_that_are_moved(changes, operand, output, weight):
    """Digits of the DAC or the mask, one bit more where there is a sign, and the ADC's bits.

    By energies per bit of 2^-40 J, without wires for the inputs and weights, and without memory for the outputs.
    """
    core = optics.today(rows=64, columns=64).replace({"digital.rescale_energy": 0.0, "vectors_per_load": 8.0} | changes)
    bit = 2.0**-40
    memory = core.replace({"digital.sram_energy": bit, "digital.wire_energy": 0.0, "digital.memory_energy": bit})
    size = {"rows": 64, "columns": 32, "vectors": 8}
    lines = memory.cost(**size, resident=True)
    assert float(lines["input movement"]) == 8 * 64 * operand * bit
    assert float(lines["weight fetch"]) == 64 * 32 * weight * bit
    assert float(memory.cost(**size, resident=False)["weight fetch"]) == 64 * 32 * weight * bit
    wires = core.replace({"digital.wire_energy": bit, "digital.wire_length": 1.0})
    readings = core.encoding.conversions
    assert float(wires.cost(**size, resident=True)["output movement"]) == 8 * 32 * readings * output * bit


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap])
def test_a_whole_bill_comes_out_of_jit_and_vmap(transform):
    cores = optics.today()
    if transform is jax.vmap:
        cores = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), cores)
    found = transform(lambda core: optics.price(core, product()))(cores)
    by_hand = optics.price(optics.today(), product())
    np.testing.assert_allclose(found.components["DAC"], by_hand.components["DAC"], rtol=1e-5)


def test_seventy_billion_parameters_are_priced_from_shapes():
    def forward(params, tokens):
        return models.forward(models.LLAMA_3_1_70B, params, tokens)

    shapes = models.parameter_shapes(models.LLAMA_3_1_70B), SHAPE((1, 8192), jnp.int32)
    bill = optics.price(optics.projected_2029(), optics.trace(forward)(*shapes))
    assert bill.optical_macs == pytest.approx(8192 * 139.0e9 / 2, rel=2e-3)
    assert float(bill.per_mac) > 0


LAYERS = {"in": (64, 128), "out": (128, 64)}


def two_layers(params, x):
    return jnp.abs(x @ params["in"]) @ params["out"]


def two_layers_given(seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {name: jax.random.normal(key, shape) for key, (name, shape) in zip(keys[1:], LAYERS.items(), strict=True)}
    return params, jax.random.normal(keys[0], (16, 64))


def test_readings_bill_the_light_that_was_launched():
    """Every photon that an exact core counts is a joule of the laser line, over the wall-plug efficiency; columns fill
    their tiles, so that none is launched beside them. Without readings the line goes with `source.mean_drive`."""
    core = optics.ideal(optics.today(rows=64, columns=64)).replace({"upkeep.probes": 0.0})
    params, x = two_layers_given()
    _, seen = optics.emulate(two_layers, diagnostics=True)(core, jax.random.key(1), params, x)
    sites = optics.trace(two_layers)(params, x)
    found = optics.price(core, sites, readings=seen)
    photon = 6.62607015e-34 * 299_792_458.0 / float(core.source.wavelength)
    launched = sum(float(each.launched) for each in seen.values())
    by_hand = launched * photon / float(core.source.wall_plug_efficiency)
    assert float(found.components["laser light"]) == pytest.approx(by_hand, rel=1e-3, abs=0)
    assumed = optics.price(core, sites)
    drives = {name: float(each.mean_drive()) for name, each in seen.items()}
    # Both layers have as many MACs.
    assert float(found.mean_drive) == pytest.approx(np.mean(list(drives.values())), rel=1e-5)
    ratio = float(found.components["laser light"] / assumed.components["laser light"])
    assert ratio == pytest.approx(float(found.mean_drive) / 0.062, rel=1e-4)
    assert float(optics.price(core, sites, readings=drives).total) == pytest.approx(float(found.total), rel=1e-6)
    for line in set(found.components) - {"laser light", "host, network, fans", "power conversion"}:
        assert float(found.components[line]) == float(assumed.components[line])


def test_readings_of_a_scan_are_summed():
    """Turns of other brightness: the site is billed for the mean of them."""
    core = optics.ideal(optics.today(rows=64, columns=64))

    def fun(w, xs):
        return jax.lax.scan(lambda carry, x: (carry, x @ w), 0.0, xs)[1]

    w, x = jax.random.normal(jax.random.key(0), (64, 64)), jax.random.normal(jax.random.key(1), (3, 8, 64))
    _, seen = optics.emulate(fun, diagnostics=True)(core, jax.random.key(2), w, x.at[1].set(0.0).at[1, :, 0].set(1.0))
    (reading,) = seen.values()
    assert reading.drive.shape == (3,)
    bill = optics.price(core, optics.trace(fun)(w, x), readings=seen)
    assert float(bill.mean_drive) == pytest.approx(float(np.mean(reading.mean_drive())), rel=1e-5)


def test_a_bill_says_what_it_rests_on():
    core, sites = optics.today(), optics.trace(two_layers)(*two_layers_given())
    names = [site.name for site in sites]
    loads = "assumed: vectors that a load of weights stays for (vectors_per_load): 16384"
    without = "assumed: mean drive of full scale (source.mean_drive), not measured on this function: 0.062"
    assert optics.price(core, sites).basis == (without, loads)
    measured = optics.price(core, sites, readings=dict.fromkeys(names, 0.1))
    assert measured.basis == ("measured: mean drive of full scale, by readings of this function: 0.1", loads)
    partly = optics.price(core, sites, readings={names[0]: 0.1}).basis
    assert partly[1] == "assumed: mean drive of full scale at sites without readings (source.mean_drive): 0.081"
    # Sources of (1 + x) / 2 are half lit whatever x is.
    assert optics.price(core.replace({"encoding.inputs": "offset"}), sites).basis == (loads,)
    assert optics.price(IntegerCore(activation_bits=8, weight_bits=8, mac_energy=1e-15), sites).basis == ()


def test_a_bill_says_which_attention_it_counts():
    shape = SHAPE((8, 8), jnp.float32)

    def attention(w, x, mask):
        y = x @ w
        return jnp.where(mask, y @ y.T, -jnp.inf)

    def causal(w, x):
        return attention(w, x, jnp.tril(jnp.ones((8, 8), bool)))

    def basis(sites):
        return [
            text for text in optics.price(optics.today(), sites).basis if "drive" not in text and "load" not in text
        ]

    data = (shape, shape, SHAPE((8, 8), bool))
    assert basis(optics.trace(causal)(shape, shape)) == [
        "measured: attention counted for the scores that the function's own mask leaves"
    ]
    assert basis(optics.trace(attention, causal=True)(*data)) == ["assumed: attention counted as causal (causal=True)"]
    assert basis(optics.trace(attention)(*data)) == [
        "assumed: products of two activations counted whole, as no mask known at trace time hides a part of them"
    ]


def test_a_mask_makes_a_digital_product_cheaper_by_its_share():
    core, shape = optics.today(), SHAPE((64, 64), jnp.float32)

    def attention(mask, w, x):
        y = x @ w
        return jnp.where(mask, y @ y.T, -jnp.inf)

    whole, half = (
        optics.price(core, optics.trace(partial_of(attention, mask))(shape, shape))
        for mask in (np.ones((64, 64), bool), np.tril(np.ones((64, 64), bool)))
    )
    ratio = float(half.components["digital products"] / whole.components["digital products"])
    assert ratio == pytest.approx(65 / 128, rel=1e-6)
    assert half.macs - half.optical_macs == 64 * 64 * 65 / 2


def partial_of(fun, mask):
    return lambda w, x: fun(mask, w, x)


def test_readings_of_another_function_are_refused():
    sites = optics.trace(two_layers)(*two_layers_given())
    with pytest.raises(
        ValueError, match="readings of '000 inn 64x128' belong to none of the sites; did you mean '000 in"
    ):
        optics.price(optics.today(), sites, readings={"000 inn 64x128": 0.1})


def test_bills_of_cores_that_differ_in_numbers_stack():
    sites = optics.trace(two_layers)(*two_layers_given())
    bills = [optics.price(optics.today().replace({"source.mean_drive": d}), sites) for d in (0.1, 0.2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(list(map(jnp.asarray, leaves))), *bills)
    np.testing.assert_allclose(stacked.mean_drive, [0.1, 0.2], rtol=1e-6)
    assert stacked.basis[0].endswith("not measured on this function")


def test_patches_of_a_convolution_move_elements_again():
    """The bill of a convolution is that of the product of its patches, with what they repeat on a line of its own."""
    kernel, images = jnp.ones((3, 3, 4, 6)), jnp.ones((2, 8, 8, 4))

    def convolved(w, x):
        return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    core = optics.today()
    lines = optics.price(core, optics.trace(convolved)(kernel, images)).components
    of_product = optics.price(core, product(36, 6, 2 * 6 * 6)).components
    once = 2 * 8 * 8 * 4 / (2 * 6 * 6 * 36)
    moved = float(of_product["input movement"])
    assert float(lines["input movement"]) == pytest.approx(once * moved)
    assert float(lines["patch movement"]) == pytest.approx((1 - once) * moved)
    assert float(sum(lines.values())) == pytest.approx(float(sum(of_product.values())))
