"""Ranges by percentile or least squared error: rules, and a search over a grid of candidates on sample data.

The candidates of a range are shares of the largest magnitude, eight to an octave. Inputs and weights are those of the
digital function; the receivers are those of the core with the ranges found for these.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from electronics.numerics.bounds import within
from electronics.numerics.matmul import product
from optics.components.encoding import bit_slices, recombined
from optics.core.by_site import CoresBySite
from optics.core.fixed_range_core import FixedRangeCore
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.datapath.loading import largest, scale_or_one
from optics.datapath.operating_point import OperatingPoint
from optics.datapath.site_range import SiteRange

Method = Literal["absmax", "percentile", "least squares"]
_OPEN = {f"effects.{name}": 0.0 for name in ("adc_clipping", "adc_rounding", "adc_noise")}


def _grid(octaves: int) -> np.ndarray:
    return (2.0 ** (-np.arange(8 * octaves) / 8)).astype(np.float32)


# Massive activations are thousands of times larger than others.
_INPUTS, _WEIGHTS, _RECEIVERS = _grid(14), _grid(4), _grid(7)


@dataclasses.dataclass(frozen=True)
class RangeRule:
    """How a range is chosen from a sample.

    Attributes:
        method: "absmax", the largest magnitude; "percentile" of the magnitudes; or "least squares", the range of the
            least squared error by rounding, by noise of the converter and by clipping together. For receivers that is
            the error of the product on the core.
        percentile: of the method of that name, in percent.
        follows: of inputs alone: whether the range is a share of each vector's largest element, one share for a site,
            in place of one range for all vectors.

    Raises:
        ValueError: for another method, or a percentile that is not above 0 and at most 100.
    """

    method: Method = "absmax"
    percentile: float = 99.9
    follows: bool = False

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"RangeRule.method is {self.method!r}; it must be one of {', '.join(get_args(Method))}")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"RangeRule.percentile is {self.percentile!r}; it must be above 0 and at most 100")


ABSMAX = RangeRule("absmax")


class _Seen(NamedTuple):
    """What a site shows of one of its ranges; a grid of candidates is before the axis of columns, where there is one.

    Attributes:
        largest: magnitude.
        error: sum of squared errors, by candidate.
        beyond: how many values are out of range, by candidate.
        count: number of values.
    """

    largest: jax.Array
    error: jax.Array
    beyond: jax.Array
    count: jax.Array

    def joined(self, other: "_Seen") -> "_Seen":
        added = (a + b for a, b in zip(self[1:], other[1:], strict=True))
        return _Seen(jnp.maximum(self.largest, other.largest), *added)

    def folded(self) -> "_Seen":
        return _Seen(jnp.max(self.largest, axis=0), *(jnp.sum(leaf, axis=0) for leaf in self[1:]))

    def share(self, rule: RangeRule, grid: np.ndarray, columns: bool) -> jax.Array:
        """The chosen candidate, as a share of the largest magnitude, [(columns)]."""
        axis = -2 if columns else -1
        if rule.method == "least squares":
            return jnp.asarray(grid)[jnp.argmin(self.error, axis=axis)]
        beyond = jnp.moveaxis(self.beyond, axis, -1)
        count = jnp.maximum(self.count, 1)[..., None, None] if columns else jnp.maximum(self.count, 1)[..., None]
        wanted = 1 - rule.percentile / 100
        logs = jnp.log(jnp.asarray(grid))
        of_one = partial(jnp.interp, jnp.float32(wanted), fp=logs)
        shape = beyond.shape[:-1]
        found = jnp.exp(jax.vmap(of_one)((beyond / count).reshape(-1, len(grid)))).reshape(shape)
        return jnp.where((self.largest if not columns else jnp.sum(beyond, axis=-1)) > 0, found, 1.0)


class _Both(NamedTuple):
    """What a site shows of its inputs and of its weights."""

    inputs: _Seen
    weights: _Seen

    def joined(self, other: "_Both") -> "_Both":
        return _Both(self.inputs.joined(other.inputs), self.weights.joined(other.weights))

    def folded(self) -> "_Both":
        return _Both(self.inputs.folded(), self.weights.folded())


class _Finder(NamedTuple):
    """A core that returns products and what they show of a range: `look(core, x, w, key, counted)`, x [vectors, rows].

    `counted` is False for vectors that are not the core's, and zero; None where all are.
    """

    core: RealizedCore
    look: Callable[..., tuple[jax.Array, Any]]

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return self.core.matmul(x, w, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        y, seen = self.look(self.core, x.reshape(-1, x.shape[-1]), w, key, None)
        return y.reshape(*x.shape[:-1], w.shape[1]), seen

    def observe_part(self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        return self.look(self.core, x, w, key, counted)


@partial(jax.tree_util.register_dataclass, data_fields=["core", "ranges"], meta_fields=["look"])
@dataclasses.dataclass(frozen=True)
class _Finding(FixedRangeCore):
    """A core or design whose sites are finders, with the ranges that are known so far."""

    look: Callable[..., tuple[jax.Array, Any]]

    def at(self, name: str) -> Any:
        known = {name: SiteRange(None)} | self.ranges
        return FixedRangeCore.at(dataclasses.replace(self, ranges=known), name)

    def _ranged(self, core: TensorCore | RealizedCore, name: str) -> Any:
        return _Finder(super()._ranged(core, name), self.look)


def search_ranges(
    look: Callable[..., tuple[Any, dict[str, Any]]],
    core: TensorCore | CoresBySite,
    inputs: RangeRule | None,
    mask: RangeRule | None,
    adc: RangeRule | None,
) -> dict[str, SiteRange]:
    """Return the ranges of all sites by name.

    Args:
        look: runs the function on a core with diagnostics, and returns (outputs, diagnostics by site).
        core: the core or design.
        inputs, mask, adc: the rules of inputs, weights and receivers; None leaves them as they are without ranges.
    """
    ranges: dict[str, SiteRange] = {}
    fixed = inputs is not None and not inputs.follows
    if fixed:
        _, seen = look(_Finding(core, {}, _largest_input))
        ranges = {name: SiteRange(None, scale_or_one(found.largest)) for name, found in seen.items()}
    if any(rule is not None and rule.method != "absmax" for rule in (inputs, mask)):
        _, seen = look(_Finding(core, ranges, partial(_operands, inputs, mask)))
        ranges = {name: _of_operands(ranges.get(name), found, inputs, mask) for name, found in seen.items()}
    if adc is None:
        return ranges
    _, seen = look(_Finding(core.replace(_OPEN), ranges, _receivers))
    peaks = {name: found.largest for name, found in seen.items()}
    ranges = {
        name: ranges.get(name, SiteRange(None))._replace(full_scale=jnp.where(peak > 0, peak, 1.0))
        for name, peak in peaks.items()
    }
    if adc.method == "absmax":
        return ranges
    _, seen = look(_Finding(core, ranges, _conversions))
    shares = {name: found.share(adc, _RECEIVERS, columns=True) for name, found in seen.items()}
    return {
        name: each._replace(full_scale=jnp.asarray(each.full_scale) * shares[name]) for name, each in ranges.items()
    }


def _of_operands(known: SiteRange | None, found: _Both, inputs: RangeRule | None, mask: RangeRule | None) -> SiteRange:
    known = known or SiteRange(None)
    if inputs is not None and inputs.method != "absmax":
        share = found.inputs.share(inputs, _INPUTS, columns=False)
        if inputs.follows:
            known = known._replace(input_share=share)
        else:
            assert known.input_scale is not None
            known = known._replace(input_scale=known.input_scale * share)
    if mask is not None and mask.method != "absmax":
        known = known._replace(weight_share=found.weights.share(mask, _WEIGHTS, columns=True))
    return known


def _number_of(x: jax.Array, counted: jax.Array | None) -> jax.Array:
    return jnp.float32(x.shape[0]) if counted is None else jnp.sum(counted, dtype=jnp.float32)


def _largest_input(core: RealizedCore, x: jax.Array, w: jax.Array, key: jax.Array, counted: jax.Array | None) -> Any:
    del core, key
    nothing = jnp.zeros(())
    return product(x, w), _Seen(jnp.max(jnp.abs(x)), nothing, nothing, _number_of(x, counted))


def _operands(
    inputs: RangeRule | None,
    mask: RangeRule | None,
    core: RealizedCore,
    x: jax.Array,
    w: jax.Array,
    key: jax.Array,
    counted: jax.Array | None,
) -> Any:
    """Errors and values out of range of inputs [candidates] and of weights [candidates, columns]."""
    del key
    of_inputs = of_weights = _Seen(*(jnp.zeros(()) for _ in _Seen._fields))
    machine, encoding = core.core, core.core.encoding
    if inputs is not None and inputs.method != "absmax":
        x_kept = encoding.representable(x)
        known = core.site_range.input_scale if core.site_range is not None else None
        whole = scale_or_one(largest(x_kept, 1)) if known is None else jnp.broadcast_to(known, (x.shape[0], 1))
        noise = OperatingPoint.of(machine).dac_noise

        def of_input(share: jax.Array) -> tuple[jax.Array, jax.Array]:
            scale = share * whole
            error = jnp.sum((_sent(machine, x_kept, scale) - x_kept) ** 2) + x.shape[1] * jnp.sum(noise * scale**2)
            return error, jnp.sum((jnp.abs(x_kept) > scale).astype(jnp.float32))

        error, beyond = jax.lax.map(of_input, jnp.asarray(_INPUTS))
        of_inputs = _Seen(jnp.max(jnp.abs(x_kept)), error, beyond, x.shape[1] * _number_of(x, counted))
    if mask is not None and mask.method != "absmax":
        w_kept = encoding.representable_weights(w)
        column = scale_or_one(largest(w_kept, 0))

        def of_weight(share: jax.Array) -> tuple[jax.Array, jax.Array]:
            scale = share * column
            error = jnp.sum((_shown(machine, w_kept, scale) - w_kept) ** 2, axis=0)
            return error, jnp.sum((jnp.abs(w_kept) > scale).astype(jnp.float32), axis=0)

        error, beyond = jax.lax.map(of_weight, jnp.asarray(_WEIGHTS))
        of_weights = _Seen(column[0], error, beyond, jnp.float32(w.shape[0]))
    return product(x, w), _Both(of_inputs, of_weights)


def _sent(core: TensorCore, x: jax.Array, scale: jax.Array) -> jax.Array:
    """Inputs [vectors, rows] as the DACs send them within scale [vectors, 1], clipped and rounded."""
    encoding, on = core.encoding, core.effects
    sent = jnp.zeros_like(x)
    for factor, part in encoding.input_parts(x, scale, jnp.ones_like(x)):
        least = -scale if encoding.sources == 2 else jnp.zeros_like(scale)
        clipped = part + on.dac_clipping * (within(part, least, scale) - part)
        slices = bit_slices(factor, clipped, scale, encoding.input_slices, core.dac.bits, on.dac_rounding)
        sent = sent + recombined(slices)
    return sent - scale if encoding.inputs == "offset" else sent


def _shown(core: TensorCore, w: jax.Array, scale: jax.Array) -> jax.Array:
    """Weights [rows, columns] as the mask shows them within scale [1, columns], clipped and rounded."""
    encoding = core.encoding
    factor, part = encoding.weight_part(within(w, -scale, scale), scale, jnp.ones_like(w))
    slices = bit_slices(factor, part, scale, encoding.weight_slices, core.mask.bits, core.effects.weight_rounding)
    return recombined(slices) - scale if encoding.weights == "offset" else recombined(slices)


def _receivers(core: RealizedCore, x: jax.Array, w: jax.Array, key: jax.Array, counted: jax.Array | None) -> Any:
    """Largest magnitude at the receiver of each column."""
    y, observed = core.observe_receivers(x, w, key=key, counted=counted)
    nothing = jnp.zeros(())
    return y, _Seen(observed.receivers.peak[: w.shape[1]], nothing, nothing, nothing)


def _conversions(core: RealizedCore, x: jax.Array, w: jax.Array, key: jax.Array, counted: jax.Array | None) -> Any:
    """Errors of the product and conversions out of range [candidates, columns], all with the noise of one key."""
    known, columns, exact = core.site_range, w.shape[1], product(x, w)
    assert known is not None and known.full_scale is not None
    whole = known.full_scale
    of_vectors = jnp.ones((x.shape[0], 1)) if counted is None else counted[:, None].astype(jnp.float32)

    def of_share(share: jax.Array) -> tuple[jax.Array, ...]:
        ranges = known._replace(full_scale=share * whole)
        here = RealizedCore(core.core, core.variation, ranges)
        y, observed = here.observe_receivers(x, w, key=key, counted=counted)
        seen = observed.receivers
        error = jnp.sum(of_vectors * (y - exact) ** 2, axis=0)
        return error, seen.clipped[:columns], seen.conversions / seen.clipped.shape[0]

    error, beyond, count = jax.lax.map(of_share, jnp.asarray(_RECEIVERS))
    y = core.matmul(x, w, key=key)
    return y, _Seen(whole, error, beyond, count[0])
