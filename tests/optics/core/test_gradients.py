"""Gradients against finite differences of the mean over keys: operands, hardware, ranges, in every structure.

Each key draws its own operands, noise and device, and the same ones for the gradient and for both sides of the finite
difference. So the difference of the two is a mean over independent keys, with a standard error. A test fails where that
mean lies more than 5 standard errors and 2 % of the slope from 0: for some 700 comparisons of right gradients the
chance is below 4e-4, and the keys are fixed.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from electronics import IntegerCore
from optics.components.modulation import LED, ElectroAbsorption, Laser, MachZehnder, Straight
from optics.core.tensor_core import RealizedCore
from optics.datapath.site_range import SiteRange

ROWS, COLUMNS, VECTORS, KEYS = 32, 16, 8, 96
# Photons per MAC: shot noise decides, all noise counts, converters and imperfections are left.
LIGHT = {"low": 300.0, "middle": 2e3, "high": 1e5}
# Every imperfection is large enough to be seen.
RICH = {
    "adc.enob": 6.0, "adc.bits": 7.0, "adc.loading": 8.0, "adc.jitter": 2e-11, "adc.offset_mismatch": 0.02,
    "adc.gain": 1.2, "dac.bits": 6.0, "dac.enob": 5.0, "dac.inl": 0.05, "mask.bits": 6.0, "mask.mismatch": 0.05,
    "mask.blur": 0.05, "mask.extinction_ratio": 30.0, "mask.smallest_step": 0.02, "mask.settle_time": 4e-9,
    "mask.response_time": 1e-9, "detector.gain_mismatch": 0.05, "detector.imbalance": 0.05,
    "detector.dark_current": 1e-6, "source.gain_mismatch": 0.05, "source.offset_mismatch": 0.02, "source.rin": -118.0,
    "source.rin_in_common": 0.3, "space.vignetting": 0.1, "space.input_crosstalk_earlier": 0.02,
    "space.input_crosstalk_later": 0.02, "space.output_crosstalk_earlier": 0.02, "space.output_crosstalk_later": 0.02,
    "space.rail_leak": 0.02, "space.stray_light": 1e-3, "tia.noise_density": 5e-11, "tia.feedback_conductance": 1e-2,
    "tia.integration_capacitance": 1e-13, "tia.bandwidth": 1e9, "transfer.rollover": 0.2, "transfer.bias_error": 0.01,
    "drift.source_rate": 1e-3, "drift.receiver_rate": 1e-3, "drift.age": 100.0, "drift.reversion": 1e-3,
    "drift.temperature_change": 5.0, "correction.input_gain": 0.95, "correction.output_gain": 1.05,
    "correction.output_offset": 0.01, "correction.input_crosstalk_earlier": 0.01,
    "correction.input_crosstalk_later": 0.01, "correction.output_crosstalk_earlier": 0.01,
    "correction.output_crosstalk_later": 0.01,
}  # fmt: skip
SOME = (
    "source.power", "source.rin", "dac.enob", "mask.extinction_ratio", "mask.smallest_step",
    "mask.mismatch", "tia.noise_density", "adc.enob", "adc.loading", "adc.gain", "clock",
)  # fmt: skip
# Prices and time, which a product does not depend on; and the share of clipping that is on: at 1 what clips sits on a
# level, which rounding holds and its gradient does not.
WITHOUT_NUMBERS = (
    "effects.adc_clipping",
    "device", "vectors_per_load", "source.wall_plug_efficiency", "source.bias_power", "source.mean_drive",
    "mask.write_energy", "mask.update_time", "tia.power", "adc.survey_factor", "dac.energy_at_8_bits",
    "dac.bits_exponent", "dac.rate_exponent", "dac.corner_rate", "upkeep.interval", "upkeep.probes",
)  # fmt: skip
STRUCTURES = {
    "rails": {},
    "every number, rails": {},
    "slots": {"encoding.inputs": "slots"},
    "offset inputs": {"encoding.inputs": "offset"},
    "unsigned": {"encoding.inputs": "unsigned"},
    "offset weights": {"encoding.weights": "offset"},
    "slots and offset weights": {"encoding.inputs": "slots", "encoding.weights": "offset"},
    "both offset": {"encoding.inputs": "offset", "encoding.weights": "offset"},
    "unsigned weights": {"encoding.weights": "unsigned"},
    "both unsigned": {"encoding.inputs": "unsigned", "encoding.weights": "unsigned"},
    "unsigned and offset weights": {"encoding.inputs": "unsigned", "encoding.weights": "offset"},
    "input slices": {"encoding.input_slices": 2, "dac.bits": 3.0, "dac.enob": 2.5},
    "weight slices in planes": {"encoding.weight_slices": 2, "mask.bits": 3.0},
    "weight slices in passes": {
        "encoding.weight_slices": 2, "mask.bits": 3.0, "encoding.weight_slices_over": "passes",
    },
    "scales of tiles": {"rows": 16, "columns": 8, "encoding.scales": "tile"},
    "accumulated tiles": {"rows": 16, "columns": 8, "accumulate": 2},
    "span of rows": {"adc.span": "rows"},
    "logistic noise": {"adc.noise": "logistic"},
    "bfloat16": {"arithmetic": "bfloat16"},
}  # fmt: skip
SHARES = {"full scale": 12.0, "input share": 0.6, "weight share": 0.5}
# Half a minute each; the others are slow together, and run by `make test-slow`.
QUICK = ("rails", "both offset", "accumulated tiles")


def rich(changes=None):
    base = optics.today(rows=ROWS, columns=COLUMNS)
    correction = {name: RICH[name] for name in RICH if name.startswith("correction")}
    return base.replace({**{n: v for n, v in RICH.items() if n not in correction}, **correction, **(changes or {})})


def lit_to(core, photons):
    return float(optics.with_photons_per_mac(core.replace({"source.mean_drive": 0.2}), photons).source.power)


def drawn(key, shape=(VECTORS, ROWS, COLUMNS)):
    vectors, rows, columns = shape
    for_x, for_w, noise, device = jax.random.split(key, 4)
    x, w = jax.random.normal(for_x, (vectors, rows)), jax.random.normal(for_w, (rows, columns)) / rows**0.5
    return x, w, noise, jax.random.randint(device, (), 0, 2**20).astype(jnp.float32)


def squared_error(core, names, theta, key, multiply=None, shape=(VECTORS, ROWS, COLUMNS)):
    """Of a product whose operands are theta["x"] and theta["w"] times what it is held against."""
    x, w, noise, device = drawn(key, shape)
    x = jnp.abs(x) if core.encoding.inputs == "unsigned" else x
    here = core.replace({**{name: theta[name] for name in names}, "device": device})
    multiply = multiply or (lambda core, theta, x, w, key: core.matmul(x, w, key=key))
    return jnp.mean((multiply(here, theta, theta["x"] * x, theta["w"] * w, noise) - x @ w) ** 2)


def over_keys(loss, keys=KEYS):
    """A program of theta: the loss and its gradient for each key.

    At level 1 it compiles in half the time; at level 0 XLA 0.10.2 gives NaN.
    """
    each = jax.random.split(jax.random.key(3), keys)
    return jax.jit(
        lambda theta: jax.vmap(lambda key: jax.value_and_grad(loss)(theta, key))(each),
        compiler_options={"xla_backend_optimization_level": 1},
    )


def compared(run, theta):
    """{name: (gradient, finite difference, standard error of their difference)}, means over keys.

    To the error is added what float32 leaves of a difference of losses: 1e-6 of the loss over the step.
    """
    values, slopes = run(theta)
    found = {}
    for name in theta:
        step = 0.3 if name == "source.rin" else 0.02 * abs(theta[name])
        above, below = (np.asarray(run({**theta, name: np.float32(theta[name] + s)})[0]) for s in (step, -step))
        slope, difference = np.asarray(slopes[name]), (above - below) / (2 * step)
        error = (difference - slope).std(ddof=1) / len(slope) ** 0.5 + 1e-6 * np.mean(values) / step
        found[name] = (slope.mean(), difference.mean(), error)
    return found


def wrong(found):
    return {
        name: f"gradient {slope:.4g}, finite difference {difference:.4g} +- {error:.2g}"
        for name, (slope, difference, error) in found.items()
        if abs(slope - difference) > 5 * error + 0.02 * abs(difference)
    }


def at(core, names, operands=0.8):
    return {name: np.float32(core.numbers()[name]) for name in names} | {
        "x": np.float32(operands),
        "w": np.float32(operands),
    }


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in STRUCTURES])
def test_gradient_is_that_of_the_mean(name):
    core = rich(STRUCTURES[name])
    # Of one structure every number that acts; bits, whose steps are whole, have a test of their own.
    others = [n for n, v in core.numbers().items() if np.ndim(v) == 0 and v != 0 and not n.endswith("bits")]
    acting = [n for n in others if n not in WITHOUT_NUMBERS and not n.startswith(("digital", "overhead"))]
    names = tuple(acting) if name == "every number, rails" else SOME
    run = over_keys(partial(squared_error, core, names))
    for light, photons in LIGHT.items():
        found = compared(run, at(core, names) | {"source.power": np.float32(lit_to(core, photons))})
        assert not wrong(found), light
        # The slopes in the operands are not lost in their errors.
        assert all(abs(found[name][1]) > 20 * found[name][2] for name in ("x", "w"))


def test_gradient_through_a_load():
    """A matrix that is put on the mask inside the function, as a layer that is called twice would have it."""

    def loaded_once(core, theta, x, w, key):
        return core.load(w).matmul(x, key=key)

    core = rich()
    run = over_keys(partial(squared_error, core, SOME, multiply=loaded_once))
    assert not wrong(compared(run, at(core, SOME) | {"source.power": np.float32(lit_to(core, LIGHT["middle"]))}))


def test_gradient_in_ranges_that_are_fixed():
    """Full scales and the input's scale are numbers of their own; some 1 % of outputs and inputs clip."""

    def in_range(core, theta, x, w, key):
        found = core.prepare()
        ranges = SiteRange(theta["full scale"] * jnp.ones(COLUMNS), theta["input scale"])
        return RealizedCore(found.core, found.variation, ranges).matmul(x, w, key=key)

    core = rich()
    run = over_keys(partial(squared_error, core, SOME, multiply=in_range))
    theta = at(core, SOME) | {"full scale": np.float32(6.0), "input scale": np.float32(2.2)}
    for photons in LIGHT.values():
        assert not wrong(compared(run, theta | {"source.power": np.float32(lit_to(core, photons))}))


