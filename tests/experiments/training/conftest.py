"""A network of two layers on random data, and a core of a few lines whose programs compile in a moment."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.training.method.losses import Distillation


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NoisyCore:
    """Exact products with Gaussian noise of one size."""

    deviation: Any

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return x @ w + self.deviation * jax.random.normal(key, (*x.shape[:-1], w.shape[-1]))


def forward(params: Any, batch: Any) -> jax.Array:
    return jnp.tanh(batch["x"] @ params["first"] + params["bias"][None]) @ params["second"]


LOSS = Distillation(forward)


@dataclasses.dataclass(frozen=True)
class Network:
    """Arguments of `train`."""

    params: Any
    data: Any
    held_out: Any
    loss: Any = LOSS
    forward: Any = staticmethod(forward)
    core: Any = dataclasses.field(default_factory=lambda: NoisyCore(jnp.float32(1.0)))

    def arguments(self) -> dict[str, Any]:
        return {"core": self.core, "held_out": self.held_out, "forward": forward, "progress": False}


def make_network() -> Network:
    draws = np.random.default_rng(0)
    shapes = {"first": (6, 8), "second": (8, 4)}
    params = {name: draws.normal(size=shape).astype(np.float32) / 2 for name, shape in shapes.items()}
    data, held_out = ({"x": draws.normal(size=(count, 6)).astype(np.float32)} for count in (40, 16))
    return Network({**params, "bias": np.zeros(8, np.float32)}, data, held_out)


@pytest.fixture(scope="session")
def network() -> Network:
    return make_network()


@pytest.fixture(scope="session")
def noisy_core():
    """A function of the deviation of the noise that returns a core."""
    return lambda deviation: NoisyCore(jnp.float32(deviation))
