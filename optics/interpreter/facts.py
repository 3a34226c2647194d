"""What is known of the entries of an array before anything runs: its value, or which are zero, one or low, and whether
any may be negative.

`followed` gives the facts of an equation's output from those of its operands, `looked_at` the entries of the operands
that an output needs.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from optics.equations import _jax
from optics.equations._jax import JaxprEqn
from optics.interpreter import folding
from optics.interpreter.folding import ELEMENTWISE, SAME, constant, moved, moved_back, share, together

LOW = -9e3
"""What a score at or below this leaves of its exponential, beside a score of ordinary size, is nothing."""
SMALLEST_SCALE = 2.0**-6
"""A known factor down to this leaves a low score low: exp(-9e3 / 64) is still zero in float32."""
Entries = np.ndarray | None
"""Entries of an array for which something holds, bool; None for none of them, or for nobody knows."""
Needs = np.ndarray | None
"""Entries of an array that something looks at, bool; None for all of them."""
_UNARY = frozenset({"exp2", "integer_pow", "logistic", "sqrt", "tanh", "pow", "atan2", "erf", "log1p", "expm1"})
_KEEPS_ZERO = frozenset({"abs", "integer_pow", "neg", "sign", "sqrt", "square", "tanh"})
_NEVER_NEGATIVE = frozenset({"abs", "exp", "exp2", "logistic", "sqrt", "rsqrt", "square"})
# Of numbers none of which is negative, none that comes out is.
_KEEPS_SIGN = frozenset({
    "add", "add_any", "atan", "cbrt", "ceil", "cummax", "cummin", "cumsum", "div", "erf", "expm1", "floor", "log1p",
    "min", "mul", "pow", "reduce_max", "reduce_min", "reduce_sum", "reduce_window_max", "reduce_window_sum", "rem",
    "round", "sign", "tanh",
})  # fmt: skip
_MOVES = frozenset({
    "broadcast_in_dim", "concatenate", "expand_dims", "optimization_barrier", "pad", "reshape", "rev", "slice", "sort",
    "squeeze", "transpose",
})  # fmt: skip
_POINTWISE = frozenset(ELEMENTWISE) | SAME | _UNARY


class Facts:
    """What is known of an array: its value, or which entries are zero (False), one (True) or low, and its sign."""

    def __init__(
        self,
        value: Any = None,
        zero: Entries = None,
        low: Entries = None,
        one: Entries = None,
        *,
        nonnegative: Callable[[], bool] = lambda: False,
    ):
        self._given, self._zero, self._low, self._one, self._nonnegative = value, zero, low, one, nonnegative

    @cached_property
    def value(self) -> np.ndarray | None:
        """All of it, where it is known."""
        return None if self._given is None else constant(self._given)

    @cached_property
    def zero(self) -> Entries:
        """Entries that are zero, or False."""
        return self._zero if self.value is None else _some(lambda a: a == 0, self.value)

    @cached_property
    def low(self) -> Entries:
        """Entries that a softmax gives nothing."""
        if self.value is None or self.value.dtype == bool:
            return self._low
        return _some(lambda a: a <= LOW, self.value)

    @cached_property
    def one(self) -> Entries:
        """Entries of a bool array that are True."""
        if self.value is None:
            return self._one
        return _some(lambda a: a, self.value) if self.value.dtype == bool else None

    @cached_property
    def nonnegative(self) -> bool:
        """Whether no entry can be negative. Asked of few arrays, and each entry of a large mask is looked at."""
        return self._nonnegative() if self.value is None else _some(lambda a: a < 0, self.value) is None

    def of_sign(self, nonnegative: Callable[[], bool]) -> "Facts":
        """The facts of an array that is not known as a whole, with what says whether it is never negative."""
        return Facts(None, self._zero, self._low, self._one, nonnegative=nonnegative)

    @property
    def hidden(self) -> Entries:
        """Entries that need no computing, of an array that is not known as a whole."""
        return None if self.value is not None else union(self.zero, self.low)

    def each(self, function: Callable[[np.ndarray], Entries]) -> "Facts":
        """The facts of an array whose entries are these, somewhere else."""
        found = [None if entries is None else function(entries) for entries in (self.zero, self.low, self.one)]
        return Facts(None, *found)


UNKNOWN = Facts()


def followed(eqn: JaxprEqn, facts: list[Facts]) -> Facts:
    """The facts of an equation's output where its value is not known."""
    if not facts:
        return UNKNOWN
    return _entries(eqn, facts).of_sign(lambda: _is_nonnegative(eqn, facts))


