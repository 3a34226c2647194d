"""Process of the benchmark: reads cases as JSON from standard input, writes a line of JSON per finished case.

The number of threads is fixed when a process starts XLA, so each number of threads has its own process.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.bench import peers
from experiments.bench.cases import BenchCase, Pair, pair
from experiments.bench.records import PeerTiming, Timing


def timed(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call, interleaved, after one call of each function that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def quartiles(values: Sequence[float] | np.ndarray) -> list[float]:
    """Return lower quartile, median and upper quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def measured(case: BenchCase, rounds: int, load_average: float) -> Timing:
    """Time a case on a machine of this load; ratios are those of neighbouring calls."""
    both: Pair = pair(case)
    functions = {"digital": both.digital.call, "emulated": both.emulated.call}
    seconds = timed(functions, rounds)
    ratios = np.divide(seconds["emulated"], seconds["digital"])
    return {
        "digital_s": quartiles(seconds["digital"])[1],
        "digital_quartiles_s": quartiles(seconds["digital"]),
        "emulated_s": quartiles(seconds["emulated"])[1],
        "emulated_quartiles_s": quartiles(seconds["emulated"]),
        "ratio": quartiles(ratios)[1],
        "ratio_quartiles": quartiles(ratios),
        "peak_bytes_ratio": both.emulated.peak_bytes / both.digital.peak_bytes,
        "digital_bytes": both.digital.peak_bytes,
        "emulated_bytes": both.emulated.peak_bytes,
        "load_s": None if both.load is None else quartiles(timed({"load": both.load}, 3)["load"])[1],
        "digital_compile_s": both.digital.compile_s,
        "emulated_compile_s": both.emulated.compile_s,
        "digital_lines": both.digital.lines,
        "emulated_lines": both.emulated.lines,
        "tokens_per_s": case.batch * case.tokens / quartiles(seconds["emulated"])[1] if case.tokens else None,
        "peers": {name: _peer_timing(layers, rounds) for name, layers in peers.layers(case).items()},
        "load_average": load_average,
    }


def _peer_timing(layers: peers.Layers, rounds: int) -> PeerTiming:
    """Time a peer and its digital layer, apart from the other functions of the case, whose caches it would empty."""
    seconds = timed(layers._asdict(), rounds)
    ratios = quartiles(np.divide(seconds["emulated"], seconds["digital"]))
    return {
        "digital_s": quartiles(seconds["digital"])[1],
        "emulated_s": quartiles(seconds["emulated"])[1],
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
