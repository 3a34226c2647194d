"""Drift on a timeline: what a core computes over hours as its gains wander and calibrations bring them back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optics import checks
from optics.analysis.calibrate import calibrate_device, check_calibration, cost_of_vectors
from optics.analysis.probes import realized, residual, vectors_of_round
from optics.components.drift import CalibrationSchedule, DriftState, checked_times
from optics.core.tensor_core import RealizedCore, TensorCore

Figures = Callable[[RealizedCore, jax.Array], Mapping[str, Any]]
MOST_EVENTS = 10**5
MOST_PATHS = 10**4


class DriftTimeline(NamedTuple):
    """Figures over time, and what the calibrations cost.

    core: the core with the schedule of its calibrations as `upkeep`, for its bill; times: of the figures [s];
    calibrations: times of the calibrations [s]; values: figures by name, [paths, times]; vectors, seconds, joules: of
    each calibration after the first; duty: share of the time that these take; watts: their mean power.
    """

    core: TensorCore
    times: np.ndarray
    calibrations: np.ndarray
    values: dict[str, np.ndarray]
    vectors: int
    seconds: float
    joules: float
    duty: float
    watts: float


def drift_timeline(
    core: TensorCore,
    figures: Figures | None = None,
    *,
    key: jax.Array,
    times: Sequence[float] | np.ndarray,
    interval: float | None = None,
    probes: str = "single",
    rounds: int = 1,
    averages: int = 16,
    first_rounds: int = 3,
    paths: int = 1,
) -> DriftTimeline:
    """Run a core over time: its gains walk, and every `interval` a calibration measures and corrects them.

    Each path is one walk of all gains of the device `core.device`, exact in law (`Drift.path`), from a first
    calibration at time 0. Each calibration is one of `calibrate`, of the gains as they are then, through the correction
    so far. Figures at the time of a calibration are those after it. All times and paths share the noise of one key for
    the figures, so that what differs between times is the drift. `core.drift.age` is not read, as the walk is in the
    gains, and a change of temperature is one that the first calibration has seen.

    Args:
        core: the core before its first calibration.
        figures: function of (realized core, key) that returns figures by name, one number each, or an array whose mean
            counts. It is traced. None for `residual`, the rms error of products of random operands relative to their
            rms, noise included.
        key: key of the walks, the probes and the figures.
        times: of the figures, from 0 on and in order [s].
        interval: between two calibrations [s]; that of `core.upkeep` if None.
        probes: of all calibrations, as in `calibrate`.
        rounds: of each calibration after the first.
        averages: of all calibrations, as in `calibrate`.
        first_rounds: of the first calibration.
        paths: walks, independent of each other.

    Raises:
        ValueError: for what `calibrate` refuses, times that are not in order, an interval in which a calibration does
            not fit, and more than 100,000 calibrations and times.
    """
    check_calibration(core, first_rounds, averages, probes)
    check_calibration(core, rounds, averages, probes)
    every = float(core.upkeep.interval) if interval is None else interval
    checks.above("interval", every, 0.0)
    at = checked_times(times)
    if isinstance(paths, bool) or not isinstance(paths, int) or not 1 <= paths <= MOST_PATHS:
        raise ValueError(f"paths = {paths} must be a whole number, at least 1 and at most {MOST_PATHS}")
    if at[-1] / every + at.size > MOST_EVENTS:
        raise ValueError(
            f"interval = {every:g} s up to {at[-1]:g} s, with {at.size} times, are more than {MOST_EVENTS} events"
        )
    calibrations = every * np.arange(int(np.floor(at[-1] / every)) + 1)
    vectors = rounds * vectors_of_round(probes, core.rows, averages)
    schedule = CalibrationSchedule(interval=every, probes=float(vectors))
    fresh = core.replace({"upkeep": schedule, "drift.age": 0.0})
    judge = _judge(figures)
    walks = []
    with jax.enable_x64(False):
        for path in range(paths):
            walk_key, probe_key = jax.random.split(jax.random.fold_in(key, path))
            events = np.union1d(at, calibrations)
            states = core.drift.states(events, core.rows, core.columns, walk_key)
            now, found = fresh, []
            for number, moment in enumerate(events):
                state = jax.tree.map(lambda gains, number=number: gains[number], states)
                if moment in calibrations:
                    turns = rounds if number else first_rounds
                    turn_key = jax.random.fold_in(probe_key, number)
                    now = calibrate_device(now, state, turn_key, turns, averages, probes).core
                if moment in at:
                    found.append(jax.device_get(judge(now, state, key)))
            walks.append(jax.tree.map(lambda *each: np.array(each)[np.searchsorted(np.unique(at), at)], *found))
    seconds, joules = cost_of_vectors(fresh, vectors)
    return DriftTimeline(
        core=fresh,
        times=at,
        calibrations=calibrations,
        values={name: np.stack([walk[name] for walk in walks]) for name in walks[0]},
        vectors=vectors,
        seconds=seconds,
        joules=joules,
        duty=float(schedule.lost_duty(core.encoding.symbols / core.clock)),
        watts=joules / every,
    )


def _judge(figures: Figures | None) -> Callable[[TensorCore, DriftState, jax.Array], dict[str, jax.Array]]:
    """The compiled function of (core, state, key) that gives each figure as one number."""

    def judge(core: TensorCore, state: DriftState, key: jax.Array) -> dict[str, jax.Array]:
        if figures is None:
            return {"residual": residual(core, state, key, averages=1)}
        found = figures(realized(core, state), key)
        if not isinstance(found, Mapping) or not found:
            raise ValueError(f"figures returns {type(found).__name__}: it must return figures by name, in a dict")
        return {name: jnp.mean(jnp.asarray(value, jnp.float32)) for name, value in found.items()}

    return jax.jit(judge)
