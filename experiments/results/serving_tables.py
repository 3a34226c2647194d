"""Tables of serving, from the summary of `otc serve`."""

from collections.abc import Sequence

from experiments.comparison.report import three
from experiments.results.pages import Rows
from experiments.serving.records import AccuracyRecord, LightRecord, RangeRecord, RowRecord, ServingSummary
from experiments.training.report import with_error

BESIDE = ("rubin", "b200")
"""Digital machines beside optical ones, of those that were served."""


def light(summary: ServingSummary) -> Rows:
    """Return the best machine or pair with light against the best without, a row per workload."""
    header = [
        "",
        "with light over without, tokens/s per kW",
        "with light",
        "without",
        "told apart",
        "loss of the light",
    ]
    return [header, *(_light_row(each["title"], each["light"]) for each in summary["workloads"].values())]


def _light_row(title: str, found: LightRecord) -> list[str]:
    with_light, without = found["light"], found["digital"]
    factor = "" if found["factor"] is None else _in_range(found["factor"])
    told = "yes" if found["told_apart"] else "no"
    loss = found["accuracy"].removeprefix("a delta NLL of ")
    return [title, factor, _name(with_light), _name(without), told, loss]


def announced(summary: ServingSummary) -> Rows:
    """Return tokens/s per kW of the announced pairs, and behind x over the reference, workloads across."""
    workloads = list(summary["workloads"].values())
    titles = list(dict.fromkeys(each["title"] for workload in workloads for each in workload["announced"]))
    rows = [["", *(workload["title"] for workload in workloads)]]
    for title in titles:
        cells = [title]
        for workload in workloads:
            each = next(each for each in workload["announced"] if each["title"] == title)
            row, over = each["row"], each["over_galaxy"]
            if row is None:
                cells.append("fits at no batch")
                continue
            factor = "" if over is None or row["prefill"] == row["decode"] else f", x {over['nominal']:.2g}"
            missed = "" if row["kept"] else ", misses the limits"
            cells.append(f"{_in_range(row['tokens_per_s_per_kw'])}{factor}{missed}")
        rows.append(cells)
    return rows


def alone(summary: ServingSummary) -> Rows:
    """Return each optical machine alone, and digital ones, at the batch of most tokens/s per kW within the limits."""
    workloads = summary["workloads"]
    rows = [["alone", "loss over float32", *(f"{each['title']}, tokens/s per kW; J" for each in workloads.values())]]
    optical = [name for name in summary["precisions"] if name in summary["accuracy"]]
    for name in (*optical, *BESIDE):
        own = [row for row in summary["rows"] if row["prefill"] == row["decode"] == name]
        if own:
            kept = [row for row in own if row["kept"]]
            cells = (_best([row for row in kept if row["workload"] == workload]) for workload in workloads)
            rows.append([name, _loss(name, summary["accuracy"]), *cells])
    return rows


def _loss(name: str, known: dict[str, AccuracyRecord | None]) -> str:
    """The loss that stands beside a machine; digital ones have none measured."""
    found = known.get(name)
    if found is None:
        return "not measured"
    return with_error(found["delta_nll"], found["delta_nll_stderr"], ".3f")


def _best(rows: Sequence[RowRecord]) -> str:
    if not rows:
        return "misses the limits"
    best = max(rows, key=lambda row: row["tokens_per_s_per_kw"]["nominal"])
    return f"{_in_range(best['tokens_per_s_per_kw'])}; {_in_range(best['j_per_token'])}"


def _name(row: RowRecord | None) -> str:
    if row is None:
        return "none within the limits"
    return row["prefill"] if row["prefill"] == row["decode"] else f"{row['prefill']} + {row['decode']}"


def _in_range(values: RangeRecord) -> str:
    return f"{three(values['nominal'])} ({three(values['low'])} to {three(values['high'])})"