def test_gradient_in_ranges_that_are_shares_of_the_largest():
    """Full drive is 0.6 of each vector's largest element and a clear pixel 0.5 of a column's: some 5 % clip."""

    def in_range(core, theta, x, w, key):
        found = core.prepare()
        columns = jnp.ones(COLUMNS)
        ranges = SiteRange(theta["full scale"] * columns, None, theta["input share"], theta["weight share"] * columns)
        return RealizedCore(found.core, found.variation, ranges).matmul(x, w, key=key)

    core = rich()
    run = over_keys(partial(squared_error, core, SOME, multiply=in_range))
    theta = at(core, SOME) | {name: np.float32(value) for name, value in SHARES.items()}
    assert not wrong(compared(run, theta | {"source.power": np.float32(lit_to(core, LIGHT["middle"]))}))


@pytest.mark.parametrize("light", ["factored", pytest.param("exact", marks=pytest.mark.slow)])
def test_gradient_of_either_light(light):
    """Tiles of 128 rows and columns, the fewest whose light is factored."""
    core = rich({"detector.light": light, "rows": 128, "columns": 128})
    run = over_keys(partial(squared_error, core, SOME, shape=(4, 128, 128)), keys=24)
    for photons in (LIGHT["low"], LIGHT["middle"]):
        found = compared(run, at(core, SOME) | {"source.power": np.float32(lit_to(core, photons))})
        assert not wrong(found), photons


