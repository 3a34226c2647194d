"""`otc bench`: time and memory of emulated work against the same work done digitally, interleaved in one process."""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from tqdm import tqdm

from experiments.bench import figure, peers, report
from experiments.bench.cases import FLOORS, BenchCase
from experiments.bench.records import BenchRow, BenchSummary, MachineRecord, Timing
from experiments.common import reporting
from experiments.common.options import check_integer
from experiments.common.result_cache import ResultCache

SHAPES = ((1024, 1024), (1024, 4096), (4096, 4096))
VECTORS = (1, 128, 512)
TILE_ROWS = (128, 256, 1024)
LONG_ROUNDS = 3
LARGEST_SIZE = 2**20
ROOT = Path(__file__).parents[2]
Kind = Literal["product", "floor", "bare", "sweep", "convolution", "forward", "bare-forward", "gradient"]
Arithmetic = Literal["float32", "bfloat16"]
Settings = Literal["none", "tuned"]
Platform = Literal["cpu", "gpu", "tpu"]
# Environment of both sides of a tuned timing. The loop over receivers is bound by its dependency chain, so wide vectors
# help it. A C library that returns memory to the system would have its pages zeroed again in every call.
VECTORS_OF_512_BITS = "--xla_cpu_prefer_vector_width=512"
KEEPING_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Times the emulation against the same work done digitally: products, a sweep, a convolution, a model.

    Each product has two floors, lower bounds for an emulator that draws such noise and multiplies in float32, and a
    forward pass has one. aihwkit and aihwkit-lightning are timed on the products too where they are installed.
    """

    only: tuple[Kind, ...] = get_args(Kind)
    """Kinds of work that are timed."""
    platform: Platform = "cpu"
    """Where both sides run; threads and settings are of CPUs."""
    gpu_check: bool = False
    """Other cases instead, for a GPU: some minutes on one."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads, each in a process of its own."""
    arithmetic: tuple[Arithmetic, ...] = ("float32", "bfloat16")
    """Arithmetic of the emulated products; the digital side is always float32."""
    settings: Settings = "none"
    """Environment of both sides: "none", or "tuned" with vectors of 512 bits and memory that is kept."""
    preset: str = "today"
    """Preset of the core, all of its noise and imperfections on."""
    rounds: int = 15
    """Calls of each function, interleaved; three for SmolLM2 and for sweeps."""
    shapes: tuple[tuple[int, int], ...] = SHAPES
    """Rows and columns of the products."""
    vectors: tuple[int, ...] = VECTORS
    """Vectors of the products."""
    tile_rows: tuple[int, ...] = TILE_ROWS
    """Rows of the core that tiles the products; it has 1,024 columns."""
    out: Path = Path("runs/bench")
    """Folder for summary.json, the figure, and the timings from which an interrupted run goes on."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        for name in ("threads", "vectors", "tile_rows"):
            if min(getattr(self, name), default=0) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be whole numbers of at least 1")
        if min((size for shape in self.shapes for size in shape), default=0) < 1:
            raise ValueError(f"shapes = {self.shapes} must be pairs of whole numbers of at least 1")
        sizes = (*self.vectors, *self.tile_rows, *(size for shape in self.shapes for size in shape))
        for name, value in (("sizes", max(sizes)), ("rounds", self.rounds)):
            check_integer(name, value, 1, LARGEST_SIZE)
        if self.rounds < 3:
            raise ValueError(f"rounds = {self.rounds} must be at least 3, or there are no quartiles")
        most = os.cpu_count() or 1
        if max(self.threads) > most:
            raise ValueError(f"threads = {self.threads} must be at most {most}, as many as this machine has")
        BenchCase(kind="product", preset=self.preset).core()

    def cases(self) -> list[BenchCase]:
        """Return the cases to time, in the order of the table."""
        if self.gpu_check:
            return self._gpu_cases()
        products = [
            BenchCase(kind="product", preset=self.preset, rows=rows, columns=columns, vectors=vectors, tile_rows=tile)
            for rows, columns in self.shapes
            for vectors in self.vectors
            for tile in self.tile_rows
        ]
        floors = [dataclasses.replace(case, kind=kind) for kind in FLOORS for case in products]
        floors.append(BenchCase(kind="bare-forward", preset=self.preset, batch=1, tokens=512))
        emulated = products + [
            dataclasses.replace(case, light="exact")
            for case in products
            if (case.rows, case.columns, case.vectors) == (1024, 4096, 512)
        ]
        emulated.append(BenchCase(kind="sweep", preset=self.preset, rows=1024, columns=1024, vectors=512))
        emulated.append(BenchCase(kind="convolution", preset=self.preset, batch=8, side=224, channels=64))
        for batch, loaded in ((1, False), (1, True), (4, True)):
            emulated.append(BenchCase(kind="forward", preset=self.preset, batch=batch, tokens=512, loaded=loaded))
        emulated.append(BenchCase(kind="gradient", preset=self.preset, batch=1, tokens=512))
        emulated = [dataclasses.replace(case, arithmetic=name) for name in self.arithmetic for case in emulated]
        return [case for case in emulated + floors if case.kind in self.only]

    def _gpu_cases(self) -> list[BenchCase]:
        cases = [
            BenchCase(kind="product", preset=self.preset, rows=4096, columns=4096, vectors=4096),
            BenchCase(kind="forward", preset=self.preset, batch=4, tokens=512),
            BenchCase(kind="gradient", preset=self.preset, batch=1, tokens=512),
            BenchCase(kind="sweep", preset=self.preset, rows=1024, columns=1024, vectors=512, points=64),
        ]
        return [dataclasses.replace(case, arithmetic=name) for name in self.arithmetic for case in cases]


def main(options: BenchOptions) -> BenchSummary:
    """Run the benchmark, print the table, write summary.json and the figure, and return the summary."""
    if options.gpu_check:
        options = dataclasses.replace(options, platform="gpu", threads=(os.cpu_count() or 1,))
    options.check()
    cache = ResultCache(options.out / "timings.sqlite", "experiments.bench.worker")
    rows = [row for threads in dict.fromkeys(options.threads) for row in _rows(options, threads, cache)]
    cache.close()
    summary: BenchSummary = {
        "program": "bench",
        "preset": options.preset,
        "rounds": options.rounds,
        "machine": machine(),
        "platform": options.platform,
        "settings": options.settings,
        "environment": _environment(options.settings),
        "versions": reporting.versions(),
        "peers": peers.installed(),
        "rows": rows,
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    if summary["peers"]:
        reporting.write_text(options.out / report.PAGE, report.peer_page(summary))
    report.show(summary, options.out)
    return summary


def _rows(options: BenchOptions, threads: int, cache: ResultCache) -> list[BenchRow]:
    """Return the rows of one number of threads, timing the cases that the cache lacks."""
    cases = options.cases()
    common = {
        "threads": threads,
        "rounds": options.rounds,
        "settings": options.settings,
        "platform": options.platform,
        # A peer that is installed later is timed too.
        "peers": peers.installed(),
    }
    described = [{"case": dataclasses.asdict(case), **common} for case in cases]
    missing = [number for number, what in enumerate(described) if cache.get(what) is None]
    if missing:
        short = ("product", *FLOORS)
        rounds = [options.rounds if cases[number].kind in short else LONG_ROUNDS for number in missing]
        progress = tqdm(missing, desc=f"{threads} thread{'s' if threads > 1 else ''}", unit="case")
        timings = _timed([cases[n] for n in missing], rounds, threads, options)
        for number, row in zip(progress, timings, strict=True):
            cache.put(described[number], row)
    return [_row(case, threads, cache.get(what)) for case, what in zip(cases, described, strict=True)]


def _row(case: BenchCase, threads: int, timing: Timing | None) -> BenchRow:
    if timing is None:
        raise ValueError(f"timings.sqlite has no timing of {case.name}")
    return {
        "case": case.name,
        "work": case.work,
        "way": case.way,
        "kind": case.kind,
        "threads": threads,
        **timing,
    }


def _environment(settings: Settings) -> dict[str, str]:
    """What the settings add to the environment of a timing."""
    return {"XLA_FLAGS": VECTORS_OF_512_BITS, **KEEPING_MEMORY} if settings == "tuned" else {}


def _timed(cases: Sequence[BenchCase], rounds: Sequence[int], threads: int, options: BenchOptions) -> Iterator[Timing]:
    """Yield the timings of the cases as a process of `threads` threads finishes them.

    Raises:
        ChildProcessError: if the process ends before all are timed.
    """
    added = _environment(options.settings)
    flags = [os.environ.get("XLA_FLAGS", ""), added.get("XLA_FLAGS", "")]
    if threads == 1:
        flags.append("--xla_cpu_multi_thread_eigen=false")
    process = subprocess.Popen(
        # -P: a user's folder named models or optics must not shadow this package.
        [sys.executable, "-P", "-m", "experiments.bench.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            **added,
            "JAX_PLATFORMS": "cuda" if options.platform == "gpu" else options.platform,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            # Times of compilation are true only of programs that are compiled.
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "XLA_FLAGS": " ".join(filter(None, flags)),
            "OMP_NUM_THREADS": str(threads),
        },
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        request = {"cases": [dataclasses.asdict(case) for case in cases], "rounds": list(rounds), "threads": threads}
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        for _ in cases:
            line = process.stdout.readline()
            if not line:
                raise ChildProcessError(f"the timing process ended with status {process.wait()}; see what it printed")
            yield json.loads(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def machine() -> MachineRecord:
    """Return the machine that the timings are taken on."""
    cpu = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        model_names = [line for line in path.read_text().splitlines() if line.startswith("model name")]
        cpu = model_names[0].split(":", 1)[1].strip() if model_names else cpu
    return {"cpu": cpu, "cpus": os.cpu_count(), "system": platform.platform()}
