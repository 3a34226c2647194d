"""What the ranges of the constants do to a figure of merit: its distribution, and which constant decides it.

A figure of merit is any function of a core that gives a number, such as the watts of a bill. All cores are evaluated
by one compiled, vmapped program.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import stats

from electronics import Constant
from electronics.part import nearest
from optics.analysis.axis import between
from optics.analysis.sobol import sobol_indices
from optics.core.by_site import Machine
from optics.core.tensor_core import TensorCore

Merit = Callable[[Any], Any]

# What the designer or the user chooses; nature does not.
CHOICES = (
    "clock",
    "vectors_per_load",
    "dac.bits",
    "dac.enob",
    "mask.bits",
    "adc.bits",
    "adc.enob",
    "adc.loading",
    "adc.gain",
    "source.wavelength",
    "upkeep.interval",
    "upkeep.probes",
    "drift.age",
)
# Cores of one call, the last of them filled up with nominal ones: to trace and compile a bill for another number of
# cores takes longer than to run it, and a verdict asks for five numbers of cores.
_BLOCK = 256
_ALREADY_LOGARITHMIC = ("dB", "dB/Hz", "bit")


@dataclasses.dataclass(frozen=True)
class Spread:
    """Triangular distribution from `low` over the most likely `mode` to `high`, of the logarithm where that is set.

    The least that low, nominal and high say: nothing beyond the ends, and the nominal value most likely.
    """

    low: float
    mode: float
    high: float
    logarithmic: bool

    def __post_init__(self) -> None:
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"low <= nominal <= high fails: {self.low:g}, {self.mode:g}, {self.high:g}")
        if self.logarithmic and self.low <= 0:
            raise ValueError(f"low = {self.low:g} must be above 0 for a distribution of the logarithm")

    @classmethod
    def of(cls, constant: Constant) -> "Spread":
        """The distribution of a constant: of its logarithm, unless its range touches 0 or its unit is one already."""
        logarithmic = constant.low > 0 and constant.unit not in _ALREADY_LOGARITHMIC
        return cls(constant.low, constant.value, constant.high, logarithmic)

    def ppf(self, u: np.ndarray) -> np.ndarray:
        """The value below which the share `u` of the draws lies (inverse of the distribution function)."""
        low, mode, high = (np.log([self.low, self.mode, self.high]) if self.logarithmic else
                           (self.low, self.mode, self.high))  # fmt: skip
        if low == high:
            return np.full(np.shape(u), self.mode)
        value = stats.triang.ppf(u, (mode - low) / (high - low), loc=low, scale=high - low)
        return np.exp(value) if self.logarithmic else value

    def between(self, share: np.ndarray) -> np.ndarray:
        """From `low` at 0 to `high` at 1, evenly on the distribution's own axis."""
        return between(self.low, self.high, self.logarithmic, np.asarray(share))


Spreads = Mapping[str, Spread]


def spreads(constants: Mapping[str, Constant], held: Iterable[str] = ()) -> dict[str, Spread]:
    """The distributions of `optics.constants_of(...)` by field, without those that are points and those in `held`."""
    held = set(held)
    if unknown := held - set(constants):
        name = min(unknown)
        raise ValueError(f"there is no constant {name!r} to hold{nearest(name, list(constants))}")
    return {
        field: Spread.of(constant)
        for field, constant in constants.items()
        if field not in held and constant.low < constant.high
    }


class Swing(NamedTuple):
    """A figure of merit with one constant at its low and its high end and all others nominal."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance between the two."""
        return abs(self.high - self.low)


class Sensitivity(NamedTuple):
    """Sobol indices of a constant: the share of the variance that it causes alone, and with all others."""

    first: float
    total: float
    total_low: float
    total_high: float


class PairBreakEven(NamedTuple):
    """Two constants that reach a target together: the share of the way to their favourable ends, and their values."""

    first: str
    second: str
    share: float
    first_value: float
    second_value: float


