"""One process of the benchmark: cases as JSON on standard input, a line of JSON for each that is finished.

Threads are settled when a process starts XLA, so each number of threads has a process of its own.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.bench import aihwkit
from experiments.bench.cases import BenchCase, Pair, pair


def timed(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, the functions called in turn, after one call each that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            found[name].append(time.perf_counter() - start)
    return found


def quartiles(values: Sequence[float]) -> list[float]:
    """The median between the lower and the upper quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def measured(case: BenchCase, rounds: int) -> dict[str, Any]:
    """What the table has of a case; ratios are those of neighbouring calls."""
    both: Pair = pair(case)
    functions = {"digital": both.digital, "emulated": both.emulated}
    other = aihwkit.layer(case)
    if other is not None:
        functions |= {"torch": other.digital, "aihwkit": other.emulated}
    found = timed(functions, rounds)
    ratios = np.divide(found["emulated"], found["digital"])
    row = {
        "digital_s": quartiles(found["digital"])[1],
        "digital_quartiles_s": quartiles(found["digital"]),
        "emulated_s": quartiles(found["emulated"])[1],
        "emulated_quartiles_s": quartiles(found["emulated"]),
        "ratio": quartiles(ratios)[1],
        "ratio_quartiles": quartiles(ratios),
        "peak_bytes_ratio": both.emulated_bytes / both.digital_bytes,
        "digital_bytes": both.digital_bytes,
        "emulated_bytes": both.emulated_bytes,
        "load_s": None if both.load is None else quartiles(timed({"load": both.load}, 3)["load"])[1],
    }
    if other is not None:
        row["aihwkit_s"] = quartiles(found["aihwkit"])[1]
        row["aihwkit_ratio"] = quartiles(np.divide(found["aihwkit"], found["torch"]))[1]
    return row


def main() -> None:
    """Times the cases on standard input."""
    asked = json.loads(sys.stdin.read())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-asked["threads"] :])
    for fields, rounds in zip(asked["cases"], asked["rounds"], strict=True):
        row = measured(BenchCase(**fields), rounds)
        jax.clear_caches()
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
