"""Calibrating full scales on sample data: one run that looks, and a core that then uses what was seen.

ranges = optics.fit_ranges(forward)(core, key, params, sample)
y = optics.emulate(forward)(optics.FixedRangeCore(core, ranges), key, params, x)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics import checks
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.datapath.full_scale import SiteRange
from optics.interpreter.emulate import emulate, of_turn
from optics.interpreter.plan import Policy, Site, stationary


class FixedRangeCore(NamedTuple):
    """A core whose full scales are fixed at each site, `ranges` by site name: a pytree, to be jitted and swept."""

    core: TensorCore | RealizedCore
    ranges: dict[str, SiteRange]

    def prepare(self) -> "FixedRangeCore":
        """With the imperfections of the device drawn, once for many products."""
        return self._replace(core=self.core.prepare())

    def at(self, name: str) -> RealizedCore:
        """The core at a site. Raises ValueError for one that was not calibrated."""
        if name not in self.ranges:
            raise ValueError(f"site {name!r} has no calibrated range; there are: {', '.join(sorted(self.ranges))}")
        prepared = self.core.prepare()
        return RealizedCore(prepared.core, prepared.device, self.ranges[name])

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`."""
        self.core.review(sites, readings)

    def turn(self, number: jax.Array, names: set[str]) -> "FixedRangeCore":
        """In a turn of the scan that holds the named sites."""
        return self._replace(ranges=of_turn(self.ranges, number, names))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Of no site in particular, so refused."""
        raise ValueError("a FixedRangeCore has full scales for the sites of a function: run it through optics.emulate")

    observe = matmul


class _Extremes(NamedTuple):
    """What the receivers of a site saw, by column, and its inputs."""

    peak: jax.Array
    square: jax.Array
    count: jax.Array
    largest: jax.Array

    def joined(self, other: "_Extremes") -> "_Extremes":
        """Of two products, as one."""
        return _Extremes(
            jnp.maximum(self.peak, other.peak),
            self.square + other.square,
            self.count + other.count,
            jnp.maximum(self.largest, other.largest),
        )

    def folded(self) -> "_Extremes":
        """Of the products along a leading axis, as one."""
        return _Extremes(
            jnp.max(self.peak, axis=0),
            jnp.sum(self.square, axis=0),
            jnp.sum(self.count, axis=0),
            jnp.max(self.largest, axis=0),
        )


class _Finder(NamedTuple):
    """A core that passes exact products on and says what its receivers would have seen of them."""

    core: RealizedCore

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.core.matmul(x, w, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, _Extremes]:
        y, seen = self.scaled(x, w).walk(x, w, key, observe=True)
        columns = w.shape[1]
        count = seen["conversions"] / seen["peak"].shape[0]
        return y, _Extremes(seen["peak"][:columns], seen["square"][:columns], count, jnp.max(jnp.abs(x)))

    def scaled(self, x: jax.Array, w: jax.Array) -> RealizedCore:
        """The core with each vector scaled to its own largest element."""
        return self.core


class _FixedFinder(_Finder):
    """The same, full drive standing for the largest input of the site, as it will in use."""

    def scaled(self, x: jax.Array, w: jax.Array) -> RealizedCore:
        largest = jnp.max(jnp.abs(x))
        fixed = SiteRange(jnp.ones(w.shape[1], jnp.float32), jnp.where(largest > 0, largest, 1.0))
        return RealizedCore(self.core.core, self.core.device, fixed)


def fit_ranges(
    fun: Callable,
    weights: int | Sequence[int] = 0,
    *,
    policy: Policy = stationary,
    loading: float | None = None,
    fixed_inputs: bool = False,
) -> Callable[..., dict[str, SiteRange]]:
    """A function of (core, key, *args) that runs `fun` on sample arguments and returns the ranges of its sites.

    The full scale of each column is the largest magnitude that its receiver saw on the sample; with `loading`, that
    many times its rms, and the largest magnitude where that is less. With `fixed_inputs` full drive stands for the
    largest input of the site, and not of each vector. The ranges hold for the shapes, tiles and encoding that they
    were taken with; those of a scan have its turns as leading axis. Clipping and rounding of the ADC are off while
    the sample runs, the other effects are on.
    """

    def fit(core: TensorCore, key: jax.Array, *args: Any, **kwargs: Any) -> dict[str, SiteRange]:
        checks.has(core, "observe")
        open_core = core.replace({f"effects.{name}": 0.0 for name in ("adc_clipping", "adc_rounding", "adc_noise")})
        look = emulate(fun, weights, policy=policy, diagnostics=True)
        finder = _FixedFinder if fixed_inputs else _Finder
        _, seen = look(finder(open_core.prepare()), key, *args, **kwargs)
        return {name: _range(found, loading, fixed_inputs) for name, found in seen.items()}

    return fit


def _range(seen: _Extremes, loading: float | None, fixed_inputs: bool) -> SiteRange:
    # A column that saw nothing at all is given the range of one full product.
    full = jnp.where(seen.peak > 0, seen.peak, 1.0)
    if loading is not None:
        rms = jnp.sqrt(seen.square / seen.count[..., None])
        full = jnp.where(rms > 0, jnp.minimum(full, loading * rms), full)
    largest = jnp.where(seen.largest > 0, seen.largest, 1.0)
    return SiteRange(full, largest if fixed_inputs else None)
