"""Inverse design against minima that are known, and against a grid on a real product."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics.analysis.inverse import Knob, descend, hidden_of, value_of


def test_a_knob_and_its_hidden_variable_are_inverse():
    for knob, values in ((Knob(1e8, 1e10), (2e8, 1e9, 9e9)), (Knob(5.0, 11.0, False), (5.1, 8.0, 10.9))):
        for value in values:
            assert float(value_of(knob, hidden_of("x", knob, value))) == pytest.approx(value, rel=1e-4)
        assert knob.low <= float(value_of(knob, -50.0)) and float(value_of(knob, 50.0)) <= knob.high * (1 + 1e-6)


def test_a_bowl_is_descended_to_its_bottom():
    """(ln(a / 3e9))^2 + (b - 6)^2 is least at a = 3e9, b = 6."""

    def bowl(values, scale):
        merit = jnp.log(values["a"] / 3e9) ** 2 + scale * (values["b"] - 6.0) ** 2
        return merit, {"twice": 2 * merit}

    knobs = {"a": Knob(1e8, 1e10), "b": Knob(5.0, 11.0, False)}
    path = descend(bowl, knobs, {"a": 3e8, "b": 9.0}, jnp.float32(1.0), steps=200, rate=0.2)
    best = min(path, key=lambda step: step.merit)
    assert len(path) == 200
    assert path[0].values == pytest.approx({"a": 3e8, "b": 9.0}, rel=1e-4)
    assert path[0].merit == pytest.approx(np.log(10) ** 2 + 9, rel=1e-4)
    assert path[0].report["twice"] == pytest.approx(2 * path[0].merit)
    assert best.values == pytest.approx({"a": 3e9, "b": 6.0}, rel=0.03)


def test_an_interrupted_descent_goes_on():
    """What was evaluated once is not evaluated again, and the path is that of one that ran through."""
    store, computed = {}, []

    def kept(hidden, run):
        key = json.dumps(hidden)
        if key not in store:
            computed.append(key)
            store[key] = json.dumps(run())
        return json.loads(store[key])

    def bowl(values):
        return jnp.log(values["a"] / 3.0) ** 2, {}

    def path(steps, **options):
        return descend(bowl, {"a": Knob(1.0, 9.0)}, {"a": 8.0}, steps=steps, **options)

    whole = path(6)
    with pytest.raises(KeyboardInterrupt):
        path(6, kept=kept, progress=interrupted)
    assert len(computed) == 3
    assert path(6, kept=kept) == whole
    assert len(computed) == 6


def interrupted(turns):
    yield from list(turns)[:3]
    raise KeyboardInterrupt


def test_no_step_passes_a_bound():
    """A slope without an end pushes the knob to its bound and never beyond."""
    path = descend(lambda values: (-jnp.log(values["a"]), {}), {"a": Knob(1.0, 2.0)}, {"a": 1.5}, steps=40, rate=5.0)
    assert all(1.0 <= step.values["a"] <= 2.0 for step in path)
    assert path[-1].values["a"] > 1.99


@pytest.mark.parametrize(
    ("start", "steps", "message"),
    [
        ({"b": 1.5}, 1, "start names"),
        ({"a": 2.5}, 1, "a starts at 2.5, which must lie between 1 and 2"),
        ({"a": 2.0}, 1, "must lie between"),
        ({"a": 1.5}, 0, "steps = 0 must be at least 1"),
    ],
)
def test_what_cannot_be_descended(start, steps, message):
    with pytest.raises(ValueError, match=message):
        descend(lambda values: (values["a"], {}), {"a": Knob(1.0, 2.0)}, start, steps=steps)


def test_twenty_steps_on_a_core_beat_a_grid_of_a_thousand():
    """Joules and relative error of one product, over clock, light and ADC: the real bill and the real noise.

    The noise is the same at every core (one key), so both searches see one deterministic function.
    """
    base = optics.projected_2029(rows=64, columns=32)
    x = jax.random.normal(jax.random.key(1), (16, 64), jnp.float32)
    w = jax.random.normal(jax.random.key(2), (64, 32), jnp.float32)
    sites = optics.trace(lambda w, x: x @ w)(w, x)
    knobs = {"clock": Knob(0.2e9, 5e9), "bits": Knob(3.0, 9.0, False), "enob": Knob(4.0, 11.0, False)}

    def merit(values):
        core = base.replace({"clock": values["clock"], "adc.enob": values["enob"], "adc.bits": values["enob"] + 2})
        core = optics.with_effective_bits(core, values["bits"])
        error = jnp.sqrt(jnp.mean((core.matmul(x, w, key=jax.random.key(0)) - x @ w) ** 2) / jnp.mean((x @ w) ** 2))
        joules = optics.price(core, sites).total
        return jnp.log(joules / 1e-9) + error / 0.05, {"error": error}

    axes = [np.geomspace(0.2e9, 5e9, 10), np.linspace(3, 9, 10), np.linspace(4, 11, 10)]
    points = np.array(list(itertools.product(*axes)), np.float32)
    grid = {name: jnp.asarray(points[:, number]) for number, name in enumerate(knobs)}
    best_of_grid = float(jnp.min(jax.jit(jax.vmap(lambda values: merit(values)[0]))(grid)))
    path = descend(merit, knobs, {"clock": 1e9, "bits": 7.0, "enob": 8.0}, steps=20)
    assert min(step.merit for step in path) <= best_of_grid
