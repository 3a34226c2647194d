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
from optics.core import Prepared
from optics.ranges import SiteRange
from optics.transfer import LED, ElectroAbsorption, MachZehnder, Straight

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
STRUCTURES = {
    "rails": {},
    "slots": {"encoding.inputs": "slots"},
    "offset inputs": {"encoding.inputs": "offset"},
    "unsigned": {"encoding.inputs": "unsigned"},
    "offset weights": {"encoding.weights": "offset"},
    "slots and offset weights": {"encoding.inputs": "slots", "encoding.weights": "offset"},
    "both offset": {"encoding.inputs": "offset", "encoding.weights": "offset"},
    "unsigned and offset weights": {"encoding.inputs": "unsigned", "encoding.weights": "offset"},
    "input slices": {"encoding.input_slices": 2, "dac.bits": 3.0},
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


def rich(changes=None):
    base = optics.today(rows=ROWS, columns=COLUMNS)
    correction = {name: RICH[name] for name in RICH if name.startswith("correction")}
    return base.replace({**{n: v for n, v in RICH.items() if n not in correction}, **correction, **(changes or {})})


def lit_to(core, photons):
    return float(optics.lit_by(core, photons).source.power)


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


def over_keys(loss):
    """A program of theta: the loss and its gradient for each key.

    At level 1 it compiles in half the time; at level 0 XLA 0.10.2 gives NaN.
    """
    each = jax.random.split(jax.random.key(3), KEYS)
    return jax.jit(
        lambda theta: jax.vmap(lambda key: jax.value_and_grad(loss)(theta, key))(each),
        compiler_options={"xla_backend_optimization_level": 1},
    )


def compared(run, theta, skipped=()):
    """{name: (gradient, finite difference, standard error of their difference)}, means over keys.

    To the error is added what float32 leaves of a difference of losses: 1e-6 of the loss over the step.
    """
    values, slopes = run(theta)
    found = {}
    for name in [name for name in theta if name not in skipped]:
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


@pytest.mark.parametrize("name", STRUCTURES)
def test_gradient_is_that_of_the_mean(name):
    core = rich(STRUCTURES[name])
    run = over_keys(partial(squared_error, core, SOME))
    for light in LIGHT.values():
        theta = at(core, SOME) | {"source.power": np.float32(lit_to(core, light))}
        found = compared(run, theta)
        assert not wrong(found), light
