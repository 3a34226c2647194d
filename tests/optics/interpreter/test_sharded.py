"""Weights and inputs that are spread over a mesh of explicit axes, JAX's default: the same product. And shard_map and
pmap: each shard is a product of its own."""

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

flat = jax.make_mesh((2,), ("a",), axis_types=(jax.sharding.AxisType.Auto,))
same = jnp.broadcast_to(x[:1], x.shape)
ideal = optics.ideal(core)
SHARDED = {
    "vectors": (P(), P("a", None), P("a", None), lambda w, x: x @ w),
    "columns": (P(None, "a"), P(), P(None, "a"), lambda w, x: x @ w),
    "rows": (P("a", None), P(None, "a"), P(), lambda w, x: jax.lax.psum(x @ w, "a")),
}
halves = {}
for checked in (True, False):
    for name, (of_w, of_x, of_y, function) in SHARDED.items():
        # Values that vary over the mesh are followed when they are checked; unchecked, one function says whether all
        # is found.
        if not checked and name != "rows":
            continue
        mapped = jax.shard_map(function, mesh=flat, in_specs=(of_w, of_x), out_specs=of_y, check_vma=checked)
        run = jax.jit(optics.emulate(mapped, diagnostics=True))
        y, seen = run(core, key, w, x)
        (readings,) = seen.values()
        (site,) = optics.trace(mapped)(w, x)
        found[f"{name} {checked}"] = {
            "ideal": float(np.max(np.abs(run(ideal, key, w, x)[0] - x @ w))),
            "error": float(np.std(y - x @ w)),
            "inputs": float(readings.inputs),
            "macs": site.macs,
            "optical": site.optical,
        }
        if name == "vectors":
            halves[checked] = run(core, key, w, same)[0]
mapped = jax.shard_map(SHARDED["vectors"][3], mesh=flat, in_specs=(P(), P("a", None)), out_specs=P("a", None),
                       check_vma=False)
halves[False] = jax.jit(optics.emulate(mapped))(core, key, w, same)
for checked, both in halves.items():
    first, second = np.asarray(both).reshape(2, 3, 4)
    found[f"shards differ {checked}"] = bool(np.any(first != second))
whole = jax.shard_map(lambda w, x: x @ w, mesh=flat, in_specs=(P(), P()), out_specs=P())
y = jax.jit(optics.emulate(whole))(core, key, w, x)
found["replicas"] = [np.asarray(shard.data).tolist() for shard in y.addressable_shards]

many = jax.pmap(lambda w, x: jnp.tanh(x @ w), in_axes=(None, 0))
stacked = x.reshape(2, 3, 8)
found["pmap"] = float(np.max(np.abs(jax.jit(optics.emulate(many))(ideal, key, w, stacked) - jnp.tanh(stacked @ w))))
(site,) = optics.trace(many)(w, stacked)
found["pmap macs"] = site.macs
mapped = jax.shard_map(SHARDED["vectors"][3], mesh=flat, in_specs=(P(), P("a", None)), out_specs=P("a", None))
power = core.source.power


def loss(power):
    return jnp.mean(optics.emulate(mapped)(core.replace({"source.power": power}), key, w, x) ** 2)


def by_hand(power):
    # Two products, with the key of the site and then of the shard.
    brighter, of_site = core.replace({"source.power": power}), jax.random.fold_in(key, 0)
    return jnp.mean(jnp.concatenate([
        brighter.matmul(x[3 * shard : 3 * shard + 3], w, key=jax.random.fold_in(of_site, shard)) for shard in (0, 1)
    ]) ** 2)


found["slope"], found["slope by hand"] = (float(jax.jit(jax.grad(function))(power)) for function in (loss, by_hand))
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


@pytest.mark.parametrize(("cut", "checked"), [("vectors", True), ("columns", True), ("rows", True), ("rows", False)])
def test_emulate_enters_a_shard_map_whose_shards_are_products_of_their_own(found, cut, checked):
    case = found[f"{cut} {checked}"]
    assert case["optical"] and case["ideal"] < 1e-5 and case["error"] > 1e-3
    assert case["macs"] == 6 * 8 * 4
    # Where the columns are cut, both shards send all inputs.
    assert case["inputs"] == 6 * 8 * (2 if cut == "columns" else 1)


@pytest.mark.parametrize("checked", [True, False])
def test_shards_draw_noise_of_their_own(found, checked):
    assert found[f"shards differ {checked}"]


def test_shards_that_multiply_the_same_values_stay_replicas(found):
    first, second = found["replicas"]
    assert first == second


def test_emulate_enters_a_pmap(found):
    assert found["pmap"] < 1e-5 and found["pmap macs"] == 6 * 8 * 4


def test_gradient_through_a_shard_map_is_that_of_the_products_of_its_shards(found):
    assert found["slope"] == pytest.approx(found["slope by hand"], rel=1e-3)
    assert found["slope"] != 0
