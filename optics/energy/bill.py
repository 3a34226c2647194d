"""The bill: joules by component, time and reloads for all the products of a function. Never runs the function."""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from electronics.part import Number, nearest
from optics import checks
from optics.core.cost import left_by_mask
from optics.core.cost_component import CostComponent
from optics.energy.basis import DRIVE_ASSUMED, DRIVE_MEASURED, DRIVE_PARTLY, RESIDENCY, rests_on
from optics.energy.light_budget import mean_drive
from optics.interpreter.plan import Site, without_core
from optics.interpreter.priced import (
    HostedCore,
    IlluminatedCore,
    MemoryPricer,
    OperationPricer,
    Overhead,
    PricedCore,
    PricedDesign,
    ReloadedCore,
    RoutedCore,
    Share,
    TiledCore,
    TimedCore,
)
from optics.interpreter.protocols import AssigningCore

EXAOPS = 1e18
OMITTED = ("thermal control of the optics", "cooling outside the server (PUE)")
WITHOUT_OPERATIONS = "norms, softmax, rotary embedding, activations and other element-wise work"
WITHOUT_MEMORY = "KV-cache and activation traffic to main memory"
SMALLEST_DRIVE = 1e-12
LEAST_VECTORS_PER_LOAD = 1.0


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "components",
        "macs",
        "optical_macs",
        "core_seconds",
        "loads",
        "mean_drive",
        "vectors_per_load",
        "seconds_by_core",
    ],
    meta_fields=["omitted", "measured", "assumed"],
)
@dataclasses.dataclass(frozen=True)
class Bill:
    """Energy [J] by component of one call, at the plug; 1 MAC = 2 operations.

    components: J by name; macs, optical_macs: multiply-accumulates in all and on the core; core_seconds: time that a
    single core would need [s]; loads: how often a tile of weights is written; mean_drive: mean magnitude of the inputs
    that light is billed for, as a fraction of full scale, averaged over the MACs on the core; vectors_per_load: of the
    core; seconds_by_core: core_seconds on each core of a design, empty of a single core; omitted: costs that are not in
    it; measured, assumed: what it rests on, see also `basis`.
    """

    components: dict[str, Number]
    macs: Number
    optical_macs: Number
    core_seconds: Number
    loads: Number
    omitted: tuple[str, ...] = OMITTED
    mean_drive: Number | None = None
    vectors_per_load: Number | None = None
    seconds_by_core: tuple[Number, ...] = ()
    measured: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def basis(self) -> tuple[str, ...]:
        """What the bill rests on, measured first, then assumed, with the numbers where they are single and known."""
        numbers: dict[str, Number | None] = dict.fromkeys(
            (DRIVE_MEASURED, DRIVE_PARTLY, DRIVE_ASSUMED), self.mean_drive
        )
        numbers[RESIDENCY] = self.vectors_per_load

        def stated(kind: str, text: str) -> str:
            value = numbers.get(text)
            if value is None or isinstance(value, Tracer) or jnp.ndim(value) > 0:
                return f"{kind}: {text}"
            return f"{kind}: {text}: {_written(float(value))}"

        return (
            *(stated("measured", text) for text in self.measured),
            *(stated("assumed", text) for text in self.assumed),
        )

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
    core: PricedCore | AssigningCore,
    sites: Sequence[Site],
    *,
    readings: Mapping[str, Any] | None = None,
    operations: Mapping[str, float] | None = None,
    memory_bits: Mapping[str, float] | None = None,
    experts_per_token: Mapping[str, float] | None = None,
) -> Bill:
    """What the products of `trace` cost on `core`; differentiable and vmappable over the core's leaves.

    Sites on the core are billed by `core.cost`, digital ones by `core.digital_cost`; where the core has an `overhead`
    its host and power conversion come on top. Light is billed for the mean drive of `readings` at each site, and for
    `core.source.mean_drive` at sites without: the bill says which (`Bill.basis`). A product of two activations counts
    its `Site.share`; on the core it counts the tiles that the mask leaves. A load of one of E experts serves the
    vectors that routing gives it, at least one: `core.vectors_per_load` / E of the vectors of the site, or K times as
    many where each of `core.vectors_per_load` tokens is K vectors of it. Of a `cond` all branches are billed; a
    `while`, whose turns nobody knows beforehand, for one, with a warning.

    Args:
        core: a `TensorCore`, or any machine with `cost` and `digital_cost`; or `CoresBySite`, whose first core serves
            digital products, element-wise operations, main memory and host.
        sites: what `optics.trace` found.
        readings: by site name, the `Diagnostics` that `emulate(..., diagnostics=True)` returned of the same function,
            whose leading axes are summed, or mean drives as fractions of full scale.
        operations: operations beside the products by name, as `optics.count_elementwise_ops` counts them.
        memory_bits: bits to or from main memory by name.
        experts_per_token: by name of a site with experts, K, where `core.vectors_per_load` counts tokens, each of which
            passes K of the experts.

    Returns:
        The bill; what is not in it stands in `omitted`.

    Raises:
        TypeError: where `core` prices nothing.
        ValueError: where there is no product to price, or readings or `experts_per_token` belong to none of the sites.
    """
    found = core.assign(sites) if isinstance(core, AssigningCore) else core
    design = found if isinstance(found, PricedDesign) else None
    machine = core if design is None else design.machine
    checks.has(machine, "cost")
    assert isinstance(machine, PricedCore)
    if design is not None:
        on_core = {site.name for site in sites if any(part.core is not None for part in design.shares(site.name))}
        sites = [site if site.name in on_core else without_core(site) for site in sites]
    for given, method in ((operations, "operation_cost"), (memory_bits, "memory_cost")):
        if given:
            checks.has(machine, method)
    if not sites:
        raise ValueError("there is no product to price: `sites` is empty")
    if not all(site.bounded for site in sites):
        warnings.warn("a `while` loop is billed for a single turn", stacklevel=2)
    drives, passed = _drives(sites, readings or {}), experts_per_token or {}
    _belonging("experts_per_token", passed, sites)
    components: dict[str, Number] = {}
    seconds = loads = driven = optical_macs = 0.0
    seconds_of: dict[int, Number] = {}
    for site, part in _placed(sites, design, machine):
        on: PricedCore | None = part.core
        macs = part.macs * float(site.macs)
        if on is None:
            digital = machine.digital_cost(macs)
            _add(components, {CostComponent.DIGITAL_PRODUCTS: digital})
            continue
        here = _routed(_driven(on, drives.get(site.name)), site, passed.get(site.name, 1))
        sent, written = left_by_mask(site, on.tiles) if isinstance(on, TiledCore) else (1.0, 1.0)
        shape = {
            "rows": site.rows,
            "columns": site.columns,
            "vectors": part.vectors * sent * site.vectors / _matrices_written(site),
            "resident": site.stationary,
        }
        times = part.executions * written * float(site.matrices * site.executions * _matrices_written(site))
        optical_macs += macs
        energies = _with_patches(here.cost(**shape), site.repeated)
        _add(components, {name: times * energy for name, energy in energies.items()})
        if isinstance(here, IlluminatedCore):
            driven += macs * here.source.mean_drive
        if isinstance(here, TimedCore):
            spent = times * here.time(**shape)
            seconds += spent
            seconds_of[id(on)] = seconds_of.get(id(on), 0.0) + spent
            loads += times * here.loads(**shape)
    if operations and isinstance(machine, OperationPricer):
        _add(components, {name: machine.operation_cost(count) for name, count in operations.items()})
    if memory_bits and isinstance(machine, MemoryPricer):
        _add(components, {name: machine.memory_cost(bits) for name, bits in memory_bits.items()})
    if isinstance(machine, HostedCore):
        _add_overhead(components, machine.overhead)
    measured, assumed = rests_on(machine, sites, drives)
    return Bill(
        components=components,
        macs=float(sum(site.macs for site in sites)),
        optical_macs=optical_macs,
        core_seconds=seconds,
        loads=loads,
        mean_drive=driven / optical_macs if optical_macs and isinstance(machine, IlluminatedCore) else None,
        vectors_per_load=machine.vectors_per_load if isinstance(machine, ReloadedCore) else None,
        # A core that several rules name is listed for the first of them.
        seconds_by_core=() if design is None else tuple(seconds_of.pop(id(each), 0.0) for each in design.machines),
        measured=measured,
        assumed=assumed,
        omitted=(
            *((WITHOUT_OPERATIONS,) if operations is None else ()),
            *((WITHOUT_MEMORY,) if memory_bits is None else ()),
            *OMITTED,
        ),
    )


