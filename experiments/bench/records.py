"""Types of the benchmark's summary, as summary.json holds it."""

from typing import NotRequired, TypedDict


class Timing(TypedDict):
    """Timings of a case [s], peak memory [bytes], and ratios emulated / digital of neighbouring calls.

    Quartiles are lower quartile, median, upper quartile. `load_s` is None where weights are loaded in every call.
    `digital_compile_s` and `emulated_compile_s` take tracing, lowering and compiling together; `emulated_lines` is the
    length of the emulated program in StableHLO. `tokens_per_s` is None where the work has no tokens.
    """

    digital_s: float
    digital_quartiles_s: list[float]
    emulated_s: float
    emulated_quartiles_s: list[float]
    ratio: float
    ratio_quartiles: list[float]
    peak_bytes_ratio: float
    digital_bytes: int
    emulated_bytes: int
    load_s: float | None
    digital_compile_s: float
    emulated_compile_s: float
    digital_lines: int
    emulated_lines: int
    tokens_per_s: float | None
    aihwkit_s: NotRequired[float]
    aihwkit_ratio: NotRequired[float]


class BenchRow(Timing):
    """A case with its timings. `way`: the arithmetic of the emulation, or "floor" or "bare"."""

    case: str
    work: str
    way: str
    kind: str
    threads: int


class MachineRecord(TypedDict):
    """The machine that the timings were taken on."""

    cpu: str
    cpus: int | None
    system: str


class BenchSummary(TypedDict):
    """The content of summary.json."""

    program: str
    preset: str
    rounds: int
    machine: MachineRecord
    platform: str
    settings: str
    environment: dict[str, str]
    versions: dict[str, str]
    aihwkit: str | None
    rows: list[BenchRow]
