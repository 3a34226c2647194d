"""Several processes or hosts as one machine, on JAX's own runtime: one leads and keeps the file, all compute."""

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


def told(message: Any | None) -> Any:
    """What the leader says, anything that JSON can hold, on all processes; the others say None."""
    if jax.process_count() == 1:
        return message
    data = np.frombuffer(json.dumps(message).encode(), np.uint8)
    length = multihost_utils.broadcast_one_to_all(np.int64(data.size))
    buffer = np.resize(data, int(length))
    return json.loads(np.asarray(multihost_utils.broadcast_one_to_all(buffer)).tobytes())


def gathered(parts: Any, devices: int) -> Any:
    """Arrays [trials, ...], whole and on the host, from those of each local device, in the order of all devices."""
    mesh = Mesh(np.array(jax.devices()), (TRIALS,))

    def gather(*of_devices):
        shape = (devices * of_devices[0].shape[0], *of_devices[0].shape[1:])
        sharding = NamedSharding(mesh, PartitionSpec(TRIALS))
        whole = jax.make_array_from_single_device_arrays(shape, sharding, list(of_devices))
        return np.asarray(multihost_utils.process_allgather(whole, tiled=True) if devices > len(parts) else whole)

    return jax.tree.map(gather, *parts)
