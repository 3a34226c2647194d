"""Finding the products of a function: which there are, which of them go on the core, and what each is called."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax

from optics import _jax
from optics._jax import ClosedJaxpr, Jaxpr, JaxprEqn
from optics.causal import with_shares
from optics.provenance import DATA, Body, Origin, bodies, environment, from_weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """One product in a function: `matrices` products of [vectors, rows] @ [rows, columns], run `executions` times.

    index: order of appearance; path: where its weights stand in the weight tree; stationary: one operand is made of
    weights alone; weights_first: that operand is the first one; optical: it runs on the core; bounded: False inside
    a `while`, whose turns nobody knows beforehand: one is counted. Of a `cond` all branches are counted. share: the
    share of the MACs of a product of two activations that is left by a mask on the scores of an attention; hidden_by:
    "mask" where the function itself says so, "causal=True" where the caller of `trace` did, "" where nobody does.
    """

    index: int
    path: str
    rows: int
    columns: int
    vectors: int
    matrices: int
    executions: int
    stationary: bool
    weights_first: bool
    optical: bool
    bounded: bool
    share: float = 1.0
    hidden_by: str = ""

    @property
    def name(self) -> str:
        """Stable name: order of appearance, path, shape."""
        return f"{self.index:03d} {self.path} {self.rows}x{self.columns}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call of the function, those apart that a mask hides."""
        return round(self.share * (self.rows * self.columns * self.vectors * self.matrices * self.executions))


Policy = Callable[[Site], bool]


def stationary(site: Site) -> bool:
    """The default policy: on the core goes what multiplies weights; products of two activations stay digital."""
    return site.stationary


def everything(site: Site) -> bool:
    """Attention too: products of two activations go on the core and pay for writing the mask each time."""
    return True


@dataclasses.dataclass(frozen=True)
class Plan:
    """A jaxpr, its sites by equation number, and the plans of the jaxprs inside its equations that hold sites."""

    jaxpr: Jaxpr
    consts: Sequence[Any]
    sites: dict[int, Site]
    inner: dict[int, tuple["Plan", ...]]

    def all_sites(self) -> list[Site]:
        """Every site, in order of appearance."""
        found = [
            *self.sites.values(),
            *(s for plans in self.inner.values() for p in plans for s in p.all_sites()),
        ]
        return sorted(found, key=lambda site: site.index)

    def holds_optical(self) -> bool:
        """Whether anything in here runs on the core."""
        return any(site.optical for site in self.all_sites())


def plan(closed: ClosedJaxpr, origins: Sequence[Origin], policy: Policy = stationary) -> Plan:
    """The plan of a function's jaxpr, given the origin of each input."""
    return _Planner(policy).visit(Body(closed, origins), executions=1, bounded=True)


class _Planner:
    def __init__(self, policy: Policy):
        self.policy = policy
        self.count = 0

    def visit(self, body: Body, executions: int, bounded: bool) -> Plan:
        env = environment(body.jaxpr, body.consts, body.origins)
        sites: dict[int, Site] = {}
        inner: dict[int, tuple[Plan, ...]] = {}
        for number, eqn in enumerate(body.jaxpr.eqns):
            origins = env.read(eqn.invars)
            turns = executions * (eqn.params["length"] if _jax.kind(eqn) == "scan" else 1)
            known = bounded and _jax.kind(eqn) != "while_loop"
            plans = tuple(self.visit(each, turns, known) for each in bodies(eqn, origins))
            if any(p.all_sites() for p in plans):
                inner[number] = plans
            elif _jax.is_product(eqn) and (site := self.site(eqn, origins, executions, bounded)):
                sites[number] = site
            elif _jax.kind(eqn) == "other" and any(map(from_weights, origins)) and _jax.contains_product(eqn):
                raise ValueError(
                    f"a product of weights stands inside the primitive {eqn.primitive.name!r}, which optics.emulate "
                    "does not enter; move it out, or keep these weights out of the `weights` argument"
                )
            env.follow(eqn)
        return Plan(body.jaxpr, body.consts, sites, inner)

    def site(self, eqn: JaxprEqn, origins: Sequence[Origin], executions: int, bounded: bool) -> Site | None:
        """The site of a product; None for one of weights alone, which is done once, before anything runs."""
        if not any(origin is DATA for origin in origins):
            return None
        weights_first = from_weights(origins[0])
        held = weights_first or from_weights(origins[1])
        sizes = _convolution_sizes(eqn) if _jax.kind(eqn) == "convolution" else _product_sizes(eqn, weights_first)
        site = Site(
            index=self.count,
            path="+".join(origins[0 if weights_first else 1]) if held else "activations",
            **sizes,
            executions=executions,
            stationary=held,
            weights_first=weights_first,
            optical=False,
            bounded=bounded,
        )
        self.count += 1
        optical = _jax.kind(eqn) == "product" and self.policy(site)
        if optical and 0 in (site.rows, site.columns, site.vectors, site.matrices):
            shapes = " and ".join(str(atom.aval.shape) for atom in eqn.invars)
            raise ValueError(f"site {site.name!r} multiplies arrays with a dimension of 0: {shapes}")
        return dataclasses.replace(site, optical=optical)


