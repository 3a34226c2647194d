"""Putting a function's weights on the mask once, for many calls.

loaded = optics.load(forward)(core, params, x)
y = optics.emulate(forward)(loaded, key, params, x)
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from optics import checks
from optics.core.fit_full_scale import FixedRangeCore
from optics.core.tensor_core import PreloadedMatrix, RealizedCore, TensorCore
from optics.datapath.product import Weights
from optics.interpreter import _jax, products
from optics.interpreter._jax import JaxprEqn
from optics.interpreter.emulate import Runner, at, of_turn, turned
from optics.interpreter.plan import Policy, Site, stationary
from optics.interpreter.sites import plan_call


class PreloadedCore(NamedTuple):
    """A core on whose mask a function's weights stand, by site name: a pytree, to be jitted.

    The weights that are then passed to the function are not looked at where they stand on the mask. A core that is
    swept has to be loaded anew: what the mask shows depends on it.
    """

    core: RealizedCore | FixedRangeCore
    sites: dict[str, "Standing"]
    fixed: "Fixed"

    def at(self, name: str) -> Any:
        """The core at a site: with its weights on the mask, or loading them at each call if they could not stay."""
        core = at(self.core, name)
        return _StandingCore(core, self.sites[name], name) if name in self.sites else core

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """As `TensorCore.review`."""
        self.core.review(sites, readings)

    def turn(self, number: jax.Array, names: set[str]) -> "PreloadedCore":
        """In a turn of the scan that holds the named sites."""
        return PreloadedCore(turned(self.core, number, names), of_turn(self.sites, number, names), self.fixed)

    def check_call(self, fixed: dict[str, Any]) -> None:
        """Raise ValueError where a call has not the numbers and strings that the weights were loaded with."""
        for name, value in self.fixed.values:
            if name not in fixed or fixed[name] != value:
                now = repr(fixed[name]) if name in fixed else "an array"
                raise ValueError(
                    f"{name} was {value!r} when the weights were loaded and is {now} in this call: load them anew, or "
                    "load them with an array in its place, so that it may vary"
                )

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """Of no site in particular, so refused."""
        raise ValueError("a PreloadedCore core holds the weights of a function's sites: run it through optics.emulate")

    observe = matmul


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Fixed:
    """The numbers and strings among the arguments of `load` that are part of the function, by name."""

    values: tuple[tuple[str, Any], ...]


class Standing(NamedTuple):
    """Weights as the mask shows them, and, where they were loaded for diagnostics, the matrix [rows, columns]."""

    weights: Weights
    matrix: jax.Array | None


class _StandingCore(NamedTuple):
    """A core as a site finds it, with the site's own weights on it already; those that are passed are not used."""

    core: RealizedCore
    standing: Standing
    name: str

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        return PreloadedMatrix(self.core, self.standing.weights, w.shape[0]).matmul(x, key=key)

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> Any:
        matrix = self.standing.matrix
        if matrix is None:
            raise ValueError(
                f"the weights of site {self.name!r} were loaded without the exact matrix that readings are held "
                "against: load them with optics.load(..., diagnostics=True)"
            )
        return self.core.observe(x, matrix, key=key)


class _Constants(Runner):
    """Evaluates what is the same in each call with the same weights; all else is zero, and no product is done."""

    def equation(self, plan, number, eqn, core, key, values):
        if number in plan.inner and (number in plan.constant or self.loads_in(plan, number)):
            return self.enter(plan, number, eqn, core, key, values)
        if number in plan.constant:
            return _jax.bind(eqn, values), {}
        if number in plan.sites:
            return self.product(plan.sites[number], eqn, core, key, values)
        # What is made of data is not evaluated: a `while` on zeros in place of data need not end.
        return _nothing(eqn), {}

    def loads_in(self, plan, number) -> bool:
        """Whether the jaxprs inside an equation are entered for the sake of their sites."""
        return False

    def product(self, site, eqn, core, key, values):
        return _nothing(eqn), {}


class _Loader(_Constants):
    """Visits the sites of a plan and loads their weights."""

    def loads_in(self, plan, number):
        return any(inner.holds_optical() for inner in plan.inner[number])

    def enter(self, plan, number, eqn, core, key, values):
        """What a turn of a `while` would load, no other need find, and the branch of a `cond` is not known."""
        if _jax.kind(eqn) not in ("while_loop", "cond"):
            return super().enter(plan, number, eqn, core, key, values)
        if number not in plan.constant:
            return _nothing(eqn), {}
        return _Constants(diagnostics=False).enter(plan, number, eqn, core, key, values)

    def product(self, site, eqn, core, key, values):
        if not site.optical or not site.stationary or site.matrices > 1 or site.selected:
            return _nothing(eqn), {}
        _, w = products.as_matrices(eqn, values, site.weights_first)
        matrix = w[0].T
        weights = at(core, site.name).load(matrix).weights
        return _nothing(eqn), {site.index: Standing(weights, matrix if self.diagnostics else None)}


def load(
    fun: Callable, weights: int | Sequence[int] = 0, *, policy: Policy = stationary, diagnostics: bool = False
) -> Callable[..., PreloadedCore]:
    """A function of (core, *args) that returns the core with fun's weights on its mask; arguments as for `emulate`.

    Of the data only the shapes matter, so they may be `jax.ShapeDtypeStruct`s; a batch of another size, sequence or
    length finds the same sites. Quantising, and all that the mask and the fixed optics do to a weight, is done here
    and not in each call. Products of several matrices, in a `while` or in a `cond`, of two activations, and of weights
    that data select are loaded in each call as without it. With `diagnostics` the matrices are kept beside, and
    `emulate(..., diagnostics=True)` takes its readings against them; without, it is refused. Jit it for a large model.
    Raises what `emulate` raises.
    """

    def loaded(core: TensorCore | RealizedCore | FixedRangeCore, *args: Any, **kwargs: Any) -> PreloadedCore:
        checks.has(core, "prepare")
        checks.finite_weights(weights, args)
        plan, inputs, _, fixed = plan_call(fun, weights, policy, args, kwargs)
        prepared = core.prepare()
        values = [jnp.zeros(v.shape, v.dtype) if isinstance(v, jax.ShapeDtypeStruct) else v for v in inputs]
        _, found = _Loader(diagnostics)(plan, prepared, jax.random.key(0), values)
        sites = {site.name: found[site.index] for site in plan.all_sites() if site.index in found}
        return PreloadedCore(prepared, sites, Fixed(tuple(fixed.items())))

    return loaded


def _nothing(eqn: JaxprEqn) -> list[jax.Array]:
    """Zeros where the equation's results would stand."""
    return [
        jax.random.split(jax.random.key(0), _jax.shape(out))
        if jax.dtypes.issubdtype(_jax.dtype(out), jax.dtypes.prng_key)
        else jnp.zeros(_jax.shape(out), _jax.dtype(out))
        for out in eqn.outvars
    ]
