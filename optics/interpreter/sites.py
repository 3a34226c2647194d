"""Find the products of a function, decide which of them run on the core, and name them."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from optics.equations import _jax, products, ragged
from optics.equations._jax import ClosedJaxpr, JaxprEqn
from optics.interpreter import notices, op_count
from optics.interpreter.causal import with_shares
from optics.interpreter.dataflow import DATA, Body, Mark, Origin, bodies, environment, join, named
from optics.interpreter.plan import SELECTED, Plan, Policy, Site, stationary, with_operand_on_mask

# Why no core does a product, by kind.
_NOT_ON_CORES = {
    "triangular": "triangular solve",
    "sparse": "sparse product",
    "sampled": "sparse product",
    "other": notices.UNKNOWN,
}


def plan_jaxpr(closed: ClosedJaxpr, origins: Sequence[Origin], policy: Policy = stationary) -> Plan:
    """The plan of a function's jaxpr, given the origin of each input."""
    planner = _Planner(policy)
    found = planner.visit(Body(closed, origins), lengths=(), bounded=True, conditional=False)
    if getattr(policy, "reads_shares", False):
        found = with_shares(found)
    return found.each(planner.placed)


class _Planner:
    def __init__(self, policy: Policy):
        self.policy = policy
        self.count = self.late = 0
        self.digital: set[int] = set()

    def visit(self, body: Body, lengths: tuple[int, ...], bounded: bool, conditional: bool) -> Plan:
        env = environment(body.jaxpr, body.consts, body.origins)
        sites: dict[int, Site] = {}
        inner: dict[int, tuple[Plan, ...]] = {}
        constant = set()
        for number, eqn in enumerate(body.jaxpr.eqns):
            origins = env.read(eqn.invars)
            kind = _jax.kind(eqn)
            within = (*lengths, _jax.steps(eqn)) if kind == "scan" else lengths
            where = {"bounded": bounded and kind != "while_loop", "conditional": conditional or kind == "cond"}
            if plans := tuple(self.visit(each, within, **where) for each in bodies(eqn, origins)):
                inner[number] = plans
            elif kind == "other" and any(o.is_masked_weights for o in origins) and _jax.contains_product(eqn):
                raise ValueError(
                    f"a product of weights stands inside the primitive {_jax.name(eqn)!r}, which optics.emulate "
                    "does not enter; move it out, or keep these weights out of the `weights` argument"
                )
            elif site := self.site(eqn, origins, lengths, **where):
                sites[number] = site
            env.follow(eqn)
            if any(origin.is_constant for origin in env.read(eqn.outvars)):
                constant.add(number)
        return Plan(body.jaxpr, body.consts, sites, inner, frozenset(constant))

    def site(
        self, eqn: JaxprEqn, origins: Sequence[Origin], lengths: tuple[int, ...], bounded: bool, conditional: bool
    ) -> Site | None:
        """The site of a product, or of an unknown primitive that takes weights and data.

        None for anything else, and for a product of weights alone, which is done once, before anything runs.
        """
        kind = _jax.kind(eqn)
        if not any(origin.marks for origin in origins):
            return None
        if _jax.is_product(eqn):
            pair = [origins[side] for side in products.operands(eqn)]
            stands = _weight_operand(pair)
            weights_first = stands == 0 or stands is None and kind == "product" and _first_is_chosen(pair)
            sizes = products.sizes(eqn, weights_first)
        elif kind == "other" and any(o.names for o in origins) and not op_count.is_known(eqn):
            pair, stands, weights_first, sizes = origins, None, False, products.Sizes(0, 0, 0, 0)
        else:
            return None
        if stands is not None:
            weights, captured = pair[stands], pair[1 - stands].is_captured
        else:
            weights, captured = join(*(origin for origin in pair if Mark.DATA not in origin.marks)), False
        varies, refusal = any(o.varies for o in origins), _refusal(eqn, weights_first)
        index = self.number(late=kind not in ("product", "convolution") or not varies)
        if refusal or not varies:
            self.digital.add(index)
        return Site(
            index=index,
            path="+".join(weights.names) if stands is not None or kind == "other" else "activations",
            rows=sizes.rows,
            columns=sizes.columns,
            vectors=sizes.vectors,
            matrices=sizes.matrices,
            executions=math.prod(lengths),
            stationary=stands is not None,
            weights_first=weights_first,
            optical=False,
            bounded=bounded,
            kind=_jax.name(eqn),
            reason=_reason(refusal, pair, stands),
            weights="+".join(weights.names),
            selected=bool(weights.marks & {Mark.BRANCHED, Mark.SELECTED}),
            conditional=conditional,
            captured=captured,
            repeated=products.repeated(eqn),
            scan_lengths=lengths,
            experts=sizes.experts,
        )

    def number(self, late: bool) -> int:
        """The next index; of a late site a negative one, until the others are counted."""
        if late:
            self.late += 1
            return -self.late
        self.count += 1
        return self.count - 1

    def placed(self, site: Site) -> Site:
        """The site with its final index, on the core if it is a product that cores do and the policy says so."""
        on_cores = site.index not in self.digital
        if site.index < 0:
            site = dataclasses.replace(site, index=self.count - site.index - 1)
        if not on_cores or not (choice := self.policy(site)):
            return site
        site = with_operand_on_mask(site, choice) if isinstance(choice, str) else site
        if 0 in (site.rows, site.columns, site.vectors, site.matrices, site.experts):
            experts = f" of {site.experts} experts" if site.kind == "ragged_dot_general" else ""
            raise ValueError(
                f"site {site.name!r} multiplies arrays with a dimension of 0: {site.matrices} x {site.vectors} vectors "
                f"with {site.rows} rows and {site.columns} columns of weights{experts}"
            )
        return dataclasses.replace(site, optical=True, reason="")