def _product_sizes(eqn: JaxprEqn, weights_first: bool) -> dict[str, int]:
    (contract, _), (batch, _) = eqn.params["dimension_numbers"]
    left, right = (math.prod(atom.aval.shape) for atom in eqn.invars)
    lhs = eqn.invars[0].aval.shape
    rows, matrices = math.prod(lhs[d] for d in contract), math.prod(lhs[d] for d in batch)
    shared = max(rows * matrices, 1)
    free = (left // shared, right // shared)
    return {
        "rows": rows,
        "columns": free[0] if weights_first else free[1],
        "vectors": free[1] if weights_first else free[0],
        "matrices": matrices,
    }


def _convolution_sizes(eqn: JaxprEqn) -> dict[str, int]:
    kernel, out = eqn.invars[1].aval.shape, eqn.outvars[0].aval.shape
    numbers = eqn.params["dimension_numbers"]
    columns = kernel[numbers.rhs_spec[0]]
    return {
        "rows": math.prod(kernel) // max(columns, 1),
        "columns": columns,
        "vectors": math.prod(out) // max(columns, 1),
        "matrices": 1,
    }


def plan_call(
    fun: Callable, weights: int | Sequence[int], policy: Policy, args: Sequence[Any]
) -> tuple[Plan, list[Any], Any]:
    """(plan, its inputs, output tree) of fun(*args); the arguments numbered in `weights` hold the weights.

    Leaves that are arrays, shapes or numbers are inputs; all others (an activation function in a module) are part of
    the function. Raises ValueError where `weights` names no argument, or one without an array in it. Warns where, by
    the default policy, nothing at all would run on a core.
    """
    held = _held(weights, args)
    leaves, tree = jax.tree.flatten(tuple(args))
    inputs = [number for number, leaf in enumerate(leaves) if _is_input(leaf)]

    def of_inputs(*values):
        filled = list(leaves)
        for number, value in zip(inputs, values, strict=True):
            filled[number] = value
        return fun(*jax.tree.unflatten(tree, filled))

    values = [leaves[number] for number in inputs]
    closed, shape = jax.make_jaxpr(of_inputs, return_shape=True)(*values)
    origins = [origin for i, arg in enumerate(args) for origin in _origins(arg, i in held)]
    found = plan(closed, [origins[number] for number in inputs], policy)
    if policy is stationary and not found.holds_optical():
        warnings.warn(
            f"no product in the function has an operand made of the weights (argument {weights}) alone, so nothing "
            "runs on the core; weights that the function closes over count as data",
            stacklevel=3,
        )
    return found, values, jax.tree.structure(shape)


def _held(weights: int | Sequence[int], args: Sequence[Any]) -> set[int]:
    held = (weights,) if isinstance(weights, int) else weights
    if not isinstance(held, Sequence) or not all(isinstance(number, int) for number in held):
        raise ValueError(f"weights = {weights!r} must be the number of an argument, or several")
    for number in held:
        if not -len(args) <= number < len(args):
            raise ValueError(f"weights={number} names no argument: the function got {len(args)} by position")
        if not any(map(_is_input, jax.tree.leaves(args[number]))):
            raise ValueError(f"argument {number}, named by `weights`, holds no array")
    return {number % len(args) for number in held}


def _is_input(leaf: Any) -> bool:
    return isinstance(leaf, int | float | complex) or (hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def _origins(arg: Any, held: bool) -> list[Origin]:
    leaves = jax.tree_util.tree_leaves_with_path(arg)
    if not held:
        return [DATA] * len(leaves)
    return [(jax.tree_util.keystr(path, simple=True, separator=".") or "weights",) for path, _ in leaves]


def trace(
    fun: Callable, weights: int | Sequence[int] = 0, *, policy: Policy = stationary, causal: bool | None = None
) -> Callable[..., tuple[Site, ...]]:
    """A function of fun's arguments that returns the products in it, without running it.

    Works on `jax.ShapeDtypeStruct` as well as on arrays, so a model need not fit in memory. `weights` numbers the
    arguments whose arrays stand on the mask; `policy` says of each site whether it goes on the core.

    Scores of an attention that are hidden by a mask known at trace time (made of iotas, comparisons, captured arrays)
    are left out of the sites' MACs, see `optics.causal`. causal: True takes a mask that is data and replaces scores by
    a large negative number for a causal one as well, of queries and keys along its last two axes; False counts all
    scores, whatever hides them. Give `optics.census` the same.
    """

    def sites(*args: Any, **kwargs: Any) -> tuple[Site, ...]:
        found = plan_call(lambda *a: fun(*a, **kwargs), weights, policy, args)[0]
        return tuple(with_shares(found, causal).all_sites())

    return sites
