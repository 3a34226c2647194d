"""Drift between calibrations: wandering gains, and a change of temperature."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from electronics.part import Number, Part, number
from optics.components.signal import safe_sqrt


class DriftState(NamedTuple):
    """Relative changes of the gains of one device: of its sources [2, rows] and of its receivers [1, columns]."""

    sources: jax.Array
    receivers: jax.Array


class Drift(Part):
    """Drift of the gains of sources and receivers since the last calibration.

    A core of one `age` is a snapshot: the change of each gain is `rms` times one normal number of the device. Each
    age by itself has the law of the walk, but the changes at two ages are fully correlated: one pattern that grows.
    `states` draws the walk itself, for `optics.drift_timeline`.

    Attributes:
        source_rate, receiver_rate: relative rms of the random walk per square root of a second.
        reversion: rate at which gains revert to their means (Ornstein-Uhlenbeck), 0 for a free random walk.
        age: time since the calibration.
        temperature_coefficient: relative change of the light of every source per kelvin.
        temperature_change: since the calibration.
    """

    source_rate: Number = number("1/sqrt(s)", least=0, most=1, plausible=(None, 0.1))
    receiver_rate: Number = number("1/sqrt(s)", least=0, most=1, plausible=(None, 0.1))
    reversion: Number = number("1/s", least=0, most=1e9, plausible=(None, 1e3))
    age: Number = number("s", least=0, most=1e10)
    temperature_coefficient: Number = number("1/K", least=-0.1, most=0.1)
    temperature_change: Number = number("K", least=-100, most=100)

    def rms(self, rate: Number) -> Number:
        """rms relative change after `age`: rate sqrt((1 - exp(-2 k t)) / 2 k), which is rate sqrt(t) for small k t.

        Uhlenbeck and Ornstein, Phys. Rev. 36, 823 (1930).
        """
        return _rms(rate, self.reversion, self.age)

    def path(self, rate: Number, times: Sequence[float] | np.ndarray, shape: tuple[int, ...], key: jax.Array):
        """Sample path of the walk at some times, from 0 at time 0: [times, *shape], independent along `shape`.

        g(t + d) = exp(-k d) g(t) + rms(d) n with n normal, which is exact in law for steps of any length
        (Gillespie, Phys. Rev. E 54, 2084 (1996)). At one time its rms is that of `rms`, and the covariance of the times
        s <= t is rate^2 exp(-k (t - s)) (1 - exp(-2 k s)) / 2 k, or rate^2 s without reversion. `age` is not read.

        Args:
            rate: `source_rate` or `receiver_rate`.
            times: from 0 on, none before the one before it [s].
            shape: of independent gains.
            key: key of the path.

        Raises:
            ValueError: for times that are negative, not finite, not in order or none.
        """
        at = checked_times(times)
        steps = jnp.asarray(np.diff(at, prepend=0.0), jnp.float32)

        def step(gain, drawn):
            length, normal = drawn
            gain = jnp.exp(-self.reversion * length) * gain + _rms(rate, self.reversion, length) * normal
            return gain, gain

        normals = jax.random.normal(key, (len(at), *shape), jnp.float32)
        return jax.lax.scan(step, jnp.zeros(shape, jnp.float32), (steps, normals))[1]

    def states(self, times: Sequence[float] | np.ndarray, rows: int, columns: int, key: jax.Array) -> DriftState:
        """One walk of all gains of a device, as `path`: sources [times, 2, rows], receivers [times, 1, columns]."""
        sources, receivers = jax.random.split(key)
        return DriftState(
            self.path(self.source_rate, times, (2, rows), sources),
            self.path(self.receiver_rate, times, (1, columns), receivers),
        )

    def thermal_gain(self, share: Number) -> Number:
        """Factor on the light of every source from the change of temperature, with `share` of it acting."""
        return 1 + share * self.temperature_coefficient * self.temperature_change


def _rms(rate: Number, reversion: Number, time: Number) -> Number:
    """rate sqrt((1 - exp(-2 k t)) / 2 k) for k = reversion and t = time."""
    relaxed = 2 * reversion * time
    small = relaxed < 1e-6
    safe = jnp.where(small, 1.0, relaxed)
    return rate * safe_sqrt(time * jnp.where(small, 1 - relaxed / 2, -jnp.expm1(-safe) / safe))


def checked_times(times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Times [s] as an array; ValueError unless they are finite, at least one, from 0 on and in order."""
    at = np.asarray(times, np.float64)
    if at.ndim != 1 or not at.size or not np.all(np.isfinite(at)) or at[0] < 0 or np.any(np.diff(at) < 0):
        raise ValueError(f"times = {times} must be finite, at least one, from 0 on and in order [s]")
    return at


class CalibrationSchedule(Part):
    """Cost of calibration: every `interval` the core processes `probes` probe vectors instead of work."""

    interval: Number = number("s", least=1e-6, most=1e10)
    probes: Number = number("1", least=0, most=1e15)

    def lost_duty(self, vector_time: Number) -> Number:
        """Share of the time that probes take, at `vector_time` [s] per vector."""
        return self.probes * vector_time / self.interval
