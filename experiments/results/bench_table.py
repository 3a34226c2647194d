"""Table of the benchmark, from the summary of `otc bench`."""

from experiments.bench.records import BenchRow, BenchSummary
from experiments.bench.report import quartiles, seconds
from experiments.results.pages import Rows

WAYS = ("float32", "floor", "bare", "bfloat16")


def bench(summary: BenchSummary) -> Rows:
    """Return times and ratios to the digital work, a row for each work and the ways of doing it across."""
    header = ["", "digital", "float32", "ratio", "quartiles", "floor", "bare", "bfloat16", "ratio", "quartiles"]
    works = dict.fromkeys((row["work"], row["threads"]) for row in summary["rows"])
    many = len({threads for _, threads in works}) > 1
    rows = [[*header, "memory, float32", "bfloat16", "compile, float32"]]
    for work, threads in works:
        found = {row["way"]: row for row in summary["rows"] if (row["work"], row["threads"]) == (work, threads)}
        exact, floor, bare, rounded = map(found.get, WAYS)
        first = next(iter(found.values()))
        rows.append(
            [
                f"{work}, {threads} threads" if many else work,
                seconds((exact or first)["digital_s"]),
                *_timing(exact),
                _ratio(floor),
                _ratio(bare),
                *_timing(rounded),
                *("" if row is None else f"{row['peak_bytes_ratio']:.2f}" for row in (exact, rounded)),
                "" if exact is None else f"{exact['emulated_compile_s']:.2g} s",
            ]
        )
    return rows


def _timing(row: BenchRow | None) -> list[str]:
    return ["", "", ""] if row is None else [seconds(row["emulated_s"]), _ratio(row), quartiles(row["ratio_quartiles"])]


def _ratio(row: BenchRow | None) -> str:
    return "" if row is None else f"{row['ratio']:.2f}"
