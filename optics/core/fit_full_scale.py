"""Calibration of full scales on sample data: a run that observes the receivers, and a core that uses its result.

ranges = optics.fit_ranges(forward)(core, key, params, sample)
y = optics.emulate(forward)(optics.FixedRangeCore(core, ranges), key, params, x)
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics import checks
from optics.core.assigned_cores import AssignedCores, each_of
from optics.core.by_site import CoresBySite
from optics.core.site_rule import Digital
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.datapath.site_range import SiteRange
from optics.interpreter.call import WeightSelection
from optics.interpreter.emulate import emulate
from optics.interpreter.plan import Policy, Site, stationary
from optics.interpreter.protocols import (
    AssigningCore,
    Core,
    PerStepCore,
    PlacingCore,
    PreparableCore,
    ReviewingCore,
    at_scan_step,
    at_site,
    index_scan,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FixedRangeCore(AssigningCore, PreparableCore, PlacingCore, PerStepCore, ReviewingCore):
    """A core, or a design of several, whose full scales are fixed at each site: a pytree, to be jitted and swept.

    core: the core or design without fixed scales; ranges: by site name, as `fit_ranges` returns them.
    """

    core: TensorCore | RealizedCore | CoresBySite | AssignedCores
    ranges: dict[str, SiteRange]

    def assign(self, sites: Sequence[Site]) -> "FixedRangeCore":
        """The core with that of each site, where it is a design."""
        if not isinstance(self.core, CoresBySite | AssignedCores):
            return self
        return FixedRangeCore(self.core.assign(sites), self.ranges)

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core."""
        return not isinstance(self.core, AssignedCores) or self.core.takes(site)

    def prepare(self) -> "FixedRangeCore":
        """The core with the variation of its device drawn, once for many products."""
        return FixedRangeCore(_with_sites(self.core).prepare(), self.ranges)

    def at(self, name: str) -> Core:
        """The core of a site. Raises ValueError for a site that was not calibrated."""
        if name not in self.ranges:
            raise ValueError(f"site {name!r} has no calibrated range; there are: {', '.join(sorted(self.ranges))}")
        core = at_site(_with_sites(self.core).prepare(), name)
        return each_of(core, partial(self._ranged, name=name))

    def _ranged(self, core: TensorCore | RealizedCore, name: str) -> RealizedCore:
        realized = core.prepare()
        return RealizedCore(realized.core, realized.variation, self.ranges[name])

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`."""
        self.core.review(sites, readings)

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "FixedRangeCore":
        """The core in one step of the scan that contains the sites `names`."""
        return FixedRangeCore(at_scan_step(self.core, step, names), index_scan(self.ranges, step, names))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a FixedRangeCore has full scales for the sites of a function: run it through optics.emulate")

    observe = matmul


class _Extremes(NamedTuple):
    """Largest magnitude, sum of squares and count at the receivers of a site, by column, and its largest input."""

    peak: jax.Array
    square: jax.Array
    count: jax.Array
    largest: jax.Array

    def joined(self, other: "_Extremes") -> "_Extremes":
        """The extremes of two products as those of one."""
        return _Extremes(
            jnp.maximum(self.peak, other.peak),
            self.square + other.square,
            self.count + other.count,
            jnp.maximum(self.largest, other.largest),
        )

    def folded(self) -> "_Extremes":
        """The extremes of the products along a leading axis as those of one."""
        return _Extremes(
            jnp.max(self.peak, axis=0),
            jnp.sum(self.square, axis=0),
            jnp.sum(self.count, axis=0),
            jnp.max(self.largest, axis=0),
        )


class _Finder(NamedTuple):
    """A core that returns its products and the extremes at its receivers."""

    core: RealizedCore

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.core.matmul(x, w, key=key)

    def observe(
        self, x: jax.Array, w: jax.Array, *, key: jax.Array, counted: jax.Array | None = None
    ) -> tuple[jax.Array, _Extremes]:
        y, observed = self.scaled(x, w).observe_receivers(x, w, key=key, counted=counted)
        seen, columns = observed.receivers, w.shape[1]
        count = seen.conversions / seen.peak.shape[0]
        return y, _Extremes(seen.peak[:columns], seen.square[:columns], count, jnp.max(jnp.abs(x)))

    def observe_part(
        self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array
    ) -> tuple[jax.Array, _Extremes]:
        return self.observe(x, w, key=key, counted=counted)

    def scaled(self, x: jax.Array, w: jax.Array) -> RealizedCore:
        """The core, with each vector scaled to its own largest element."""
        return self.core


class _FixedFinder(_Finder):
    """As `_Finder`, with full drive for the largest input of the site, as it will be in use."""

    def scaled(self, x: jax.Array, w: jax.Array) -> RealizedCore:
        largest = jnp.max(jnp.abs(x))
        fixed = SiteRange(jnp.ones(w.shape[1], jnp.float32), jnp.where(largest > 0, largest, 1.0))
        return RealizedCore(self.core.core, self.core.variation, fixed)


@dataclasses.dataclass(frozen=True)
class _FinderBySite(AssigningCore, Core):
    """A design whose cores are finders."""

    design: CoresBySite
    finder: type[_Finder]

    def assign(self, sites: Sequence[Site]) -> AssignedCores:
        found = self.design.assign(sites)
        finders = (each if isinstance(each, Digital) else self.finder(each.prepare()) for each in found.cores)
        return dataclasses.replace(found, cores=tuple(finders))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.design.matmul(x, w, key=key)

    observe = matmul


def fit_ranges(
    fun: Callable,
    weights: WeightSelection = 0,
    *,
    policy: Policy = stationary,
    loading: float | None = None,
    fixed_inputs: bool = False,
) -> Callable[..., dict[str, SiteRange]]:
    """Return a function of (core, key, *args) that runs `fun` on sample arguments and returns ranges by site name.

    The ranges hold for the shapes, tiles and encoding that they were taken with. Those of sites in a scan have its
    steps as leading axis; the experts of a ragged product, and the cores of a site's positions, share theirs. Clipping,
    rounding and noise of the ADC are off while the sample runs. Of a design each site has the range of its own core,
    and digital sites and positions have none; that of a step of a scan in which a site is digital is 1.

    Args:
        fun: as for `emulate`.
        weights: as for `emulate`.
        policy: as for `emulate`.
        loading: full scale of each column as a multiple of its rms, but at most the largest magnitude on the sample;
            None for that largest magnitude.
        fixed_inputs: whether full drive represents the largest input of the site, instead of that of each vector.
    """

    def fit(core: TensorCore | CoresBySite, key: jax.Array, *args: Any, **kwargs: Any) -> dict[str, SiteRange]:
        checks.has(core, "observe")
        open_core = core.replace({f"effects.{name}": 0.0 for name in ("adc_clipping", "adc_rounding", "adc_noise")})
        look = emulate(fun, weights, policy=policy, diagnostics=True)
        finder = _FixedFinder if fixed_inputs else _Finder
        finding = finder(open_core.prepare()) if isinstance(open_core, TensorCore) else _FinderBySite(open_core, finder)
        _, seen = look(finding, key, *args, **kwargs)
        return {name: _range(found, loading, fixed_inputs) for name, found in seen.items()}

    return fit


def _range(seen: _Extremes, loading: float | None, fixed_inputs: bool) -> SiteRange:
    # A column that received nothing gets the range of one full product.
    full = jnp.where(seen.peak > 0, seen.peak, 1.0)
    if loading is not None:
        rms = jnp.sqrt(seen.square / seen.count[..., None])
        full = jnp.where(rms > 0, jnp.minimum(full, loading * rms), full)
    largest = jnp.where(seen.largest > 0, seen.largest, 1.0)
    return SiteRange(full, largest if fixed_inputs else None)


def _with_sites(
    core: TensorCore | RealizedCore | CoresBySite | AssignedCores,
) -> TensorCore | RealizedCore | AssignedCores:
    """The core. Raises ValueError for a design that has not seen the sites."""
    if isinstance(core, CoresBySite):
        raise ValueError("a design has cores for the sites of a function: run it through optics.emulate")
    return core
