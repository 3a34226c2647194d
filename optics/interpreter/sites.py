"""Find the products of a function, decide which of them run on the core, and name them."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from optics.equations import _jax, products, ragged
from optics.equations._jax import ClosedJaxpr, JaxprEqn
from optics.interpreter import notices, op_count
from optics.interpreter.causal import with_shares
from optics.interpreter.dataflow import Body, CapturedArrays, Mark, Origin, bodies, join
from optics.interpreter.plan import SELECTED, Plan, Policy, Site, with_operand_on_mask

# Why no core does a product, by kind.
_NOT_ON_CORES = {
    "triangular": "triangular solve",
    "sparse": "sparse product",
    "sampled": "sparse product",
    "other": notices.UNKNOWN,
}
# What to do instead, by a part of the name of a primitive that is not entered.
_INSTEAD = {
    "pallas": "give the function a kernel's plain JAX form, as jax.nn.dot_product_attention with implementation='xla'",
    "dot_product_attention": "use jax.nn.dot_product_attention with implementation='xla'",
    "cudnn": "call the function that is fused itself",
    "scaled_matmul": "multiply by the scales outside of a jnp.matmul",
    "custom_partitioning": "call the function that it wraps",
    "custom_linear_solve": "write the solver's products outside of jax.lax.custom_linear_solve",
    "linear_call": "call the function that it wraps",
    "callback": "write its product in JAX",
    "ffi_call": "write its product in JAX",
}


def plan_jaxpr(closed: ClosedJaxpr, origins: Sequence[Origin], policy: Policy, captured: CapturedArrays) -> Plan:
    """The plan of a function's jaxpr, given the origin of each input and those of the arrays that it captures."""
    planner = _Planner(policy)
    found = planner.visit(Body(closed, origins, captured), _Place())
    if getattr(policy, "reads_shares", False):
        found = with_shares(found)
    return found.each(planner.placed)


class _Place(NamedTuple):
    """Where an equation stands: the steps of the scans and the number of shards around it, and in what else."""

    lengths: tuple[int, ...] = ()
    shards: int = 1
    bounded: bool = True
    conditional: bool = False

    def inside(self, eqn: JaxprEqn) -> "_Place":
        """The place of what stands in the jaxprs of an equation here."""
        match _jax.kind(eqn):
            case "scan":
                return self._replace(lengths=(*self.lengths, _jax.repeats(eqn)))
            case "shard_map":
                return self._replace(shards=self.shards * _jax.repeats(eqn))
            case "while_loop":
                return self._replace(bounded=False)
            case "cond":
                return self._replace(conditional=True)
            case _:
                return self


class _Planner:
    def __init__(self, policy: Policy):
        self.policy = policy
        self.count = self.late = 0
        self.digital: set[int] = set()

    def visit(self, body: Body, place: _Place) -> Plan:
        env = body.start()
        sites: dict[int, Site] = {}
        inner: dict[int, tuple[Plan, ...]] = {}
        constant = set()
        for number, eqn in enumerate(body.jaxpr.eqns):
            origins = env.read(eqn.invars)
            within = place.inside(eqn)
            if plans := tuple(self.visit(each, within) for each in bodies(eqn, origins, body.captured)):
                inner[number] = plans
            elif any(o.is_masked_weights for o in origins) and _jax.kind(eqn) == "other" and _jax.holds_product(eqn):
                raise ValueError(
                    f"a product of weights stands inside the primitive {_jax.name(eqn)!r}, which optics.emulate "
                    f"does not enter; {_instead(eqn)}, or keep these weights out of the `weights` argument"
                )
            elif site := self.site(eqn, origins, place):
                sites[number] = site
            env.follow(eqn)
            if any(origin.is_constant for origin in env.read(eqn.outvars)):
                constant.add(number)
        return Plan(body.jaxpr, body.consts, sites, inner, frozenset(constant))

    def site(self, eqn: JaxprEqn, origins: Sequence[Origin], place: _Place) -> Site | None:
        """The site of a product, of an unknown primitive that takes weights, or of one that holds products.

        None for anything else, and for a product of weights alone, which is done once, before anything runs.
        """
        kind = _jax.kind(eqn)
        if not any(origin.marks for origin in origins):
            return None
        unknown = kind == "other" and not op_count.is_known(eqn)
        if _jax.is_product(eqn):
            pair = [origins[side] for side in products.operands(eqn)]
            stands = _weight_operand(pair)
            weights_first = stands == 0 or stands is None and kind == "product" and _first_is_chosen(pair)
            sizes = products.sizes(eqn, weights_first)
        elif unknown and (any(o.names for o in origins) or _jax.holds_product(eqn) or _jax.is_outside(eqn)):
            pair, stands, weights_first, sizes = origins, None, False, products.Sizes(0, 0, 0, 0)
        else:
            return None
        if stands is not None:
            weights, captured = pair[stands], pair[1 - stands].is_captured
        else:
            weights, captured = join(*(origin for origin in pair if Mark.DATA not in origin.marks)), False
        varies, refusal = any(o.varies for o in origins), _refusal(eqn, weights_first, bool(weights.names))
        index = self.number(late=kind not in ("product", "convolution") or not varies)
        if refusal or not varies:
            self.digital.add(index)
        return Site(
            index=index,
            path="+".join(weights.names) if weights.names and (stands is not None or unknown) else "activations",
            rows=sizes.rows,
            columns=sizes.columns,
            vectors=sizes.vectors,
            matrices=sizes.matrices,
            executions=math.prod(place.lengths) * place.shards,
            stationary=stands is not None,
            weights_first=weights_first,
            optical=False,
            bounded=place.bounded,
            kind=_jax.name(eqn),
            reason=_reason(refusal, pair, stands),
            weights="+".join(weights.names),
            selected=bool(weights.marks & {Mark.BRANCHED, Mark.SELECTED}),
            conditional=place.conditional,
            captured=captured,
            repeated=products.repeated(eqn),
            scan_lengths=place.lengths,
            positions=products.positions(eqn, weights_first) if stands is not None else 0,
            heads=products.heads(eqn),
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


def _instead(eqn: JaxprEqn) -> str:
    """What to do in place of a primitive that holds a product of weights."""
    name = _jax.name(eqn)
    return next((text for part, text in _INSTEAD.items() if part in name), "move it out")


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


def _refusal(eqn: JaxprEqn, weights_first: bool, has_weights: bool) -> str:
    """Why no core does a product, or what may be one, "" if cores do it."""
    match _jax.kind(eqn):
        case "other" if not has_weights:
            return notices.OUTSIDE if _jax.is_outside(eqn) else notices.NOT_ENTERED
        case "convolution":
            return notices.IMAGE_OF_WEIGHTS if weights_first else ""
        case "ragged":
            return ragged.refusal(eqn, weights_first)
        case kind:
            return _NOT_ON_CORES.get(kind, "")


def _reason(refusal: str, pair: Sequence[Origin], stands: int | None) -> str:
    """Why a product whose operand `stands` is of weights is digital, unless the policy puts it on a core."""
    if refusal and (stands is not None or refusal in notices.UNCOUNTED):
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
