"""How many trials a device runs at once, and how many in one call."""

import dataclasses

import jax
import numpy as np

MACS_A_CALL = {"cpu": 2e10, "other": 2e12}
MOST_A_CALL = 1024
MOST_AT_ONCE = 64
MOST_GIVEN = 2**20


@dataclasses.dataclass(frozen=True)
class Layout:
    """`width` trials at once by vmap, and `per_call` in all before results are kept, one such batch after the other
    by lax.map.

    Both shape the compiled program, whose roundings follow from them: a run keeps its layout to the end, on any number
    of devices, and so gives the same bits.
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
        """For trials of so many multiply-accumulates, what is not given chosen.

        On a CPU a vmap gains nothing; elsewhere it fills the device.
        """
        cpu = jax.default_backend() == "cpu"
        most = int(np.clip(MACS_A_CALL["cpu" if cpu else "other"] / macs, 1, min(MOST_A_CALL, trials)))
        if width is None:
            width = 1 if cpu else min(_power_of_two(per_call or most), MOST_AT_ONCE)
        return cls(width, per_call or max(most // width, 1) * width)

    def halved(self) -> "Layout":
        """With half as many at once."""
        return Layout(self.width // 2, self.per_call)

    def described(self) -> dict[str, int]:
        """As a manifest has it."""
        return dataclasses.asdict(self)

    def refuse_another(self, width: int | None, per_call: int | None) -> None:
        """Raises ValueError where a run of this layout is asked to go on with another."""
        for name, wanted in (("width", width), ("per_call", per_call)):
            if wanted is not None and wanted != getattr(self, name):
                raise ValueError(
                    f"{name} = {wanted}, but the run was begun with {getattr(self, name)}, and other bits would come "
                    "of it: leave it out, or give another folder"
                )


def check(width: int | None, per_call: int | None) -> None:
    """Raises ValueError for what a user cannot ask for."""
    for name, value in (("width", width), ("per_call", per_call)):
        if value is not None and value < 1:
            raise ValueError(f"{name} = {value} must be at least 1")
        if value is not None and value > MOST_GIVEN:
            raise ValueError(f"{name} = {value} must be at most {MOST_GIVEN}")
    if width is not None and per_call is not None and per_call % width:
        raise ValueError(f"per_call = {per_call} must be a multiple of width = {width}")


def memory() -> float:
    """What a device has [bytes]; infinite where it does not say."""
    return float((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", np.inf))


def _power_of_two(value: int) -> int:
    return 1 << (value.bit_length() - 1)