def _weight_operand(pair: Sequence[Origin]) -> int | None:
    """Which of two operands stands on the mask: the one of weights, else the one of masked weights, if there is one."""
    if not any(origin.varies for origin in pair):
        return None
    for side in (0, 1):
        if pair[side].is_weights:
            return side
    masked = [side for side in (0, 1) if pair[side].is_masked_weights]
    return masked[0] if len(masked) == 1 else None


def _first_is_chosen(pair: Sequence[Origin]) -> bool:
    """Whether the first of two operands is of weights that data select, and the second of data."""
    first, second = pair
    return bool(first.names) and Mark.SELECTED in first.marks and Mark.DATA in second.marks


def _refusal(eqn: JaxprEqn, weights_first: bool) -> str:
    """Why no core does a product, "" if cores do it."""
    match _jax.kind(eqn):
        case "convolution":
            return notices.IMAGE_OF_WEIGHTS if weights_first else ""
        case "ragged":
            return ragged.refusal(eqn, weights_first)
        case kind:
            return _NOT_ON_CORES.get(kind, "")


def _reason(refusal: str, pair: Sequence[Origin], stands: int | None) -> str:
    """Why a product whose operand `stands` is of weights is digital, unless the policy puts it on a core."""
    if refusal and (stands is not None or refusal == notices.UNKNOWN):
        return refusal
    if stands is not None:
        return notices.POLICY
    of_data = [origin for origin in pair if origin.marks & {Mark.DATA, Mark.SELECTED}]
    others = [origin for origin in pair if origin not in of_data]
    if not of_data:
        if not any(origin.varies for origin in pair):
            return SELECTED
        return notices.CAPTURED if all(origin.is_masked_weights for origin in pair) else notices.CONSTANTS
    if others:
        return notices.CAPTURED if others[0].varies else notices.ACTIVATIONS
    weights = [origin for origin in of_data if Mark.DATA not in origin.marks]
    return SELECTED if len(weights) == 1 else notices.ACTIVATIONS


class Call(NamedTuple):
    """A planned call of a function: its plan, its inputs, the tree of its result, and by name the numbers and strings
    among its arguments that are part of the function."""

    plan: Plan
    inputs: list[Any]
    tree: Any
    fixed: dict[str, Any]


