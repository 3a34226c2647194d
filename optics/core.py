"""The optical tensor core: one object that perturbs a matrix product and prices it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from electronics import ADC, DAC, TIA, DigitalBackend, Number, Overhead, Part, count, number
from electronics.book import ELEMENTARY_CHARGE
from electronics.exact import product
from optics import checks, cost, frozen
from optics.book import transmission
from optics.correction import Correction
from optics.detector import Photodetector
from optics.drift import Drift, Upkeep
from optics.effects import Effects
from optics.encoding import Encoding
from optics.mask import WeightMask
from optics.ranges import SiteRange
from optics.readings import Readings
from optics.source import Source
from optics.space import FreeSpace
from optics.transfer import Transfer
from optics.walk import Walk


class TensorCore(Part):
    """A rows x columns core that multiplies a vector by a matrix of transmissions in one symbol of 1 / clock.

    `encoding` says how signs and bits are carried, and so how many symbols, sources, pixels and conversions a product
    takes. `accumulate` tiles of a sum longer than the core are integrated before one conversion. `vectors_per_load`
    is how many vectors pass between two loads of the mask. `device` is a serial number: it fixes the imperfections
    that a device is made with, the same for all its products. `correction` is what a calibration found.
    """

    rows: int = count()
    columns: int = count()
    accumulate: int = count(1)
    clock: Number = number("Hz", above=0)
    vectors_per_load: Number = number("1", least=1)
    device: Number = number("1", least=0, most=2**24 - 1)
    encoding: Encoding
    dac: DAC
    transfer: Transfer
    source: Source
    space: FreeSpace
    mask: WeightMask
    detector: Photodetector
    tia: TIA
    adc: ADC
    drift: Drift
    upkeep: Upkeep
    correction: Correction
    digital: DigitalBackend
    overhead: Overhead
    effects: Effects

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.combination(self)

    @property
    def ways(self) -> int:
        """Pixels that one source lights."""
        return self.encoding.pixels * self.encoding.planes * self.columns

    @property
    def unit_current(self) -> Number:
        """Photocurrent [A] of one full product: full drive through one clear pixel, less that through a dark one."""
        loss_db = self.space.fan_out_loss_db + self.mask.loss_db + self.space.fan_in_loss_db
        modulated = 1 - self.effects.extinction / self.mask.extinction_ratio
        power = self.source.power * transmission(loss_db) * modulated / self.ways
        return self.detector.responsivity(self.source.wavelength) * power

    @property
    def electrons(self) -> Number:
        """Photo-electrons of one full product in one symbol."""
        return self.unit_current / (ELEMENTARY_CHARGE * self.clock)

    def prepare(self) -> "Prepared":
        """This core with the imperfections of its device drawn, once for many products."""
        return Prepared(self, _made(self))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [..., rows] @ w [rows, columns] -> [..., columns], float32, as this core delivers it.

        Any size: what is larger than the core is tiled, each tile converts its own partial sums, and these are added
        digitally. The gradient passes roundings straight through and noise as a reparametrisation. Raises ValueError
        for shapes that do not fit, a dimension of 0, another dtype, and (outside a trace) weights that are not finite.
        """
        return self.prepare().matmul(x, w, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Readings]:
        """As `matmul`, and what was seen on the way, at the price of the exact product beside."""
        return self.prepare().observe(x, w, key=key)

    def cost(self, *, rows: int, columns: int, vectors: float, resident: bool) -> dict[str, Number]:
        """Energy [J] by component of `vectors` vectors through a rows x columns product, see `optics.cost`."""
        return cost.energy(self, rows, columns, vectors, resident)

    def digital_cost(self, macs: float) -> Number:
        """Energy [J] of `macs` multiply-accumulates that stay digital."""
        return macs * self.digital.mac_energy

    def time(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """Time [s] that one core is held by `vectors` vectors through a product, loads and calibrations included."""
        return cost.time(self, rows, columns, vectors, resident)

    def loads(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Number:
        """How many times a tile of weights is written for these vectors; a share of one where weights stay longer."""
        return cost.loads(self, rows, columns, vectors, resident)


@jax.tree_util.register_pytree_node_class
class Prepared:
    """A core and its device, ready for many products; `range` holds the full scales of a calibrated site."""

    def __init__(self, core: TensorCore, device: frozen.Frozen, range: SiteRange | None = None):
        self.core, self.device, self.range = core, device, range

    def tree_flatten(self):
        return (self.core, self.device, self.range), None

    @classmethod
    def tree_unflatten(cls, _, children) -> "Prepared":
        return cls(*children)

    def prepare(self) -> "Prepared":
        """Itself: the device is drawn once."""
        return self

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """As `TensorCore.matmul`."""
        return self.walk(x, w, key, observe=False)[0]

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Readings]:
        """As `TensorCore.observe`."""
        y, seen = self.walk(x, w, key, observe=True)
        exact, x, w = product_of(x, w)
        return y, Readings(
            outputs=jnp.float32(y.size),
            signal=jnp.sum(exact**2),
            error=jnp.sum((y - exact) ** 2),
            # Sum over all outputs of sum_k |x_k| |w_k|, without the product of the magnitudes.
            light=jnp.sum(jnp.abs(x), axis=tuple(np.arange(x.ndim - 1))) @ jnp.sum(jnp.abs(w), axis=1),
            macs=jnp.float32(y.size * w.shape[0]),
            **{name: seen[name] for name in Readings._fields if name in seen},
        )

    def walk(self, x: jax.Array, w: jax.Array, key: jax.Array, observe: bool):
        """(y, all that was seen), see `optics.walk`."""
        x, w = checks.product(x, w)
        y, seen = _walked(self, x.reshape(-1, x.shape[-1]), w, key, observe)
        return y.reshape(*x.shape[:-1], w.shape[1]), seen


# Compiled as a whole, once for each structure and shape: outside a jit each conditional would be compiled at each call.
_made = jax.jit(frozen.make)


@partial(jax.jit, static_argnums=4)
def _walked(prepared: Prepared, x: jax.Array, w: jax.Array, key: jax.Array, observe: bool):
    return Walk(prepared.core, prepared.device, prepared.range)(x, w, key, observe)


def product_of(x: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The exact product, and its operands as arrays."""
    x, w = checks.product(x, w)
    return product(x, w), x, w