def _placed(sites: Sequence[Site], design: PricedDesign | None, machine: PricedCore) -> Iterator[tuple[Site, Share]]:
    """Each site with each of its parts."""
    for site in sites:
        if not site.optical:
            yield site, Share(None, 1.0)
        elif design is None:
            yield site, Share(machine, 1.0)
        else:
            for part in design.shares(site.name):
                yield site, part


def _written(value: float) -> str:
    return f"{value:.3g}" if value < 1 else f"{value:g}"


def _drives(sites: Sequence[Site], readings: Mapping[str, Any]) -> dict[str, Number]:
    """Mean drive by site name."""
    _belonging("readings", readings, sites)
    return {name: mean_drive(found) for name, found in readings.items()}


def _belonging(what: str, given: Mapping[str, Any], sites: Sequence[Site]) -> None:
    names = [site.name for site in sites]
    for name in given:
        if name not in names:
            raise ValueError(f"{what} of {name!r} belong to none of the sites{nearest(name, names)}")


def _driven(core: PricedCore, drive: Number | None) -> PricedCore:
    """The core that a site is billed on; inputs that are all zero have no light, and a core's mean drive is above 0."""
    if drive is None or not isinstance(core, IlluminatedCore):
        return core
    return core.replace({"source.mean_drive": _at_least(drive, SMALLEST_DRIVE)})


