"""What travels between the parts: numbers, and what they are physically."""

from typing import NamedTuple

import jax

from electronics.part import Number


class Signal(NamedTuple):
    """A physical quantity, value / scale x unit.

    value: the numbers in the scale of the user's own product, so that with every effect off they stay, bit for bit,
        what digital arithmetic gives; scale: the value that stands for full drive through a clear pixel; unit: the
        quantity [W or A] at that value. The parts that only attenuate or convert act on `unit` alone.
    """

    value: jax.Array
    scale: jax.Array
    unit: Number

    def times(self, factor: Number) -> "Signal":
        """The signal after a part that multiplies every number by the same factor."""
        return self._replace(unit=self.unit * factor)

    def quantity(self) -> jax.Array:
        """The physical quantity [W or A], of the shape of `value`."""
        return self.value / self.scale * self.unit
