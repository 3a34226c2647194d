"""Which scores of an attention are hidden by a mask that is known before anything runs, as a causal mask is.

A function's jaxpr is walked twice. Forwards, values made of iotas, comparisons and captured arrays are folded, and
entries that such a mask hides are followed: from a select, or from a sum with a large negative bias, through the
softmax, whose exponential makes them zero, to the product with the values. Backwards, entries that nothing looks at are
followed to the product that makes them. Nothing is run, and arrays of the function itself are never needed.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from optics.interpreter import _jax, folding
from optics.interpreter._jax import Jaxpr, JaxprEqn, Literal
from optics.interpreter.folding import ELEMENTWISE, SAME, constant, fold, moved, moved_back, share, together

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
_POINTWISE = frozenset(ELEMENTWISE) | SAME | _UNARY


class Facts:
    """What is known of an array: its value, or which entries are zero (False), one (True) or low."""

    def __init__(self, value: Any = None, zero: Entries = None, low: Entries = None, one: Entries = None):
        self._given, self._zero, self._low, self._one = value, zero, low, one

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

    @property
    def hidden(self) -> Entries:
        """Entries that need no computing, of an array that is not known as a whole."""
        return None if self.value is not None else _or(self.zero, self.low)

    def each(self, function: Callable[[np.ndarray], Entries]) -> "Facts":
        """The facts of an array whose entries are these, somewhere else."""
        found = [None if entries is None else function(entries) for entries in (self.zero, self.low, self.one)]
        return Facts(None, *found)


UNKNOWN = Facts()


class Body:
    """A jaxpr and the facts of its variables; `causal` takes a mask that is data and hides scores for a causal one.

    shares: by number of the equation, the share of a product's multiplications that a mask leaves; counted: the share
    of the numbers that any other equation computes; inner: by number, the bodies of the jaxprs inside, in the order of
    `optics.interpreter.dataflow.bodies`. The first two are there once `settle` was called.
    """

    def __init__(self, jaxpr: Any, consts: Sequence[Any], facts: Sequence[Facts], causal: bool = False):
        self.jaxpr: Jaxpr = jaxpr
        self.causal = causal
        self.env: dict[Any, Facts] = {var: Facts(value) for var, value in zip(jaxpr.constvars, consts, strict=True)}
        self.env.update(zip(jaxpr.invars, facts, strict=True))
        self.inner: dict[int, list[Body]] = {}
        self.shares: dict[int, float] = {}
        self.counted: dict[int, float] = {}
        for number, eqn in enumerate(jaxpr.eqns):
            self.env.update(zip(eqn.outvars, self._outputs(number, eqn), strict=True))

    def read(self, atoms: Sequence[Any]) -> list[Facts]:
        """Facts of variables and literals."""
        return [Facts(atom.val) if isinstance(atom, Literal) else self.env.get(atom, UNKNOWN) for atom in atoms]

    def settle(self, needs: Sequence[Needs]) -> list[Needs]:
        """Fills `shares` and `counted`, given which entries of the outputs are needed; returns those of the inputs."""
        wanted: dict[Any, Needs] = {}
        _add(wanted, self.jaxpr.outvars, needs)
        for number, eqn in reversed(list(enumerate(self.jaxpr.eqns))):
            of_outputs = [wanted.get(var) for var in eqn.outvars]
            _add(wanted, eqn.invars, self._needs(number, eqn, of_outputs))
        return [wanted.get(var) for var in self.jaxpr.invars]

    def _outputs(self, number: int, eqn: JaxprEqn) -> list[Facts]:
        facts, nothing = self.read(eqn.invars), [UNKNOWN] * len(eqn.outvars)
        match _jax.kind(eqn):
            case "call" | "remat" | "custom_jvp" | "custom_vjp":
                (body,) = self.inner[number] = [self._body(_jax.inner_jaxpr(eqn), facts)]
                return body.read(body.jaxpr.outvars)
            case "cond":
                self.inner[number] = [self._body(branch, facts[1:]) for branch in eqn.params["branches"]]
            case "scan":
                fixed = facts[: eqn.params["num_consts"]]
                self.inner[number] = [self._body(eqn.params["jaxpr"], fixed)]
            case "while_loop":
                test, body = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
                self.inner[number] = [
                    self._body(eqn.params["cond_jaxpr"], facts[:test]),
                    self._body(eqn.params["body_jaxpr"], facts[test : test + body]),
                ]
            case "other" if len(eqn.outvars) == 1:
                return [self._output(eqn, facts)]
        return nothing

    def _body(self, jaxpr: Any, facts: Sequence[Facts]) -> "Body":
        """The body of a jaxpr, of whose inputs the last ones may be unknown, as those that a loop carries."""
        opened, consts = _jax.opened(jaxpr)
        return Body(opened, consts, [*facts, *[UNKNOWN] * (len(opened.invars) - len(facts))], self.causal)

    def _output(self, eqn: JaxprEqn, facts: list[Facts]) -> Facts:
        values = [each.value for each in facts]
        if all(value is not None for value in values) and (found := fold(eqn, values)) is not None:
            return Facts(found)
        if eqn.primitive.name == "select_n" and self.causal and eqn.invars[0].aval.shape == eqn.outvars[0].aval.shape:
            facts[0] = self.env[eqn.invars[0]] = _taken_for_causal(facts)
        return _followed(eqn, facts)

    def _needs(self, number: int, eqn: JaxprEqn, needs: list[Needs]) -> list[Needs]:
        facts, everything = self.read(eqn.invars), [None] * len(eqn.invars)
        if number in self.inner:
            enters = _jax.kind(eqn) in ("call", "remat", "custom_jvp", "custom_vjp")
            found = [body.settle(needs if enters else [None] * len(body.jaxpr.outvars)) for body in self.inner[number]]
            return found[0] if enters else everything
        if _jax.is_product(eqn):
            zero = [each.zero for each in facts if each.value is None]
            self.shares[number] = min([1.0 - _share(entries) for entries in zero] + [_needed(needs[0])])
            return everything
        self.counted[number] = self._computed(eqn, facts, needs)
        if len(eqn.outvars) != 1 or needs[0] is None and eqn.primitive.name not in ("select_n", "mul", "add"):
            return everything
        return _looked_at(eqn, facts, needs[0])

    def _computed(self, eqn: JaxprEqn, facts: list[Facts], needs: list[Needs]) -> float:
        """The share of its numbers that an equation computes: those that go in of a reduction, else those that come
        out, neither hidden nor without use."""
        if eqn.primitive.name in folding.REDUCTIONS:
            return 1.0 - _share(facts[0].hidden)
        if len(eqn.outvars) != 1:
            return 1.0
        hidden = self.env[eqn.outvars[0]].hidden
        if needs[0] is None:
            return 1.0 - _share(hidden)
        return share(needs[0] if hidden is None else together(_without, [needs[0], hidden], hidden.shape))


def analysed(jaxpr: Jaxpr, consts: Sequence[Any], causal: bool = False) -> Body:
    """The settled body of a whole function, all of whose inputs are unknown and all of whose outputs are needed."""
    body = Body(jaxpr, consts, [UNKNOWN] * len(jaxpr.invars), causal)
    body.settle([None] * len(jaxpr.outvars))
    return body


def with_shares(plan: Any, causal: bool | None = None) -> Any:
    """An `optics.interpreter.sites.Plan` whose products of two activations know the share of them that masks leave.

    causal: see `optics.trace`.
    """
    if causal is False:
        return plan
    found = analysed(plan.jaxpr, plan.consts)
    return _filled(plan, found, analysed(plan.jaxpr, plan.consts, causal=True) if causal else found)


def _filled(plan: Any, found: Body, taken: Body) -> Any:
    def of(number: int, site: Any) -> Any:
        share = taken.shares.get(number, 1.0)
        if site.stationary or share == 1.0:
            return site
        known = share == found.shares[number]
        return dataclasses.replace(site, share=share, hidden_by="mask" if known else "causal=True")

    inner = {
        number: tuple(_filled(*each) for each in zip(plans, found.inner[number], taken.inner[number], strict=True))
        if number in found.inner
        else plans
        for number, plans in plan.inner.items()
    }
    return dataclasses.replace(plan, sites={n: of(n, site) for n, site in plan.sites.items()}, inner=inner)


def _followed(eqn: JaxprEqn, facts: list[Facts]) -> Facts:
    """The facts of an equation's output where its value is not known."""
    name, first, last = eqn.primitive.name, facts[0], facts[-1]
    floating = "float" in str(eqn.outvars[0].aval.dtype)
    shape = eqn.outvars[0].aval.shape

    def both(a: Entries, b: Entries) -> Entries:
        return None if a is None or b is None else together(np.logical_and, [a, b], shape)

    def either(a: Entries, b: Entries) -> Entries:
        return _or(a, b, shape)

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
                first.low if last.low is None or first.low is None else together(_without, [first.low, last.low], shape)
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
        case "not" if not floating and eqn.outvars[0].aval.dtype == bool:
            return Facts(None, first.one, None, first.zero)
        case "ne" if last.value is not None and not np.any(last.value):
            return Facts(None, first.zero)
        case "reduce_sum" | "reduce_max":
            axes = tuple(eqn.params["axes"])
            low = first.low if name == "reduce_max" else None
            return Facts(None, *(None if e is None else folding.everywhere(e, axes) for e in (first.zero, low)))
        case "concatenate":
            return _one_after_the_other(eqn, facts)
        case _ if name in _KEEPS_ZERO and not (name == "integer_pow" and eqn.params["y"] <= 0):
            return Facts(None, first.zero)
        case _ if len(facts) == 1:
            return first.each(lambda entries: moved(eqn, entries))
    return UNKNOWN