def _routed(core: PricedCore, site: Site, passed: float) -> PricedCore:
    """The core that a site with experts is billed on: each load serves the vectors of one of them, and at least one."""
    if site.experts == 1 or not site.stationary or not isinstance(core, RoutedCore):
        return core
    served: Number = core.vectors_per_load * passed / site.experts
    return core.replace({"vectors_per_load": _at_least(served, LEAST_VECTORS_PER_LOAD)})


def _at_least(value: Number, least: float) -> Number:
    return max(value, least) if isinstance(value, float) else jnp.maximum(value, least)


def _matrices_written(site: Site) -> int:
    """How many matrices of activations are written for the vectors of a site: one for each expert that can have one."""
    return 1 if site.stationary else min(site.experts, site.vectors)


def _with_patches(energies: Mapping[str, Number], repeated: float) -> Mapping[str, Number]:
    """The energies with the movement of what patches repeat on a line of its own."""
    moved = energies.get(CostComponent.INPUT_MOVEMENT)
    if not repeated or moved is None:
        return energies
    parts = {CostComponent.INPUT_MOVEMENT: (1 - repeated) * moved, CostComponent.PATCH_MOVEMENT: repeated * moved}
    return {**energies, **parts}


def _add(components: dict[str, Number], more: Mapping[str, Number]) -> None:
    for name, energy in more.items():
        components[name] = components.get(name, 0.0) + energy


def _add_overhead(components: dict[str, Number], overhead: Overhead) -> None:
    engine = sum(components.values())
    host = overhead.host(engine)
    _add(components, {CostComponent.HOST: host, CostComponent.POWER_CONVERSION: overhead.conversion(engine + host)})
