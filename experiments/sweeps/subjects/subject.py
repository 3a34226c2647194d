"""What a sweep asks of the thing that it runs on each core, against its exact self."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import jax

import optics
from experiments.sweeps.subjects.drive import Drive


class Subject(Protocol):
    """What a sweep asks of the thing that it runs; its fields are static, and may be axes under the name `on.FIELD`.

    offered: the metrics it gives, apart from those of bill and core; samples: how many figures one run gives of each,
    as a text has windows.
    """

    offered: ClassVar[Sequence[str]]

    @property
    def samples(self) -> int: ...

    def check(self) -> None:
        """Raises ValueError or FileNotFoundError for what cannot be, before anything is loaded."""

    def load(self) -> "LoadedSubject":
        """Everything that a run needs, in memory."""

    def describe(self) -> Mapping[str, Any]:
        """The fields, as a manifest states them."""


class LoadedSubject(Protocol):
    """A subject in memory. operands: arrays, the same for all cores; macs: of one run; samples: figures it gives.

    program: what, beside shapes of operands, distinguishes the compiled function from that of another subject.
    drive_of: what its mean drive is of, where its bill is of something else; else empty.
    """

    operands: Any
    macs: float
    samples: int
    program: Hashable
    drive_of: str

    def score(self, core: Any, key: jax.Array, number: jax.Array, operands: Any, names: Sequence[str]) -> Any:
        """Metrics by name, each [samples], of one run on a core: the noise is that of `key` and `number`, uint32."""

    def drive(self, core: optics.TensorCore) -> Drive:
        """The mean drive of its inputs on the structure of a core, with exact arithmetic."""

    def price(self, core: Any, drives: Mapping[str, Any]) -> tuple[optics.Bill, int]:
        """(the bill of a call, its tokens); drives: those that were measured by site, or none."""

    def digest(self) -> str:
        """Of the data and the function: what results depend on beside the core."""


def digest(*parts: str | bytes) -> str:
    """Of all parts of a subject's data."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
    return whole.hexdigest()
