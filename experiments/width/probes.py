"""Products that photons per MAC are measured on: random ones, parts of a layer's, and one kind of a model's."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optics
from electronics.numerics.matmul import product
from optics.datapath.diagnostics import Diagnostics

SERIES = {"random signs": -1.0, "one sign": 0.0}
"""Least element of the random matrices; the largest is 1."""
VECTORS = COLUMNS = 64
PARTS = (16, 8, 4, 2, 1)
FULL = PARTS.index(1)


def photons(readings: Diagnostics, rows: int | np.ndarray, snr_db: float) -> jax.Array | np.ndarray:
    """Return photo-electrons per MAC at `snr_db`, from readings with `rows` active inputs.

    The SNR of shot noise is proportional to the light.
    """
    return readings.detected / (readings.outputs * rows) * 10 ** ((snr_db - readings.snr_db()) / 10)


def operands(series: str, rows: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x [VECTORS, most] and w [most, COLUMNS], uniform up to 1; inputs beyond `rows` are zero.

    All widths share one shape, so the core is compiled once. Uniform elements have a largest element near 1 for every
    N, whereas Gaussian vectors, scaled to their largest element, would be dimmer the longer they are.
    """
    noise = np.random.default_rng([seed, rows])
    x, w = np.zeros((VECTORS, most), np.float32), np.zeros((most, COLUMNS), np.float32)
    x[:, :rows] = noise.uniform(SERIES[series], 1, (VECTORS, rows))
    w[:rows] = noise.uniform(SERIES[series], 1, (rows, COLUMNS))
    return x, w


def needed(series: str, rows: int, most: int, snr_db: float, seed: int) -> float:
    """Return photo-electrons per MAC of a random product at `snr_db`: a first run sets the light, a second measures."""
    core = shot_noise_core(most, COLUMNS, initial_electrons(snr_db))
    x, w = (jnp.asarray(operand) for operand in operands(series, rows, most, seed))
    first, second = jax.random.split(jax.random.key(seed))
    lacking_db = snr_db - float(core.observe(x, w, key=first)[1].snr_db())
    resized = core.replace({"source.power": core.source.power * 10 ** (lacking_db / 10)})
    return float(photons(resized.observe(x, w, key=second)[1], rows, snr_db))


def shot_noise_core(rows: int, columns: int, electrons: float) -> optics.TensorCore:
    """Return a lossless core with shot noise alone and `electrons` for full drive at full transmission."""
    core = optics.physical_limit(rows=rows, columns=columns).replace({"effects": optics.Effects.only("shot")})
    return core.replace({"source.power": core.source.power * electrons / core.electrons})


def initial_electrons(snr_db: float) -> float:
    """Return electrons per full product that bring operands of typical brightness within some 10 dB of `snr_db`."""
    return 20 * 10 ** (snr_db / 10)


@jax.jit
def probed(core: Any, x: jax.Array, w: jax.Array, key: jax.Array) -> Diagnostics:
    """Return readings [2, len(PARTS)] of x @ w with 1 / PARTS of the inputs, chosen at random.

    The first row has the operands as they are, the second with random signs: terms of the same size, uncorrelated.
    Each vector is scaled to an output of rms 1, which does not change the light, so that a token with massive
    activations has the weight of any other.

    Args:
        core: the core.
        x: inputs [vectors, rows].
        w: weights [rows, columns].
        key: noise key.
    """
    order, flips, noise = jax.random.split(key, 3)
    rank = jax.random.permutation(order, w.shape[0])
    active = jnp.stack([rank < w.shape[0] // part for part in PARTS])
    xs, ws = (
        jnp.stack([each, each * jax.random.rademacher(key, each.shape, each.dtype)])
        for each, key in zip((x, w), jax.random.split(flips), strict=True)
    )

    def read(inputs: tuple[jax.Array, ...]) -> Diagnostics:
        number, rows, key = inputs
        drive, mask = jnp.where(rows[None], xs[number], 0), jnp.where(rows[:, None], ws[number], 0)
        rms = jnp.sqrt(jnp.mean(product(drive, mask) ** 2, axis=1, keepdims=True))
        return core.observe(drive / rms, mask, key=key)[1]

    numbers = jnp.repeat(jnp.arange(2), len(PARTS))
    readings = jax.lax.map(read, (numbers, jnp.tile(active, (2, 1)), jax.random.split(noise, 2 * len(PARTS))))
    return jax.tree.map(lambda leaf: leaf.reshape(2, len(PARTS)), readings)


class Capture:
    """Core of exact products whose readings are the inputs."""

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return (x @ w, x)."""
        return product(x, w), x


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class OneKind:
    """Core of exact products but for one kind, which runs on `core`.

    on: whether a kind runs on the core; a mapping by kind, and a single value at a site.
    """

    core: Any
    on: Any

    def prepare(self) -> "OneKind":
        """Return it with the device variation of the core drawn."""
        return OneKind(self.core.prepare(), self.on)

    def at(self, name: str) -> "OneKind":
        """Return the core of a site, by its name."""
        return OneKind(self.core, self.on[kind_of(name)])

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Diagnostics]:
        """As `TensorCore.observe`; readings are zero where the product is exact."""

        def on_core() -> tuple[jax.Array, Diagnostics]:
            return self.core.observe(x, w, key=key)

        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(on_core)[1])
        return jax.lax.cond(self.on, on_core, lambda: (product(x, w), zeros))


def kind_of(name: str) -> str:
    """Return the kind of product of a site: `down` for `008 layers.down 1536x576`."""
    return name.split()[1].removeprefix("layers.")
