"""The share of a gradient that is owed to scales.

The light knows inputs and weights only relative to their scales. So a product is homogeneous: inputs and their scale,
or the weights of a column and theirs, multiplied by one factor give outputs multiplied by it, whatever the device and
its noise. With y(v, s) a product of values v of scale s, and J = dy/dv at a fixed scale, Euler's theorem gives

    dy = J (dv - v ds / s) + y ds / s.

`relative_to` has the first term and `in_units_of` the second. The stages between them see a scale that is fixed, and
need no gradient of their own for it.
"""

import jax
import jax.numpy as jnp

from electronics.numerics.bounds import inverse
from electronics.numerics.matmul import product
from electronics.numerics.xla import remat_stage


@jax.custom_jvp
def relative_to(values: jax.Array, scale: jax.Array) -> jax.Array:
    """The values [..., rows, columns], whose tangent is dv - v ds / s; `scale`, not 0, has as many axes."""
    return values


@relative_to.defjvp
def _relative_to_jvp(primals, tangents):
    values, scale = primals
    return values, tangents[0] - _scaled(values, tangents[1] * inverse(scale))


@jax.custom_jvp
def in_units_of(y: jax.Array, x_scale: jax.Array, w_scale: jax.Array) -> jax.Array:
    """Outputs y [vectors, columns], whose tangent is dy + y ds / s for scales [vectors, 1] and [1, columns]."""
    return y


@in_units_of.defjvp
def _in_units_of_jvp(primals, tangents):
    y, *scales = primals
    by_x, by_w = (tangent * inverse(scale) for tangent, scale in zip(tangents[1:], scales, strict=True))
    # The transpose of this product sums over the vectors. A sum over the rows of 50,000 columns takes five times as
    # long.
    by_w = product(jnp.ones((y.shape[0], 1)), by_w)
    return y, tangents[0] + y * by_x + y * by_w


@remat_stage
def _scaled(values: jax.Array, factors: jax.Array) -> jax.Array:
    """values x factors without leading axes of length 1.

    With them, XLA's CPU compiler takes twenty times as long for the sum of products that is the transpose.
    """
    ones = tuple(axis for axis, size in enumerate(values.shape[:-2]) if size == 1)
    return (jnp.squeeze(values, ones) * jnp.squeeze(factors, ones)).reshape(values.shape)
