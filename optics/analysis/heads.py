"""Which heads of an attention lose most on light: each on it alone, all else exact.

losses = optics.losses_by_head(loss, core, key, params, x)  # loss(params, x): a number
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optics.core.assigned_cores import digital_products
from optics.core.tensor_core import RealizedCore, TensorCore
from optics.interpreter.call import WeightSelection, trace
from optics.interpreter.emulate import emulate
from optics.interpreter.plan import Policy, Site, everything
from optics.interpreter.protocols import Core, OverMatrices, PerSiteCore, PreparableCore, SplittingCore


def losses_by_head(
    loss: Callable[..., jax.Array],
    core: TensorCore | RealizedCore,
    key: jax.Array,
    *args: Any,
    weights: WeightSelection = 0,
    policy: Policy = everything,
    progress: Callable[[int], object] = lambda done: None,
) -> np.ndarray:
    """The loss with the products of one head on light and all others digital, for each head of each layer.

    With the loss of the digital function taken off, it says in which order heads are best left digital. Losses of heads
    add up only as far as their errors are small and independent. All heads share one compiled program, which does both
    the digital and the emulated products. Products with weights are digital.

    Args:
        loss: (*args) -> a number, of a function whose products of two activations have heads (`Site.heads`); layers are
            the steps of the scan around them, one without a scan.
        core: of the head on light.
        key: of the noise, the same for all heads.
        args: of the loss.
        weights: as for `emulate`.
        policy: which of these products run on light, and which operand stands on the mask, as for `emulate`; that of
            the design that is made of the result.
        progress: called after each head with the number of those done.

    Returns:
        Losses [layers, heads].

    Raises:
        ValueError: if no product of two activations has heads, they differ in layers or heads, or stand in a scan
            inside another; and for a design in place of a core.
    """
    if not isinstance(core, TensorCore | RealizedCore):
        raise ValueError(f"core = {core!r} must be one core, on which each head is run alone")
    attention = _AttentionAlone(policy)
    sites = trace(loss, weights, policy=attention)(*args)
    layers, heads = layers_and_heads([site for site in sites if site.optical])
    leaves, tree = jax.tree.flatten(args)
    arrays = {number: leaf for number, leaf in enumerate(leaves) if isinstance(leaf, jax.Array | np.ndarray)}

    @jax.jit
    def emulated(some: "_SomeHeads", key: jax.Array, arrays: dict[int, jax.Array]) -> jax.Array:
        filled = [arrays.get(number, leaf) for number, leaf in enumerate(leaves)]
        return emulate(loss, weights, policy=attention)(some, key, *jax.tree.unflatten(tree, filled))

    found = np.empty((layers, heads))
    for number, (layer, head) in enumerate(np.ndindex(layers, heads), start=1):
        on = jnp.zeros((layers, heads), bool).at[layer, head].set(True)
        found[layer, head] = float(emulated(_SomeHeads(core, on, {}), key, arrays))
        progress(number)
    return found


def layers_and_heads(sites: Sequence[Site]) -> tuple[int, int]:
    """The number of layers, which are the steps of a scan, and of heads that all of these sites have.

    Raises:
        ValueError: if there are no sites or a site has no heads, they differ, or stand in a scan inside another.
    """
    if any(len(site.scan_lengths) > 1 for site in sites):
        raise ValueError("products of two activations stand in a scan inside another: whose steps are the layers?")
    found = {(site.scan_lengths[0] if site.scan_lengths else 1, site.heads) for site in sites}
    if not found or any(heads == 0 for _, heads in found):
        raise ValueError("no product of two activations on light has heads: it is one of several matrices")
    if len(found) > 1:
        stated = ", ".join(f"{layers} layers of {heads} heads" for layers, heads in sorted(found))
        raise ValueError(f"products of two activations differ in layers or heads: {stated}")
    return found.pop()


class _AttentionAlone:
    """A policy for products of two activations, all others digital."""

    def __init__(self, policy: Policy):
        self.policy, self.reads_shares = policy, getattr(policy, "reads_shares", False)

    def __call__(self, site: Site) -> bool | str:
        return False if site.stationary else self.policy(site)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _SomeHeads(PerSiteCore, PreparableCore, Core):
    """A core for some heads of some layers, the others digital, by numbers and not by the structure of a program.

    Attributes:
        core: the core.
        on: whether a head is on it, [layers, heads].
        steps: by site name, the step that the scan around it is in.
    """

    core: TensorCore | RealizedCore
    on: jax.Array
    steps: dict[str, jax.Array]

    def prepare(self) -> "_SomeHeads":
        return dataclasses.replace(self, core=self.core.prepare())

    def at_scan_step(self, step: jax.Array, names: set[str]) -> "_SomeHeads":
        return dataclasses.replace(self, steps={name: step for name in names} | self.steps)

    def at(self, name: str) -> "_HeadsOfLayer":
        return _HeadsOfLayer(self.core, self.on[self.steps.get(name, 0)])

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        raise ValueError("heads are of the sites of a function: run it through optics.emulate")


@dataclasses.dataclass(frozen=True)
class _HeadsOfLayer(SplittingCore, Core):
    """The heads [heads] of one layer: both products of all of them, of which one is taken."""

    core: TensorCore | RealizedCore
    on: jax.Array

    def over_matrices(self, run: OverMatrices, *operands: jax.Array) -> tuple[jax.Array, Any]:
        light, seen = run(self.core, *operands)
        on = jnp.tile(self.on, light.shape[0] // self.on.shape[0])
        return jnp.where(on[:, None, None], light, digital_products(*operands)), seen

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        raise ValueError("a single matrix has no heads")
