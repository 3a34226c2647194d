"""The number of trials that a device runs at once, and in one call."""

import dataclasses

import jax
import numpy as np

MACS_PER_CALL = {"cpu": 2e10, "other": 2e12}
MOST_PER_CALL = 1024
MOST_AT_ONCE = 64
MOST_GIVEN = 2**20


@dataclasses.dataclass(frozen=True)
class Layout:
    """Trials per call and device: `per_call` in all, by lax.map over batches of `width`, by vmap.

    Both shape the compiled program, and so its rounding errors. A run therefore has one layout to its end, on any
    number of devices.

    Attributes:
        width: trials at once.
        per_call: trials in one call, after which results are stored; a multiple of `width`.

    Raises:
        ValueError: if a number is below 1, or `per_call` is no multiple of `width`.
    """

    width: int
    per_call: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.per_call < 1 or self.per_call % self.width:
            raise ValueError(
                f"width = {self.width} and per_call = {self.per_call} must be at least 1, and per_call a multiple of "
                "width"
            )

    @classmethod
    def of(cls, macs: float, trials: int, width: int | None = None, per_call: int | None = None) -> "Layout":
        """Return the layout for trials of `macs` multiply-accumulates; width and per_call are chosen unless given.

        On CPUs the width is 1, since a vmap is no faster there. On accelerators it fills the device.
        """
        cpu = jax.default_backend() == "cpu"
        most = int(np.clip(MACS_PER_CALL["cpu" if cpu else "other"] / macs, 1, min(MOST_PER_CALL, trials)))
        if width is None:
            width = 1 if cpu else min(_power_of_two(per_call or most), MOST_AT_ONCE)
        return cls(width, per_call or max(most // width, 1) * width)

    def halved(self) -> "Layout":
        """Return the layout with half the width."""
        return Layout(self.width // 2, self.per_call)

    def describe(self) -> dict[str, int]:
        """Return the layout as a manifest states it."""
        return dataclasses.asdict(self)

    def refuse_another(self, width: int | None, per_call: int | None) -> None:
        """Raise ValueError if a width or number per call is given that differs from this layout."""
        for name, wanted in (("width", width), ("per_call", per_call)):
            if wanted is not None and wanted != getattr(self, name):
                raise ValueError(
                    f"{name} = {wanted}, but the run was begun with {getattr(self, name)}, and results would differ in "
                    "their last bits: leave it out, or give another folder"
                )


def check(width: int | None, per_call: int | None) -> None:
    """Raise ValueError for a width or number per call that is out of range."""
    for name, value in (("width", width), ("per_call", per_call)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value} must be at least 1")
        if value is not None and value > MOST_GIVEN:
            raise ValueError(f"{name} = {value} must be at most {MOST_GIVEN}")
    if width is not None and per_call is not None and per_call % width:
        raise ValueError(f"per_call = {per_call} must be a multiple of width = {width}")


def memory() -> float:
    """Return the memory of a device [bytes]; infinite where it is unknown."""
    return float((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", np.inf))


def _power_of_two(value: int) -> int:
    return 1 << (value.bit_length() - 1)