class Uncertainty:
    """A figure of merit of a core, or of a design of several, over the distributions of its constants.

    core: every number that `spreads` does not name stays as it is in it. spreads: by the names that `core.replace`
    takes. Of a design "adc.survey_factor" is one constant of all cores, and "rules.0.core.adc.survey_factor" one of
    a single core, whose draws are independent of those of the others. number: makes one number a core of what `merit`
    gives, where that is a tree of them, for the methods that say which constant decides.
    """

    def __init__(
        self,
        merit: Merit,
        core: Machine,
        spreads: Spreads,
        number: Callable[[Any], Any] = lambda m: m,
    ):
        numbers = _names(core)
        for field in spreads:
            if field not in numbers:
                raise ValueError(f"the core has no number {field!r}{nearest(field, numbers)}")
        self.core, self.spreads, self._number = core, dict(spreads), number
        fields = tuple(self.spreads)

        def at(values: jax.Array) -> Any:
            return merit(core.replace(dict(zip(fields, values, strict=True))))

        self._at = jax.jit(jax.vmap(at))

    def at(self, values: np.ndarray) -> Any:
        """The figure of merit of cores whose numbers, in the order of `spreads`, are values [cores, numbers]."""
        count = len(values)
        filled = np.tile(np.float32(self.nominal()), (max(1, -(-count // _BLOCK)) * _BLOCK, 1))
        filled[:count] = values
        found = [self._at(block) for block in np.split(filled, len(filled) // _BLOCK)]
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *found)

    def draw(self, count: int, seed: int, held: Iterable[str] = ()) -> np.ndarray:
        """Values [count, numbers] on a scrambled Sobol sequence, those of `held` nominal; `count` a power of two.

        Owen, J. Complexity 14, 466 (1998).
        """
        if count < 2 or count & (count - 1):
            raise ValueError(f"draws = {count} must be a power of two, at least 2: a Sobol sequence is balanced there")
        values = np.tile(self.nominal(), (count, 1))
        if self.spreads:
            uniform = stats.qmc.Sobol(len(self.spreads), rng=seed).random(count)
            for number, (field, spread) in enumerate(self.spreads.items()):
                if field not in held:
                    values[:, number] = spread.ppf(uniform[:, number])
        return values

    def nominal(self) -> np.ndarray:
        """The most likely values [numbers]."""
        return np.array([spread.mode for spread in self.spreads.values()])

    def tornado(self) -> dict[str, Swing]:
        """The swing of each constant alone, widest first."""
        values = np.tile(self.nominal(), (2 * len(self.spreads), 1))
        for number, spread in enumerate(self.spreads.values()):
            values[2 * number, number], values[2 * number + 1, number] = spread.low, spread.high
        ends = self._numbers(values).reshape(-1, 2)
        swings = {field: Swing(*map(float, pair)) for field, pair in zip(self.spreads, ends, strict=True)}
        return dict(sorted(swings.items(), key=lambda item: -item[1].width))

    def sobol(self, count: int, seed: int) -> dict[str, Sensitivity]:
        """Sobol indices of the logarithm of the figure of merit, largest total first; count x (numbers + 2) cores.

        Of the logarithm, because a few draws of watts would otherwise be all of the variance. The interval of the
        total index is a 95 % bootstrap. Saltelli et al., Comput. Phys. Commun. 181, 259 (2010).
        """
        if len(self.spreads) < 2:
            return dict.fromkeys(self.spreads, Sensitivity(1.0, 1.0, 1.0, 1.0))

        def log_merit(values: np.ndarray) -> np.ndarray:
            return np.log(self._numbers(values))

        indices = sobol_indices(log_merit, list(self.spreads.values()), count, seed)
        shares = {field: Sensitivity(*map(float, row)) for field, row in zip(self.spreads, indices, strict=True)}
        return dict(sorted(shares.items(), key=lambda item: -item[1].total))

    def break_even(self, target: float, points: int = 129) -> dict[str, float]:
        """For each constant that alone brings the figure of merit to `target`, all others nominal, the value that does.

        Found between points of its range by interpolation; constants that cannot do it are not in the result.
        """
        share = np.linspace(0, 1, points)
        values = np.tile(self.nominal(), (len(self.spreads), points, 1))
        for number, spread in enumerate(self.spreads.values()):
            values[number, :, number] = spread.between(share)
        merits = self._numbers(values.reshape(-1, len(self.spreads))).reshape(-1, points) - target
        found = {}
        for (field, spread), merit in zip(self.spreads.items(), merits, strict=True):
            crossings = np.flatnonzero(np.sign(merit[:-1]) != np.sign(merit[1:]))
            if len(crossings):
                i = crossings[0]
                part = merit[i] / (merit[i] - merit[i + 1])
                found[field] = float(spread.between(share[i] + (share[i + 1] - share[i]) * part))
        return found

    def break_even_pairs(self, target: float, fields: Sequence[str], points: int = 65) -> list[PairBreakEven]:
        """Pairs of constants that bring the figure of merit down to `target` together, neither of which does alone.

        Both move from their nominal values towards their favourable ends by the same share of the way, on the axes of
        their distributions, all others nominal. The share is found by interpolation between points.

        Args:
            target: the figure of merit to reach, from above.
            fields: constants to pair, out of `spreads`.
            points: shares at which each pair is evaluated.

        Returns:
            The pairs, least share first.

        Raises:
            ValueError: for a constant without a distribution.
        """
        for field in fields:
            if field not in self.spreads:
                raise ValueError(f"{field!r} has no distribution{nearest(field, list(self.spreads))}")
        swings, order = self.tornado(), list(self.spreads)
        share, nominal = np.linspace(0, 1, points), self.nominal()
        paths = {field: self._towards_favourable(field, swings[field], share) for field in fields}
        start = float(self._numbers(nominal[None])[0])
        able = [field for field in fields if min(swings[field]) > target and min(swings[field]) < start]
        pairs = list(itertools.combinations(able, 2))
        if start <= target or not pairs:
            return []
        values = np.tile(nominal, (len(pairs), points, 1))
        for number, pair in enumerate(pairs):
            for field in pair:
                values[number, :, order.index(field)] = paths[field]
        merits = self._numbers(values.reshape(-1, len(order))).reshape(-1, points) - target
        found = []
        for pair, merit in zip(pairs, merits, strict=True):
            reached = np.flatnonzero(merit <= 0)
            if len(reached):
                i = reached[0]
                at = share[i - 1] + (share[i] - share[i - 1]) * merit[i - 1] / (merit[i - 1] - merit[i])
                ends = (float(np.interp(at, share, paths[field])) for field in pair)
                found.append(PairBreakEven(*pair, float(at), *ends))
        return sorted(found, key=lambda each: each.share)

    def _towards_favourable(self, field: str, swing: Swing, share: np.ndarray) -> np.ndarray:
        """Values of a constant from nominal at share 0 to the end of the lesser figure of merit at share 1."""
        spread = self.spreads[field]
        end = spread.low if swing.low < swing.high else spread.high
        return between(spread.mode, end, spread.logarithmic, share)

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self._number(self.at(values)), np.float64)


def _names(core: Machine) -> list[str]:
    """The names of numbers that `replace` takes: of a design those of all cores, and those of each."""
    if isinstance(core, TensorCore):
        return list(core.numbers())
    return list(dict.fromkeys([*(name for each in core.by_name.values() for name in each.numbers()), *core.numbers()]))
