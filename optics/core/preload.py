"""Loading the weights of a function onto the mask once, for many calls.

loaded = optics.load(forward)(core, params, x)
y = optics.emulate(forward)(loaded, key, params, x)
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from optics import checks
from optics.core.assigned_cores import AssignedCores, CoreOfPosition, CoreOfStep
from optics.core.by_site import CoresBySite
from optics.core.fixed_range_core import FixedRangeCore
from optics.core.site_rule import Digital
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.equations import _jax, products
from optics.equations._jax import JaxprEqn
from optics.interpreter.call import WeightSelection, plan_call
from optics.interpreter.emulate import Runner
from optics.interpreter.plan import Policy, Site, stationary
from optics.interpreter.protocols import (
    AssigningCore,
    CallCheckingCore,
    Core,
    HoldingCore,
    LoadableCore,
    ObservableCore,
    PartlyObservableCore,
    PerStepCore,
    PlacingCore,
    PreparableCore,
    ReviewingCore,
    assigned,
    at_scan_step,
    at_site,
    index_scan,
    prepared,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PreloadedCore(PlacingCore, AssigningCore, PreparableCore, PerStepCore, CallCheckingCore, ReviewingCore):
    """A core with the weights of a function on its mask: a pytree, to be jitted.

    Weights passed to the function are ignored at the sites that are loaded. A sweep over the core has to load for each
    core, because the planes depend on it.

    Attributes:
        core: the core below.
        sites: loaded weights by site name.
        fixed: arguments that are part of the function.
    """

    core: HoldingCore | FixedRangeCore | AssignedCores
    sites: dict[str, "LoadedSite"]
    fixed: "Fixed"

    def assign(self, sites: Sequence[Site]) -> "PreloadedCore":
        """The same cores for the sites of a call, whose number of positions may be another."""
        if not isinstance(self.core, FixedRangeCore | AssignedCores):
            return self
        return PreloadedCore(self.core.assign(sites), self.sites, self.fixed)

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core."""
        return not isinstance(self.core, FixedRangeCore | AssignedCores) or self.core.takes(site)

    def prepare(self) -> "PreloadedCore":
        """Itself: its device was drawn when the weights were loaded."""
        return self

    def at(self, name: str) -> Core:
        """The core of a site, with its weights on the mask; a core that loads in each call at sites not loaded."""
        core = at_site(self.core, name)
        if name not in self.sites or isinstance(core, CoreOfStep):
            return core
        loaded = self.sites[name]
        if isinstance(core, CoreOfPosition):
            return _loaded_by_position(core, loaded, name)
        # Where the weights were loaded for other numbers of positions, a single core may stand for several.
        if isinstance(loaded.weights, dict):
            return core
        return _LoadedSiteCore(cast(HoldingCore, core), loaded.weights, loaded.matrix, name)

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`."""
        if isinstance(self.core, ReviewingCore):
            self.core.review(sites, readings)

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "PreloadedCore":
        """The core in one step of the scan that contains the sites `names`."""
        return PreloadedCore(at_scan_step(self.core, step, names), index_scan(self.sites, step, names), self.fixed)

    def check_call(self, fixed: dict[str, Any]) -> None:
        """Raise ValueError unless a call has the numbers and strings that the weights were loaded with."""
        for name, value in self.fixed.values:
            if name not in fixed or fixed[name] != value:
                now = repr(fixed[name]) if name in fixed else "an array"
                raise ValueError(
                    f"{name} was {value!r} when the weights were loaded and is {now} in this call: load them anew, or "
                    "load them with an array in its place, so that it may vary"
                )

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a PreloadedCore core holds the weights of a function's sites: run it through optics.emulate")

    observe = matmul


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Fixed:
    """The numbers and strings among the arguments of `load`, by name; they are part of the function."""

    values: tuple[tuple[str, Any], ...]


class LoadedSite(NamedTuple):
    """Loaded weights, and the matrix [rows, columns] where they were loaded with diagnostics.

    Those of a ragged product have its experts as leading axis. A site whose core differs between positions has a dict
    of the weights on the mask of each core, by its number in the design.
    """

    weights: Any
    matrix: jax.Array | None


class _LoadedSiteCore(NamedTuple):
    """The core of one site with the weights of that site on its mask; weights that are passed are ignored."""

    core: HoldingCore
    weights: Any
    exact: jax.Array | None
    name: str

    def at_expert(self, number: jax.Array) -> "_LoadedSiteCore":
        loaded = self.weights, self.exact
        weights, exact = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False), loaded)
        return self._replace(weights=weights, exact=exact)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.core.holding(self.weights, w.shape).matmul(x, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> Any:
        return cast(ObservableCore, self.core).observe(x, self.matrix(), key=key)

    def observe_part(self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array) -> Any:
        return cast(PartlyObservableCore, self.core).observe_part(x, self.matrix(), counted, key=key)

    def matrix(self) -> jax.Array:
        """The exact weights. Raises ValueError where they were not kept."""
        if self.exact is None:
            raise ValueError(
                f"the weights of site {self.name!r} were loaded without the exact matrix that readings are held "
                "against: load them with optics.load(..., diagnostics=True)"
            )
        return self.exact


def _loaded_by_position(core: CoreOfPosition, loaded: LoadedSite, name: str) -> CoreOfPosition:
    """The cores of a site by position, each with its weights on the mask.

    Digital positions multiply with the weights that are passed, as digital sites do. A core that had no position when
    the weights were loaded loads in each call.
    """
    planes = loaded.weights if isinstance(loaded.weights, dict) else {}
    cores = tuple(
        _LoadedSiteCore(cast(HoldingCore, each), planes[number], loaded.matrix, name) if number in planes else each
        for number, each in zip(core.numbers, core.cores, strict=True)
    )
    return dataclasses.replace(core, cores=cores)


class _Constants(Runner):
    """Evaluates the equations that depend on the weights alone; others give zeros, and no product is done."""

    def equation(self, plan, number, eqn, core, key, values):
        if number in plan.inner and (number in plan.constant or self.loads_in(plan, number)):
            return self.enter(plan, number, eqn, core, key, values)
        if number in plan.constant:
            return _jax.bind(eqn, values), {}
        if number in plan.sites:
            return self.product(plan.sites[number], eqn, core, key, values)
        # Equations of data are not evaluated: a `while` on zeros in place of data might not terminate.
        return _nothing(eqn), {}

    def loads_in(self, plan, number) -> bool:
        """Whether the jaxprs inside an equation are entered to load their sites."""
        return False

    def product(self, site, eqn, core, key, values):
        return _nothing(eqn), {}


class _Loader(_Constants):
    """Visits the sites of a plan and loads their weights."""

    def loads_in(self, plan, number):
        return any(inner.holds_optical() for inner in plan.inner[number])

    def enter(self, plan, number, eqn, core, key, values):
        """Skip what is not loaded: steps of a `while` may differ, the branch of a `cond` is not known, and each shard
        of a `shard_map` would load its own."""
        if _jax.kind(eqn) not in ("while_loop", "cond", "shard_map"):
            return super().enter(plan, number, eqn, core, key, values)
        if number not in plan.constant:
            return _nothing(eqn), {}
        return _Constants(diagnostics=False).enter(plan, number, eqn, core, key, values)

    def product(self, site, eqn, core, key, values):
        if not site.optical or not site.stationary or site.matrices > 1 or site.selected:
            return _nothing(eqn), {}
        matrix = products.weight_matrices(eqn, values, site.weights_first).swapaxes(1, 2)
        site_core = at_site(core, site.name)
        if isinstance(site_core, CoreOfStep):
            return _nothing(eqn), {}
        if isinstance(site_core, CoreOfPosition):
            planes = {
                number: each.load(matrix[0]).weights
                for number, each in zip(site_core.numbers, site_core.cores, strict=True)
                if not isinstance(each, Digital)
            }
            return _nothing(eqn), {site.index: LoadedSite(planes, matrix[0] if self.diagnostics else None)}
        if not isinstance(site_core, LoadableCore):
            raise TypeError(f"a core with a method 'load' is needed to load weights; got {site_core!r}")
        if _jax.kind(eqn) == "ragged":
            weights = jax.lax.map(lambda w: site_core.load(w).weights, matrix)
        else:
            weights, matrix = site_core.load(matrix[0]).weights, matrix[0]
        return _nothing(eqn), {site.index: LoadedSite(weights, matrix if self.diagnostics else None)}


def load(
    fun: Callable, weights: WeightSelection = 0, *, policy: Policy = stationary, diagnostics: bool = False
) -> Callable[..., PreloadedCore]:
    """Return a function of (core, *args) that loads the weights of `fun` onto the mask of the core.

    Rounding, and all that mask and optics do to the weights, is then done once instead of in each call. Products of
    several matrices, in a `while`, a `cond` or a `shard_map`, of two activations, of weights that data select, and of
    sites whose core differs between the steps of a scan are loaded in each call. Those of a ragged product are loaded,
    every expert's, once. Jit the returned function for a large model.

    Args:
        fun: as for `emulate`.
        weights: as for `emulate`.
        policy: as for `emulate`.
        diagnostics: keep the matrices as well, which `emulate(..., diagnostics=True)` needs.

    Returns:
        A function whose data arguments may be `jax.ShapeDtypeStruct`s, since only their shapes matter. A batch or a
        sequence of another length has the same sites.

    Raises:
        ValueError: as `emulate`.
    """

    def loaded(
        core: TensorCore | RealizedCore | FixedRangeCore | CoresBySite | HoldingCore, *args: Any, **kwargs: Any
    ) -> PreloadedCore:
        checks.has(core, "matmul")
        call = plan_call(fun, weights, policy, args, kwargs)
        checks.finite_weights(call.weights)
        chosen, plan = assigned(core, call.plan)
        checks.has(chosen, "prepare")
        realized = cast(HoldingCore | FixedRangeCore | AssignedCores, prepared(chosen))
        values = [jnp.zeros(v.shape, v.dtype) if isinstance(v, jax.ShapeDtypeStruct) else v for v in call.inputs]
        _, found = _Loader(diagnostics)(plan, realized, jax.random.key(0), values)
        sites = {site.name: found[site.index] for site in plan.all_sites() if site.index in found}
        return PreloadedCore(realized, sites, Fixed(tuple(call.fixed.items())))

    return loaded


def _nothing(eqn: JaxprEqn) -> list[jax.Array]:
    """Zeros in place of the results of the equation."""
    return [
        jax.random.split(jax.random.key(0), _jax.shape(out))
        if jnp.issubdtype(_jax.dtype(out), jax.dtypes.prng_key)
        else jnp.zeros(_jax.shape(out), _jax.dtype(out))
        for out in eqn.outvars
    ]
