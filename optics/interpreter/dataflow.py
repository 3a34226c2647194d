"""The origin of each value of a jaxpr: weights, data, captured arrays, or weights selected by data."""

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from optics.equations import _jax
from optics.equations._jax import JaxprEqn, Literal


class Mark(enum.Enum):
    """What a value depends on beside weights.

    DATA: an argument that holds no weights. CAPTURED: a concrete array that the function captures; together with
    weights it is a mask, a permutation or a scale of them. ACTIVATION: a captured tracer, or a product of captured
    arrays with weights. SELECTED: an element-wise, gathered or sliced selection by data. BRANCHED: a branch of a
    `cond` that data select, or a `while` whose number of steps depends on data.
    """

    DATA = enum.auto()
    CAPTURED = enum.auto()
    ACTIVATION = enum.auto()
    SELECTED = enum.auto()
    BRANCHED = enum.auto()


class Origin(NamedTuple):
    """The names of the weights that a value is made of, and its marks; neither for a literal, an iota, a counter.

    With the mark DATA no names and no other mark are kept.
    """

    names: tuple[str, ...] = ()
    marks: frozenset[Mark] = frozenset()

    @property
    def is_constant(self) -> bool:
        """Whether the value is the same in each call with the same weights."""
        return self.marks <= {Mark.CAPTURED}

    @property
    def varies(self) -> bool:
        """Whether the value is, or may be, an activation: neither weights nor a branch of them."""
        return not self.marks <= {Mark.BRANCHED}

    @property
    def is_weights(self) -> bool:
        """Whether the value can stand on the mask: weights, or a branch of weights."""
        return bool(self.names) and self.marks <= {Mark.BRANCHED}

    @property
    def is_masked_weights(self) -> bool:
        """Whether the value is made of weights and, at most, of captured arrays and branches."""
        return bool(self.names) and self.marks <= {Mark.BRANCHED, Mark.CAPTURED}

    @property
    def is_captured(self) -> bool:
        """Whether the value is made of captured arrays, of weights at most, and of no data."""
        return self.varies and self.marks <= {Mark.CAPTURED, Mark.ACTIVATION, Mark.BRANCHED}


DATA = Origin(marks=frozenset({Mark.DATA}))
CAPTURED = Origin(marks=frozenset({Mark.CAPTURED}))
ACTIVATION = Origin(marks=frozenset({Mark.ACTIVATION}))
NEITHER = Origin()


def named(name: str) -> Origin:
    """Origin of an array of the weights."""
    return Origin((name,))


def join(*origins: Origin) -> Origin:
    """Origin of a value computed from values of these origins."""
    marks = frozenset().union(*(origin.marks for origin in origins))
    if Mark.DATA in marks:
        return DATA
    return Origin(tuple(dict.fromkeys(name for origin in origins for name in origin.names)), marks)


def selected(index: Origin, value: Origin) -> Origin:
    """Origin of the elements of `value` that `index` selects: of weights they are weights selected by data."""
    if index.is_constant:
        return join(index, value)
    if not value.names:
        return join(DATA, value)
    return join(value, Origin(marks=frozenset({Mark.SELECTED})))


def branched(index: Origin, value: Origin) -> Origin:
    """Origin of the output `value` of a branch selected by `index`, or of a loop whose number of steps `index` sets."""
    return value if index.is_constant else join(value, Origin(marks=frozenset({Mark.BRANCHED})))


def multiplied(*operands: Origin) -> Origin:
    """Origin of a product of activations, or of activations with weights."""
    joined = join(*operands)
    if joined.marks <= {Mark.CAPTURED, Mark.ACTIVATION}:
        return joined if not joined.names else join(joined, ACTIVATION)
    return DATA


class CapturedArrays:
    """Origins of the arrays that a function captures: weights, those of floating-point numbers, if it is said so.

    Attributes:
        are_weights: whether it is.
        weights: those found so far, by name.
    """

    def __init__(self, are_weights: bool = False):
        self.are_weights = are_weights
        self.weights: dict[str, Any] = {}

    def origin(self, value: Any) -> Origin:
        """Origin of what a function captures; a number is part of the function."""
        if not np.ndim(value):
            return NEITHER
        if self.are_weights and jnp.issubdtype(value.dtype, jnp.inexact):
            # Bodies of jaxprs are visited several times, and one array is captured by several.
            known = [name for name, array in self.weights.items() if array is value]
            name = known[0] if known else f"captured.{len(self.weights)}"
            self.weights[name] = value
            return named(name)
        return ACTIVATION if isinstance(value, Tracer) else CAPTURED


