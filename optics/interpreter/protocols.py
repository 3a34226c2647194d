"""What `optics.emulate` asks of a core. A core of one's own needs no base class of this module."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp

from optics.interpreter.causal import with_shares
from optics.interpreter.plan import Plan, Site, without_core

CoreT = TypeVar("CoreT")


class Core(Protocol):
    """What can stand in for a matrix product: `TensorCore`, `electronics.IntegerCore`, or a core of one's own.

    The other protocols of this module are optional; `emulate` calls what a core has.
    """

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [vectors, rows] @ w [rows, columns] -> [vectors, columns]."""
        ...


@runtime_checkable
class ObservableCore(Protocol):
    """A core that returns diagnostics, needed by `emulate(..., diagnostics=True)`."""

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `matmul`, with diagnostics: a pytree whose leaves add up, or a `MergeableDiagnostics`."""
        ...


@runtime_checkable
class PartlyObservableCore(Protocol):
    """A core that leaves vectors out of its diagnostics. Others count the zeros that fill the blocks of experts."""

    def observe_part(self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `observe`, with diagnostics of the vectors where `counted` [vectors] is True."""
        ...


@runtime_checkable
class MergeableDiagnostics(Protocol):
    """Diagnostics that merge by other rules than the sum of their leaves."""

    def joined(self, other: Self) -> Self:
        """The diagnostics of two products as those of one."""
        ...

    def folded(self) -> Self:
        """The diagnostics of several products, stacked along a leading axis, as those of one."""
        ...


@runtime_checkable
class PreparableCore(Protocol):
    """A core with work to do once per run."""

    def prepare(self) -> Core:
        """The core to use in this run in place of this one."""
        ...


@runtime_checkable
class PerSiteCore(Protocol):
    """A core that differs between the sites of a function."""

    def at(self, name: str) -> Core:
        """The core of the site `name`."""
        ...


class PlacingCore(Core, PerSiteCore, Protocol):
    """A core that leaves sites digital."""

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core; else it is digital."""
        ...


@runtime_checkable
class AssigningCore(Protocol):
    """A core that gives each site a core of its own, once it has seen all sites of the function."""

    def assign(self, sites: Sequence[Site]) -> PlacingCore:
        """The cores of these sites, a `PricedDesign` where they have a price."""
        ...


@runtime_checkable
class PerStepCore(Protocol):
    """A core that differs between the steps of a scan."""

    def at_scan_step(self, step: jax.Array, names: set[str]) -> Self:
        """The core in step `step` of the scan that contains the sites `names`."""
        ...


@runtime_checkable
class PerExpertCore(Protocol):
    """A core of one site that differs between the experts of a ragged product."""

    def at_expert(self, number: jax.Array) -> Core:
        """The core of one expert."""
        ...


# (core, x [matrices, vectors, rows], w [matrices, columns, rows], keys [matrices]) -> (the products [matrices, vectors,
# columns], what was observed of all of them).
OverMatrices = Callable[..., tuple[jax.Array, Any]]


@runtime_checkable
class SplittingCore(Protocol):
    """A core of one site that differs between the matrices of a product of several."""

    def over_matrices(self, run: OverMatrices, *operands: jax.Array) -> tuple[jax.Array, Any]:
        """The products of all matrices, by `run` on each core with its own of them."""
        ...


@runtime_checkable
class LoadableCore(Protocol):
    """A core on whose mask weights can stay for many products."""

    def load(self, w: jax.Array) -> Any:
        """w [rows, columns] on the mask.

        The attribute `weights` of the result is a pytree, and its method matmul(x, key=key) multiplies with them.
        """
        ...


class HoldingCore(Core, LoadableCore, Protocol):
    """A core that `optics.load` can load: loaded weights are kept apart from it, since a scan takes them by steps."""

    def holding(self, weights: Any, shape: tuple[int, ...]) -> Any:
        """What `load` returned for a matrix of this shape, from its attribute `weights`."""
        ...


@runtime_checkable
class CallCheckingCore(Protocol):
    """A core that is valid for some calls of a function alone."""

    def check_call(self, fixed: dict[str, Any]) -> None:
        """Raise ValueError for a call that the core does not fit.

        Args:
            fixed: by name, the numbers and strings among the arguments, which are part of the function.
        """
        ...


@runtime_checkable
class ReviewingCore(Protocol):
    """A core that warns about a finished run."""

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """Warn where the run cannot be trusted, given its sites on the core and their diagnostics by site name."""
        ...


def assigned(core: Core, plan: Plan) -> tuple[Core, Plan]:
    """The core that has seen the sites, and the plan with those digital that it does not take."""
    if not isinstance(core, AssigningCore):
        return core, plan
    plan = with_shares(plan)
    found = core.assign(plan.all_sites())
    return found, plan.each(lambda site: without_core(site) if site.optical and not found.takes(site) else site)


def prepared(core: Core) -> Core:
    """The core to use in one run."""
    return core.prepare() if isinstance(core, PreparableCore) else core


def at_site(core: Core, name: str) -> Core:
    """The core of the site `name`."""
    return core.at(name) if isinstance(core, PerSiteCore) else core


def at_expert(core: Core, number: jax.Array) -> Core:
    """The core of one expert of a site."""
    return core.at_expert(number) if isinstance(core, PerExpertCore) else core


def over_matrices(core: Core, run: OverMatrices, *operands: jax.Array) -> tuple[jax.Array, Any]:
    """The products of several matrices on the core of a site, see `OverMatrices`."""
    return core.over_matrices(run, *operands) if isinstance(core, SplittingCore) else run(core, *operands)


def at_scan_step(core: CoreT, step: jax.Array, names: set[str]) -> CoreT:
    """The core in one step of the scan that contains the sites `names`."""
    if isinstance(core, PerStepCore):
        return core.at_scan_step(step, names)
    if hasattr(core, "turn"):
        warnings.warn("a core's method `turn` is now `at_scan_step`", DeprecationWarning, stacklevel=2)
        return core.turn(step, names)  # pyright: ignore[reportAttributeAccessIssue] the name of version 0.1
    return core


def index_scan(by_site: Mapping[str, Any], step: jax.Array, names: set[str]) -> dict[str, Any]:
    """Arrays kept by site name, in one step of the scan that contains `names`: theirs lose their leading axis."""

    def at_step(leaf: jax.Array) -> jax.Array:
        # As leaf[step], of which JAX makes 20 operations for the sign of the step.
        return jax.lax.dynamic_index_in_dim(leaf, step, keepdims=False, allow_negative_indices=False)

    return {name: jax.tree.map(at_step, kept) if name in names else kept for name, kept in by_site.items()}


def joined(a: Any, b: Any) -> Any:
    """Diagnostics of two steps as those of one: the sums of their leaves, unless they merge by other rules."""
    return a.joined(b) if isinstance(a, MergeableDiagnostics) else jax.tree.map(jnp.add, a, b)


def folded(stacked: Any) -> Any:
    """Readings of several products, along a leading axis, as one."""
    if isinstance(stacked, MergeableDiagnostics):
        return stacked.folded()
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), stacked)
