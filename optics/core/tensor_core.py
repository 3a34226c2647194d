"""The optical tensor core: one object that perturbs a matrix product and prices it."""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from electronics import Number
from electronics.numerics.matmul import product
from optics import checks
from optics.components import device as frozen
from optics.components.architecture import Architecture
from optics.core import cost, counting
from optics.datapath.diagnostics import Diagnostics
from optics.datapath.full_scale import SiteRange
from optics.datapath.product import TiledMatmul, Weights
from optics.interpreter.plan import Site


class TensorCore(Architecture):
    """A machine that multiplies matrices and says what that costs; its fields are those of
    `optics.components.architecture`.

    A product goes through `optics.datapath.product` and `optics.datapath.analog`, its bill through `optics.core.cost`;
    both read the same numbers.
    """

    def prepare(self) -> "RealizedCore":
        """This core with the imperfections of its device drawn, once for many products."""
        return RealizedCore(self, _made(self))

    def load(self, w: jax.Array) -> "PreloadedMatrix":
        """w [rows, columns] put on the mask, once for many products; errors as `matmul`."""
        return self.prepare().load(w)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [..., rows] @ w [rows, columns] -> [..., columns], float32, as this core delivers it.

        Any size: what is larger than the core is tiled, each tile converts its own partial sums, and these are added
        digitally. The gradient passes roundings straight through and noise as a reparametrisation. Raises ValueError
        for shapes that do not fit, a dimension of 0, another dtype, and (outside a trace) weights that are not finite.
        """
        return self.prepare().matmul(x, w, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Diagnostics]:
        """As `matmul`, and what was seen on the way, at the price of the exact product beside.

        Outside a trace it warns where outputs are too dim for Gaussian shot noise, see `optics.core.counting`.
        """
        y, readings = self.prepare().observe(x, w, key=key)
        counting.warn_few_electrons(f"a product of {w.shape[0]} x {w.shape[1]} weights", readings, self)
        return y, readings

    def review(self, sites: Sequence[Site], readings: Mapping[str, Diagnostics]) -> None:
        """Warn of what a run's numbers cannot be trusted for, given its sites and what was read at them; never when
        traced. See `optics.core.counting`."""
        counting.review(self, sites, readings)

    def cost(self, *, rows: int, columns: int, vectors: float, resident: bool) -> dict[str, Number]:
        """Energy [J] by component of `vectors` vectors through a rows x columns product, see `optics.core.cost`."""
        return cost.energy(self, rows, columns, vectors, resident)

    def digital_cost(self, macs: float) -> Number:
        """Energy [J] of `macs` multiply-accumulates that stay digital."""
        return macs * self.digital.mac_energy

    def operation_cost(self, operations: float) -> Number:
        """Energy [J] of `operations` outside products, as `optics.count_elementwise_ops` counts them."""
        return operations * self.digital.operation_energy

    def memory_cost(self, bits: float) -> Number:
        """Energy [J] of `bits` to or from main memory."""
        return bits * self.digital.memory_energy

    def time(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """Time [s] that one core is held by `vectors` vectors through a product, loads and calibrations included."""
        return cost.time(self, rows, columns, vectors, resident)

    def loads(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """How many times a tile of weights is written for these vectors; a share of one where weights stay longer."""
        return cost.loads(self, rows, columns, vectors, resident)


@jax.tree_util.register_pytree_node_class
class RealizedCore:
    """A core and its device, ready for many products; `range` holds the full scales of a calibrated site."""

    def __init__(self, core: TensorCore, device: frozen.DeviceVariation, range: SiteRange | None = None):
        self.core, self.device, self.range = core, device, range

    def tree_flatten(self):
        return (self.core, self.device, self.range), None

    @classmethod
    def tree_unflatten(cls, _, children) -> "RealizedCore":
        return cls(*children)

    def prepare(self) -> "RealizedCore":
        """Itself: the device is drawn once."""
        return self

    def review(self, sites: Sequence[Site], readings: Mapping[str, Diagnostics]) -> None:
        """As `TensorCore.review`."""
        self.core.review(sites, readings)

    def load(self, w: jax.Array) -> "PreloadedMatrix":
        """As `TensorCore.load`."""
        w = checks.weights(w)
        return PreloadedMatrix(*_loaded(self, w), w.shape[0])

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """As `TensorCore.matmul`."""
        return self.walk(x, w, key, observe=False)[0]

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Diagnostics]:
        """As `TensorCore.observe`."""
        y, seen = self.walk(x, w, key, observe=True)
        exact, x, w = product_of(x, w)
        return y, Diagnostics(
            outputs=jnp.float32(y.size),
            signal=jnp.sum(exact**2),
            error=jnp.sum((y - exact) ** 2),
            # Sum over all outputs of sum_k |x_k| |w_k|, without the product of the magnitudes.
            light=jnp.sum(jnp.abs(x), axis=tuple(np.arange(x.ndim - 1))) @ jnp.sum(jnp.abs(w), axis=1),
            macs=jnp.float32(y.size * w.shape[0]),
            **{name: seen[name] for name in Diagnostics._fields if name in seen},
        )

    def walk(self, x: jax.Array, w: jax.Array, key: jax.Array, observe: bool):
        """(y, all that was seen), see `optics.datapath.product`."""
        x, w = checks.product(x, w)
        y, seen = _walked(self, x.reshape(-1, x.shape[-1]), w, key, observe)
        return y.reshape(*x.shape[:-1], w.shape[1]).astype(jnp.float32), seen


@jax.tree_util.register_pytree_node_class
class PreloadedMatrix:
    """A matrix of `rows` rows that stands on the mask of a core: what is done once a load has been done."""

    def __init__(self, prepared: RealizedCore, weights: Weights, rows: int):
        self.prepared, self.weights, self.rows = prepared, weights, rows

    def tree_flatten(self):
        return (self.prepared, self.weights), self.rows

    @classmethod
    def tree_unflatten(cls, rows, children) -> "PreloadedMatrix":
        return cls(*children, rows)

    def matmul(self, x: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [..., rows] -> [..., columns], as `TensorCore.matmul` with the matrix that was loaded."""
        x = checks.inputs(x, self.rows)
        y = _through(self.prepared, x.reshape(-1, self.rows), self.weights, key)
        return y.reshape(*x.shape[:-1], y.shape[-1]).astype(jnp.float32)


# Compiled as a whole, once for each structure and shape: outside a jit each conditional would be compiled at each call.
_made = jax.jit(frozen.make)


@partial(jax.jit, static_argnums=4)
def _walked(prepared: RealizedCore, x: jax.Array, w: jax.Array, key: jax.Array, observe: bool):
    walk = TiledMatmul(prepared.core, prepared.device, prepared.range)
    return walk(x, walk.load(w, observe), key, observe)


@jax.jit
def _loaded(prepared: RealizedCore, w: jax.Array) -> tuple[RealizedCore, Weights]:
    """The core comes back as arrays of the device, which a call passes on sooner than numbers."""
    weights = TiledMatmul(prepared.core, prepared.device, prepared.range).load(w)
    if prepared.core.rounds_light:
        weights = weights._replace(planes=weights.planes.shortened())
    return prepared, weights


@jax.jit
def _through(prepared: RealizedCore, x: jax.Array, weights: Weights, key: jax.Array) -> jax.Array:
    return TiledMatmul(prepared.core, prepared.device, prepared.range)(x, weights, key)[0]


def product_of(x: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The exact product, and its operands as arrays."""
    x, w = checks.product(x, w)
    return product(x, w), x, w