class Body:
    """A jaxpr inside an equation, its constants, and the origins of what flows into it."""

    def __init__(self, jaxpr, origins: Sequence[Origin], captured: CapturedArrays):
        self.jaxpr, self.consts = _jax.opened(jaxpr)
        self.origins, self.captured = list(origins), captured

    def start(self) -> "Environment":
        """The origins at the jaxpr's start."""
        env = Environment(self.captured)
        env.update(zip(self.jaxpr.constvars, map(self.captured.origin, self.consts), strict=True))
        env.update(zip(self.jaxpr.invars, self.origins, strict=True))
        return env

    def outputs(self) -> list[Origin]:
        """Origins of the jaxpr's outputs."""
        env = self.start()
        for eqn in self.jaxpr.eqns:
            env.follow(eqn)
        return env.read(self.jaxpr.outvars)


class Environment(dict):
    """Origin by variable, in a function that captures these arrays."""

    def __init__(self, captured: CapturedArrays):
        super().__init__()
        self.captured = captured

    def read(self, atoms) -> list[Origin]:
        """Origins of variables and literals."""
        return [NEITHER if isinstance(atom, Literal) else self[atom] for atom in atoms]

    def follow(self, eqn: JaxprEqn) -> None:
        """Add the equation's outputs."""
        self.update(zip(eqn.outvars, _outputs(eqn, self.read(eqn.invars), self.captured), strict=True))


def bodies(eqn: JaxprEqn, origins: Sequence[Origin], captured: CapturedArrays) -> list[Body]:
    """The jaxprs that an equation runs, each with the origins of its inputs, loops brought to their fixed point."""
    match _jax.kind(eqn):
        case "call" | "remat" | "custom_jvp" | "custom_vjp" | "shard_map":
            return [Body(_jax.call_body(eqn), origins, captured)]
        case "cond":
            return [Body(branch, origins[1:], captured) for branch in _jax.cond(eqn).branches]
        case "scan":
            scan = _jax.scan(eqn)
            first_slice = scan.consts + scan.carry
            fixed, start, xs = origins[: scan.consts], origins[scan.consts : first_slice], origins[first_slice:]
            return [_settled(scan.body, fixed, start, xs, captured)]
        case "while_loop":
            loop = _jax.while_loop(eqn)
            first_carried = loop.test_consts + loop.body_consts
            fixed, start = origins[loop.test_consts : first_carried], origins[first_carried:]
            settled = _settled(loop.body, fixed, start, [], captured)
            test = Body(loop.test, [*origins[: loop.test_consts], *settled.origins[loop.body_consts :]], captured)
            return [test, settled]
        case _:
            return []


def _settled(jaxpr, fixed, carry, xs, captured: CapturedArrays) -> Body:
    """The body of a loop once another step no longer changes the origins of the carried values."""
    while True:
        body = Body(jaxpr, [*fixed, *carry, *xs], captured)
        after = [join(a, b) for a, b in zip(carry, body.outputs()[: len(carry)], strict=True)]
        if after == list(carry):
            return body
        carry = after


def _outputs(eqn: JaxprEqn, origins: Sequence[Origin], captured: CapturedArrays) -> list[Origin]:
    inner = bodies(eqn, origins, captured)
    match _jax.kind(eqn):
        case "call" | "remat" | "custom_jvp" | "custom_vjp" | "shard_map":
            return inner[0].outputs()
        case "cond":
            joined = (join(*each) for each in zip(*(body.outputs() for body in inner), strict=True))
            return [branched(origins[0], each) for each in joined]
        case "scan":
            scan = _jax.scan(eqn)
            carried = inner[0].origins[scan.consts : scan.consts + scan.carry]
            return [*carried, *inner[0].outputs()[scan.carry :]]
        case "while_loop":
            (test,) = inner[0].outputs()
            return [branched(test, each) for each in inner[1].origins[_jax.while_loop(eqn).body_consts :]]
        case _ if path := _jax.weights_named(eqn):
            marks = frozenset() if origins[0].is_constant else frozenset({Mark.SELECTED})
            return [Origin((path,), marks)]
        case _ if _jax.is_product(eqn) and any(origin.varies for origin in origins):
            return [multiplied(*origins)] * len(eqn.outvars)
        case _:
            index, values = _jax.selection(eqn, origins)
            return [selected(join(*index), join(*values))] * len(eqn.outvars)
