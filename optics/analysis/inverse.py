"""Inverse design: the numbers of a core that make a figure of merit least, found by its gradient."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optics.analysis.axis import between


class Knob(NamedTuple):
    """A number that may be turned between two bounds, on a logarithmic axis where that is set."""

    low: float
    high: float
    logarithmic: bool = True


class Step(NamedTuple):
    """A point of a descent: the knobs' values, the figure of merit there, and what it reports beside."""

    values: dict[str, float]
    merit: float
    report: dict[str, float]


Merit = Callable[..., tuple[Any, dict[str, Any]]]


def descend(
    merit: Merit,
    knobs: Mapping[str, Knob],
    start: Mapping[str, float],
    *args: Any,
    steps: int,
    rate: float = 0.5,
    progress: Callable[[Any], Any] = iter,
    kept: Callable[[list[float], Callable[[], Any]], Any] = lambda hidden, run: run(),
) -> list[Step]:
    """Adam on the knobs, `steps` evaluations of `merit` and its gradient; all points, in order.

    merit: of the knobs' values by name and of `args`, a number and a dict of numbers to report. rate: first step, in
    units of the logistic variable behind each knob, by which no bound can be passed; it falls to a twentieth as half a
    cosine. The gradient is taken forward, a tangent a knob: knobs are few and a model is deep. kept: given
    the hidden variables and a function that evaluates them, returns what that gives, or what it gave before (numbers,
    lists and dicts of them), so that an interrupted descent goes on. Raises ValueError for a start that does not name
    the knobs or is not within them. Kingma and Ba, arXiv 1412.6980.
    """
    names = list(knobs)
    if set(start) != set(names):
        raise ValueError(f"start names {sorted(start)}; the knobs are {sorted(names)}")
    if steps < 1:
        raise ValueError(f"steps = {steps} must be at least 1")

    @jax.jit
    def evaluate(hidden: jax.Array, *args: Any):
        def of_hidden(hidden: jax.Array) -> tuple[Any, tuple[Any, dict[str, Any]]]:
            values = {name: value_of(knobs[name], z) for name, z in zip(names, hidden, strict=True)}
            number, report = merit(values, *args)
            return number, (values, report)

        def along(tangent: jax.Array) -> tuple[Any, Any, Any]:
            return jax.jvp(of_hidden, (hidden,), (tangent,), has_aux=True)

        return jax.vmap(along, out_axes=(None, 0, None))(jnp.eye(len(names), dtype=jnp.float32))

    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps, alpha=0.05))
    hidden = jnp.array([hidden_of(name, knobs[name], start[name]) for name in names], jnp.float32)
    state = optimiser.init(hidden)
    path = []
    for _ in progress(range(steps)):
        number, slopes, values, report = kept(
            np.asarray(hidden).tolist(), lambda at=hidden: _listed(evaluate(at, *args))
        )
        gradient = jnp.asarray(slopes, jnp.float32)
        path.append(Step(values, number, report))
        # Adam raises a float to the power of its integer count.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(gradient, state)
            hidden = optax.apply_updates(hidden, updates)
    return path


def value_of(knob: Knob, hidden: Any) -> Any:
    """The value of a knob from the logistic variable behind it."""
    return between(*knob, jax.nn.sigmoid(hidden))


def hidden_of(name: str, knob: Knob, value: float) -> float:
    """The logistic variable behind a knob's value; ValueError unless the value lies between the bounds."""
    if not knob.low < value < knob.high:
        raise ValueError(f"{name} starts at {value:g}, which must lie between {knob.low:g} and {knob.high:g}")
    whole, part = (
        (np.log(knob.high / knob.low), np.log(value / knob.low))
        if knob.logarithmic
        else (knob.high - knob.low, value - knob.low)
    )
    return float(np.log(part / (whole - part)))


def _listed(evaluated: Any) -> list[Any]:
    number, gradient, (values, report) = evaluated
    return [float(number), gradient.tolist(), _plain(values), _plain(report)]


def _plain(numbers: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}
