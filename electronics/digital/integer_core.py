"""The digital baseline: a matrix product in symmetric integers, W8A8 and its like."""

import jax
import jax.numpy as jnp

from electronics.numerics.matmul import integer_product
from electronics.numerics.rounding import round_to_levels
from electronics.part import Number, Part, number


class IntegerCore(Part):
    """Product of signed integers with exact accumulation: 2**b - 1 symmetric levels at b bits.

    Inputs are scaled per vector and weights per column by their largest magnitude, so nothing clips. `mac_energy` is
    what a multiply-accumulate costs at the plug of the machine that stands for the baseline.
    """

    activation_bits: Number = number("bit", least=2, most=16)
    weight_bits: Number = number("bit", least=2, most=16)
    mac_energy: Number = number("J", least=0, most=1e-3, plausible=(None, 1e-10))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [vectors, rows] @ w [rows, columns] -> [vectors, columns]; `key` is not used, the product is exact."""
        del key
        x_largest, w_largest = 2.0 ** (self.activation_bits - 1) - 1, 2.0 ** (self.weight_bits - 1) - 1
        (x, x_step), (w, w_step) = _codes(x, 1, x_largest), _codes(w, 0, w_largest)
        return integer_product(x, w, jnp.maximum(x_largest, w_largest)) * x_step * w_step

    def cost(self, *, rows: int, columns: int, vectors: float, resident: bool) -> dict[str, Number]:
        """Energy [J] by component of `vectors` vectors through a rows x columns product."""
        del resident
        return {"digital": rows * columns * vectors * self.mac_energy}

    def digital_cost(self, macs: float) -> Number:
        """Energy [J] of `macs` multiply-accumulates of two activations."""
        return macs * self.mac_energy


def _codes(values: jax.Array, axis: int, highest: Number) -> tuple[jax.Array, jax.Array]:
    """(the nearest whole numbers from -highest to highest, what one of them stands for)."""
    largest = jnp.max(jnp.abs(values), axis=axis, keepdims=True)
    step = jnp.where(largest > 0, largest, 1.0) / highest
    exact = values / step
    return round_to_levels(exact, jnp.float32(1), 1.0, jnp.float32(1)), step
