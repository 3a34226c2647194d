"""Networks of other libraries: the pages of the guide run, and forms that no page shows equal the digital ones."""

import dataclasses
import re
import sys
from pathlib import Path

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import optics
from experiments import sweeps
from experiments.sweeps.definition import toml_file

DOCS = Path(__file__).parents[1] / "docs"
PAGES = DOCS / "guide" / "networks"
KEY = jax.random.key(0)
NUMBER = r"([\d.]+)"
ACCURACY = rf"accuracy {NUMBER} digital, {NUMBER} on the core"
# What a page prints: the pattern, and the bounds of each number in it.
PRINTED = {
    "equinox": (rf"relative error {NUMBER}", [(0.01, 0.3)]),
    "flax_cnn": (ACCURACY, [(0.97, 1), (0.95, 1)]),
    "flax_injection": (rf"relative error {NUMBER}", [(0.01, 0.3)]),
    "flax_vit": (ACCURACY, [(0.95, 1), (0.92, 1)]),
    "haiku": (rf"relative error {NUMBER}", [(0.01, 0.4)]),
    "lstm": (ACCURACY, [(0.95, 1), (0.92, 1)]),
    "plain": (ACCURACY, [(0.95, 1), (0.92, 1)]),
}
# Pages whose first block is the module of a sweep in docs/sweeps, and whose TOML is that sweep.
SWEPT = {"flax_cnn": "digits_cnn", "flax_vit": "digits_vit"}


