"""From the drive of a source or modulator to its light: the curve, and what is left of it after linearisation.

A table of `entries` drives, made for the curve as it was then, holds the drive for each level of light; between its
entries one interpolates. Two errors remain: that of the table, and that of an operating point which has moved by
`bias_error` since. Each curve maps a drive in [0, 1] to light in [0, 1].
"""

from abc import abstractmethod

import jax
import jax.numpy as jnp
import numpy as np

from electronics.bounds import at_least, at_most, within
from electronics.part import Number, Part, count, number

# Fine enough that inverting the curve by interpolation costs less than float32 does.
_FINE = np.linspace(0, 1, 4097, dtype=np.float32)


class Transfer(Part):
    """Base of the curves."""

    bias_error: Number = number("1", least=-1, most=1)
    entries: int = count(256)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.entries < 2:
            raise ValueError(f"{type(self).__name__}.entries = {self.entries} must be at least 2: dark and full drive")

    @abstractmethod
    def light(self, drive: jax.Array) -> jax.Array:
        """Light relative to full drive's, any shape, for a drive in [0, 1]; it never falls with the drive."""

    def interpolated(self, left: jax.Array, between: jax.Array) -> jax.Array:
        """The drive `between` (0 to 1) the inverse table's entries at places `left`, whole numbers, and `left` + 1."""
        wanted = jnp.linspace(0.0, 1.0, self.entries, dtype=jnp.float32)
        table = jnp.interp(wanted, self.light(jnp.asarray(_FINE)), jnp.asarray(_FINE))
        place = left.astype(jnp.int32)
        return table[place] + between * (table[place + 1] - table[place])

    def linearised(self, wanted: jax.Array) -> jax.Array:
        """Light relative to full drive's that comes out, for wanted light in [0, 1], any shape."""
        place = within(wanted, 0, 1) * (self.entries - 1)
        left = at_most(jnp.floor(place), self.entries - 2)
        return self.light(within(self.interpolated(left, place - left) + self.bias_error, 0, 1))


class Straight(Transfer):
    """Light proportional to drive, such as pulse-width modulation of a source gives."""

    def light(self, drive: jax.Array) -> jax.Array:
        """P = u."""
        return drive

    def interpolated(self, left: jax.Array, between: jax.Array) -> jax.Array:
        """u = P."""
        return (left + between) * jnp.float32(1 / (self.entries - 1))


class Laser(Transfer):
    """Laser diode or VCSEL: nothing below threshold, then a line that rolls over with heat.

    threshold: threshold current as a share of the current at full drive; rollover: how much lower the slope's chord
    is at full drive than at threshold.
    """

    threshold: Number = number("1", least=0, below=1)
    rollover: Number = number("1", least=0, most=0.5)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = v (1 - r v) / (1 - r), v = (u - u_th) / (1 - u_th) above threshold (Coldren and Corzine, ch. 2)."""
        above = at_least(drive - self.threshold, 0) * (1 / (1 - self.threshold))
        return above * (1 - self.rollover * above) * (1 / (1 - self.rollover))

    def interpolated(self, left: jax.Array, between: jax.Array) -> jax.Array:
        """v = 2 (1 - r) P / (1 + sqrt(1 - 4 r (1 - r) P)) at both entries, in a form that stays right at r = 0.

        With s the roots, v_2 - v_1 = 2 (1 - r) (P_2 - P_1) / (s_1 + s_2), and one division serves both.
        """
        step = jnp.float32(1 / (self.entries - 1))
        lost = 4 * self.rollover * (1 - self.rollover)
        root, next_root = (jnp.sqrt(at_least(1 - lost * step * place, 0)) for place in (left, left + 1))
        both = root + next_root
        part = (left * both + between * (1 + root)) / (both * (1 + root))
        return self.threshold + (1 - self.threshold) * (2 * (1 - self.rollover) * step) * part


class LED(Transfer):
    """Light-emitting diode: cubic polynomial without threshold, as the digital twin of Microsoft's AOC fits it."""

    quadratic: Number = number("1", least=-0.35, most=1)
    cubic: Number = number("1", least=-0.1, most=1)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = (u + a u^2 + b u^3) / (1 + a + b)."""
        return drive * (1 + self.quadratic * drive + self.cubic * drive**2) / (1 + self.quadratic + self.cubic)


class MachZehnder(Transfer):
    """Mach-Zehnder modulator between dark, 1 / `extinction_ratio`, and clear, a half-wave voltage apart."""

    extinction_ratio: Number = number("1", above=1)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = e + (1 - e) sin^2(pi u / 2), u = V / V_pi; what is wanted below e comes out as e."""
        dark = 1 / self.extinction_ratio
        return dark + (1 - dark) * jnp.sin(jnp.pi / 2 * drive) ** 2


class ElectroAbsorption(Transfer):
    """Electro-absorption modulator: exponential in the drive, dark at 1 / `extinction_ratio`."""

    extinction_ratio: Number = number("1", above=1)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = exp(-alpha L (1 - u)), alpha L = ln(extinction ratio)."""
        return jnp.exp(-jnp.log(jnp.asarray(self.extinction_ratio)) * (1 - drive))


TRANSFERS: dict[str, type[Transfer]] = {
    kind.__name__: kind for kind in (Straight, Laser, LED, MachZehnder, ElectroAbsorption)
}