ROUNDINGS = {
    ("dac_rounding", "dac.bits"): {"dac.bits": 6.0, "dac.enob": 5.0},
    ("weight_rounding", "mask.bits"): {"mask.bits": 6.0},
    ("adc_rounding", "adc.bits"): {"adc.bits": 7.0, "adc.enob": 6.0},
}
SLICED = {
    ("dac_rounding", "dac.bits"): {"encoding.input_slices": 2, "dac.bits": 3.0, "dac.enob": 2.5},
    ("weight_rounding", "mask.bits"): {"encoding.weight_slices": 2, "mask.bits": 3.0},
}


@pytest.mark.parametrize("cases, slices", [(ROUNDINGS, 1), pytest.param(SLICED, 2, marks=pytest.mark.slow)])
def test_gradient_in_bits_is_that_of_a_variance_that_falls_four_times_per_bit(cases, slices):
    """Bennett (1948): the loss is c / (levels - 1)^2, so d loss / d b = -2 ln 2 levels / (levels - 1) loss a digit.

    The largest element of a vector sits on a level, so that the other 31 of 32 have the error; both sides have it.
    """
    core, programs = optics.today(rows=ROWS, columns=COLUMNS), {}
    varied = [f"effects.{effect}" for effect, _ in cases]
    varied += ["dac.bits", "dac.enob", "mask.bits", "adc.bits", "adc.enob"]
    for (effect, name), changes in cases.items():
        here = core.replace({"effects": optics.Effects.only(effect), **changes})
        # Structure differs between the sliced cases alone: the others are numbers of one program.
        structure = str(here.encoding)
        if structure not in programs:
            programs[structure] = over_keys(partial(squared_error, here, varied))
        bits = np.float32(changes[name])
        values, slopes = programs[structure](at(here, varied, operands=1.0))
        levels = 2.0 ** (bits * slices - (1 if effect == "adc_rounding" else 0))
        expected = -2 * np.log(2) * slices * levels / (levels - 1) * float(np.mean(values))
        assert float(np.mean(slopes[name])) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("curve", [
    LED(bias_error=0.01, quadratic=0.2, cubic=0.1), MachZehnder(bias_error=0.01, extinction_ratio=100.0),
    ElectroAbsorption(bias_error=0.01, extinction_ratio=20.0), Straight(bias_error=0.01),
    Laser(bias_error=0.01, threshold=0.2, rollover=0.3), Laser(bias_error=0.0, threshold=0.2, rollover=0.5),
], ids=lambda curve: type(curve).__name__)  # fmt: skip
def test_gradient_of_a_linearised_curve(curve):
    """In the light that is wanted and in every number of the curve, between the entries of its table and the ends."""
    wanted = jnp.linspace(0.11, 0.87, 37)

    def weighed(curve, shift):
        return jnp.sum(jnp.cos(3 * wanted) * curve.linearised(wanted + shift))

    slopes, in_wanted = jax.jit(jax.grad(weighed, (0, 1)))(curve, 0.0)
    value, step = jax.jit(weighed), 1e-3
    for name, slope in slopes.numbers().items():
        number = float(curve.numbers()[name])
        # A rollover of 0.5 is the most that there is: from there only downwards.
        if name == "rollover" and number == 0.5:
            assert np.isfinite(slope)
            continue
        above, below = (value(curve.replace({name: number + s * max(number, 0.1)}), 0.0) for s in (step, -step))
        assert float(slope) == pytest.approx(float(above - below) / (2 * step * max(number, 0.1)), rel=0.03, abs=0.03)
    above, below = (value(curve, shift) for shift in (step, -step))
    assert float(in_wanted) == pytest.approx(float(above - below) / (2 * step), rel=0.03)


