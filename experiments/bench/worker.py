"""Process of the benchmark: reads cases as JSON from standard input, writes a line of JSON per finished case.

The number of threads is fixed when a process starts XLA, so each number of threads has its own process.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.bench import peers
from experiments.bench.cases import BenchCase, Pair, pair
from experiments.bench.records import PeerTiming, Timing


class Seconds(NamedTuple):
    """Seconds of each call: by the clock, and of processor time in all threads of this process."""

    clock: list[float]
    processor: list[float]


def timed(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Seconds]:
    """Return the seconds of each call, interleaved, after one call of each function that is not counted."""
    seconds = {name: Seconds([], []) for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(rounds):
        for name, function in functions.items():
            start, used = time.perf_counter(), time.process_time()
            jax.block_until_ready(function())
            seconds[name].clock.append(time.perf_counter() - start)
            seconds[name].processor.append(time.process_time() - used)
    return seconds


def quartiles(values: Sequence[float] | np.ndarray) -> list[float]:
    """Return lower quartile, median and upper quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def measured(case: BenchCase, rounds: int, load_average: float) -> Timing:
    """Time a case on a machine of this load; ratios are those of neighbouring calls."""
    both: Pair = pair(case)
    functions = {"digital": both.digital.call, "emulated": both.emulated.call}
    seconds = timed(functions, rounds)
    digital, emulated = seconds["digital"], seconds["emulated"]
    ratios = np.divide(emulated.clock, digital.clock)
    return {
        "digital_s": quartiles(digital.clock)[1],
        "digital_quartiles_s": quartiles(digital.clock),
        "emulated_s": quartiles(emulated.clock)[1],
        "emulated_quartiles_s": quartiles(emulated.clock),
        "ratio": quartiles(ratios)[1],
        "ratio_quartiles": quartiles(ratios),
        "processor_ratio": quartiles(np.divide(emulated.processor, digital.processor))[1],
        "peak_bytes_ratio": both.emulated.peak_bytes / both.digital.peak_bytes,
        "digital_bytes": both.digital.peak_bytes,
        "emulated_bytes": both.emulated.peak_bytes,
        "load_s": None if both.load is None else quartiles(timed({"load": both.load}, 3)["load"].clock)[1],
        "digital_compile_s": both.digital.compile_s,
        "emulated_compile_s": both.emulated.compile_s,
        "digital_lines": both.digital.lines,
        "emulated_lines": both.emulated.lines,
        "tokens_per_s": case.batch * case.tokens / quartiles(emulated.clock)[1] if case.tokens else None,
        "peers": {name: _peer_timing(layers, rounds) for name, layers in peers.layers(case).items()},
        "load_average": load_average,
    }


def _peer_timing(layers: peers.Layers, rounds: int) -> PeerTiming:
    """Time a peer and its digital layer, apart from the other functions of the case, whose caches it would empty."""
    seconds = timed(layers._asdict(), rounds)
    digital, emulated = (seconds[name].clock for name in ("digital", "emulated"))
    ratios = quartiles(np.divide(emulated, digital))
    return {
        "digital_s": quartiles(digital)[1],
        "emulated_s": quartiles(emulated)[1],
        "ratio": ratios[1],
        "ratio_quartiles": ratios,
    }


def main() -> None:
    """Time the cases on standard input."""
    load_average = os.getloadavg()[0]
    request = json.loads(sys.stdin.read())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-request["threads"] :])
    for fields, rounds in zip(request["cases"], request["rounds"], strict=True):
        row = measured(BenchCase(**fields), rounds, load_average)
        jax.clear_caches()
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