@pytest.fixture(autouse=True)
def _promotion_of_the_guests():
    """Adam of optax and dropout of haiku promote integers, and bools, to floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def blocks(page, language):
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def of_gallery(page):
    """The sweep of a page as its file defines it. Its network is trained once in a process."""
    return toml_file.load(DOCS / "sweeps" / f"{SWEPT[page]}.toml")


def test_every_page_with_python_is_tested():
    assert {path.stem for path in PAGES.glob("*.md") if blocks(path.stem, "python")} == set(PRINTED)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("page", PRINTED)
def test_page_runs_and_prints_what_it_should(page, tmp_path, monkeypatch, capsys):
    """Each page asserts that an ideal core gives the digital result to 1e-6, and what stays digital."""
    monkeypatch.chdir(tmp_path)
    code, space = blocks(page, "python"), {}
    if page in SWEPT:
        of_gallery(page)
        space |= vars(sys.modules[SWEPT[page]])
        code = code[1:]
    assert any("ideal - exact) < 1e-6" in block for block in code)
    for number, block in enumerate(code):
        exec(compile(block, f"{page}.md, block {number}", "exec"), space)
    pattern, bounds = PRINTED[page]
    found = re.search(pattern, capsys.readouterr().out)
    for number, (least, most) in zip(found.groups(), bounds, strict=True):
        assert least < float(number) <= most
    if "sweep" in space:
        assert space["sweep"].describe() == of_gallery(page).describe()
        few = dataclasses.replace(of_gallery(page), dimensions=space["few"].dimensions, metrics=space["few"].metrics)
        from_file = sweeps.run(few, "runs/from_file", progress=False)
        for name, values in from_file.values.items():
            np.testing.assert_array_equal(values, space["found"].values[name])


@pytest.mark.parametrize("page", SWEPT)
def test_page_shows_the_files_of_its_sweep(page):
    files = DOCS / "sweeps" / SWEPT[page]
    assert blocks(page, "python")[0] == files.with_suffix(".py").read_text(encoding="utf-8")
    assert blocks(page, "toml") == [files.with_suffix(".toml").read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", SWEPT)
def test_sweep_of_the_gallery_has_64_points_and_one_compilation(page):
    sweep = of_gallery(page)
    assert sweep.points == 64 and len(sweep.groups) == 1
    assert sweep.subject.own_metrics["joules_per_token"].unit == "J/image"


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NoisyProduct:
    """The exact product and additive noise: compiles in a hundredth of the time of a core with every imperfection."""

    level: float

    def matmul(self, x, w, *, key):
        exact = jnp.matmul(x, w, precision="highest")
        return exact + self.level * jax.random.normal(key, exact.shape)


class Layer(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.norm = nnx.Linear(8, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)

    def __call__(self, x):
        return x + nnx.relu(self.norm(self.linear(x)))


def of_layers(transform):
    """Three layers as one scan over stacked parameters."""

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def make(rngs):
        return nnx.Linear(8, 8, rngs=rngs)

    def forward(layers, x):
        return nnx.scan(transform(lambda layer, x: jnp.tanh(layer(x))), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(
            layers, x
        )

    return forward, make(nnx.Rngs(0))


def in_training(wrapped):
    """A layer whose normalization is trained: the changed statistics are among the results."""
    layer = Layer(nnx.Rngs(0))
    graph, params, statistics = nnx.split(layer, nnx.Param, ...)

    def forward(params, statistics, x):
        layer = nnx.merge(graph, params, statistics)
        y = wrapped(lambda layer, x: layer(x))(layer, x)
        return y, nnx.state(layer, nnx.BatchStat)

    return forward, params, statistics


def of_haiku():
    """A loop of haiku, and dropout, whose key is an argument."""

    def network(x):
        x = hk.dropout(hk.next_rng_key(), 0.5, hk.Linear(8)(x))
        core = hk.LSTM(8)
        return hk.dynamic_unroll(core, x, core.initial_state(2))[0]

    network = hk.transform(network)
    params = network.init(KEY, jnp.ones((3, 2, 8)))
    return lambda params, key, x: network.apply(params, key, x[:6].reshape(3, 2, 8)), params, jax.random.key(4)


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.remat(linen.Dense)(8)(x)
        x = linen.ConvTranspose(4, (3,), strides=(2,))(x[None])
        return linen.WeightNorm(linen.Dense(3))(x)


def of_linen():
    params = Linen().init(KEY, jnp.ones((6, 8)))["params"]
    return lambda params, x: Linen().apply({"params": params}, x), params


def of_bfloat16():
    graph, params = nnx.split(nnx.Linear(8, 4, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0)))
    return lambda params, x: nnx.merge(graph, params)(x).astype(jnp.float32), params


def of_adapters():
    graph, params = nnx.split(nnx.LoRALinear(8, 4, lora_rank=2, rngs=nnx.Rngs(0)))
    return lambda params, x: nnx.merge(graph, params)(x), params


FORMS = {
    "nnx scan": lambda: of_layers(lambda step: step),
    "nnx scan of remat": lambda: of_layers(nnx.remat),
    "nnx training": lambda: in_training(lambda call: call),
    "nnx training inside nnx jit": lambda: in_training(nnx.jit),
    "nnx bfloat16": of_bfloat16,
    "nnx adapters": of_adapters,
    "haiku loop and dropout": of_haiku,
    "linen remat, transposed convolution, weight norm": of_linen,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", FORMS)
def test_emulate_form_of_a_library_equals_the_digital_result(form):
    """No warning, no product digital, and noise moves the result."""
    forward, *args = FORMS[form]()
    args = [*args, jax.random.normal(jax.random.key(1), (6, 8))]
    digital = jax.jit(forward)(*args)
    run = jax.jit(optics.emulate(forward))
    found, noisy = run(NoisyProduct(0.0), KEY, *args), run(NoisyProduct(1.0), KEY, *args)
    assert optics.report(optics.trace(forward)(*args)).core_share == 1
    assert jax.tree.structure(found) == jax.tree.structure(digital)
    for exact, equal, moved in zip(*map(jax.tree.leaves, (digital, found, noisy)), strict=True):
        np.testing.assert_allclose(equal, exact, rtol=1e-5, atol=1e-5)
        assert np.max(np.abs(moved - equal)) > 1e-3


class Draws(nnx.Module):
    """A product of a layer that draws a key of nnx in each call, as on the page about injection, and returns noise."""

    def __init__(self, rngs):
        self.noise = rngs.noise.fork()

    def __call__(self, x, kernel, *args, **kwargs):
        return jax.random.normal(self.noise(), (*x.shape[:-1], kernel.shape[-1]))


def test_injected_product_draws_anew_in_each_call_and_step():
    """The loop of `nnx.RNN` carries the stream of random numbers, so its steps differ."""
    rngs = nnx.Rngs(0, noise=1)
    cell = nnx.SimpleCell(4, 4, rngs=rngs)
    cell.dense_h.dot_general = nnx.data(Draws(rngs))
    steps = nnx.jit(lambda loop, x: loop(x))
    loop = nnx.RNN(cell)
    first, second = steps(loop, jnp.zeros((2, 5, 4))), steps(loop, jnp.zeros((2, 5, 4)))
    drawn = np.concatenate([np.asarray(first)[0], np.asarray(second)[0]])
    assert len({row.tobytes() for row in drawn}) == 10
