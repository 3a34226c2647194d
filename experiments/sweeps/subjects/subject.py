"""The interface of a subject: what a sweep runs on each core, with its scores against exact arithmetic."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax

import optics
from experiments.sweeps.subjects.drive import Drive
from experiments.sweeps.subjects.metrics import Metric
from optics.core.by_site import Machine


class Subject(Protocol):
    """A subject by its description: a dataclass whose fields are static, and may be axes under the name `on.FIELD`.

    Attributes:
        offered: the metrics that it gives, apart from those of bill and core.
        own_metrics: those among them that are its own, or that it describes in its own words, beside `METRICS`.
        samples: number of values that one run gives of each metric, as a text has windows.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def offered(self) -> Sequence[str]: ...

    @property
    def own_metrics(self) -> Mapping[str, Metric]: ...

    @property
    def samples(self) -> int: ...

    def check(self) -> None:
        """Raise ValueError or FileNotFoundError for a field out of range, before anything is loaded."""
        ...

    def load(self) -> "LoadedSubject":
        """Return the subject with its data in memory."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Return the fields as a manifest states them, and the kind of subject as "kind"."""
        ...


@runtime_checkable
class DesignSubject(Protocol):
    """A subject that also runs on a design with a core for each site."""

    def check_design(self, design: optics.CoresBySite) -> None:
        """Raise ValueError where a rule of the design holds for none of its sites, before anything is loaded."""
        ...


@runtime_checkable
class PlacedSubject(Protocol):
    """A loaded subject some of whose products run on the core or stay digital, or have an operand to choose."""

    def placed_on(self, core: Machine, mean_drive: float | None) -> "LoadedSubject":
        """Return the subject with its products placed for the cores of one group of points.

        Args:
            core: the core of the group without what its axes vary.
            mean_drive: of the subject, where it was measured; it holds for a bill of another function.
        """
        ...


class LoadedSubject(Protocol):
    """A subject with its data in memory.

    Attributes:
        operands: arrays, the same for all cores.
        macs: multiply-accumulates of one run.
        samples: number of values that one run gives of each metric.
        program: what distinguishes its compiled function from that of another subject, beside shapes of operands.
        drive_of: the function that its mean drive is measured on where its bill is of another; else empty.
    """

    @property
    def operands(self) -> Any: ...

    @property
    def macs(self) -> float: ...

    @property
    def samples(self) -> int: ...

    @property
    def program(self) -> Hashable: ...

    @property
    def drive_of(self) -> str: ...

    def score(
        self, core: Any, key: jax.Array, number: jax.Array, operands: Any, names: Sequence[str]
    ) -> Mapping[str, jax.Array]:
        """Return metrics by name, each [samples], of one run on a core.

        Args:
            core: the core.
            key: noise key of the sweep.
            number: number of the draw, uint32, which is folded into the key.
            operands: `operands`, or tracers in their place.
            names: the metrics wanted.
        """
        ...

    def drive(self, core: Any) -> Drive:
        """Return the mean drive of its inputs on the structure of a core, with exact arithmetic."""
        ...

    def price(self, core: Any, drives: Mapping[str, Any]) -> tuple[optics.Bill, int]:
        """Return (the bill of one call, its tokens), for mean drives by site where they were measured."""
        ...

    def digest(self) -> str:
        """Return a digest of the data and the function: all that results depend on beside the core."""
        ...


def digest(*parts: str | bytes) -> str:
    """Return a digest of all parts of a subject's data."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
    return whole.hexdigest()
