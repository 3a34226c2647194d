"""A core whose ranges are fixed at each site."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax

from optics.core.assigned_cores import AssignedCores, each_of
from optics.core.by_site import CoresBySite
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.datapath.site_range import SiteRange
from optics.interpreter.plan import Site
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
    """A core, or a design of several, whose ranges are fixed at each site: a pytree, to be jitted, swept and trained.

    core: the core or design without fixed ranges; ranges: by site name, as `fit_ranges` returns them.
    """

    core: TensorCore | RealizedCore | CoresBySite | AssignedCores
    ranges: dict[str, SiteRange]

    def assign(self, sites: Sequence[Site]) -> "FixedRangeCore":
        """The core with that of each site, where it is a design."""
        if not isinstance(self.core, CoresBySite | AssignedCores):
            return self
        return dataclasses.replace(self, core=self.core.assign(sites))

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core."""
        return not isinstance(self.core, AssignedCores) or self.core.takes(site)

    def prepare(self) -> "FixedRangeCore":
        """The core with the variation of its device drawn, once for many products."""
        return dataclasses.replace(self, core=_with_sites(self.core).prepare())

    def at(self, name: str) -> Core:
        """The core of a site.

        Raises:
            ValueError: for a site that was not calibrated, or one whose inputs have both a scale and a share.
        """
        if name not in self.ranges:
            raise ValueError(f"site {name!r} has no calibrated range; there are: {', '.join(sorted(self.ranges))}")
        if self.ranges[name].input_scale is not None and self.ranges[name].input_share is not None:
            raise ValueError(f"site {name!r} has both input_scale and input_share; inputs have one range")
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
        ranges = index_scan(self.ranges, step, names)
        return dataclasses.replace(self, core=at_scan_step(self.core, step, names), ranges=ranges)

    def follows_vectors(self) -> dict[str, tuple[str, ...]]:
        """What each site sets anew for each vector, an assumption that favours the device: see `SiteRange`."""
        return {name: ranges.follows_vectors for name, ranges in self.ranges.items()}

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a FixedRangeCore has full scales for the sites of a function: run it through optics.emulate")

    observe = matmul


def _with_sites(
    core: TensorCore | RealizedCore | CoresBySite | AssignedCores,
) -> TensorCore | RealizedCore | AssignedCores:
    """The core. Raises ValueError for a design that has not seen the sites."""
    if isinstance(core, CoresBySite):
        raise ValueError("a design has cores for the sites of a function: run it through optics.emulate")
    return core
