"""The programs that a GPU or a TPU would run, lowered without one: what would make the host wait is not in them."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import pytest

import models
import optics

VECTORS, ROWS, COLUMNS = 256, 512, 384
X, W = jax.ShapeDtypeStruct((VECTORS, ROWS), jnp.float32), jax.ShapeDtypeStruct((ROWS, COLUMNS), jnp.float32)
KEY = jax.random.key(0)
CORE = optics.today().replace({"rows": 512, "columns": 512})
CONDITIONALS = ("case", "if", "while", "custom_call", "infeed", "outfeed", "send", "recv")


def multiply(core, x, w):
    return core.matmul(x, w, key=KEY)


def multiply_and_differentiate(core, x, w):
    return jax.value_and_grad(lambda *operands: jnp.sum(multiply(*operands) ** 2), argnums=(0, 1, 2))(core, x, w)


def operations(function, platform, *args):
    """Number of each StableHLO operation of the program."""
    program = jax.export.export(jax.jit(function), platforms=[platform])(*args).mlir_module()
    return Counter(re.findall(r"stablehlo\.(\w+)", program))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("function", [multiply, multiply_and_differentiate])
def test_a_product_holds_no_conditional_and_no_callback(function, platform):
    found = operations(function, platform, CORE, X, W)
    assert {name: found[name] for name in CONDITIONALS} == dict.fromkeys(CONDITIONALS, 0)


@pytest.mark.parametrize(
    ("changes", "products"),
    [({}, 1), ({"detector.light": "exact"}, 2), ({"arithmetic": "bfloat16"}, 1)],
    ids=["factored light", "exact light", "bfloat16"],
)
def test_a_product_is_one_dot_general_and_exact_light_another(changes, products):
    assert operations(multiply, "cuda", CORE.replace(changes), X, W)["dot_general"] == products


def test_cpus_skip_what_does_not_act():
    """The conditionals that accelerators do without are there on CPUs, so the first test can fail."""
    assert operations(multiply, "cpu", CORE, X, W)["case"] == 3


def test_sites_whose_inputs_are_of_one_shape_share_their_functions():
    def two(core, x, w):
        return multiply(core, x, w), multiply(core, x, w[:, :128]), multiply(core, x[:, :256], w[:256])

    program = jax.jit(two).lower(CORE, X, W).as_text()
    functions = Counter(re.findall(r"func private @(\w+?)(?:_\d+)?\(", program))
    assert functions["_multiply"] == 3
    assert functions["of"] == 1, "operating points of one core"
    # Rows of two lengths, and columns of two widths.
    assert [functions[name] for name in ("encode", "_source_light", "_convert")] == [2, 2, 2]


def test_a_forward_pass_holds_no_conditional(config, params, tokens):
    forward = optics.emulate(lambda p, t: models.forward(config, p, t))
    found = operations(lambda core, p, t: forward(core, KEY, p, t), "cuda", optics.today(), params, tokens)
    assert {name: found[name] for name in CONDITIONALS if name != "while"} == {
        name: 0 for name in CONDITIONALS if name != "while"
    }
    digital = operations(lambda p, t: models.forward(config, p, t), "cuda", params, tokens)
    assert found["while"] == digital["while"], "loops other than those of the model"
