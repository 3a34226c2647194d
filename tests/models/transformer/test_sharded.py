"""A model whose weights or batch are spread over two devices, digital and emulated: the same logits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Three emulated programs, each compiled for devices of its own.
pytestmark = pytest.mark.slow

PROGRAM = """
import json
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import models, optics

jax.config.update("jax_disable_most_optimizations", True)
model = models.load("FOLDER", progress=False)
tokens = jnp.asarray(np.random.default_rng(0).integers(0, model.config.vocabulary, (4, 6)), jnp.int32)
core, key = optics.today(rows=16, columns=16), jax.random.key(0)
emulated = jax.jit(optics.emulate(model.forward))
runs = {"digital": jax.jit(model.forward), "emulated": lambda *given: emulated(core, key, *given)}
wanted = {name: np.asarray(run(model.params, tokens)) for name, run in runs.items()}
mesh = jax.make_mesh((2,), ("devices",), axis_types=(AxisType.Auto,))

def spread(tree, spec):
    return jax.tree.map(lambda leaf: jax.device_put(leaf, NamedSharding(mesh, spec(leaf))), tree)

def columns(leaf):
    return P(*[None] * (leaf.ndim - 1), "devices") if leaf.ndim > 1 else P()

whole = lambda leaf: P()
found = {"devices": jax.device_count()}
for kind, of_params, of_tokens in (("weights", columns, whole), ("batch", whole, lambda leaf: P("devices"))):
    given = spread(model.params, of_params), spread(tokens, of_tokens)
    for name, run in runs.items():
        worst = np.abs(np.asarray(run(*given)) - wanted[name]).max() / np.abs(wanted[name]).max()
        found[f"{kind} {name}"] = float(worst)
found["light"] = float(np.abs(wanted["emulated"] - wanted["digital"]).max())
print(json.dumps(found))
"""
FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def found():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    settings = {"XLA_FLAGS": flags, "PYTHONPATH": str(Path(__file__).parents[3])}
    program = PROGRAM.replace("FOLDER", str(FIXTURES / "smollm2"))
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("spread", ["weights", "batch"])
@pytest.mark.parametrize("arithmetic", ["digital", "emulated"])
def test_logits_of_two_devices_are_those_of_one(found, spread, arithmetic):
    assert found["devices"] == 2
    assert found["light"] > 0.05
    assert found[f"{spread} {arithmetic}"] < 1e-4
