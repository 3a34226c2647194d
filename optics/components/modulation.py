"""Transfer curves from the drive of a source or modulator to its light, and their residual after linearisation.

Each curve maps a drive in [0, 1] to light in [0, 1]. An inverse table of `entries` drives, interpolated linearly,
linearises it. Two errors remain: that of the interpolation, and that of an operating point that has moved by
`bias_error` since the table was made.
"""

from abc import abstractmethod

import jax
import jax.numpy as jnp
import numpy as np

from electronics.numerics.bounds import at_least, at_most, choose, inverse, within
from electronics.part import Number, Part, count, number
from optics.components.signal import safe_sqrt

# Fine enough that the error of inverting the curve by interpolation is below float32 resolution.
_FINE = np.linspace(0, 1, 4097, dtype=np.float32)


class Transfer(Part):
    """Base class of the curves.

    Attributes:
        bias_error: change of the drive since the inverse table was made, as a fraction of full drive.
        entries: of the inverse table.
    """

    bias_error: Number = number("1", least=-1, most=1)
    entries: int = count(256, most=2**20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.entries < 2:
            raise ValueError(f"{type(self).__name__}.entries = {self.entries} must be at least 2: dark and full drive")

    @abstractmethod
    def light(self, drive: jax.Array) -> jax.Array:
        """Light relative to that of full drive, any shape, for a drive in [0, 1]; monotonically increasing."""

    def interpolated(self, left: jax.Array, between: jax.Array) -> jax.Array:
        """Drive interpolated between entries `left` and `left` + 1 of the inverse table, at `between` from 0 to 1."""
        wanted = jnp.linspace(0.0, 1.0, self.entries, dtype=jnp.float32)
        table = jnp.interp(wanted, self.light(jnp.asarray(_FINE)), jnp.asarray(_FINE))
        place = left.astype(jnp.int32)
        return table[place] + between * (table[place + 1] - table[place])

    def linearised(self, wanted: jax.Array) -> jax.Array:
        """Light after linearisation, relative to that of full drive, for wanted light in [0, 1], any shape."""
        place = within(wanted, 0, 1) * (self.entries - 1)
        left = at_most(jnp.floor(place), self.entries - 2)
        return self.light(within(self.interpolated(left, place - left) + self.bias_error, 0, 1))

    @property
    def dark(self) -> jax.Array:
        """Light after linearisation where none is wanted, relative to that of full drive, [1, 1]."""
        return self.linearised(jnp.zeros((1, 1)))

    def residual(self, drive: jax.Array, scale: jax.Array) -> jax.Array:
        """Light above dark less the wanted light, in the sign and scale of the drive.

        Args:
            drive: signed drive within scale, any shape.
            scale: drive that full light represents, broadcasts with `drive`.
        """
        wanted = jnp.abs(drive) * inverse(scale)
        above_dark = self.linearised(wanted) - self.dark.reshape((1,) * drive.ndim)
        residual = (above_dark - wanted) * scale
        return choose(drive < 0, -residual, residual)


class Straight(Transfer):
    """Light proportional to the drive, as with pulse-width modulation of a source."""

    def light(self, drive: jax.Array) -> jax.Array:
        """P = u."""
        return drive

    def interpolated(self, left: jax.Array, between: jax.Array) -> jax.Array:
        """u = P."""
        return (left + between) * np.float32(1 / (self.entries - 1))


class Laser(Transfer):
    """Laser diode or VCSEL: no light below threshold, then a line with thermal rollover.

    Attributes:
        threshold: threshold current as a share of the current at full drive.
        rollover: relative reduction of the efficiency at full drive against that at threshold.
    """

    threshold: Number = number("1", least=0, most=0.999)
    rollover: Number = number("1", least=0, most=0.5)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = v (1 - r v) / (1 - r), v = (u - u_th) / (1 - u_th) above threshold (Coldren and Corzine, ch. 2)."""
        above = at_least(drive - self.threshold, 0) * (1 / (1 - self.threshold))
        return above * (1 - self.rollover * above) * (1 / (1 - self.rollover))

    def linearised(self, wanted: jax.Array) -> jax.Array:
        """As `Transfer.linearised`, in closed form: light is a parabola in v, so no table is needed.

        Between entries that are d apart in v, the light on the chord exceeds the wanted light by
        t (1 - t) d^2 r / (1 - r), where t is the place between the entries. With
        s = 1 - 2 r v = sqrt(1 - 4 r (1 - r) P), which is (1 - r) times the slope, d = 2 (1 - r) (P_2 - P_1) /
        (s_1 + s_2). A shift of v by b adds b (s + s') / 2 / (1 - r), where s' is s at the shifted place.
        """
        r, last = self.rollover, self.entries - 1
        lost = 4 * r * (1 - r)
        place = within(wanted, 0, 1) * last
        left = at_most(jnp.floor(place), last - 1)
        between = place - left
        square = 1 - (lost / last) * left
        next_square = at_least(square - lost / last, 0)
        both = square + next_square + 2 * safe_sqrt(square * next_square)
        on_chord = place * np.float32(1 / last) + (lost / last**2) * (between * (1 - between)) / both
        moved = self.bias_error * (1 / (1 - self.threshold))
        slope = safe_sqrt(at_least(1 - lost * on_chord, 0))
        there = at_least(slope - 2 * r * moved, 1 - 2 * r)
        return within(on_chord + (moved * (0.5 / (1 - r))) * (slope + there), 0, 1)

    @property
    def dark(self) -> jax.Array:
        """As `Transfer.dark`: at v = 0, s = 1 and the shift alone is left."""
        r, moved = self.rollover, self.bias_error * (1 / (1 - self.threshold))
        there = at_least(1 - 2 * r * moved, 1 - 2 * r)
        return within((moved * (0.5 / (1 - r))) * (1 + there), 0, 1).reshape(1, 1)


class LED(Transfer):
    """Light-emitting diode: cubic polynomial without threshold, as fitted in the digital twin of Microsoft's AOC."""

    quadratic: Number = number("1", least=-0.35, most=1)
    cubic: Number = number("1", least=-0.1, most=1)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = (u + a u^2 + b u^3) / (1 + a + b)."""
        full = 1 + self.quadratic + self.cubic
        return jnp.asarray(drive * (1 + self.quadratic * drive + self.cubic * drive**2) / full)


class MachZehnder(Transfer):
    """Mach-Zehnder modulator, driven from dark (1 / `extinction_ratio`) to clear over one half-wave voltage."""

    extinction_ratio: Number = number("1", least=1.001, most=1e12)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = e + (1 - e) sin^2(pi u / 2), u = V / V_pi; wanted light below e gives e."""
        dark = 1 / self.extinction_ratio
        return jnp.asarray(dark + (1 - dark) * jnp.sin(jnp.pi / 2 * drive) ** 2)


class ElectroAbsorption(Transfer):
    """Electro-absorption modulator: exponential in the drive, dark at 1 / `extinction_ratio`."""

    extinction_ratio: Number = number("1", least=1.001, most=1e12)

    def light(self, drive: jax.Array) -> jax.Array:
        """P = exp(-alpha L (1 - u)), alpha L = ln(extinction ratio)."""
        return jnp.exp(-jnp.log(jnp.asarray(self.extinction_ratio)) * (1 - drive))


TRANSFERS: dict[str, type[Transfer]] = {
    kind.__name__: kind for kind in (Straight, Laser, LED, MachZehnder, ElectroAbsorption)
}
