"""Exact products with plain Gaussian noise on their outputs: what training under emulation is compared with."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from electronics.numerics.matmul import product
from optics.datapath.diagnostics import Diagnostics
from optics.interpreter.protocols import Core, PerStepCore, index_scan


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GaussianCore(PerStepCore):
    """Exact products with Gaussian noise that depends on nothing but the site.

    Attributes:
        relative: by site name, the standard deviation of the noise over the rms of the outputs of the product, one
            number or one for each step of a scan.
    """

    relative: dict[str, jax.Array]

    @classmethod
    def like(cls, diagnostics: Mapping[str, Diagnostics]) -> "GaussianCore":
        """Return the core whose noise is of the size of an observed run's: sqrt(error / signal) at each site.

        Args:
            diagnostics: by site name, of `optics.emulate(..., diagnostics=True)`.
        """
        return cls({name: jnp.sqrt(seen.error / seen.signal) for name, seen in diagnostics.items()})

    def at(self, name: str) -> Core:
        """The core of a site. Raises ValueError for a site without a size."""
        if name not in self.relative:
            raise ValueError(f"site {name!r} has no size of noise; there are: {', '.join(sorted(self.relative))}")
        return _GaussianSite(self.relative[name])

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "GaussianCore":
        """The core in one step of the scan that contains the sites `names`."""
        return GaussianCore(index_scan(self.relative, step, names))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a GaussianCore has noise for the sites of a function: run it through optics.emulate")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _GaussianSite(Core):
    relative: Any

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        exact = product(x, w)
        # The size is a constant of the step, as where noise is injected without a model of its cause.
        size = jax.lax.stop_gradient(jnp.sqrt(jnp.mean(exact**2))) * self.relative
        return exact + size * jax.random.normal(key, exact.shape)
