"""A planned function: its products, which of them go on the core, and where they stand in its jaxpr."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from optics.equations._jax import Jaxpr


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """One product in a function: `matrices` products of [vectors, rows] @ [rows, columns], run `executions` times.

    index: order of appearance; path: where its weights stand in the weight tree; stationary: one operand is made of
    weights, masked or permuted at most by captured arrays; weights_first: the first operand stands on the mask;
    optical: it runs on the core; bounded: False inside a `while`, whose number of steps is unknown; one is counted.
    kind: the name of its primitive; reason: why it is digital, "" on the core; weights: the names of all weights in an
    operand that holds no data; selected: data select the weights among several, so that `load` cannot put them on the
    mask; conditional: it stands in a branch of a `cond`, all of which are counted; captured: the other operand is made
    of captured arrays, so that no argument is its input. repeated: the share of the elements of the vectors that
    repeat an element of the input, as in the patches of a convolution. experts: number of groups of a ragged product,
    each of which has its own matrices; data decide which group a vector is in. scan_lengths: steps of the scans that
    the site stands in, the outermost first. positions: of a dot_general with weights, the size of the last axis of its
    vectors, as tokens, so that vector v is at position v mod `positions`; 0 of any other product. heads: of a
    dot_general of several matrices, the size of the last axis that numbers them, as the heads of keys of an attention
    (each with the heads of queries that share it), so that matrix m is of head m mod `heads`; 0 without such an axis.
    share: the share of the MACs of a product of two activations that is left by a mask on the scores of an attention;
    hidden_by: "mask" where the function itself says so, "causal=True" where the caller of `trace` did, "" where nobody
    does; masked: the matrix that the mask is on, the "outputs" or the operand on the "left" or the "right";
    nonnegative: the operands, "left" and "right", that are never negative by the function itself, as after a ReLU or a
    softmax.

    Sites of ragged, sparse and triangular products, of products of weights that data select, and of primitives that
    are not known and take weights (these have no MACs) are numbered after all others.
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
    repeated: float = 0.0
    scan_lengths: tuple[int, ...] = ()
    positions: int = 0
    heads: int = 0
    experts: int = 1
    share: float = 1.0
    hidden_by: str = ""
    masked: str = ""
    nonnegative: tuple[str, ...] = ()
    kind: str = "dot_general"
    reason: str = ""
    weights: str = ""
    selected: bool = False
    conditional: bool = False
    captured: bool = False

    @property
    def name(self) -> str:
        """Stable name: order of appearance, path, shape."""
        return f"{self.index:03d} {self.path} {self.rows}x{self.columns}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call of the function, those apart that a mask hides."""
        return round(self.share * (self.rows * self.columns * self.vectors * self.matrices * self.executions))


# Whether a site runs on the core; of two activations "left" or "right", the operand that stands on the mask.
Policy = Callable[[Site], bool | str]
# Why a product stays digital whose weights data select by a gather, a slice or a select, and one that a design leaves.
SELECTED = "chosen by data"
BY_SITE = "digital by the cores of the sites"


def without_core(site: Site) -> Site:
    """The site, digital because the cores of the sites say so."""
    return dataclasses.replace(site, optical=False, reason=BY_SITE)


def stationary(site: Site) -> bool:
    """The default policy: on the core goes what multiplies weights; products of two activations stay digital."""
    return site.stationary


def routed(site: Site) -> bool:
    """As `stationary`, and products of weights that data select, as of gathered experts: written in each call."""
    return site.stationary or site.reason == SELECTED


def nonnegative_inputs(site: Site) -> bool:
    """Whether no vector of the site ever holds a negative number, so that its inputs need no sign.

    A function for `optics.SiteRule`: such sites can run on a core whose `encoding.inputs` is "unsigned".
    """
    return ("right" if site.weights_first else "left") in site.nonnegative


def nonnegative_weights(site: Site) -> bool:
    """Whether what stands on the mask is never negative, as attention probabilities, so that it needs no sign.

    As `nonnegative_inputs`, for a core whose `encoding.weights` is "unsigned".
    """
    return ("left" if site.weights_first else "right") in site.nonnegative


def everything(site: Site) -> bool:
    """Attention too: products of two activations go on the core and pay for writing the mask each time.

    The right operand stands on the mask, see `optics.AttentionOnLight` for a choice.
    """
    return True


def with_operand_on_mask(site: Site, side: str) -> Site:
    """The site of two activations with its "left" or its "right" operand on the mask.

    Raises:
        ValueError: for any other side.
    """
    if side not in ("left", "right"):
        raise ValueError(f"the policy says {side!r} of site {site.name!r}: it must be True, False, 'left' or 'right'")
    if site.stationary or site.kind != "dot_general" or site.weights_first == (side == "left"):
        return site
    return dataclasses.replace(site, weights_first=side == "left", columns=site.vectors, vectors=site.columns)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A jaxpr, its sites by equation number, and the plans of the jaxprs inside its equations.

    constant: the numbers of the equations with an output that is the same in each call with the same weights.
    has_shares: whether the sites know what known masks leave of them and which operands are never negative.
    """

    jaxpr: Jaxpr
    consts: Sequence[Any]
    sites: dict[int, Site]
    inner: dict[int, tuple["Plan", ...]]
    constant: frozenset[int]
    has_shares: bool = False

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

    def each(self, function: Callable[[Site], Site]) -> "Plan":
        """The plan with every site replaced."""
        return dataclasses.replace(
            self,
            sites={number: function(site) for number, site in self.sites.items()},
            inner={number: tuple(plan.each(function) for plan in plans) for number, plans in self.inner.items()},
        )
