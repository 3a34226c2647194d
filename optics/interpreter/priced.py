"""What `optics.price` asks of a core. A core of one's own needs no base class of this module."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import jax
import numpy as np

# As `electronics.part.Number`, which this folder does not import.
Scalar = float | np.ndarray | jax.Array


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


class Share(NamedTuple):
    """A part of the products of a site.

    Attributes:
        core: what does it, None for digital.
        executions: the share of the site's executions, each of which has the weights on the mask.
        vectors: the share of the vectors of one of these.
    """

    core: Any
    executions: float
    vectors: float = 1.0

    @property
    def macs(self) -> float:
        """The share of the site's multiply-accumulates."""
        return self.executions * self.vectors


@runtime_checkable
class PricedDesign(Protocol):
    """What `price` needs of a design of several cores."""

    @property
    def machine(self) -> PricedCore:
        """The core whose host and digital arithmetic serve all sites."""
        ...

    @property
    def machines(self) -> Sequence[PricedCore]:
        """All its cores, without those that are digital."""
        ...

    def shares(self, name: str) -> Sequence[Share]:
        """The parts of a site, each on one core or digital."""
        ...
