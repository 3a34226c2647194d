"""Putting a function's weights on the mask once, for many calls.

loaded = optics.load(forward)(core, params, x)
y = optics.emulate(forward)(loaded, key, params, x)
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics import checks
from optics._jax import JaxprEqn
from optics.core import Loaded, Prepared, TensorCore
from optics.emulate import Runner, at, of_turn, operands, turned
from optics.fit_ranges import Ranged
from optics.plan import Policy, plan_call, stationary
from optics.walk import Weights


class Resident(NamedTuple):
    """A core on whose mask a function's weights stand, by site name: a pytree, to be jitted.

    The weights that are then passed to the function are not looked at where they stand on the mask. A core that is
    swept has to be loaded anew: what the mask shows depends on it.
    """

    core: Prepared | Ranged
    sites: dict[str, Weights]

    def at(self, name: str) -> Any:
        """The core at a site: with its weights on the mask, or loading them at each call if they could not stay."""
        core = at(self.core, name)
        return _Standing(core, self.sites[name]) if name in self.sites else core

    def turn(self, number: jax.Array, names: set[str]) -> "Resident":
        """In a turn of the scan that holds the named sites."""
        return Resident(turned(self.core, number, names), of_turn(self.sites, number, names))

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Of no site in particular, so refused."""
        raise ValueError("a Resident core holds the weights of a function's sites: run it through optics.emulate")

    observe = matmul


class _Standing(NamedTuple):
    """A core as a site finds it, with the site's own weights on it already."""

    core: Prepared
    weights: Weights

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return Loaded(self.core, self.weights, w.shape[0]).matmul(x, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> Any:
        return self.core.observe(x, w, key=key)


class _Loader(Runner):
    """Visits the sites of a plan and loads their weights; what the function computes of its data is not."""

    def product(self, site, eqn, core, key, values):
        if site.matrices > 1 or not site.stationary:
            return _nothing(eqn), {}
        _, w = operands(site, eqn, values)
        return _nothing(eqn), {site.index: at(core, site.name).load(w[0].T).weights}

    def while_loop(self, eqn, plans, core, key, values):
        """Skipped: what a turn would load, no other need find."""
        return _nothing(eqn), {}

    def cond(self, eqn, plans, core, key, values):
        """Skipped: the branch is not known."""
        return _nothing(eqn), {}


def load(fun: Callable, weights: int | Sequence[int] = 0, *, policy: Policy = stationary) -> Callable[..., Resident]:
    """A function of (core, *args) that returns the core with fun's weights on its mask; arguments as for `emulate`.

    Of the data only the shapes matter, so they may be `jax.ShapeDtypeStruct`s; a batch of another size, sequence or
    length finds the same sites. Quantising, and all that the mask and the fixed optics do to a weight, is done here
    and not in each call. Products of several matrices, in a `while` or in a `cond`, and of two activations are loaded
    in each call as without it. Jit it for a large model. Raises what `emulate` raises.
    """

    def loaded(core: TensorCore | Prepared | Ranged, *args: Any, **kwargs: Any) -> Resident:
        checks.has(core, "prepare")
        checks.finite_weights(weights, args)
        plan, inputs, _ = plan_call(lambda *a: fun(*a, **kwargs), weights, policy, args)
        prepared = core.prepare()
        values = [jnp.zeros(v.shape, v.dtype) if isinstance(v, jax.ShapeDtypeStruct) else v for v in inputs]
        _, found = _Loader(diagnostics=False)(plan, prepared, jax.random.key(0), values)
        return Resident(prepared, {site.name: found[site.index] for site in plan.all_sites() if site.index in found})

    return loaded


def _nothing(eqn: JaxprEqn) -> list[jax.Array]:
    """Zeros where the equation's results would stand."""
    return [
        jax.random.split(jax.random.key(0), out.aval.shape)
        if jax.dtypes.issubdtype(out.aval.dtype, jax.dtypes.prng_key)
        else jnp.zeros(out.aval.shape, out.aval.dtype)
        for out in eqn.outvars
    ]
