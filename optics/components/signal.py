"""What travels between the parts: numbers, and what they are physically."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from electronics.numerics.xla import alone
from electronics.part import Number


class Signal(NamedTuple):
    """The light or current of two rails, as their difference and their sum.

    difference: what stands for the numbers, in the scale of the user's own product, so that with every effect off
        they stay, bit for bit, what digital arithmetic gives; the quantity is difference / scale x unit.
    total: all the light that is there, of which shot noise is made, as a share of full drive through a clear pixel;
        the quantity is total x unit. Where there is one rail alone both are the same light.
    scale: the value that stands for full drive through a clear pixel; unit: the quantity [W or A] at that value. The
        parts that only attenuate or convert act on `unit` alone.
    """

    difference: jax.Array
    total: jax.Array
    scale: jax.Array
    unit: Number

    def times(self, factor: Number) -> "Signal":
        """The signal after a part that multiplies every number by the same factor."""
        return self._replace(unit=self.unit * factor)

    def each(self, linear: Callable[[jax.Array], jax.Array]) -> "Signal":
        """The signal after a linear part that treats both rails alike."""
        return self._replace(difference=linear(self.difference), total=linear(self.total))

    def plus(self, difference: jax.Array, total: jax.Array) -> "Signal":
        """The signal with more light, both numbers as shares of full drive through a clear pixel."""
        return self._replace(difference=self.difference + difference * self.scale, total=self.total + total)


def root(variance: Number) -> jax.Array:
    """Square root whose gradient at 0 is 0 and not infinite."""
    positive = jnp.asarray(variance) > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)


def neighbours(values: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """What stands one place earlier and one place later along `axis`; beyond the ends it is dark."""

    axis = axis % values.ndim
    padded = jnp.pad(values, [(int(d == axis),) * 2 for d in range(values.ndim)])
    count = values.shape[axis]
    return (
        jax.lax.slice_in_dim(padded, 0, count, axis=axis),
        jax.lax.slice_in_dim(padded, 2, count + 2, axis=axis),
    )


def spread(
    values: jax.Array, to_earlier: Number, to_later: Number, axis: int, scale: Number = 1.0, inverse: Number = 1.0
) -> jax.Array:
    """Values when each place gives these shares of its light to its neighbours, along `axis`; lost beyond the ends.

    It is light that spreads, not numbers: scale is what full light stands for, inverse = 1 / scale turns numbers into
    light; values that are light themselves need neither.
    """

    def spilt(values, to_earlier, to_later, scale, inverse):
        return values + spill(values * inverse, to_earlier, to_later, axis) * scale

    # Shares are above -1 whatever is measured.
    return alone(spilt, jnp.asarray(to_earlier) > -1, values, to_earlier, to_later, scale, inverse)


def spill(values: jax.Array, to_earlier: Number, to_later: Number, axis: int) -> jax.Array:
    """What each place gains and loses when it gives these shares of its light to its neighbours, along `axis`."""
    before, after = neighbours(values, axis)
    return to_later * (before - values) + to_earlier * (after - values)
