"""Types of the benchmark's summary, as summary.json holds it."""

from typing import TypedDict


class PeerRecord(TypedDict):
    """Another emulator: its version, the digital layer that it is compared with, and its settings in words."""

    version: str
    digital: str
    settings: str


class PeerTiming(TypedDict):
    """Timings of another emulator and of its own digital layer [s], and their ratio in neighbouring calls."""

    digital_s: float
    emulated_s: float
    ratio: float
    ratio_quartiles: list[float]


class Timing(TypedDict):
    """Timings of a case [s], peak memory [bytes], and ratios emulated / digital of neighbouring calls.

    Quartiles are lower quartile, median, upper quartile. `processor_ratio` is the median ratio of processor times of
    all threads, which depends less on other work of the machine. `load_s` is None where weights are loaded in every
    call. `digital_compile_s` and `emulated_compile_s` take tracing, lowering and compiling together; `emulated_lines`
    is the length of the emulated program in StableHLO. `tokens_per_s` is None where the work has no tokens. `peers` are
    other emulators by name. `load_average` is that of the machine [processes, over a minute] before the timing process
    began.
    """

    digital_s: float
    digital_quartiles_s: list[float]
    emulated_s: float
    emulated_quartiles_s: list[float]
    ratio: float
    ratio_quartiles: list[float]
    processor_ratio: float
    peak_bytes_ratio: float
    digital_bytes: int
    emulated_bytes: int
    load_s: float | None
    digital_compile_s: float
    emulated_compile_s: float
    digital_lines: int
    emulated_lines: int
    tokens_per_s: float | None
    peers: dict[str, PeerTiming]
    load_average: float


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
    peers: dict[str, PeerRecord]
    rows: list[BenchRow]
