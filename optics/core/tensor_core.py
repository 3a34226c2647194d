"""The optical tensor core: one object that perturbs a matrix product and prices it."""

from collections.abc import Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp

from electronics import Number
from electronics.numerics.packing import Packed
from electronics.numerics.xla import fusion_barrier
from optics import checks
from optics.components.architecture import Architecture
from optics.components.device import DeviceVariation, draw_variation
from optics.core import cost, counting
from optics.datapath import blocks
from optics.datapath.diagnostics import Diagnostics, ProductObservation
from optics.datapath.loading import Weights, load_weights
from optics.datapath.operating_point import OperatingPoint
from optics.datapath.product import TiledMatmul
from optics.datapath.site_range import SiteRange
from optics.interpreter.plan import Site
from optics.interpreter.protocols import Core, ObservableCore, PreparableCore, ReviewingCore


class TensorCore(Architecture):
    """An optical tensor core that multiplies matrices and prices products, both from the same numbers.

    Its fields are those of `optics.components.architecture.Architecture`. A product passes through
    `optics.datapath.product` and `optics.datapath.analog`, see docs/architecture.md; `optics.core.cost` prices it.
    Satisfies the protocols of `optics.interpreter.protocols`, except those of cores that differ between sites.
    """

    def prepare(self) -> "RealizedCore":
        """The core with the variation of its device drawn, once for many products."""
        return RealizedCore(self, _draw_variation(self))

    def load(self, w: jax.Array) -> "PreloadedMatrix":
        """Load w [rows, columns] onto the mask, once for many products. Raises as `matmul`."""
        return self.prepare().load(w)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [..., rows] @ w [rows, columns] -> [..., columns] as this core computes it, float32.

        Products larger than the core are tiled. Each tile, or each group of `accumulate` tiles along the rows, converts
        its own partial sums, which are added digitally. The gradient passes roundings
        straight through and noise by reparametrisation.

        Raises:
            ValueError: for shapes that do not fit, a dimension of 0, a dtype other than float32, and, outside of a
                trace, weights that are not finite.
        """
        return self.prepare().matmul(x, w, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Diagnostics]:
        """As `matmul`, with diagnostics, for which the exact product is computed as well.

        Outside of a trace, warns where outputs have too few photo-electrons for Gaussian shot noise, see
        `optics.core.counting`.
        """
        y, readings = self.prepare().observe(x, w, key=key)
        counting.warn_few_electrons(f"a product of {w.shape[0]} x {w.shape[1]} weights", readings, self)
        return y, readings

    def review(self, sites: Sequence[Site], readings: Mapping[str, Diagnostics]) -> None:
        """Warn about sites with too few photo-electrons, given a run's sites and their diagnostics; never when traced.

        See `optics.core.counting`.
        """
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
        """Time [s] that `vectors` vectors through a product occupy one core, loads and calibrations included."""
        return cost.time(self, rows, columns, vectors, resident)

    def tiles(self, rows: int, columns: int) -> tuple[int, int]:
        """Number of tiles of a matrix along its rows and along its columns."""
        return cost.tile_counts(self, rows, columns)

    def loads(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """Number of tile writes for these vectors; below 1 where the weights stay for further vectors."""
        return cost.loads(self, rows, columns, vectors, resident)


@jax.tree_util.register_pytree_node_class
class RealizedCore(PreparableCore, ObservableCore, ReviewingCore, Core):
    """A core with the variation of its device drawn, ready for many products.

    `site_range` holds the ranges of a calibrated site, or is None.
    """

    def __init__(self, core: TensorCore, variation: DeviceVariation, site_range: SiteRange | None = None):
        self.core, self.variation, self.site_range = core, variation, site_range

    @property
    def weight_share(self) -> jax.Array | None:
        """The share of each column's largest weight that a clear pixel represents, [columns], or None for all."""
        return None if self.site_range is None else self.site_range.weight_share

    def tree_flatten(self):
        return (self.core, self.variation, self.site_range), None

    @classmethod
    def tree_unflatten(cls, _, children) -> "RealizedCore":
        return cls(*children)

    def prepare(self) -> "RealizedCore":
        """Itself: the variation is drawn once."""
        return self

    def load(self, w: jax.Array) -> "PreloadedMatrix":
        """As `TensorCore.load`."""
        w = checks.weights(w)
        weights, point = _load(self, w)
        return PreloadedMatrix(self, weights, w.shape[0], point)

    def holding(self, weights: Weights, shape: tuple[int, ...]) -> "PreloadedMatrix":
        """The matrix of this shape that was loaded as `weights`."""
        return PreloadedMatrix(self, weights, shape[0])

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """As `TensorCore.matmul`."""
        x, w = checks.product(x, w)
        y, _ = _multiply(self, x.reshape(-1, x.shape[-1]), w, key, False)
        return _as_outputs(y, x)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Diagnostics]:
        """As `TensorCore.observe`."""
        y, observed = self.observe_receivers(x, w, key=key)
        x, w = checks.product(x, w)
        return y, Diagnostics.of(y, x, w, observed)

    def observe_part(
        self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array
    ) -> tuple[jax.Array, Diagnostics]:
        """As `observe`, x [vectors, rows], with diagnostics of the vectors where `counted` [vectors] is True.

        The other vectors are zeros.
        """
        y, observed = self.observe_receivers(x, w, key=key, counted=counted)
        return y, Diagnostics.of(y, x, w, observed, counted)

    def observe_receivers(
        self, x: jax.Array, w: jax.Array, *, key: jax.Array, counted: jax.Array | None = None
    ) -> tuple[jax.Array, ProductObservation]:
        """As `matmul`, with what the receivers of the product show, by column.

        Of the vectors where `counted` [vectors] is True alone, if it is given: x is then [vectors, rows].
        """
        x, w = checks.product(x, w)
        y, observed = _multiply(self, x.reshape(-1, x.shape[-1]), w, key, True, counted)
        assert observed is not None
        return _as_outputs(y, x), observed

    def review(self, sites: Sequence[Site], readings: Mapping[str, Diagnostics]) -> None:
        """As `TensorCore.review`."""
        self.core.review(sites, readings)


