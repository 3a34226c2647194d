"""Rounding and its gradient: straight through in the number, and in proportion to the step in the step."""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.part import Number


def round_to_levels(exact: jax.Array, full_scale: jax.Array, highest: Number, share: Number) -> jax.Array:
    """`exact` moved by `share` of the way to the nearest of the levels full_scale x k / highest, k a whole number.

    Rounding adds the error e = u step, |u| <= 1/2. The gradient holds u: it passes straight through to `exact`
    (Bengio et al. 2013, arXiv 1308.3432) and follows the step, de = u d(step). So the variance of the error,
    step^2 / 12 (Bennett 1948), has the gradient that it has as a function of full scale and bits, as additive noise of
    that size would. The gradient is unbiased where u is independent of `exact`, see docs/physics.md.

    Args: exact of any shape; full_scale and highest, which broadcast with it; share from 0 (not rounded) to 1.
    Returns: an array of the shape and in the unit of `exact`.
    """
    step = full_scale * (1 / highest)
    return straight_through(exact, jax.lax.stop_gradient(jnp.round(exact * (1 / step)) * step), step, share)


@jax.custom_jvp
def straight_through(exact: jax.Array, by: jax.Array, unit: jax.Array, share: Number) -> jax.Array:
    """`exact` moved by `share` of the way to `by`, whose difference from it counts as a constant number of units.

    The gradient passes straight through to `exact` and grows the difference with `unit`. What else `by` depends on is
    differentiated as it stands; the caller stops what is in the first two already.
    """
    del unit
    return exact + share * (by - exact)


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    exact, by, unit, share = primals
    moved = by - exact
    slope = moved * (share * (tangents[2] * inverse(unit)) + tangents[3])
    return straight_through(*primals), tangents[0] + slope + share * tangents[1]
