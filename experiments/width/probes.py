"""What photons per MAC are measured on: random products, parts of a layer's products, one kind of them on light."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optics
from electronics.numerics.matmul import product
from optics.datapath.diagnostics import Diagnostics

# Least number of a random matrix; the largest is 1.
SERIES = {"random signs": -1.0, "one sign": 0.0}
VECTORS = COLUMNS = 64
PARTS = (16, 8, 4, 2, 1)
FULL = PARTS.index(1)


def photons(seen: Diagnostics, rows: int | np.ndarray, snr_db: float) -> jax.Array:
    """Photo-electrons per MAC at `snr_db`, from readings with `rows` inputs lit: shot-noise SNR goes as light."""
    return seen.detected / (seen.outputs * rows) * 10 ** ((snr_db - seen.snr_db()) / 10)


def operands(series: str, rows: int, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x [VECTORS, most], w [most, COLUMNS], uniform up to 1; inputs beyond `rows` are dark, so all have one shape.

    The largest of uniform numbers is 1 whatever N is: a vector of Gaussian ones would be dimmer the longer it is.
    """
    noise = np.random.default_rng([seed, rows])
    x, w = np.zeros((VECTORS, most), np.float32), np.zeros((most, COLUMNS), np.float32)
    x[:, :rows] = noise.uniform(SERIES[series], 1, (VECTORS, rows))
    w[:rows] = noise.uniform(SERIES[series], 1, (rows, COLUMNS))
    return x, w


def needed(series: str, rows: int, most: int, snr_db: float, seed: int) -> float:
    """Photo-electrons per MAC of a random product at `snr_db`; a first run sets the light, a second confirms it."""
    core, (x, w) = shot(most, COLUMNS, start(snr_db)), operands(series, rows, most, seed)
    first, second = jax.random.split(jax.random.key(seed))
    lacking_db = snr_db - float(core.observe(x, w, key=first)[1].snr_db())
    lit = core.replace({"source.power": core.source.power * 10 ** (lacking_db / 10)})
    return float(photons(lit.observe(x, w, key=second)[1], rows, snr_db))


def shot(rows: int, columns: int, electrons: float) -> optics.TensorCore:
    """A lossless core with shot noise alone, which gives `electrons` for full drive through a clear pixel."""
    core = optics.physical_limit(rows=rows, columns=columns).replace({"effects": optics.Effects.only("shot")})
    return core.replace({"source.power": core.source.power * electrons / core.electrons})


def start(snr_db: float) -> float:
    """Electrons of a full product that bring operands of common brightness within some 10 dB of the SNR."""
    return 20 * 10 ** (snr_db / 10)


@jax.jit
def probed(core: Any, x: jax.Array, w: jax.Array, key: jax.Array) -> Diagnostics:
    """Readings [2, len(PARTS)] of x [vectors, rows] @ w [rows, columns] on `core`, of 1 / PARTS of the inputs, drawn at
    random: as they are, and with all signs drawn at random, which leaves terms as large but uncorrelated.

    Each vector is scaled to an output of rms 1, which changes no light: a token whose activations are massive counts
    as much as any other.
    """
    order, flips, noise = jax.random.split(key, 3)
    rank = jax.random.permutation(order, w.shape[0])
    lit = jnp.stack([rank < w.shape[0] // part for part in PARTS])
    xs, ws = (
        jnp.stack([each, each * jax.random.rademacher(key, each.shape, each.dtype)])
        for each, key in zip((x, w), jax.random.split(flips), strict=True)
    )

    def read(given: tuple[jax.Array, ...]) -> Diagnostics:
        number, rows, key = given
        drive, mask = jnp.where(rows[None], xs[number], 0), jnp.where(rows[:, None], ws[number], 0)
        rms = jnp.sqrt(jnp.mean(product(drive, mask) ** 2, axis=1, keepdims=True))
        return core.observe(drive / rms, mask, key=key)[1]

    numbers = jnp.repeat(jnp.arange(2), len(PARTS))
    seen = jax.lax.map(read, (numbers, jnp.tile(lit, (2, 1)), jax.random.split(noise, 2 * len(PARTS))))
    return jax.tree.map(lambda leaf: leaf.reshape(2, len(PARTS)), seen)


class Capture:
    """Stands in for a core: products are exact, and read are the inputs that each was given."""

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(x @ w, x)."""
        return product(x, w), x


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class OneKind:
    """Stands in for a core: products that are `on`, by kind and at a site, are done by `core`, all others exactly."""

    core: Any
    on: Any

    def prepare(self) -> "OneKind":
        """With the core's device drawn."""
        return OneKind(self.core.prepare(), self.on)

    def at(self, name: str) -> "OneKind":
        """That of the site of this name."""
        return OneKind(self.core, self.on[kind_of(name)])

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Diagnostics]:
        """As `TensorCore.observe`; where the core is off, readings are zero."""

        def lit() -> tuple[jax.Array, Diagnostics]:
            return self.core.observe(x, w, key=key)

        dark = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(lit)[1])
        return jax.lax.cond(self.on, lit, lambda: (product(x, w), dark))


def kind_of(name: str) -> str:
    """`down` of the site `008 layers.down 1536x576`."""
    return name.split()[1].removeprefix("layers.")
