"""Time of a trial of a function beside that of its digital forward pass, in turns."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.sweeps.definition.sweep import Sweep
from experiments.sweeps.execution.engine import Engine
from experiments.sweeps.execution.layout import Layout
from experiments.sweeps.execution.results import SweepResults
from experiments.sweeps.subjects.drive import Drive
from experiments.sweeps.subjects.function import Function, LoadedFunction

ROUNDS = 25


class Rate(NamedTuple):
    """Times on one device.

    Attributes:
        trial_s: median time of a trial, all batches of the function on one core [s].
        digital_s: median time of the digital forward pass of the same batches [s].
        ratio: quartiles of their ratio, round by round.
    """

    trial_s: float
    digital_s: float
    ratio: tuple[float, float, float]


def check(sweep: Sweep) -> None:
    """Raise ValueError unless `measure` takes the sweep: one of a function, by one process."""
    if not isinstance(sweep.subject, Function):
        kind = sweep.subject.describe()["kind"]
        raise ValueError(f"rate: the subject must be a function, and on.kind = {kind!r}; `otc bench` times the others")
    if jax.process_count() > 1:
        raise ValueError(f"rate: it is measured by one process, and there are {jax.process_count()}")


def measure(sweep: Sweep, results: SweepResults) -> Rate:
    """Time calls of as many trials as run at once, on the first point, and the digital forward pass, in turns.

    Compilation, loading and storing are left out.

    Args:
        sweep: a sweep of a function.
        results: its run, which has the layout and the drive.
    """
    (group, *_), width = sweep.groups, results.manifest["layout"]["width"]
    assert isinstance(group.subject, Function)
    loaded = LoadedFunction(group.subject)
    if (drive := results.manifest.get("drive of group 0")) is not None:
        group = group.with_drive(Drive(**drive))
    # Longer calls, as the run has, would take the two sides apart in time.
    engine = Engine(sweep, Layout(width, width), settled=True)
    placed = engine.place(group, loaded)
    trials = np.full(engine.batch, group.points[0]), np.zeros(engine.batch, int)
    digital = jax.jit(loaded.digital)
    emulated_s, digital_s = [], []
    for number in range(1 + ROUNDS):
        each = _seconds(lambda: placed.run(*trials)), _seconds(lambda: digital(loaded.operands))
        if number:  # the first call compiles
            emulated_s.append(each[0] / width)
            digital_s.append(each[1])
    low, middle, high = np.percentile(np.divide(emulated_s, digital_s), [25, 50, 75])
    return Rate(float(np.median(emulated_s)), float(np.median(digital_s)), (float(low), float(middle), float(high)))


def line(rate: Rate, results: SweepResults) -> str:
    """Return the rate in one line."""
    low, middle, high = rate.ratio
    batches = f"{results.definition['on']['batches']} batches"
    per_s = 1 / (rate.trial_s * results.definition["keys"])
    return (
        f"A trial of {batches} takes {rate.trial_s:.3g} s, {per_s:.2g} points/s, {middle:.3g} times as long as their "
        f"digital forward pass, {rate.digital_s:.3g} s (quartiles {low:.3g} to {high:.3g}), without compilation"
    )


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began
