"""The mean drive of what a sweep runs: how bright its inputs are on a core's structure, with exact arithmetic."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import optics
from optics.datapath import tiling
from optics.energy.light_budget import mean_drive, measured_drive


class Inputs(NamedTuple):
    """Sums over products, of which a mean drive is a ratio, as in `optics.Diagnostics`."""

    drive: jax.Array
    inputs: jax.Array
    macs: jax.Array


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Meter:
    """Multiplies exactly and reads how bright the inputs are, by the scales and signs that a core's structure has.

    rows: of the core, where scales are those of a tile; None where they are those of a vector. unsigned: inputs below
    zero are not sent.
    """

    rows: int | None
    unsigned: bool

    @classmethod
    def of(cls, core: optics.TensorCore) -> "Meter":
        """The meter of a core's structure."""
        rows = core.rows if core.encoding.scales == "tile" else None
        return cls(rows, core.encoding.inputs == "unsigned")

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """The exact product of what can be sent, whatever the key."""
        return self._sent(x) @ w

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Inputs]:
        """The exact product, and how bright its inputs [vectors, rows] are."""
        sent = self._sent(x)
        tiles = tiling.fit(*w.shape, self.rows or w.shape[0], w.shape[1])
        cut = jnp.abs(tiling.cut_inputs(sent, tiles))
        largest = jnp.max(cut, axis=2, keepdims=True)
        seen = Inputs(
            drive=jnp.sum(cut / jnp.where(largest > 0, largest, 1.0)),
            inputs=jnp.float32(sent.size),
            macs=jnp.float32(sent.size * float(w.shape[1])),
        )
        return sent @ w, seen

    def _sent(self, x: jax.Array) -> jax.Array:
        return jnp.maximum(x, 0) if self.unsigned else x


class Drive(NamedTuple):
    """Mean drive by site, and over the MACs of all of them."""

    by_site: dict[str, float]
    mean: float


def measured(core: optics.TensorCore, run: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> Drive:
    """The drives of a function of (weights, *data), over several calls of it."""
    meter, key = Meter.of(core), jax.random.key(0)
    read = jax.jit(lambda *args: optics.emulate(run, diagnostics=True)(meter, key, *args)[1])
    found: list[Mapping[str, Inputs]] = [jax.tree.map(jnp.sum, read(*args)) for args in calls]
    seen = jax.tree.map(lambda *sums: sum(sums), *found)
    by_site = {name: float(mean_drive(inputs)) for name, inputs in seen.items()}
    return Drive(by_site, float(measured_drive(seen)))