def test_gradient_of_the_integer_core_is_homogeneous():
    """Codes do not change with the scale of an operand, so the product is of first order in it: a dy/da = y."""
    x, w, _, _ = drawn(jax.random.key(0))
    core = IntegerCore(activation_bits=4.0, weight_bits=4.0, mac_energy=0.0)
    for scaled in (lambda a: core.matmul(a * x, w, key=None), lambda a: core.matmul(x, a * w, key=None)):
        y, slope = jax.jvp(scaled, (jnp.float32(0.8),), (jnp.float32(0.8),))
        np.testing.assert_allclose(slope, y, rtol=1e-4, atol=1e-5 * float(jnp.max(jnp.abs(y))))


def test_descent_where_shot_noise_decides_goes_down():
    """At 300 photons per MAC the loss grows with either operand; with scales held the gradient said -0.44."""
    core = optics.with_photons_per_mac(optics.projected_2029().replace({"source.mean_drive": 0.2}), 300.0)
    x, w = jax.random.normal(jax.random.key(0), (64, 256)), jax.random.normal(jax.random.key(1), (256, 32)) / 16
    run, keys = optics.emulate(lambda p, x: x @ p), jax.random.split(jax.random.key(5), 64)

    def loss(scales):
        by_w, by_x = scales
        return jnp.mean(jax.lax.map(lambda key: jnp.mean((run(core, key, by_w * w, by_x * x) - x @ w) ** 2), keys))

    value_and_slopes = jax.jit(jax.value_and_grad(loss))
    for scaled in (0, 1):

        def at_scale(a, scaled=scaled):
            value, slopes = value_and_slopes(np.where(np.arange(2) == scaled, a, 1).astype(np.float32))
            return float(value), float(slopes[scaled])

        slope = at_scale(0.8)[1]
        assert slope == pytest.approx((at_scale(0.82)[0] - at_scale(0.78)[0]) / 0.04, rel=1e-3)
        assert slope > 0.2


