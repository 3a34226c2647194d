"""What `optics.emulate` and `optics.price` ask of a core. A core of one's own needs no base class of this module."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import jax
import numpy as np

from optics.interpreter.plan import Site

# As `electronics.part.Number`, which this folder does not import.
Scalar = float | np.ndarray | jax.Array
CoreT = TypeVar("CoreT")


class Core(Protocol):
    """What can stand in for a matrix product: `TensorCore`, `electronics.IntegerCore`, or a core of one's own.

    The other protocols of this module are optional; `emulate` calls what a core has.
    """

    def matmul(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> jax.Array:
        """x [vectors, rows] @ w [rows, columns] -> [vectors, columns]."""
        ...


@runtime_checkable
class ObservableCore(Protocol):
    """A core that returns diagnostics, needed by `emulate(..., diagnostics=True)`."""

    def observe(self, x: jax.Array, w: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `matmul`, with diagnostics: a pytree whose leaves add up, or a `MergeableDiagnostics`."""
        ...


@runtime_checkable
class PartlyObservableCore(Protocol):
    """A core that leaves vectors out of its diagnostics. Others count the zeros that fill the blocks of experts."""

    def observe_part(self, x: jax.Array, w: jax.Array, counted: jax.Array, *, key: jax.Array) -> tuple[jax.Array, Any]:
        """As `observe`, with diagnostics of the vectors where `counted` [vectors] is True."""
        ...


@runtime_checkable
class MergeableDiagnostics(Protocol):
    """Diagnostics that merge by other rules than the sum of their leaves."""

    def joined(self, other: Self) -> Self:
        """The diagnostics of two products as those of one."""
        ...

    def folded(self) -> Self:
        """The diagnostics of several products, stacked along a leading axis, as those of one."""
        ...


@runtime_checkable
class PreparableCore(Protocol):
    """A core with work to do once per run."""

    def prepare(self) -> Core:
        """The core to use in this run in place of this one."""
        ...


@runtime_checkable
class PerSiteCore(Protocol):
    """A core that differs between the sites of a function."""

    def at(self, name: str) -> Core:
        """The core of the site `name`."""
        ...


class PlacingCore(Core, PerSiteCore, Protocol):
    """A core that leaves sites digital."""

    def takes(self, site: Site) -> bool:
        """Whether the site runs on a core; else it is digital."""
        ...


@runtime_checkable
class PricedDesign(Protocol):
    """What `price` needs of a design of several cores."""

    @property
    def machine(self) -> "PricedCore":
        """The core whose host and digital arithmetic serve all sites."""
        ...

    def shares(self, name: str) -> Sequence[tuple[Any, float]]:
        """The cores that a site runs on, None for digital, and the share of its executions on each."""
        ...


@runtime_checkable
class AssigningCore(Protocol):
    """A core that gives each site a core of its own, once it has seen all sites of the function."""

    def assign(self, sites: Sequence[Site]) -> PlacingCore:
        """The cores of these sites, a `PricedDesign` where they have a price."""
        ...


@runtime_checkable
class PerStepCore(Protocol):
    """A core that differs between the steps of a scan."""

    def at_scan_step(self, step: jax.Array, names: set[str]) -> Self:
        """The core in step `step` of the scan that contains the sites `names`."""
        ...


@runtime_checkable
class PerExpertCore(Protocol):
    """A core of one site that differs between the experts of a ragged product."""

    def at_expert(self, number: jax.Array) -> Core:
        """The core of one expert."""
        ...


@runtime_checkable
class LoadableCore(Protocol):
    """A core on whose mask weights can stay for many products."""

    def load(self, w: jax.Array) -> Any:
        """w [rows, columns] on the mask.

        The attribute `weights` of the result is a pytree, and its method matmul(x, key=key) multiplies with them.
        """
        ...


@runtime_checkable
class CallCheckingCore(Protocol):
    """A core that is valid for some calls of a function alone."""

    def check_call(self, fixed: dict[str, Any]) -> None:
        """Raise ValueError for a call that the core does not fit.

        Args:
            fixed: by name, the numbers and strings among the arguments, which are part of the function.
        """
        ...


@runtime_checkable
class ReviewingCore(Protocol):
    """A core that warns about a finished run."""

    def review(self, sites: Sequence[Site], readings: Mapping[str, Any]) -> None:
        """Warn where the run cannot be trusted, given its sites on the core and their diagnostics by site name."""
        ...


