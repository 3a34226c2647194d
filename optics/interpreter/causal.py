"""Which scores of an attention are hidden by a mask that is known before anything runs, as a causal mask is.

A function's jaxpr is walked twice. Forwards, values made of iotas, comparisons and captured arrays are folded, and
entries that such a mask hides are followed: from a select, or from a sum with a large negative bias, through the
softmax, whose exponential makes them zero, to the product with the values. Backwards, entries that nothing looks at are
followed to the product that makes them. Nothing is run, and arrays of the function itself are never needed.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from optics.equations import _jax
from optics.equations._jax import Jaxpr, JaxprEqn, Literal
from optics.interpreter import folding
from optics.interpreter.facts import (
    UNKNOWN,
    Facts,
    Needs,
    followed,
    looked_at,
    needed_share,
    share_of,
    taken_for_causal,
    union,
    without,
)
from optics.interpreter.folding import fold, together
from optics.interpreter.plan import Plan, Site


class Body:
    """A jaxpr and the facts of its variables; `causal` takes a mask that is data and hides scores for a causal one.

    shares: by number of the equation, the share of a product's multiplications that a mask leaves; masked: which of its
    matrices the mask is on, "outputs", "left" or "right"; nonnegative: the operands of a product, "left" and "right",
    without a negative entry; counted: the share of the numbers that any other equation computes; inner: by number, the
    bodies of the jaxprs inside, in the order of `optics.interpreter.dataflow.bodies`. All but the last are there once
    `settle` was called.
    """

    def __init__(self, jaxpr: Any, consts: Sequence[Any], facts: Sequence[Facts], causal: bool = False):
        self.jaxpr: Jaxpr = jaxpr
        self.causal = causal
        self.env: dict[Any, Facts] = {var: Facts(value) for var, value in zip(jaxpr.constvars, consts, strict=True)}
        self.env.update(zip(jaxpr.invars, facts, strict=True))
        self.inner: dict[int, list[Body]] = {}
        self.shares: dict[int, float] = {}
        self.masked: dict[int, str] = {}
        self.nonnegative: dict[int, tuple[str, ...]] = {}
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
                (body,) = self.inner[number] = [self._body(_jax.call_body(eqn), facts)]
                return body.read(body.jaxpr.outvars)
            case "shard_map":
                # Its inputs are shards of those of which something is known.
                self.inner[number] = [self._body(_jax.call_body(eqn), [])]
            case "cond":
                self.inner[number] = [self._body(branch, facts[1:]) for branch in _jax.cond(eqn).branches]
            case "scan":
                scan = _jax.scan(eqn)
                self.inner[number] = [self._body(scan.body, facts[: scan.consts])]
            case "while_loop":
                loop = _jax.while_loop(eqn)
                first_carried = loop.test_consts + loop.body_consts
                self.inner[number] = [
                    self._body(loop.test, facts[: loop.test_consts]),
                    self._body(loop.body, facts[loop.test_consts : first_carried]),
                ]
            case "other" if len(eqn.outvars) == 1:
                return [self._output(eqn, facts)]
        return nothing

    def _body(self, jaxpr: Any, facts: Sequence[Facts]) -> "Body":
        """The body of a jaxpr, of whose inputs the last ones may be unknown, as those that a loop carries."""
        opened, consts = _jax.opened(jaxpr)
        return Body(opened, consts, [*facts, *[UNKNOWN] * (len(opened.invars) - len(facts))], self.causal)

    def _output(self, eqn: JaxprEqn, facts: list[Facts]) -> Facts:
        values = [each.value for each in facts if each.value is not None]
        if len(values) == len(facts) and (found := fold(eqn, values)) is not None:
            return Facts(found)
        if _jax.name(eqn) == "select_n" and self.causal and _jax.shape(eqn.invars[0]) == _jax.shape(eqn.outvars[0]):
            facts[0] = self.env[eqn.invars[0]] = taken_for_causal(facts)
        return followed(eqn, facts)

    def _needs(self, number: int, eqn: JaxprEqn, needs: list[Needs]) -> list[Needs]:
        facts = self.read(eqn.invars)
        everything: list[Needs] = [None] * len(eqn.invars)
        if number in self.inner:
            enters = _jax.kind(eqn) in ("call", "remat", "custom_jvp", "custom_vjp")
            found = [body.settle(needs if enters else [None] * len(body.jaxpr.outvars)) for body in self.inner[number]]
            return found[0] if enters else everything
        if _jax.is_product(eqn):
            left = {"outputs": needed_share(needs[0])}
            operands = list(zip(("left", "right"), facts, strict=False))
            self.nonnegative[number] = tuple(name for name, each in operands if each.nonnegative)
            for name, each in operands:
                if each.value is None:
                    left[name] = 1.0 - share_of(each.zero)
            self.masked[number] = min(left, key=lambda name: left[name])
            self.shares[number] = left[self.masked[number]]
            return everything
        self.counted[number] = self._computed(eqn, facts, needs)
        if len(eqn.outvars) != 1 or needs[0] is None and _jax.name(eqn) not in ("select_n", "mul", "add"):
            return everything
        return looked_at(eqn, facts, needs[0])

    def _computed(self, eqn: JaxprEqn, facts: list[Facts], needs: list[Needs]) -> float:
        """The share of its numbers that an equation computes: those that go in of a reduction, else those that come
        out, neither hidden nor without use."""
        if _jax.name(eqn) in folding.REDUCTIONS:
            return 1.0 - share_of(facts[0].hidden)
        if len(eqn.outvars) != 1:
            return 1.0
        hidden = self.env[eqn.outvars[0]].hidden
        if needs[0] is None:
            return 1.0 - share_of(hidden)
        return needed_share(needs[0] if hidden is None else together(without, [needs[0], hidden], hidden.shape))


def analysed(jaxpr: Jaxpr, consts: Sequence[Any], causal: bool = False) -> Body:
    """The settled body of a whole function, all of whose inputs are unknown and all of whose outputs are needed."""
    body = Body(jaxpr, consts, [UNKNOWN] * len(jaxpr.invars), causal)
    body.settle([None] * len(jaxpr.outvars))
    return body


def with_shares(plan: Plan, causal: bool | None = None) -> Plan:
    """The plan whose products of two activations know the share of them that masks leave, and all products the
    operands that are never negative.

    causal: see `optics.trace`.
    """
    if causal or not plan.has_shares:
        found = analysed(plan.jaxpr, plan.consts)
        filled = _filled(plan, found, analysed(plan.jaxpr, plan.consts, causal=True) if causal else found)
        plan = dataclasses.replace(filled, has_shares=True)
    if causal is False:
        plan = plan.each(lambda site: dataclasses.replace(site, share=1.0, hidden_by="", masked=""))
    return plan


def _filled(plan: Plan, found: Body, taken: Body) -> Plan:
    def of(number: int, site: Site) -> Site:
        site = dataclasses.replace(site, nonnegative=taken.nonnegative.get(number, ()))
        share = taken.shares.get(number, 1.0)
        if site.stationary or share == 1.0:
            return site
        known = share == found.shares[number]
        hidden_by = "mask" if known else "causal=True"
        return dataclasses.replace(site, share=share, hidden_by=hidden_by, masked=taken.masked[number])

    inner = {
        number: tuple(_filled(*each) for each in zip(plans, found.inner[number], taken.inner[number], strict=True))
        if number in found.inner
        else plans
        for number, plans in plan.inner.items()
    }
    return dataclasses.replace(plan, sites={n: of(n, site) for n, site in plan.sites.items()}, inner=inner)


def _add(wanted: dict[Any, Needs], atoms: Sequence[Any], needs: Sequence[Needs]) -> None:
    """What is looked at by one user more."""
    for atom, need in zip(atoms, needs, strict=True):
        if isinstance(atom, Literal):
            continue
        before = wanted.get(atom, need)
        wanted[atom] = None if need is None or before is None else union(before, need)