def test_gradients_are_finite_as_long_as_the_loss_is():
    """Operands from 1e-20 to 1e9: the inverse square of a small scale, or of a small current, is not formed."""
    x, w, key, _ = drawn(jax.random.key(0))

    def loss(core, x, w):
        return jnp.sum(core.matmul(x, w, key=key) ** 2)

    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
    for size in (1e-20, 1e-10, 1.0, 1e6, 1e9):
        value, (core, *operands) = run(optics.today(rows=ROWS, columns=COLUMNS), size * x, w)
        assert np.isfinite(value)
        assert not [name for name, slope in core.numbers().items() if not np.all(np.isfinite(slope))], size
        assert all(np.all(np.isfinite(slope)) for slope in operands)


def test_what_is_too_small_counts_as_empty_and_a_nan_stays_in_its_row():
    core = optics.today(rows=4, columns=4)
    x = jnp.array([[1.0, 2.0], [1e-36, 0.0], [3.0, 1.0]])
    np.testing.assert_allclose(optics.ideal(core).matmul(x, jnp.ones((2, 1)), key=jax.random.key(0))[:, 0], [3, 0, 4])
    w = jnp.array([[1.0, 1e-36, 2.0], [1.0, 0.0, 1.0]])
    np.testing.assert_allclose(optics.ideal(core).matmul(x, w, key=jax.random.key(0))[0], [3, 0, 4])
    for bad in (jnp.nan, jnp.inf):
        y = core.matmul(x.at[1, 0].set(bad), jnp.ones((2, 1)), key=jax.random.key(0))[:, 0]
        assert np.isnan(y[1])
        np.testing.assert_allclose(y[jnp.array([0, 2])], [3, 4], atol=1.0)


def test_a_correction_of_zero_has_a_gradient():
    """No noise and no rounding, so that a single finite difference will do."""
    names = "correction.input_crosstalk_later", "correction.output_crosstalk_earlier"
    core = optics.today(rows=8, columns=8).replace(
        {"effects": optics.Effects.uniform(0.0), "effects.correction": 1.0} | dict.fromkeys(names, 0.0)
    )
    draw = np.random.default_rng(0)
    x, w = (jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in ((4, 8), (8, 8)))

    def loss(core):
        return jnp.sum(core.matmul(x, w, key=jax.random.key(0)) ** 2)

    run = jax.jit(jax.value_and_grad(loss))
    gradients = run(core)[1].numbers()
    for name in names:
        gradient = float(gradients[name])
        above, below = (float(run(core.replace({name: shift}))[0]) for shift in (0.01, -0.01))
        assert gradient == pytest.approx((above - below) / 0.02, rel=0.02)
        assert abs(gradient) > 1


def test_what_the_gradient_of_a_product_keeps_is_bounded():
    """Inputs and drives; products and outputs, these twice; weights, plane and the error of its light."""
    vectors, rows, columns = 192, 256, 128
    core = optics.preset("today", rows=rows, columns=columns).prepare()
    x, w = jnp.ones((vectors, rows)), jnp.ones((rows, columns))
    pull_back = jax.vjp(lambda x, w: core.matmul(x, w, key=jax.random.key(0)), x, w)[1]
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull_back))
    device = sum(leaf.size for leaf in jax.tree.leaves(core))
    # 5 % are for arrays of one axis.
    arrays = 2 * vectors * rows + 3 * vectors * columns + 3 * rows * columns
    assert kept < 1.05 * (arrays + device)
