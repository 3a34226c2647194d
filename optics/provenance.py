"""Where each value of a jaxpr comes from: the weights, the data, or neither."""

from collections.abc import Sequence

import numpy as np

from optics import _jax
from optics._jax import Jaxpr, JaxprEqn, Literal

# An origin is the names of the weights that a value is made of; none of them for what the function makes from
# nothing (a literal, an iota, a loop counter); DATA once anything else has touched it.
Origin = tuple[str, ...] | None
DATA: Origin = None
NEITHER: Origin = ()


def join(*origins: Origin) -> Origin:
    """Origin of a value computed from values of these origins."""
    if any(origin is DATA for origin in origins):
        return DATA
    return tuple(dict.fromkeys(name for origin in origins for name in origin))


def from_weights(origin: Origin) -> bool:
    """Whether a value is made of weights and of nothing that varies from call to call."""
    return bool(origin)


class Body:
    """A jaxpr inside an equation, its constants, and the origins of what flows into it."""

    def __init__(self, jaxpr, origins: Sequence[Origin]):
        self.jaxpr, self.consts = _jax.opened(jaxpr)
        self.origins = list(origins)

    def outputs(self) -> list[Origin]:
        """Origins of the jaxpr's outputs."""
        env = environment(self.jaxpr, self.consts, self.origins)
        for eqn in self.jaxpr.eqns:
            env.follow(eqn)
        return env.read(self.jaxpr.outvars)


class Environment(dict):
    """Origin by variable."""

    def read(self, atoms) -> list[Origin]:
        """Origins of variables and literals."""
        return [NEITHER if isinstance(atom, Literal) else self[atom] for atom in atoms]

    def follow(self, eqn: JaxprEqn) -> None:
        """Add the equation's outputs."""
        self.update(zip(eqn.outvars, _outputs(eqn, self.read(eqn.invars)), strict=True))


def environment(jaxpr: Jaxpr, consts: Sequence, origins: Sequence[Origin]) -> Environment:
    """The origins at a jaxpr's start. What a function closes over counts as data, scalars apart."""
    env = Environment()
    env.update(zip(jaxpr.constvars, (DATA if np.ndim(c) else NEITHER for c in consts), strict=True))
    env.update(zip(jaxpr.invars, origins, strict=True))
    return env


def bodies(eqn: JaxprEqn, origins: Sequence[Origin]) -> list[Body]:
    """The jaxprs that an equation runs, each with the origins of its inputs, loops brought to their fixed point."""
    match _jax.kind(eqn):
        case "call" | "remat" | "custom_jvp" | "custom_vjp":
            return [Body(_jax.inner_jaxpr(eqn), origins)]
        case "cond":
            return [Body(branch, origins[1:]) for branch in eqn.params["branches"]]
        case "scan":
            consts, carry = eqn.params["num_consts"], eqn.params["num_carry"]
            fixed, start, xs = origins[:consts], origins[consts : consts + carry], origins[consts + carry :]
            return [_settled(eqn.params["jaxpr"], fixed, start, xs)]
        case "while_loop":
            test, body = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
            start = origins[test + body :]
            settled = _settled(eqn.params["body_jaxpr"], origins[test : test + body], start, [])
            return [Body(eqn.params["cond_jaxpr"], [*origins[:test], *settled.origins[body:]]), settled]
        case _:
            return []


def _settled(jaxpr, fixed, carry, xs) -> Body:
    """The body of a loop once another turn no longer changes the origins of what it carries."""
    while True:
        body = Body(jaxpr, [*fixed, *carry, *xs])
        after = [join(a, b) for a, b in zip(carry, body.outputs()[: len(carry)], strict=True)]
        if after == list(carry):
            return body
        carry = after


def _outputs(eqn: JaxprEqn, origins: Sequence[Origin]) -> list[Origin]:
    inner = bodies(eqn, origins)
    match _jax.kind(eqn):
        case "call" | "remat" | "custom_jvp" | "custom_vjp":
            return inner[0].outputs()
        case "cond":
            return [join(*each) for each in zip(*(body.outputs() for body in inner), strict=True)]
        case "scan":
            carry, consts = eqn.params["num_carry"], eqn.params["num_consts"]
            return [*inner[0].origins[consts : consts + carry], *inner[0].outputs()[carry:]]
        case "while_loop":
            return inner[1].origins[eqn.params["body_nconsts"] :]
        case _:
            return [join(*origins)] * len(eqn.outvars)
