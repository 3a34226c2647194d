"""Several processes or hosts as one machine, on JAX's own runtime: one leads and keeps the file, all compute."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

TRIALS = "trials"
LOST_AFTER_SECONDS = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where to meet: the address HOST:PORT of process 0, how many processes there are, and which this one is.

    On a cluster that JAX knows (Slurm, Open MPI, Cloud TPU, Kubernetes) all three may be left out.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None

    def join(self) -> None:
        """Waits for all processes; call it before anything else of JAX. A lost one ends the others."""
        given = [value is not None for value in dataclasses.astuple(self)]
        if any(given) and not all(given):
            raise ValueError("coordinator, processes and process belong together: give all three, or none")
        if self.processes is not None and not 0 <= (self.process or 0) < self.processes:
            raise ValueError(f"process = {self.process} must be from 0 to {self.processes - 1}")
        jax.distributed.initialize(
            self.coordinator, self.processes, self.process, heartbeat_timeout_seconds=LOST_AFTER_SECONDS
        )


def leads() -> bool:
    """Whether this process keeps the file."""
    return jax.process_index() == 0


def shared(values: np.ndarray | None, like: np.ndarray) -> np.ndarray:
    """The leader's array, on all processes; the others give None. `like` has its shape and dtype."""
    if jax.process_count() == 1:
        assert values is not None
        return values
    return np.asarray(multihost_utils.broadcast_one_to_all(like if values is None else values))


def mesh() -> Mesh:
    """All devices of all processes in a row, over which trials are spread."""
    return Mesh(np.array(jax.devices()), (TRIALS,))


def placed(tree: Any, over: Mesh, spread: bool) -> Any:
    """Arrays on the devices: their leading axis spread over them, or the whole array on each."""
    sharding = NamedSharding(over, PartitionSpec(TRIALS) if spread else PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(leaf):
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])

    return jax.tree.map(place, tree)
