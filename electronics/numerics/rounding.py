"""Rounding with a gradient: straight through in the number, and proportional to the step in the step."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.part import Number


def round_to_levels(exact: jax.Array, full_scale: jax.Array, highest: Number, share: Number) -> jax.Array:
    """Round to the nearest of the levels full_scale x k / highest, for integer k.

    Rounding adds the error e = u step, |u| <= 1/2. The gradient treats u as a constant: it passes straight through to
    `exact` (Bengio et al. 2013, arXiv 1308.3432) and follows the step, de = u d(step). The variance of the error,
    step^2 / 12 (Bennett 1948), then has its true gradient in full scale and bits, as additive noise of that size has.
    The gradient is unbiased where u is independent of `exact`, see docs/physics.md.

    Args:
        exact: any shape.
        full_scale, highest: broadcast with `exact`.
        share: share of the rounding that acts, from 0 to 1.

    Returns:
        An array of the shape and in the unit of `exact`.
    """
    step = full_scale * (1 / highest)
    return straight_through(exact, jax.lax.stop_gradient(jnp.round(exact * (1 / step)) * step), step, share)


@jax.custom_jvp
def straight_through(exact: jax.Array, by: jax.Array, unit: jax.Array, share: Number) -> jax.Array:
    """exact + share (by - exact), whose gradient treats (by - exact) / unit as a constant.

    The gradient passes straight through to `exact`, and the difference scales with `unit`. The gradient through `by` is
    added; callers stop it where `exact` and `unit` already account for it.
    """
    del unit
    return exact + share * (by - exact)


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    exact, by, unit, share = primals
    moved = by - exact
    slope = moved * (share * (tangents[2] * inverse(unit)) + tangents[3])
    return straight_through(*primals), tangents[0] + slope + share * tangents[1]