def _is_nonnegative(eqn: JaxprEqn, facts: list[Facts]) -> bool:
    """Whether an equation, which is no product, gives no negative number, by the signs of what goes in."""
    name = _jax.name(eqn)
    kind = _jax.dtype(eqn.outvars[0]).kind
    if kind == "c":
        return False
    if kind in "bu" or name in _NEVER_NEGATIVE:
        return True
    match name:
        case "integer_pow":
            return _jax.exponent(eqn) % 2 == 0 or facts[0].nonnegative
        case "mul" if eqn.invars[0] is eqn.invars[1]:
            return True
        case "max":
            return any(each.nonnegative for each in facts)
        case "select_n":
            return all(each.nonnegative for each in facts[1:])
        case "clamp":
            # Of (lower bound, number, upper bound) the result is the upper one where that is below the lower one.
            return facts[0].nonnegative and facts[2].nonnegative
        case "gather" | "dynamic_slice":
            return facts[0].nonnegative
    keeps = name in _KEEPS_SIGN or name in SAME or name in _MOVES
    return keeps and all(each.nonnegative for each in facts)


def _entries(eqn: JaxprEqn, facts: list[Facts]) -> Facts:
    name, first, last = _jax.name(eqn), facts[0], facts[-1]
    floating = "float" in str(_jax.dtype(eqn.outvars[0]))
    shape = _jax.shape(eqn.outvars[0])

    def both(a: Entries, b: Entries) -> Entries:
        return None if a is None or b is None else together(np.logical_and, [a, b], shape)

    def either(a: Entries, b: Entries) -> Entries:
        return union(a, b, shape)

    match name:
        case _ if name in SAME:
            return Facts(None, first.zero, first.low if floating else None, first.one if not floating else None)
        case "select_n" if len(facts) == 3:
            chosen = (either(both(a, first.zero), both(b, first.one)) for a, b in _pairs(facts[1], facts[2]))
            return Facts(
                None, *(either(one, both(*pair)) for one, pair in zip(chosen, _pairs(*facts[1:]), strict=True))
            )
        case "mul":
            low = either(_scaled(first, last), _scaled(last, first)) if floating else None
            return Facts(None, either(first.zero, last.zero), low)
        case "div":
            return Facts(None, first.zero, _scaled(first, last) if floating else None)
        case "add" | "add_any":
            return Facts(None, both(first.zero, last.zero), either(first.low, last.low) if floating else None)
        case "sub":
            low = (
                first.low if last.low is None or first.low is None else together(without, [first.low, last.low], shape)
            )
            return Facts(None, both(first.zero, last.zero), low if floating else None)
        case "max":
            return Facts(None, both(first.zero, last.zero), both(first.low, last.low))
        case "min":
            return Facts(None, both(first.zero, last.zero), either(first.low, last.low))
        case "exp" | "exp2" | "logistic":
            return Facts(None, first.low)
        case "and":
            return Facts(None, either(first.zero, last.zero), None, both(first.one, last.one))
        case "or":
            return Facts(None, both(first.zero, last.zero), None, either(first.one, last.one))
        case "not" if _jax.dtype(eqn.outvars[0]) == np.dtype(bool):
            return Facts(None, first.one, None, first.zero)
        case "ne" if last.value is not None and not np.any(last.value):
            return Facts(None, first.zero)
        case "reduce_sum" | "reduce_max":
            axes = _jax.axes(eqn)
            low = first.low if name == "reduce_max" else None
            return Facts(None, *(None if e is None else folding.everywhere(e, axes) for e in (first.zero, low)))
        case "concatenate":
            return _one_after_the_other(eqn, facts)
        case _ if name in _KEEPS_ZERO and not (name == "integer_pow" and _jax.exponent(eqn) <= 0):
            return Facts(None, first.zero)
        case _ if len(facts) == 1:
            return first.each(lambda entries: moved(eqn, entries))
    return UNKNOWN


