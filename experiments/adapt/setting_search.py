"""Light at equal watts, gain before the ADCs or their range, by kind of site: a descent on a language model's loss."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import models
import optics
from experiments.adapt.setting import Register, Setting
from experiments.evaluation.agreement import scored

RATE = 0.15
"""Of Adam, on the logarithm of each factor: in twenty steps a factor of some ten at most."""
MOST_FACTOR = 30.0


class SettingSearch(NamedTuple):
    """A setting, and the KL of the window of each step under noise of its own [nats per token]."""

    setting: Setting
    losses: list[float]


def equal_watts(logs: jax.Array, shares: jax.Array) -> jax.Array:
    """Return factors e^logs, scaled so that light draws the watts that it draws at factors of 1.

    Args:
        logs: one for each kind.
        shares: of each kind in the watts of light at equal source power, to which its watts are proportional.
    """
    factors = jnp.exp(logs - jnp.max(logs))
    return factors / jnp.sum(shares * factors)


def descend(
    gradient: Callable[[int, jax.Array], tuple[jax.Array, jax.Array]], count: int, steps: int
) -> tuple[jax.Array, list[float]]:
    """Return (logarithms, the loss of each step) of a descent with noisy gradients, by Adam.

    The result is the mean over the second half of the steps, which averages the noise out (Polyak and Juditsky, SIAM J.
    Control Optim. 30, 838, 1992).

    Args:
        gradient: number of the step, logarithms -> (loss, gradient).
        count: how many logarithms.
        steps: number of steps.
    """
    bound = float(np.log(MOST_FACTOR))
    optimiser = optax.adam(RATE)
    logs = jnp.zeros(count, jnp.float32)
    moments, seen, losses = optimiser.init(logs), [], []
    for step in tqdm(range(steps), desc="setting by site", unit="step", leave=False):
        found, slope = gradient(step, logs)
        with jax.numpy_dtype_promotion("standard"):
            # Adam raises a float to the power of its integer count.
            change, moments = optimiser.update(slope, moments)
        logs = jnp.clip(logs + jnp.asarray(change), -bound, bound)
        seen.append(np.asarray(logs))
        losses.append(float(found))
    return jnp.asarray(np.mean(seen[steps // 2 :], axis=0), jnp.float32), losses


def with_factors(
    what: Register, setting: Setting, logs: jax.Array, shares: Mapping[str, float], start: Mapping[str, float]
) -> Setting:
    """Return a setting with factors `start` e^logs by kind of site; those of light are scaled to equal watts.

    Arguments as of `search_setting`; `logs` has one for each kind of `shares`.
    """
    if what == "light":
        factors = equal_watts(logs, jnp.asarray(list(shares.values()), jnp.float32))
    else:
        factors = jnp.asarray([start.get(kind, 1.0) for kind in shares], jnp.float32) * jnp.exp(logs)
    return dataclasses.replace(setting, **{what: dict(zip(shares, factors, strict=True))})


def kl_by_factors(
    what: Register,
    forward: Callable[[Any, jax.Array], jax.Array],
    setting: Setting,
    shares: Mapping[str, float],
    start: Mapping[str, float],
    policy: optics.Policy,
) -> Callable[..., jax.Array]:
    """Return (logarithms, core, key, params, tokens, reference logits) -> KL [nats per token] on the core so set.

    Args:
        what, setting, shares, start, policy: as of `search_setting`.
        forward: (params, tokens) -> logits.
    """
    emulated = optics.emulate(scored(forward), policy=policy)

    def kl(logs: jax.Array, core: Any, key: jax.Array, params: Any, tokens: jax.Array, logits: jax.Array) -> jax.Array:
        machine = with_factors(what, setting, logs, shares, start).machine(core)
        return emulated(machine, key, params, tokens, logits).kl

    return kl


def search_setting(
    what: Register,
    checkpoint: models.Checkpoint,
    core: optics.TensorCore,
    setting: Setting,
    shares: Mapping[str, float],
    start: Mapping[str, float],
    sample: np.ndarray,
    reference: Callable[[jax.Array], jax.Array],
    policy: optics.Policy,
    steps: int,
    seed: int,
) -> SettingSearch:
    """Return the setting with the light, the gain before the ADCs or their range, by kind of site, of the least KL.

    Light keeps the watts of equal light; gain and range cost none. Each step descends on one window under noise of its
    own, by the gradient of the emulation.

    Args:
        what: the factors that are searched. Those that the setting has are replaced.
        checkpoint: the model, in memory.
        core: the core, at equal light.
        setting: what else is set.
        shares: of the kinds of sites in the watts of light, see `equal_watts`.
        start: factors of gain or range that the descent begins at, 1 for kinds that are not in it. Light begins at
            equal light.
        sample: token ids [windows, tokens], gone through over and over.
        reference: tokens [1, tokens] -> logits that the KL is counted from.
        policy: which products run on the core.
        steps: number of steps.
        seed: of the noise.
    """
    compiled = jax.jit(jax.value_and_grad(kl_by_factors(what, checkpoint.forward, setting, shares, start, policy)))
    keys = partial(jax.random.fold_in, jax.random.key(seed))

    def gradient(step: int, logs: jax.Array) -> tuple[jax.Array, jax.Array]:
        tokens = jnp.asarray(sample[step % len(sample)][None])
        return compiled(logs, core, keys(step), checkpoint.params, tokens, reference(tokens))

    logs, losses = descend(gradient, len(shares), steps)
    found = with_factors(what, setting, logs, shares, start)
    plain = {name: float(factor) for name, factor in getattr(found, what).items()}
    return SettingSearch(dataclasses.replace(found, **{what: plain}), losses)