def plan_call(
    fun: Callable,
    weights: int | Sequence[int],
    policy: Policy,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
) -> Call:
    """Plan fun(*args, **kwargs); the arguments numbered in `weights` hold the weights.

    Arrays, shapes, and positional Python floats are inputs. All other leaves are part of the function: Python bools,
    ints, strings, an activation function in a module, and numbers given by keyword. Raises ValueError where `weights`
    names no argument, or one without an array in it. Warns as `optics.interpreter.notices` says.
    """
    weight_argnums = _weight_argnums(weights, args)
    with_paths, tree = jax.tree_util.tree_flatten_with_path((tuple(args), dict(kwargs or {})))
    leaves = [leaf for _, leaf in with_paths]
    by_position = len(jax.tree.leaves(tuple(args)))
    inputs = [i for i, leaf in enumerate(leaves) if _is_array(leaf) or i < by_position and _is_float(leaf)]

    def of_inputs(*values):
        filled = list(leaves)
        for number, value in zip(inputs, values, strict=True):
            filled[number] = value
        positional, named = jax.tree.unflatten(tree, filled)
        return fun(*positional, **named)

    values = [leaves[number] for number in inputs]
    closed, shape = jax.make_jaxpr(of_inputs, return_shape=True)(*values)
    origins = [origin for i, arg in enumerate(args) for origin in _origins(arg, i in weight_argnums)]
    origins += [DATA] * (len(leaves) - by_position)
    found = plan_jaxpr(closed, [origins[number] for number in inputs], policy)
    sites = found.all_sites()
    notices.warn_of_digital(sites, weights, stacklevel=3, default_policy=policy is stationary)
    if not any(origins[number] == DATA and _is_array(leaves[number]) for number in inputs):
        notices.warn_of_argument(sites, weights, stacklevel=3)
    fixed = {
        "argument " + jax.tree_util.keystr(path[1:], simple=True, separator="."): leaf
        for number, (path, leaf) in enumerate(with_paths)
        if number not in inputs and isinstance(leaf, int | float | complex | str)
    }
    return Call(found, values, jax.tree.structure(shape), fixed)


def _weight_argnums(weights: int | Sequence[int], args: Sequence[Any]) -> set[int]:
    numbers = (weights,) if isinstance(weights, int) else weights
    if not isinstance(numbers, Sequence) or not all(isinstance(number, int) for number in numbers):
        raise ValueError(f"weights = {weights!r} must be the number of an argument, or several")
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ValueError(f"weights={number} names no argument: the function got {len(args)} by position")
        if not any(map(_is_array, jax.tree.leaves(args[number]))):
            raise ValueError(f"argument {number}, named by `weights`, holds no array")
    return {number % len(args) for number in numbers}


def _is_array(leaf: Any) -> bool:
    """Whether a leaf is an array or the shape of one; NumPy's scalars and JAX's arrays of no dimension are."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, float | complex)


def _origins(arg: Any, are_weights: bool) -> list[Origin]:
    leaves = jax.tree_util.tree_leaves_with_path(arg)
    if not are_weights:
        return [DATA] * len(leaves)
    return [named(jax.tree_util.keystr(path, simple=True, separator=".") or "weights") for path, _ in leaves]


def trace(
    fun: Callable, weights: int | Sequence[int] = 0, *, policy: Policy = stationary, causal: bool | None = None
) -> Callable[..., tuple[Site, ...]]:
    """A function of fun's arguments that returns the products in it, without running it.

    Works on `jax.ShapeDtypeStruct` as well as on arrays, so a model need not fit in memory. `weights` numbers the
    arguments whose arrays stand on the mask; `policy` says of each site whether it goes on the core.

    Scores of an attention that are hidden by a mask known at trace time (made of iotas, comparisons, captured arrays)
    are left out of the sites' MACs, see `optics.interpreter.causal`. causal: True takes a mask that is data and
    replaces scores by a large negative number for a causal one as well, of queries and keys along its last two axes;
    False counts all scores, whatever hides them. Give `optics.count_elementwise_ops` the same.
    """

    def sites(*args: Any, **kwargs: Any) -> tuple[Site, ...]:
        found = plan_call(fun, weights, policy, args, kwargs).plan
        # The plan for a policy that reads the shares has those of known masks.
        known = getattr(policy, "reads_shares", False)
        if causal is False and known:
            found = found.each(lambda site: dataclasses.replace(site, share=1.0, hidden_by="", masked=""))
        elif causal is not None or not known:
            found = with_shares(found, causal)
        return tuple(found.all_sites())

    return sites