def looked_at(eqn: JaxprEqn, facts: list[Facts], need: Needs) -> list[Needs]:
    """The entries of each operand that are looked at, given those of the output."""
    name, shape = _jax.name(eqn), _jax.shape(eqn.outvars[0])

    def unless(known: Entries) -> Needs:
        whole = np.broadcast_to(True, shape) if need is None else need
        return need if known is None else together(without, [whole, known], shape)

    match name:
        case "select_n" if len(facts) == 3:
            found = [need, unless(facts[0].one), unless(facts[0].zero)]
        case "mul":
            found = [unless(facts[1].zero), unless(facts[0].zero)]
        case "add":
            found = [unless(facts[1].low), unless(facts[0].low)]
        case _ if name in _POINTWISE:
            found = [need] * len(facts)
        case _ if len(facts) == 1 and need is not None:
            return [moved_back(eqn, need)]
        case _:
            return [None] * len(facts)
    return [each if _jax.shape(atom) == shape else None for each, atom in zip(found, eqn.invars, strict=True)]


def _pairs(a: Facts, b: Facts) -> list[tuple[Entries, Entries]]:
    return [(a.zero, b.zero), (a.low, b.low), (a.one, b.one)]


def taken_for_causal(facts: list[Facts]) -> Facts:
    """The mask of a select, which is data; where it hides scores, query i is taken to see the keys up to its own."""
    mask, if_false, if_true = facts
    shape = getattr(if_false.low if if_false.low is not None else if_true.low, "shape", ())
    if mask.value is not None or mask.zero is not None or mask.one is not None or len(shape) < 2:
        return mask
    hides = [facts.low is not None and share(facts.low) == 1.0 for facts in (if_false, if_true)]
    queries, keys = shape[-2:]
    later = np.broadcast_to(np.triu(np.ones((queries, keys), bool), 1 + keys - queries), shape)
    if hides == [True, False]:
        return Facts(None, later)
    return Facts(None, None, None, later) if hides == [False, True] else mask


def _one_after_the_other(eqn: JaxprEqn, facts: list[Facts]) -> Facts:
    def along(each: list[Entries]) -> Entries:
        if all(entries is None for entries in each):
            return None
        whole = [
            np.broadcast_to(False, _jax.shape(atom)) if entries is None else entries
            for entries, atom in zip(each, eqn.invars, strict=True)
        ]
        return folding.joined(whole, _jax.dimension(eqn))

    return Facts(None, *(along([getattr(f, name) for f in facts]) for name in ("zero", "low", "one")))


def _scaled(score: Facts, factor: Facts) -> Entries:
    """The low entries of a score times, or over, a known factor that leaves them low."""
    value = factor.value
    if score.low is None or value is None or not value.size:
        return None
    small = folding.once(value, range(value.ndim)).astype(np.float64)
    return score.low if np.all((small >= SMALLEST_SCALE) & (small <= 1 / SMALLEST_SCALE)) else None


def _some(test: Callable[[np.ndarray], np.ndarray], value: np.ndarray) -> Entries:
    found = together(test, [value], value.shape)
    return found if found is not None and np.any(folding.once(found, range(found.ndim))) else None


def union(a: Entries, b: Entries, shape: Sequence[int] | None = None) -> Entries:
    if a is None or b is None:
        return a if b is None else b
    return a if a is b else together(np.logical_or, [a, b], a.shape if shape is None else shape)


def without(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a & ~b


def share_of(entries: Entries) -> float:
    return 0.0 if entries is None else share(entries)


def needed_share(need: Needs) -> float:
    return 1.0 if need is None else share(need)
