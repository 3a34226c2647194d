"""Running trials: one compilation for all points that share their structure, over all devices, a call at a time."""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from experiments.sweeps import cluster, fields, metrics
from experiments.sweeps.definition import Group, Sweep
from experiments.sweeps.subjects import Loaded

MACS_A_CALL = {"cpu": 2e10, "other": 2e12}
MOST_A_CALL = 1024
MOST_AT_ONCE = 64
SHARE_OF_MEMORY = 0.6


@dataclasses.dataclass(frozen=True)
class Layout:
    """How trials are laid out on a device: `width` of them at once by vmap, and `per_call` in all before results are
    stored, one such batch after the other by lax.map.

    Both shape the compiled program, whose roundings follow from them: a run keeps its layout to the end, on any number
    of devices, and so gives the same bits.
    """

    width: int
    per_call: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.per_call < 1 or self.per_call % self.width:
            raise ValueError(
                f"width = {self.width} and per_call = {self.per_call} must be at least 1, and per_call a multiple of width"
            )

    @classmethod
    def of(cls, macs: float, trials: int, width: int | None = None) -> "Layout":
        """For trials of so many multiply-accumulates. On a CPU a vmap gains nothing; elsewhere it fills the device."""
        cpu = jax.default_backend() == "cpu"
        most = MACS_A_CALL["cpu" if cpu else "other"] / macs
        per_call = int(np.clip(most, 1, min(MOST_A_CALL, trials)))
        if width is None:
            width = 1 if cpu else min(_power_of_two(per_call), MOST_AT_ONCE)
        return cls(width, max(per_call // width, 1) * width)

    def halved(self) -> "Layout":
        """With half as many at once."""
        return Layout(self.width // 2, self.per_call)


class Engine:
    """Compiled programs of a sweep, on all devices. `layout` may shrink at the first compilation, and then stays."""

    def __init__(self, sweep: Sweep, layout: Layout, fixed: bool):
        self.sweep, self.layout, self._fixed = sweep, layout, fixed
        self.mesh = cluster.mesh()
        self.compilations = 0
        self.bytes_a_device = 0
        self._programs: dict[Hashable, Any] = {}

    @property
    def batch(self) -> int:
        """Trials of one call over all devices."""
        return self.layout.per_call * self.mesh.size

    def place(self, group: Group, loaded: Loaded) -> "Placed":
        """A group on the devices, ready to be run; compiles where its structure is new."""
        given = cluster.placed((group.core, loaded.operands), self.mesh, spread=False)
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(given))
        structure = (jax.tree.structure(given), shapes, tuple(group.values), loaded.program)
        if structure not in self._programs:
            self._programs[structure] = self._compiled(group, loaded, given)
        return Placed(self, group, given, self._programs[structure])

    def _compiled(self, group: Group, loaded: Loaded, given: Any) -> Any:
        while True:
            turns = cluster.placed(self.turns(group, np.zeros(self.batch, int), np.zeros(self.batch, int)), self.mesh, True)
            program = jax.jit(
                jax.shard_map(
                    self._on_device(loaded),
                    mesh=self.mesh,
                    in_specs=(PartitionSpec(), PartitionSpec(cluster.TRIALS)),
                    out_specs=PartitionSpec(cluster.TRIALS),
                    # Branches of a cond that give constants would have to be marked as varying over devices.
                    check_vma=False,
                ),
                out_shardings=NamedSharding(self.mesh, PartitionSpec()),
            )
            compiled = program.lower(given, turns).compile()
            self.compilations += 1
            self.bytes_a_device = max(self.bytes_a_device, _bytes(compiled))
            if self._fixed or self.layout.width == 1 or self.bytes_a_device < SHARE_OF_MEMORY * _memory():
                self._fixed = True
                return compiled
            self.layout, self.bytes_a_device = self.layout.halved(), 0

    def _on_device(self, loaded: Loaded) -> Any:
        names, seed, width = self.sweep.metrics, self.sweep.seed, self.layout.width

        def trial(core, operands, values, number):
            core = fields.applied(core, values)
            found = loaded.score(core, jax.random.key(seed), number, operands, names)
            if metrics.needs(names, "bill"):
                found |= metrics.of_bill(names, *loaded.price(core))
            if metrics.needs(names, "core"):
                found |= metrics.of_core(names, core)
            shape = (loaded.samples,)
            return {name: jnp.broadcast_to(found[name].astype(jnp.float32), shape) for name in names}

        def on_device(given, turns):
            return jax.lax.map(
                lambda turn: trial(*given, *turn), turns, batch_size=None if width == 1 else width
            )

        return on_device

    @staticmethod
    def turns(group: Group, places: np.ndarray, keys: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """(values of the axes, number of the noise) of trials, by their places in the group."""
        return {name: values[places] for name, values in group.values.items()}, keys.astype(np.uint32)


class Placed:
    """A group that stands on the devices."""

    def __init__(self, engine: Engine, group: Group, given: Any, program: Any):
        self._engine, self._group, self._given, self._program = engine, group, given, program

    def run(self, points: np.ndarray, keys: np.ndarray) -> Mapping[str, np.ndarray]:
        """Metrics by name, each [trials, samples], of at most `engine.batch` trials: points by number, and draws."""
        places = np.searchsorted(self._group.points, points)
        # A call always has the same shape: what is lacking repeats the last trial.
        fill = np.minimum(np.arange(self._engine.batch), len(points) - 1)
        turns = cluster.placed(self._engine.turns(self._group, places[fill], keys[fill]), self._engine.mesh, True)
        found = self._program(self._given, turns)
        return {name: np.asarray(values)[: len(points)] for name, values in found.items()}


def _power_of_two(value: int) -> int:
    return 1 << (value.bit_length() - 1)


def _bytes(compiled: Any) -> int:
    """What a program takes on one device, its arguments included [bytes]."""
    found = compiled.memory_analysis()
    if found is None:
        return 0
    return found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes


def _memory() -> float:
    """What a device has [bytes]; infinite where it does not say."""
    return float((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", np.inf))
