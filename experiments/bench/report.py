"""Report of the benchmark: the table on the screen, and a page of other emulators on the same products."""

from collections.abc import Sequence
from pathlib import Path

from experiments.bench.cases import FLOORS
from experiments.bench.records import BenchRow, BenchSummary, PeerTiming
from experiments.common import reporting

PAGE = "peers.md"


def show(summary: BenchSummary, out: Path) -> None:
    """Print the table, that of other emulators where there are any, and their settings."""
    header = ["case", "threads", "digital", "emulated", "ratio", "quartiles", "processor", "memory"]
    header += ["load", "compile", "lines"]
    rows = [
        [
            row["case"],
            f"{row['threads']}",
            seconds(row["digital_s"]),
            seconds(row["emulated_s"]),
            f"{row['ratio']:.2f}",
            quartiles(row["ratio_quartiles"]),
            f"{row['processor_ratio']:.2f}",
            f"{row['peak_bytes_ratio']:.2f}",
            _load(row),
            f"{row['digital_compile_s']:.2g} / {row['emulated_compile_s']:.2g} s",
            f"{row['emulated_lines']:,}",
        ]
        for row in summary["rows"]
    ]
    print(reporting.table([header, *rows]))
    print(
        f"\n{summary['preset']}, all noise and imperfections on; {summary['machine']['cpu']}; settings: "
        f"{summary['settings']}. ratio and memory are emulated / digital float32;\n"
        "quartiles are those of the ratio; processor is the ratio of processor times, which depends less on other work "
        "of the machine;\nload is what putting the weights on the mask takes, once; compile is tracing, lowering and "
        "compiling, digital / emulated;\nlines are those of the emulated program in StableHLO. bfloat16: what the "
        "emulation multiplies light in, else float32. floor: a\nfloat32 product with one rounding and one sample of "
        "noise for each number converted, and nothing else; bare: and with noise\nthat follows the light, scales and "
        "clipping, by hand. Both are lower bounds for emulators of such noise in float32."
    )
    if summary["peers"]:
        print(f"\n{reporting.table(peer_rows(summary))}\n")
        print("\n".join(_settings(summary)))
    written = ["summary.json", "bench.png", "bench.pdf", *([PAGE] if summary["peers"] else [])]
    print(f"Written to {out}: {', '.join(written)}")


def peer_rows(summary: BenchSummary) -> list[list[str]]:
    """Return the products that other emulators were timed on, a row for each way and each emulator."""
    header = ["product", "emulator", "its digital layer", "threads", "digital", "emulated", "ratio", "quartiles"]
    table = [header]
    for beside in summary["rows"]:
        if not beside["peers"]:
            continue
        work, threads = beside["work"], f"{beside['threads']}"
        for row in summary["rows"]:
            if (row["work"], row["threads"]) == (work, beside["threads"]):
                ours = row["way"] if row["way"] in FLOORS else f"{summary['preset']}, {row['way']}"
                table.append([work, ours, "jax", threads, *_timing(row)])
        for name, timing in beside["peers"].items():
            peer = summary["peers"][name]
            table.append([work, f"{name} {peer['version']}", peer["digital"], threads, *_timing(timing)])
    return table


def peer_page(summary: BenchSummary) -> str:
    """Return `peer_rows` as Markdown, with the settings of each emulator and the load of the machine."""
    header, *rows = (f"| {' | '.join(row)} |" for row in peer_rows(summary))
    settings = [f"* {each}" for each in _settings(summary)]
    loads = [row["load_average"] for row in summary["rows"]]
    machine = (
        f"{summary['machine']['cpu']}, {summary['machine']['cpus']} CPUs; settings {summary['settings']}; load average "
        f"before the timing {min(loads):.1f} to {max(loads):.1f}; {summary['rounds']} rounds."
    )
    return "\n".join([header, "|" + "---|" * (header.count("|") - 1), *rows, "", machine, "", *settings, ""])


def _settings(summary: BenchSummary) -> list[str]:
    return [
        f"{name} {peer['version']}, beside {peer['digital']}: {peer['settings']}."
        for name, peer in summary["peers"].items()
    ]


def _timing(timing: BenchRow | PeerTiming) -> list[str]:
    return [
        seconds(timing["digital_s"]),
        seconds(timing["emulated_s"]),
        f"{timing['ratio']:.2f}",
        quartiles(timing["ratio_quartiles"]),
    ]


def quartiles(values: Sequence[float]) -> str:
    """The lower and the upper quartile of three, as tables print them."""
    return f"{values[0]:.2f}-{values[2]:.2f}"


def _load(row: BenchRow) -> str:
    if row["load_s"] is None:
        return "none" if row["way"] in FLOORS else "each call"
    return seconds(row["load_s"])


def seconds(value: float) -> str:
    """A time, as tables print it."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms"