@jax.tree_util.register_pytree_node_class
class PreloadedMatrix:
    """A matrix of `rows` rows on the mask of a core, for many products.

    `point` is the operating point of the core where it was derived beforehand. It depends on the core, as the weights
    on the mask do: for a core of other numbers, load anew.
    """

    def __init__(self, realized: RealizedCore, weights: Weights, rows: int, point: OperatingPoint | None = None):
        self.packed, self.weights, self.rows = Packed((realized, point)), weights, rows

    @property
    def realized(self) -> RealizedCore:
        """The core."""
        return self.packed.unpacked()[0]

    def tree_flatten(self):
        return (self.packed, self.weights), self.rows

    @classmethod
    def tree_unflatten(cls, rows, children) -> "PreloadedMatrix":
        matrix = object.__new__(cls)
        matrix.packed, matrix.weights = children
        matrix.rows = rows
        return matrix

    def matmul(self, x: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [..., rows] -> [..., columns], as `TensorCore.matmul` with the loaded matrix."""
        x = checks.inputs(x, self.rows)
        y = _multiply_loaded(self.packed, x.reshape(-1, self.rows), self.weights, key)
        return _as_outputs(y, x)


# Each of these is compiled as a whole, once per structure and shape. Outside of `jit`, JAX would compile every
# conditional anew at each call.
@jax.jit
def _draw_variation(core: Architecture) -> DeviceVariation:
    # Behind a barrier: XLA would otherwise draw the gains of the sources again for each input of each vector.
    return fusion_barrier(draw_variation, core)


@partial(jax.jit, static_argnums=4)
def _multiply(
    realized: RealizedCore,
    x: jax.Array,
    w: jax.Array,
    key: jax.Array,
    observe: bool,
    counted: jax.Array | None = None,
) -> tuple[jax.Array, ProductObservation | None]:
    if not observe and blocks.is_large(w):
        return blocks.multiply_in_blocks(realized.core, realized.variation, realized.site_range, x, w, key), None
    weights = load_weights(realized.core, realized.variation, w, observe, share=realized.weight_share)
    return TiledMatmul(realized.core, realized.variation, realized.site_range)(
        x, weights, key, observe if counted is None else counted
    )


@jax.jit
def _load(realized: RealizedCore, w: jax.Array) -> tuple[Weights, OperatingPoint]:
    weights = load_weights(realized.core, realized.variation, w, share=realized.weight_share)
    if realized.core.rounds_light:
        weights = weights._replace(planes=weights.planes.in_bfloat16())
    return weights, OperatingPoint.of(realized.core)


@jax.jit
def _multiply_loaded(
    packed: Packed[tuple[RealizedCore, OperatingPoint | None]], x: jax.Array, weights: Weights, key: jax.Array
) -> jax.Array:
    realized, point = packed.unpacked()
    return TiledMatmul(realized.core, realized.variation, realized.site_range, point)(x, weights, key)[0]


def _as_outputs(y: jax.Array, x: jax.Array) -> jax.Array:
    """y [vectors, columns] with the leading axes of x, float32."""
    return y.reshape(*x.shape[:-1], y.shape[-1]).astype(jnp.float32)
