"""The bill: joules by component, time and reloads for all the products of a function. Never runs the function."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from electronics.part import Number
from optics import checks
from optics.plan import Site

EXAOPS = 1e18
OMITTED = ("thermal control of the optics", "cooling outside the server (PUE)")
WITHOUT_OPERATIONS = "norms, softmax, rotary embedding, activations and other element-wise work"
WITHOUT_MEMORY = "KV-cache and activation traffic to main memory"


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["components", "macs", "optical_macs", "core_seconds", "loads"],
    meta_fields=["omitted"],
)
@dataclasses.dataclass(frozen=True)
class Bill:
    """Energy [J] by component of one call, at the plug; 1 MAC = 2 operations.

    components: J by name; macs, optical_macs: multiply-accumulates in all and on the core; core_seconds: time that a
    single core would need [s]; loads: how often a tile of weights is written; omitted: costs that are not in it.
    """

    components: dict[str, Number]
    macs: Number
    optical_macs: Number
    core_seconds: Number
    loads: Number
    omitted: tuple[str, ...] = OMITTED

    @property
    def total(self) -> jax.Array:
        """Energy of the call [J]."""
        return jnp.sum(jnp.stack([jnp.asarray(value, jnp.float32) for value in self.components.values()]), axis=0)

    @property
    def per_mac(self) -> jax.Array:
        """Energy per multiply-accumulate, digital ones included [J]."""
        return self.total / self.macs

    @property
    def tops_per_watt(self) -> jax.Array:
        """Operations per joule / 1e12."""
        return 2e-12 / self.per_mac

    def watts_at(self, ops: float = EXAOPS) -> jax.Array:
        """Power [W] at `ops` operations per second."""
        return self.per_mac * (ops / 2)


def price(
    core: Any,
    sites: Sequence[Site],
    *,
    operations: Mapping[str, float] | None = None,
    memory_bits: Mapping[str, float] | None = None,
) -> Bill:
    """What the products of `trace` cost on `core`; differentiable and vmappable over the core's leaves.

    Sites on the core are billed by `core.cost`, digital ones by `core.digital_cost`; where the core has an `overhead`
    its host and power conversion come on top. `operations`, as `optics.census` counts them, and `memory_bits` that go
    to or from main memory each add a line under their own names. What is not billed stands in the bill's `omitted`.
    Of a `cond` all branches are billed; a `while`, whose turns nobody knows beforehand, for one, with a warning.

    Raises TypeError where `core` prices nothing, ValueError where there is no product to price.
    """
    checks.has(core, "cost")
    for given, method in ((operations, "operation_cost"), (memory_bits, "memory_cost")):
        if given:
            checks.has(core, method)
    if not sites:
        raise ValueError("there is no product to price: `sites` is empty")
    if not all(site.bounded for site in sites):
        warnings.warn("a `while` loop is billed for a single turn", stacklevel=2)
    components: dict[str, Number] = {}
    seconds = loads = 0.0
    for site in sites:
        if not site.optical:
            _add(components, {"digital products": core.digital_cost(float(site.macs))})
            continue
        shape = {
            "rows": site.rows,
            "columns": site.columns,
            "vectors": float(site.vectors),
            "resident": site.stationary,
        }
        times = float(site.matrices * site.executions)
        _add(components, {name: times * energy for name, energy in core.cost(**shape).items()})
        if hasattr(core, "time"):
            seconds += times * core.time(**shape)
            loads += times * core.loads(**shape)
    _add(components, {name: core.operation_cost(count) for name, count in (operations or {}).items()})
    _add(components, {name: core.memory_cost(bits) for name, bits in (memory_bits or {}).items()})
    if hasattr(core, "overhead"):
        _add_overhead(components, core.overhead)
    return Bill(
        components=components,
        macs=float(sum(site.macs for site in sites)),
        optical_macs=float(sum(site.macs for site in sites if site.optical)),
        core_seconds=seconds,
        loads=loads,
        omitted=(
            *((WITHOUT_OPERATIONS,) if operations is None else ()),
            *((WITHOUT_MEMORY,) if memory_bits is None else ()),
            *OMITTED,
        ),
    )


def _add(components, more):
    for name, energy in more.items():
        components[name] = components.get(name, 0.0) + energy


def _add_overhead(components, overhead):
    engine = sum(components.values())
    host = overhead.host(engine)
    _add(components, {"host, network, fans": host, "power conversion": overhead.conversion(engine + host)})