@runtime_checkable
class PricedCore(Protocol):
    """What `price` needs of a core."""

    def cost(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Mapping[str, Scalar]:
        """Energy [J] by component of `vectors` vectors through a rows x columns product."""
        ...

    def digital_cost(self, macs: float) -> Scalar:
        """Energy [J] of `macs` multiply-accumulates that stay digital."""
        ...


@runtime_checkable
class TimedCore(Protocol):
    """A core whose time and loads `price` counts."""

    def time(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Scalar:
        """Time [s] that one core is held by `vectors` vectors through a rows x columns product."""
        ...

    def loads(self, *, rows: int, columns: int, vectors: float, resident: bool) -> Scalar:
        """Number of times that a tile of weights is written for these vectors."""
        ...


@runtime_checkable
class TiledCore(Protocol):
    """A core that cuts a matrix into tiles."""

    def tiles(self, rows: int, columns: int) -> tuple[int, int]:
        """Number of tiles along the rows and along the columns."""
        ...


@runtime_checkable
class OperationPricer(Protocol):
    """A core that prices element-wise operations."""

    def operation_cost(self, operations: float) -> Scalar:
        """Energy [J] of `operations` operations outside products."""
        ...


@runtime_checkable
class MemoryPricer(Protocol):
    """A core that prices main memory."""

    def memory_cost(self, bits: float) -> Scalar:
        """Energy [J] of `bits` bits to or from main memory."""
        ...


class HasMeanDrive(Protocol):
    """A light source: `mean_drive` is the mean magnitude of its inputs as a fraction of full scale."""

    mean_drive: Any


class HasInputEncoding(Protocol):
    """An encoding: `inputs` names how an input's sign is carried."""

    inputs: str


@runtime_checkable
class IlluminatedCore(PricedCore, Protocol):
    """A core that is billed for its light, by the mean drive of its source."""

    source: HasMeanDrive
    encoding: HasInputEncoding

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with the fields of dotted names changed."""
        ...


@runtime_checkable
class ReloadedCore(Protocol):
    """A core whose weights are written again after `vectors_per_load` vectors."""

    vectors_per_load: Any


@runtime_checkable
class RoutedCore(PricedCore, ReloadedCore, Protocol):
    """A core that is billed for the loads of each expert of a site."""

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """A copy with the fields of dotted names changed."""
        ...


class Overhead(Protocol):
    """Host and power conversion, on top of the core's own energy."""

    def host(self, engine: Scalar) -> Scalar:
        """Energy [J] of the host beside an engine of this energy."""
        ...

    def conversion(self, load: Scalar) -> Scalar:
        """Energy [J] lost in power conversion for this load."""
        ...


@runtime_checkable
class HostedCore(Protocol):
    """A core whose bill includes its host and power conversion."""

    overhead: Overhead


@runtime_checkable
class DriveDiagnostics(Protocol):
    """Diagnostics with the sum of the drives of a site's inputs and the number of these inputs."""

    drive: Any
    inputs: Any


def prepared(core: Core) -> Core:
    """The core to use in one run."""
    return core.prepare() if isinstance(core, PreparableCore) else core


def at_site(core: Core, name: str) -> Core:
    """The core of the site `name`."""
    return core.at(name) if isinstance(core, PerSiteCore) else core


def at_expert(core: Core, number: jax.Array) -> Core:
    """The core of one expert of a site."""
    return core.at_expert(number) if isinstance(core, PerExpertCore) else core


def at_scan_step(core: CoreT, step: jax.Array, names: set[str]) -> CoreT:
    """The core in one step of the scan that contains the sites `names`."""
    if isinstance(core, PerStepCore):
        return core.at_scan_step(step, names)
    if hasattr(core, "turn"):
        warnings.warn("a core's method `turn` is now `at_scan_step`", DeprecationWarning, stacklevel=2)
        return core.turn(step, names)  # pyright: ignore[reportAttributeAccessIssue] the name of version 0.1
    return core


def index_scan(by_site: Mapping[str, Any], step: jax.Array, names: set[str]) -> dict[str, Any]:
    """Arrays kept by site name, in one step of the scan that contains `names`: theirs lose their leading axis."""
    return {
        name: jax.tree.map(lambda leaf: leaf[step], kept) if name in names else kept for name, kept in by_site.items()
    }
