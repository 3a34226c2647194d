"""Calibration of ranges on sample data: a run that observes inputs, weights and receivers of each site.

ranges = optics.fit_ranges(forward)(core, key, params, sample)
y = optics.emulate(forward)(optics.FixedRangeCore(core, ranges), key, params, x)
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics import checks
from optics.core.assigned_cores import AssignedCores
from optics.core.by_site import CoresBySite
from optics.core.range_search import ABSMAX, RangeRule, search_ranges
from optics.core.site_rule import Digital
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.datapath.site_range import SiteRange
from optics.interpreter.call import WeightSelection
from optics.interpreter.emulate import emulate
from optics.interpreter.plan import Policy, Site, stationary
from optics.interpreter.protocols import AssigningCore, Core


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
    inputs: RangeRule | None = None,
    mask: RangeRule | None = None,
    adc: RangeRule | None = ABSMAX,
) -> Callable[..., dict[str, SiteRange]]:
    """Return a function of (core, key, *args) that runs `fun` on sample arguments and returns ranges by site name.

    The ranges hold for the shapes, tiles and encoding that they were taken with. Those of sites in a scan have its
    steps as leading axis; the experts of a ragged product, and the cores of a site's positions or heads, share theirs.
    Clipping, rounding and noise of the ADC are off while the sample runs. Of a design each site has the range of its
    own core, and digital sites, positions and heads have none; that of a step of a scan in which a site is digital is
    1.

    Each rule more runs the sample again: the ranges of receivers are those of the core with the ranges of inputs and
    weights found first. A percentile is interpolated, and least squares taken, between candidates eight to an octave.

    Args:
        fun: as for `emulate`.
        weights: as for `emulate`.
        policy: as for `emulate`.
        loading: full scale of each column as a multiple of its rms, but at most the largest magnitude on the sample;
            None for that largest magnitude.
        fixed_inputs: whether full drive represents the largest input of the site, instead of that of each vector; as
            `inputs=RangeRule("absmax")`.
        inputs: what full drive represents: one input for all vectors, or with `RangeRule.follows` one share of each
            vector's largest element; None for each vector's largest.
        mask: the share of each column's largest weight that a clear pixel represents; None for all of it.
        adc: the full scale of each column's receiver; None to follow the norms of vector and column.

    Raises:
        ValueError: for rules that exclude each other, and from the returned function for a core of
            `encoding.scales = "tile"` and a rule of shares, which are of whole vectors and columns.
    """
    _check_rules(loading, fixed_inputs, inputs, mask, adc)

    def fit(core: TensorCore | CoresBySite, key: jax.Array, *args: Any, **kwargs: Any) -> dict[str, SiteRange]:
        checks.has(core, "observe")
        look = emulate(fun, weights, policy=policy, diagnostics=True)
        if inputs is not None or mask is not None or adc is None or adc.method != "absmax":
            _check_scales(core, inputs, mask)
            return search_ranges(lambda finding: look(finding, key, *args, **kwargs), core, inputs, mask, adc)
        open_core = core.replace({f"effects.{name}": 0.0 for name in ("adc_clipping", "adc_rounding", "adc_noise")})
        finder = _FixedFinder if fixed_inputs else _Finder
        finding = finder(open_core.prepare()) if isinstance(open_core, TensorCore) else _FinderBySite(open_core, finder)
        _, seen = look(finding, key, *args, **kwargs)
        return {name: _range(found, loading, fixed_inputs) for name, found in seen.items()}

    return fit


def _check_rules(
    loading: float | None,
    fixed_inputs: bool,
    inputs: RangeRule | None,
    mask: RangeRule | None,
    adc: RangeRule | None,
) -> None:
    if fixed_inputs and inputs is not None:
        raise ValueError(f"fixed_inputs is True and inputs is {inputs!r}; name one of them")
    if loading is not None and (inputs, mask, adc) != (None, None, ABSMAX):
        raise ValueError(f"loading is {loading!r}; it goes with no rules of ranges: leave inputs, mask and adc out")
    if fixed_inputs and (mask is not None or adc != ABSMAX):
        raise ValueError('fixed_inputs goes with no other rules; name it as inputs=RangeRule("absmax")')
    for name, rule in (("mask", mask), ("adc", adc)):
        if rule is not None and rule.follows:
            raise ValueError(f"{name} is {rule!r}; only the range of inputs follows each vector")
    acting = [rule for rule in (inputs, mask) if rule is not None and (rule.method != "absmax" or not rule.follows)]
    if adc is None and not [rule for rule in acting if rule is inputs or rule.method != "absmax"]:
        raise ValueError("no range is to be found: adc is None, and inputs and mask keep their largest elements")


def _check_scales(core: TensorCore | CoresBySite, inputs: RangeRule | None, mask: RangeRule | None) -> None:
    cores = [core] if isinstance(core, TensorCore) else list(core.by_name.values())
    if all(each.encoding.scales == "vector" for each in cores):
        return
    if mask is not None or (inputs is not None and inputs.follows):
        raise ValueError('encoding.scales is "tile"; shares of a largest element are found where it is "vector"')


def _range(seen: _Extremes, loading: float | None, fixed_inputs: bool) -> SiteRange:
    # A column that received nothing gets the range of one full product.
    full = jnp.where(seen.peak > 0, seen.peak, 1.0)
    if loading is not None:
        rms = jnp.sqrt(seen.square / seen.count[..., None])
        full = jnp.where(rms > 0, jnp.minimum(full, loading * rms), full)
    largest = jnp.where(seen.largest > 0, seen.largest, 1.0)
    return SiteRange(full, largest if fixed_inputs else None)
