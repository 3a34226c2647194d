"""Compilation and execution of trials: one compilation for all points that share a structure, on all devices."""

from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.sweeps.definition import fields
from experiments.sweeps.definition.sweep import Group, Sweep
from experiments.sweeps.execution import cluster
from experiments.sweeps.execution.layout import Layout, memory
from experiments.sweeps.subjects import metrics
from experiments.sweeps.subjects.subject import LoadedSubject

SHARE_OF_MEMORY = 0.6


class Engine:
    """Compiled programs of a sweep, on all devices.

    Each device runs a program of its own that is compiled for one device. A program that XLA partitions over several
    devices rounds differently, and the bits of a trial must not depend on the number of devices.

    Args:
        sweep: the sweep.
        layout: trials at once and per call.
        settled: whether the layout is fixed. Unless it is, the first compilation halves its width until it fits.
    """

    def __init__(self, sweep: Sweep, layout: Layout, settled: bool):
        self.sweep, self.layout, self._settled = sweep, layout, settled
        self.devices = jax.device_count()
        self.compilations = 0
        self.bytes_per_device = 0
        self._programs: dict[Hashable, Any] = {}

    @property
    def batch(self) -> int:
        """Trials of one call over all devices."""
        return self.layout.per_call * self.devices

    def place(self, group: Group, loaded: LoadedSubject) -> "Placed":
        """Put a group on the devices of this process, and compile its program where the structure is new."""
        whole = (group.core, loaded.operands, dict(group.drives))
        given = [jax.device_put(whole, device) for device in jax.local_devices()]
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(given[0]))
        structure = (jax.tree.structure(given[0]), shapes, tuple(group.values), loaded.program)
        if structure not in self._programs:
            self._programs[structure] = self._fitting(group, loaded, given)
        return Placed(self, group, given, self._programs[structure])

    def _fitting(self, group: Group, loaded: LoadedSubject, given: list[Any]) -> list[Any]:
        """The program of each device, with fewer trials at once until it fits, unless the layout is settled."""
        while True:
            programs = self._compiled(group, loaded, given)
            self.compilations += 1
            self.bytes_per_device = _bytes(programs[0])
            if self._settled or self.layout.width == 1 or self.bytes_per_device < SHARE_OF_MEMORY * memory():
                self._settled = True
                return programs
            self.layout = self.layout.halved()

    def _compiled(self, group: Group, loaded: LoadedSubject, given: list[Any]) -> list[Any]:
        run = jax.jit(self._on_device(loaded))
        first = np.zeros(self.layout.per_call, int)

        def compiled(on_device):
            device = jax.tree.leaves(on_device)[0].device
            return run.lower(on_device, jax.device_put(trial_inputs(group, first, first), device)).compile()

        with ThreadPoolExecutor() as pool:
            return list(pool.map(compiled, given))

    def _on_device(self, loaded: LoadedSubject) -> Any:
        names, seed, width = self.sweep.metrics, self.sweep.seed, self.layout.width

        def trial(core, operands, drives, axes, number):
            core = fields.with_values(core, axes)
            values = dict(loaded.score(core, jax.random.key(seed), number, operands, names))
            if metrics.needs(names, "bill"):
                values |= metrics.of_bill(names, *loaded.price(core, drives))
            if metrics.needs(names, "core"):
                values |= metrics.of_core(names, core)
            shape = (loaded.samples,)
            return {name: jnp.broadcast_to(values[name].astype(jnp.float32), shape) for name in names}

        def on_device(given, trials):
            return jax.lax.map(lambda inputs: trial(*given, *inputs), trials, batch_size=None if width == 1 else width)

        return on_device


class Placed:
    """A group whose operands are on the devices."""

    def __init__(self, engine: Engine, group: Group, given: list[Any], programs: list[Any]):
        self._engine, self._group, self._given, self._programs = engine, group, given, programs

    def run(self, points: np.ndarray, keys: np.ndarray) -> Mapping[str, np.ndarray]:
        """Run at most `engine.batch` trials and return metrics by name, each [trials, samples].

        Args:
            points: number of the point of each trial [trials].
            keys: number of the draw of each trial [trials].
        """
        # A call always has the same shape, so the last trial is repeated to fill it.
        fill = np.minimum(np.arange(self._engine.batch), len(points) - 1)
        shares = fill.reshape(self._engine.devices, self._engine.layout.per_call)
        places = np.searchsorted(self._group.points, points)
        parts = []
        for device, given, program in zip(jax.local_devices(), self._given, self._programs, strict=True):
            share = shares[jax.devices().index(device)]
            own = jax.device_put(trial_inputs(self._group, places[share], keys[share]), device)
            # Dispatch is asynchronous, so all devices work at the same time.
            parts.append(program(given, own))
        whole = cluster.gather(parts, self._engine.devices)
        return {name: values[: len(points)] for name, values in whole.items()}


def trial_inputs(group: Group, places: np.ndarray, keys: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return (values of the axes, number of the noise) of trials, by their places in the group."""
    return {name: values[places] for name, values in group.values.items()}, keys.astype(np.uint32)


def _bytes(compiled: Any) -> int:
    """Memory of a program on one device, with its arguments [bytes]."""
    sizes = compiled.memory_analysis()
    if sizes is None:
        return 0
    return sizes.temp_size_in_bytes + sizes.argument_size_in_bytes + sizes.output_size_in_bytes
