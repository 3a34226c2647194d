"""Several processes or hosts as one machine, on JAX's own runtime: all compute, and the leader owns the file."""

import dataclasses
import json
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

TRIALS = "trials"
LOST_AFTER_SECONDS = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """Coordinates of the processes; on a cluster that JAX knows (Slurm, Open MPI, Cloud TPU, Kubernetes) all None.

    Attributes:
        coordinator: address HOST:PORT of process 0.
        processes: number of processes.
        process: number of this process.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None

    def join(self) -> None:
        """Wait for all processes, before any other use of JAX. A process that is lost ends the others.

        Raises:
            ValueError: if some of the three fields are given and others not, or `process` is out of range.
        """
        given = [value is not None for value in dataclasses.astuple(self)]
        if any(given) and not all(given):
            raise ValueError("coordinator, processes and process belong together: give all three, or none")
        if self.processes is not None and not 0 <= (self.process or 0) < self.processes:
            raise ValueError(f"process = {self.process} must be from 0 to {self.processes - 1}")
        jax.distributed.initialize(
            self.coordinator, self.processes, self.process, heartbeat_timeout_seconds=LOST_AFTER_SECONDS
        )


def is_leader() -> bool:
    """Return whether this process owns the file."""
    return jax.process_index() == 0


def broadcast(message: Any | None) -> Any:
    """Return the leader's message, anything that JSON can hold, on all processes; the others pass None."""
    if jax.process_count() == 1:
        return message
    data = np.frombuffer(json.dumps(message).encode(), np.uint8)
    length = multihost_utils.broadcast_one_to_all(np.int64(data.size))
    buffer = np.resize(data, int(length))
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(buffer)).tobytes())


def gather(parts: Any, devices: int) -> Any:
    """Return arrays [trials, ...] on the host, joined from those of each device in the order of all devices.

    Args:
        parts: a tree of arrays for each local device.
        devices: number of devices of all processes.
    """
    mesh = Mesh(np.array(jax.devices()), (TRIALS,))

    def gather(*of_devices):
        shape = (devices * of_devices[0].shape[0], *of_devices[0].shape[1:])
        sharding = NamedSharding(mesh, PartitionSpec(TRIALS))
        whole = jax.make_array_from_single_device_arrays(shape, sharding, list(of_devices))
        return np.asarray(multihost_utils.process_allgather(whole, tiled=True) if devices > len(parts) else whole)

    return jax.tree.map(gather, *parts)
