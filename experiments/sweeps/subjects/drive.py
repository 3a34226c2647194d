"""The mean drive of a subject: its inputs over full scale on the structure of a core, with exact arithmetic."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import optics
from optics.core.assigned_cores import AssignedCores
from optics.core.by_site import Machine
from optics.datapath import tiling
from optics.energy.light_budget import mean_drive, measured_drive
from optics.interpreter.protocols import AssigningCore, Core


class Inputs(NamedTuple):
    """Sums over products whose ratio is a mean drive, as in `optics.Diagnostics`."""

    drive: jax.Array
    inputs: jax.Array
    macs: jax.Array


@dataclasses.dataclass(frozen=True)
class DriveMeter:
    """A core that multiplies exactly and measures the drive of its inputs, by the scales and signs of a structure.

    Attributes:
        rows: rows of the core where each tile has its own scale; None where each vector has.
        unsigned: whether inputs below zero are cut to zero.
    """

    rows: int | None
    unsigned: bool

    @classmethod
    def of(cls, core: optics.TensorCore) -> "DriveMeter":
        """Return the meter for the structure of a core."""
        rows = core.rows if core.encoding.scales == "tile" else None
        return cls(rows, core.encoding.inputs == "unsigned")

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Return the exact product of the inputs that can be encoded; the key is not used."""
        return self._encoded(x) @ w

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Inputs]:
        """Return (the exact product, sums over its inputs [vectors, rows])."""
        return self.observe_part(x, w, jnp.full(x.shape[0], True), key=key)

    def observe_part(
        self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array
    ) -> tuple[jax.Array, Inputs]:
        """As `observe`, of the vectors where `counted` [vectors] is True; the others are zeros."""
        encoded = self._encoded(x)
        rows, columns = w.shape
        inputs = rows * jnp.sum(counted, dtype=jnp.float32)
        tiles = tiling.fit(rows, columns, self.rows or rows, columns)
        cut = jnp.abs(tiling.cut_inputs(encoded, tiles))
        largest = jnp.max(cut, axis=2, keepdims=True)
        sums = Inputs(
            drive=jnp.sum(cut / jnp.where(largest > 0, largest, 1.0)),
            inputs=inputs,
            macs=inputs * float(columns),
        )
        return encoded @ w, sums

    def _encoded(self, x: jax.Array) -> jax.Array:
        return jnp.maximum(x, 0) if self.unsigned else x


jax.tree_util.register_static(DriveMeter)


class Drive(NamedTuple):
    """Mean drive by site, and over the MACs of all sites."""

    by_site: dict[str, float]
    mean: float


def measure_drive(
    core: Machine,
    run: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    policy: optics.Policy = optics.stationary,
) -> Drive:
    """Return the mean drives of a function of (weights, *data), over several calls of it.

    Args:
        core: the core whose scales and signs hold, or a design whose cores' hold at their sites.
        run: the function.
        calls: arguments of each call.
        policy: which products run on a core.
    """
    key = jax.random.key(0)
    read = jax.jit(lambda meter, *args: optics.emulate(run, policy=policy, diagnostics=True)(meter, key, *args)[1])
    meter = _MeteredDesign(core) if isinstance(core, optics.CoresBySite) else DriveMeter.of(core)
    parts = [jax.tree.map(jnp.sum, read(meter, *args)) for args in calls]
    found = jax.tree.map(lambda *each: sum(each), *parts)
    by_site = {name: float(mean_drive(inputs)) for name, inputs in found.items()}
    return Drive(by_site, float(measured_drive(found)))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _MeteredDesign(AssigningCore, Core):
    """A design with a meter in place of each core."""

    design: optics.CoresBySite

    def assign(self, sites: Sequence[optics.Site]) -> AssignedCores:
        found = self.design.assign(sites)
        meters = (DriveMeter.of(core) if isinstance(core, optics.TensorCore) else core for core in found.cores)
        return dataclasses.replace(found, cores=tuple(meters))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.design.matmul(x, w, key=key)

    observe = matmul
