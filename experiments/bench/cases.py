"""Cases of the benchmark: the same work done digitally and on a core, as pairs of functions without arguments."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import models
import optics
from electronics.numerics.matmul import product
from experiments.bench import floors
from optics.datapath import tiling

KEY = 5
COLUMNS = 1024
SCENARIOS = ("today", "projected_2029", "physical_limit")
FLOORS = {"floor": floors.floor, "bare": floors.bare}
# Ways of the kinds that are lower bounds of others.
BOUNDS = {"floor": "floor", "bare": "bare", "bare-forward": "bare"}
# What is done with SmolLM2, by kind.
MODELS = {"forward": "forward", "bare-forward": "forward", "gradient": "gradient"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchCase:
    """One case.

    Attributes:
        kind: "product" of [vectors, rows] @ [rows, columns]; its "floor" and its "bare" emulation, see
            `experiments.bench.floors`; a "sweep" of such a product over cores; a "convolution" of 3 x 3 kernels over
            `batch` images of `side` x `side`, of `channels` in and out; SmolLM2's "forward" pass or "gradient" on
            `batch` windows of `tokens`; "bare-forward", the forward pass with every product bare.
        preset: preset of the core.
        tile_rows: rows of the core.
        light: how shot noise is computed, see `optics.Photodetector`.
        arithmetic: arithmetic of the emulated product, see `optics.TensorCore`.
        points: cores of a sweep.
        loaded: whether the weights are on the mask before a forward pass; a gradient and a sweep load them anyway.
    """

    kind: str
    preset: str
    tile_rows: int = 1024
    light: str = "factored"
    arithmetic: str = "float32"
    points: int = 8
    loaded: bool = True
    rows: int = 0
    columns: int = 0
    vectors: int = 0
    batch: int = 0
    tokens: int = 0
    side: int = 0
    channels: int = 0

    @property
    def work(self) -> str:
        """The work, however it is done."""
        exact = ", exact shot noise" if self.light == "exact" else ""
        if self.kind in MODELS:
            loads = ", weights not loaded" if self.kind == "forward" and not self.loaded else ""
            return f"SmolLM2 {MODELS[self.kind]}, {self.batch} x {self.tokens} tokens{loads}{exact}"
        if self.kind == "convolution":
            image = f"{self.batch} x {self.side} x {self.side} x {self.channels}"
            return f"convolution of 3 x 3 over {image}, tiles of {self.tile_rows}{exact}"
        shape = f"{self.rows} -> {self.columns}, {self.vectors} vector{'s' if self.vectors != 1 else ''}"
        many = f"{self.points} cores, " if self.kind == "sweep" else ""
        return f"{many}{shape}, tiles of {self.tile_rows}{exact}"

    @property
    def way(self) -> str:
        """How it is done: the arithmetic of the emulation, or "floor" or "bare"."""
        return BOUNDS.get(self.kind, self.arithmetic)

    @property
    def name(self) -> str:
        """Work and way, as the table prints them."""
        if self.kind in BOUNDS:
            return f"{self.way}, {self.work}"
        return self.work if self.way == "float32" else f"{self.work}, {self.way}"

    def core(self) -> optics.TensorCore:
        """Return the core of the case, `COLUMNS` wide."""
        if self.preset not in SCENARIOS:
            raise ValueError(f"preset = {self.preset!r} must be one of {', '.join(SCENARIOS)}, which come in any size")
        return optics.preset(self.preset, rows=self.tile_rows, columns=COLUMNS).replace({
            "detector.light": self.light, "arithmetic": self.arithmetic,
        })  # fmt: skip


class Compiled(NamedTuple):
    """A compiled function of its arguments.

    Attributes:
        call: without arguments.
        peak_bytes: arguments, results and temporaries.
        compile_s: tracing, lowering and compiling.
        lines: of its program in StableHLO.
    """

    call: Callable[[], Any]
    peak_bytes: int
    compile_s: float
    lines: int


class Pair(NamedTuple):
    """Two functions that do the same work, and the call that loads the weights."""

    digital: Compiled
    emulated: Compiled
    load: Callable[[], Any] | None


def pair(case: BenchCase) -> Pair:
    """Return the compiled pair of a case."""
    pairs = {
        "product": _product, "sweep": _sweep, "convolution": _convolution, "forward": _forward,
        "bare-forward": _forward, "gradient": _gradient,
    }  # fmt: skip
    return _floor(case) if case.kind in FLOORS else pairs[case.kind](case)


def _product(case: BenchCase) -> Pair:
    x, w = operands(case)
    core = case.core()
    loaded = core.load(w)
    emulated = _compiled(_through, loaded, jax.random.key(KEY), x)
    return Pair(_compiled(product, x, w), emulated, lambda: core.load(w))


def _through(loaded: optics.PreloadedMatrix, key: jax.Array, x: jax.Array) -> jax.Array:
    return loaded.matmul(x, key=key)


def _floor(case: BenchCase) -> Pair:
    x, w = operands(case)
    tiles = tiling.fit(case.rows, case.columns, case.tile_rows, case.columns)
    planes = tiling.cut_weights(w, tiles)[0]
    emulated = _compiled(
        lambda x, planes, key, numbers: FLOORS[case.kind](x, planes, key, numbers, tiles),
        x, jax.jit(floors.load)(planes), jax.random.key(KEY), floors.Numbers(),
    )  # fmt: skip
    return Pair(_compiled(product, x, w), emulated, None)


def operands(case: BenchCase) -> tuple[jax.Array, jax.Array]:
    """Return x [vectors, rows] and w [rows, columns], Gaussian."""
    x_key, w_key = jax.random.split(jax.random.key(KEY))
    return jax.random.normal(x_key, (case.vectors, case.rows)), jax.random.normal(w_key, (case.rows, case.columns))


def _sweep(case: BenchCase) -> Pair:
    """A product on several cores of different ENOB, one after the other: each loads its own mask."""
    x, w = operands(case)
    enob = np.linspace(5, 9, case.points, dtype=np.float32)
    cores = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(case.core().replace({"adc.enob": b}) for b in enob))
    key, xs = jax.random.key(KEY), jnp.stack([x * jnp.float32(1 + number) for number in range(case.points)])
    digital = _compiled(lambda xs, w: jax.lax.map(lambda x: product(x, w), xs), xs, w)
    emulated = _compiled(
        lambda cores, key, xs, w: jax.lax.map(lambda point: point[0].matmul(point[1], w, key=key), (cores, xs)),
        cores, key, xs, w,
    )  # fmt: skip
    return Pair(digital, emulated, None)


def _convolution(case: BenchCase) -> Pair:
    """Its kernels are loaded in each call, once for all blocks of positions."""
    kernel_key, image_key = jax.random.split(jax.random.key(KEY))
    kernels = jax.random.normal(kernel_key, (3, 3, case.channels, case.channels))
    images = jax.random.normal(image_key, (case.batch, case.side, case.side, case.channels))

    def convolve(kernels, images):
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(images, kernels, (1, 1), "SAME", dimension_numbers=layout)

    emulated = _compiled(optics.emulate(convolve), case.core(), jax.random.key(KEY), kernels, images)
    return Pair(_compiled(convolve, kernels, images), emulated, None)


def _forward(case: BenchCase) -> Pair:
    checkpoint, tokens = _model(case)

    def logits(params, tokens):
        return models.forward(checkpoint.config, params, tokens)

    core = floors.BareCore(floors.Numbers(), case.tile_rows, COLUMNS) if case.kind in BOUNDS else case.core()
    key, digital = jax.random.key(KEY), _compiled(logits, checkpoint.params, tokens)
    if not case.loaded:
        return Pair(digital, _compiled(optics.emulate(logits), core, key, checkpoint.params, tokens), None)
    load = jax.jit(optics.load(logits))
    loaded = load(core, checkpoint.params, tokens)
    emulated = _compiled(optics.emulate(logits), loaded, key, checkpoint.params, tokens)
    return Pair(digital, emulated, lambda: load(core, checkpoint.params, tokens))


def _gradient(case: BenchCase) -> Pair:
    """Gradient of the loss in all parameters; the weights are loaded in every step, since training changes them."""
    checkpoint, tokens = _model(case)

    def loss(params, tokens):
        return jnp.mean(models.next_token_losses(models.forward(checkpoint.config, params, tokens), tokens))

    on_light = optics.emulate(loss)
    digital = _compiled(jax.grad(loss), checkpoint.params, tokens)
    emulated = _compiled(
        lambda core, key, params, tokens: jax.grad(lambda p: on_light(core, key, p, tokens))(params),
        case.core(), jax.random.key(KEY), checkpoint.params, tokens,
    )  # fmt: skip
    return Pair(digital, emulated, None)


def _model(case: BenchCase) -> tuple[models.Checkpoint, jax.Array]:
    checkpoint = models.load_gguf(models.fetch_model(), progress=False)
    words = np.random.default_rng(KEY).integers(0, checkpoint.config.vocabulary, (case.batch, case.tokens))
    params = jax.tree.map(jnp.asarray, checkpoint.params)
    return dataclasses.replace(checkpoint, params=params), jnp.asarray(words, jnp.int32)


def _compiled(fun: Callable, *args: Any) -> Compiled:
    """The function compiled for these arguments.

    Unused arguments do not count as memory: the program of a preloaded core does not read the weights.
    """
    start = time.perf_counter()
    lowered = jax.jit(fun).lower(*args)
    run = lowered.compile()
    compile_s = time.perf_counter() - start
    memory = run.memory_analysis()
    if memory is None:
        raise RuntimeError("this backend does not report the memory of compiled programs")
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    lines = lowered.as_text().count("\n")
    return Compiled(lambda: run(*args), peak - memory.alias_size_in_bytes, compile_s, lines)
