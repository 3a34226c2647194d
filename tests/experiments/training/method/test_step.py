"""One step: its gradient against finite differences of the expected loss, accumulation, optax, what is compiled."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optics
from experiments.training.method import step as stepping
from experiments.training.method.codesign import hardware
from experiments.training.method.losses import Distillation
from experiments.training.method.step import Measured, Program
from experiments.training.method.trainable import Trainable, select
from experiments.training.run import start
from experiments.training.run.options import Options
from experiments.training.run.order import batch_of_step
from optics.analysis.inverse import Knob

SMALL = {"rows": 8, "columns": 8}


@pytest.fixture(scope="module")
def plan(network):
    """A program and all that a step of it takes."""

    def make(options=None, core=network.core, **changes):
        options = options or Options(**{"steps": 20, "batch": 8, **changes})
        batch = batch_of_step(network.data, 0, 0, options.batch, options.accumulate)
        sample = jax.tree.map(lambda part: part[0], batch)
        program = start.plan(network.loss, network.forward, network.params, sample, core, options)
        return program, start.numbers_of(options), batch

    return make


def first_step(plan, network, core, **changes):
    program, numbers, batch = plan(core=core, **changes)
    state = stepping.start(program, network.params, {}, numbers)
    return stepping.step(program, state, network.params, core, numbers, {}, batch)


def test_first_step_equals_optax_on_the_gradient_of_emulation(plan, network):
    core = network.core
    state, figures = first_step(plan, network, core, rate=0.01, weight_decay=0.1, gradient_norm=None, warmup=0)
    batch = batch_of_step(network.data, 0, 0, 8, 1)
    part = jax.tree.map(lambda array: array[0], batch)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 0)
    run = optics.emulate(lambda params, batch, exact: network.loss(params, batch, exact)["loss"])
    params = jax.tree.map(jnp.asarray, network.params)
    value, gradient = jax.value_and_grad(lambda p: run(core, key, p, part, network.forward(params, part)))(params)
    decayed = {"first": True, "second": True, "bias": False}
    optimiser = optax.adamw(0.01, weight_decay=0.1, mask=decayed)
    with jax.numpy_dtype_promotion("standard"):
        change, _ = optimiser.update(gradient, optimiser.init(params), params)
        expected = optax.apply_updates(params, change)
    np.testing.assert_allclose(figures["loss"], value, rtol=1e-5)
    for name, values in state.weights.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


@pytest.mark.parametrize("kind", ["all", "lora"])
def test_accumulated_gradient_equals_that_of_the_large_batch(plan, network, kind):
    """Without noise; with noise the parts of a batch have draws of their own."""
    quiet = dataclasses.replace(network.core, deviation=jnp.float32(0))
    plain = optax.sgd(0.1)
    whole, parts = (
        first_step(plan, network, quiet, accumulate=n, optimiser=plain, trainable=Trainable(kind=kind), batch=8)
        for n in (1, 4)
    )
    # At its start the first factor has no gradient, as the second one is 0.
    moved = [
        np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (whole[0].weights, parts[0].weights)), strict=True)
    ]
    assert max(moved) < 1e-6
    np.testing.assert_allclose(whole[1]["loss"], parts[1]["loss"], atol=1e-6)


def test_weights_on_the_mask_are_clipped_after_a_step(plan, network):
    state, _ = first_step(plan, network, network.core, clip_sigmas=1.0)
    before, _ = first_step(plan, network, network.core)
    w = np.asarray(before.weights["first"])
    bound = np.std(w, axis=0, keepdims=True)
    np.testing.assert_allclose(state.weights["first"], np.clip(w, -bound, bound), atol=1e-6)
    np.testing.assert_allclose(state.weights["bias"], before.weights["bias"], atol=1e-7)


def test_new_numbers_compile_nothing_and_the_state_is_given_away(plan, network):
    program, numbers, batch = plan()
    state = stepping.start(program, network.params, {}, numbers)
    state, _ = stepping.step(program, state, network.params, network.core, numbers, {}, batch)
    compiled = stepping.step._cache_size()
    for number in (1, 2):
        again, other, batch = plan(rate=0.1 * number, seed=number, weight_decay=0.1, gradient_norm=0.1 * number)
        louder = dataclasses.replace(network.core, deviation=jnp.float32(number))
        before = state
        state, _ = stepping.step(again, state, network.params, louder, other, {}, batch)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    assert stepping.step._cache_size() == compiled
    first_step(plan, network, network.core, accumulate=2)
    assert stepping.step._cache_size() == compiled + 1


def test_devices_are_redrawn_from_seed_and_step():
    drawn = [float(stepping.serial_number(seed, jnp.uint32(step))) for seed in (0, 1) for step in range(3)]
    assert len(set(drawn)) == 6 and all(1 <= each < 2**24 and each == int(each) for each in drawn)
    assert drawn[1] == float(stepping.serial_number(0, jnp.uint32(1)))
    assert drawn[1] != float(stepping.serial_number(0, jnp.uint32(1), stepping.HELD_OUT_STREAM))


def test_rate_rises_and_falls(plan):
    program, numbers, _ = plan(rate=0.2, steps=40, warmup=4, final_rate=0.25)
    rates = [float(stepping.rate_at(program, numbers, count)) for count in (0, 4, 22, 40)]
    # From final_rate of the height: a fifth of the way up, at the height, half-way down, at the end.
    np.testing.assert_allclose(rates, [0.2 * (0.25 + 0.75 / 5), 0.2, 0.2 * (0.25 + 0.75 / 2), 0.05], rtol=1e-5)


@pytest.fixture(scope="module")
def lit():
    """A matrix on a small core whose source and receivers are noisy: (program, params, core, batch)."""
    draws = np.random.default_rng(3)
    params = {"w": draws.normal(size=(8, 6)).astype(np.float32)}
    batch = {"x": draws.normal(size=(4, 8)).astype(np.float32)}
    # Rounding passes gradients straight through: it has no derivative that differences could find.
    smooth = dict.fromkeys(("effects.dac_rounding", "effects.weight_rounding", "effects.adc_rounding"), 0.0)
    core = optics.with_photons_per_mac(optics.projected_2029(**SMALL).replace(smooth), 3000.0)

    def forward(params, batch):
        return batch["x"] @ params["w"]

    sites = optics.trace(forward)(params, batch)
    program = Program(
        measured=Measured(loss=Distillation(forward), forward=forward),
        trained=select(Trainable(kind="lora", rank=2, alpha=2.0), params, sites, False),
        hardware=hardware({"source.power": Knob(1e-6, 1.0)}, core, sites),
        optimiser=None,
        steps=1,
        warmup=0,
        accumulate=1,
    )
    return program, params, core, batch


def test_gradient_equals_finite_differences_of_the_expected_loss(lit):
    """In factors, hardware and weights; over 1,024 keys, to four standard errors of the differences and 0.5 %."""
    program, params, core, batch = lit
    numbers = start.numbers_of(Options())
    draws = np.random.default_rng(5)
    factors = {name: draws.normal(size=shape).astype(np.float32) for name, shape in (("a", (8, 2)), ("b", (2, 6)))}
    point = ({"w": factors}, program.hardware.start(core), {"w": jnp.asarray(params["w"])})
    zero = jax.tree.map(jnp.zeros_like, point)
    along = [
        ({"w": {name: draws.normal(size=v.shape).astype(np.float32) for name, v in factors.items()}}, *zero[1:]),
        (zero[0], {"source.power": jnp.float32(1.0)}, zero[2]),
        (*zero[:2], {"w": jnp.asarray(draws.normal(size=(8, 6)), jnp.float32)}),
    ]
    lengths = [0.01, 0.01, 0.01]
    ends = [
        jax.tree.map(lambda a, d, h=sign * length: a + h * d, point, direction)
        for direction, length in zip(along, lengths, strict=True)
        for sign in (1, -1)
    ]
    ends = jax.tree.map(lambda *each: jnp.stack(each), *ends)

    def loss(at, key):
        # The reference is that of the start, whatever the weights are moved to.
        fixed = dataclasses.replace(program.measured, forward=lambda _, batch: batch["x"] @ params["w"])
        moved = dataclasses.replace(program, measured=fixed)
        return stepping.objective(moved, at[0], at[1], at[2], core, key, numbers, {}, batch)[0]

    @jax.jit
    def of_key(key):
        gradient = jax.grad(loss)(point, key)
        slopes = [sum(map(jnp.vdot, jax.tree.leaves(gradient), jax.tree.leaves(d))) for d in along]
        return jnp.stack(slopes), jax.lax.map(lambda at: loss(at, key), ends)

    keys = jax.random.split(jax.random.key(0), 1024)
    slopes, losses = jax.jit(lambda keys: jax.lax.map(of_key, keys))(keys)
    slopes, losses = np.asarray(slopes, np.float64), np.asarray(losses, np.float64).reshape(-1, 3, 2)
    differences = (losses[..., 0] - losses[..., 1]) / (2 * np.array(lengths))
    found, expected = slopes.mean(axis=0), differences.mean(axis=0)
    error = np.std(slopes - differences, axis=0) / np.sqrt(len(slopes))
    assert np.all(np.abs(expected) > 10 * error), (found, expected, error)
    assert np.all(np.abs(found - expected) < 4 * error + 0.005 * np.abs(expected)), (found, expected, error)
