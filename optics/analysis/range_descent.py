"""Ranges of sites learned on a loss by their gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from electronics.part import Number
from optics.datapath.site_range import SiteRange

Ranges = dict[str, SiteRange]
SMALLEST_SHARE = 1e-4


class LearnedRanges(NamedTuple):
    """Ranges after a descent.

    Attributes:
        ranges: by site name, those of the last step.
        losses: at each step, before its update, [steps].
    """

    ranges: Ranges
    losses: jax.Array


def learn_ranges(
    loss: Callable[[Ranges, jax.Array], Any],
    ranges: Ranges,
    key: jax.Array,
    *,
    steps: int,
    rate: float = 0.02,
    optimiser: optax.GradientTransformation | None = None,
) -> LearnedRanges:
    """Return ranges of less loss, by `steps` steps of Adam on their logarithms; compiled as one loop.

    The gradient by a range is that of the expected loss: what is clipped moves with the range, and the errors of
    rounding and of converters scale with it (PACT, arXiv 1805.06085; LSQ, arXiv 1902.08153). Shares stay at most 1.

    Args:
        loss: of ranges and a key, which differs at each step, as the mean over a batch of
            `emulate(f)(FixedRangeCore(core, ranges), key, params, x)` held against the digital function.
        ranges: to begin with, as from `fit_ranges`; only these fields are learned.
        key: of all steps.
        steps: number of them.
        rate: of Adam, the relative change of a range in the first step; it falls to a twentieth as half a cosine.
        optimiser: in place of Adam, of the logarithms.

    Raises:
        ValueError: for less than one step, or no range.
    """
    if steps < 1:
        raise ValueError(f"steps = {steps} must be at least 1")
    if not jax.tree.leaves(ranges):
        raise ValueError("there is no range to be learned: fit some with fit_ranges")
    if optimiser is None:
        optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps, alpha=0.05))
    return LearnedRanges(*_descend(loss, optimiser, _logarithms(ranges), jax.random.split(key, steps)))


def _descend(loss: Any, optimiser: Any, logs: Ranges, keys: jax.Array) -> tuple[Ranges, jax.Array]:
    @jax.jit
    def run(logs: Ranges, keys: jax.Array) -> tuple[Ranges, jax.Array]:
        def step(state: Any, key: jax.Array) -> Any:
            logs, inner = state
            value, slope = jax.value_and_grad(lambda logs: loss(_ranges(logs), key))(logs)
            # Adam raises a float to the power of its integer count.
            with jax.numpy_dtype_promotion("standard"):
                updates, inner = optimiser.update(slope, inner, logs)
                logs = _bounded(cast(Ranges, optax.apply_updates(logs, updates)))
            return (logs, inner), value

        (logs, _), losses = jax.lax.scan(step, (logs, optimiser.init(logs)), keys)
        return _ranges(logs), losses

    return run(logs, keys)


def _logarithms(ranges: Ranges) -> Ranges:
    return jax.tree.map(lambda leaf: jnp.log(jnp.asarray(leaf, jnp.float32)), ranges)


def _ranges(logs: Ranges) -> Ranges:
    return jax.tree.map(jnp.exp, logs)


def _bounded(logs: Ranges) -> Ranges:
    """Logarithms of shares that are at most 1."""

    def share(log: Number | None) -> jax.Array | None:
        return None if log is None else jnp.clip(log, jnp.log(SMALLEST_SHARE), 0.0)

    return {
        name: each._replace(input_share=share(each.input_share), weight_share=share(each.weight_share))
        for name, each in logs.items()
    }
