"""Weights and inputs that are spread over a mesh of explicit axes, JAX's default: the same product."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import optics

mesh = jax.make_mesh((2,), ("a",))
core, key = optics.today(rows=8, columns=4), jax.random.key(0)
x = jax.random.normal(jax.random.key(1), (6, 8), jnp.float32)
w = jax.random.normal(jax.random.key(2), (8, 4), jnp.float32)
wanted = np.asarray(core.matmul(x, w, key=key))
found = {"axes": str(mesh.axis_types)}
for name, of_x, of_w in (("columns", P(), P(None, "a")), ("vectors", P("a", None), P())):
    with jax.set_mesh(mesh):
        xs, ws = jax.device_put(x, NamedSharding(mesh, of_x)), jax.device_put(w, NamedSharding(mesh, of_w))
        y = core.matmul(xs, ws, key=key)
        found[name] = float(np.max(np.abs(jax.device_get(y) - wanted)) / np.max(np.abs(wanted)))
apart = jax.device_put(x, NamedSharding(mesh, P("a", None)))
y = optics.emulate(lambda p, x: x @ p)(core, key, w, apart)
found["without a context"] = float(np.max(np.abs(jax.device_get(y))))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    settings = {"XLA_FLAGS": flags, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("spread", ["columns", "vectors"])
def test_a_product_of_spread_arrays_is_the_same(found, spread):
    """Relative to the largest number, to one code of a converter: the rounding of another order of summation may move
    it."""
    assert "Explicit" in found["axes"]
    assert found[spread] < 0.02


def test_inputs_that_are_spread_outside_any_mesh_context_are_taken(found):
    assert found["without a context"] > 0