def _looked_at(eqn: JaxprEqn, facts: list[Facts], need: Needs) -> list[Needs]:
    """The entries of each operand that are looked at, given those of the output."""
    name, shape = eqn.primitive.name, eqn.outvars[0].aval.shape

    def unless(known: Entries) -> Needs:
        whole = np.broadcast_to(True, shape) if need is None else need
        return need if known is None else together(_without, [whole, known], shape)

    match name:
        case "select_n" if len(facts) == 3:
            found = [need, unless(facts[0].one), unless(facts[0].zero)]
        case "mul":
            found = [unless(facts[1].zero), unless(facts[0].zero)]
        case "add":
            found = [unless(facts[1].low), unless(facts[0].low)]
        case _ if name in _POINTWISE:
            found = [need] * len(facts)
        case _ if len(facts) == 1:
            return [moved_back(eqn, need)]
        case _:
            return [None] * len(facts)
    return [each if atom.aval.shape == shape else None for each, atom in zip(found, eqn.invars, strict=True)]


def _pairs(a: Facts, b: Facts) -> list[tuple[Entries, Entries]]:
    return [(a.zero, b.zero), (a.low, b.low), (a.one, b.one)]


def _taken_for_causal(facts: list[Facts]) -> Facts:
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
            np.broadcast_to(False, atom.aval.shape) if entries is None else entries
            for entries, atom in zip(each, eqn.invars, strict=True)
        ]
        return folding.joined(whole, eqn.params["dimension"])

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


def _or(a: Entries, b: Entries, shape: Sequence[int] | None = None) -> Entries:
    if a is None or b is None:
        return a if b is None else b
    return a if a is b else together(np.logical_or, [a, b], a.shape if shape is None else shape)


def _without(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a & ~b


def _share(entries: Entries) -> float:
    return 0.0 if entries is None else share(entries)


def _needed(need: Needs) -> float:
    return 1.0 if need is None else share(need)


def _add(wanted: dict[Any, Needs], atoms: Sequence[Any], needs: Sequence[Needs]) -> None:
    """What is looked at by one user more."""
    for atom, need in zip(atoms, needs, strict=True):
        if isinstance(atom, Literal):
            continue
        before = wanted.get(atom, need)
        wanted[atom] = None if need is None or before is None else _or(before, need)
