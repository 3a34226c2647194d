"""Exact products with plain Gaussian noise on their outputs: what training under emulation is compared with."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from electronics.numerics.matmul import product
from optics.datapath.diagnostics import Diagnostics
from optics.interpreter.protocols import Core, PerStepCore, index_scan


@partial(jax.tree_util.register_dataclass, data_fields=["sizes"], meta_fields=["relative"])
@dataclasses.dataclass(frozen=True)
class GaussianCore(PerStepCore):
    """Exact products with Gaussian noise that depends on nothing but the site.

    Attributes:
        sizes: by site name, the standard deviation of the noise, one number or one for each step of a scan.
        relative: whether sizes are multiples of the rms of the outputs of the product, which the gradient takes into
            account, or fixed [units of the outputs].
    """

    sizes: dict[str, jax.Array]
    relative: bool = True

    @classmethod
    def like(cls, diagnostics: Mapping[str, Diagnostics], relative: bool = True) -> "GaussianCore":
        """Return the core whose noise is of the size of an observed run's at each site.

        Args:
            diagnostics: by site name, of `optics.emulate(..., diagnostics=True)`.
            relative: whether it is sqrt(error / signal) of the rms, or sqrt(error / outputs).
        """
        return cls(
            {
                name: jnp.sqrt(jnp.asarray(seen.error / (seen.signal if relative else seen.outputs)))
                for name, seen in diagnostics.items()
            },
            relative,
        )

    def at(self, name: str) -> Core:
        """The core of a site. Raises ValueError for a site without a size."""
        if name not in self.sizes:
            raise ValueError(f"site {name!r} has no size of noise; there are: {', '.join(sorted(self.sizes))}")
        return _GaussianSite(self.sizes[name], self.relative)

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "GaussianCore":
        """The core in one step of the scan that contains the sites `names`."""
        return GaussianCore(index_scan(self.sizes, step, names), self.relative)

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Raise ValueError: there is no site without `emulate`."""
        raise ValueError("a GaussianCore has noise for the sites of a function: run it through optics.emulate")


@partial(jax.tree_util.register_dataclass, data_fields=["size"], meta_fields=["relative"])
@dataclasses.dataclass(frozen=True)
class _GaussianSite(Core):
    size: Any
    relative: bool

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        exact = product(x, w)
        size = self.size * jnp.sqrt(jnp.mean(exact**2)) if self.relative else self.size
        return exact + size * jax.random.normal(key, exact.shape)
