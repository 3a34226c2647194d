"""Ranges of ADCs that are fixed for each column, found on a call of a function."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import optics
from optics.core.by_site import Machine


def fixed_ranges(
    score: Callable[..., Any], policy: optics.Policy, core: Machine, key: jax.Array, *call: Any
) -> dict[str, optics.SiteRange]:
    """Ranges of the receivers, `adc.loading` at each site times the rms of each column on a call.

    The largest magnitude on a sample of n is too small for one in n + 1 of what follows, so it is no bound here. A
    range of one rms is never above it.
    """
    found = optics.fit_ranges(score, policy=policy, loading=1.0)(core, key, *call)
    loading = _loading_by_site(core, optics.trace(score, policy=policy)(*call))
    return {name: jax.tree.map(partial(jnp.multiply, loading[name]), rms) for name, rms in found.items()}


def _loading_by_site(core: Machine, sites: Sequence[optics.Site]) -> dict[str, Any]:
    """`adc.loading` of the core of each site on light; of one with several cores that of the first."""
    if isinstance(core, optics.TensorCore):
        return {site.name: core.adc.loading for site in sites}
    assigned = core.assign(sites)
    cores = {site.name: [share.core for share in assigned.shares(site.name) if share.core] for site in sites}
    return {name: found[0].adc.loading for name, found in cores.items() if found}
