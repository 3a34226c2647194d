"""What the program prints: tables of machines, pairs and announced pairs, and sentences on them."""

import math
from collections.abc import Mapping, Sequence

from experiments.common import reporting
from experiments.serving import shift as serve_shift
from experiments.serving.accuracy import NOT_MEASURED, Accuracies
from experiments.serving.announced import REFERENCE, Shown
from experiments.serving.rows import ServingRow, best
from experiments.serving.workloads import ServingWorkload

ROWS_PRINTED = 8


def sentences(workload: ServingWorkload, served: Sequence[ServingRow]) -> list[str]:
    """State the best single machine, the best pair, whether their ranges overlap, and who misses the limits."""
    ranked = list(best(served))
    if not ranked:
        return ["Nothing here serves it: no model and batch fits that keeps the latency limits."]
    single = next((row for row in ranked if row.on_one_machine), None)
    pair = next((row for row in ranked if not row.on_one_machine), None)
    texts = []
    if single:
        texts.append(f"The best single machine is {single.name}: {_rate(single)}.")
    if pair:
        texts.append(f"The best pair is {pair.name}: {_rate(pair)}.")
    if single and pair:
        a, b = single.tokens_per_s_per_kw, pair.tokens_per_s_per_kw
        more, less = (single, pair) if a.nominal >= b.nominal else (pair, single)
        factor = more.tokens_per_s_per_kw.nominal / less.tokens_per_s_per_kw.nominal
        texts.append(
            f"{more.name} gives {factor:.2f} times as many tokens per kW, which "
            f"{'is within their ranges' if a.overlaps(b) else 'their ranges tell apart'}."
        )
    late = sorted({row.name for row in served if row.on_one_machine} - {row.name for row in ranked})
    if late:
        texts.append(f"Alone and at no batch within the latency limits: {', '.join(late)}.")
    return texts


def _rate(row: ServingRow) -> str:
    rate, joules = row.tokens_per_s_per_kw, row.j_per_token
    return f"{rate} tokens/s for each kW of nameplate and {joules} J a token at batch {row.batch}"


def print_rows(
    by_workload: Mapping[ServingWorkload, Sequence[ServingRow]],
    shown: Mapping[ServingWorkload, Sequence[Shown]],
    accuracies: Accuracies,
    model: str,
) -> None:
    """Print for each workload the best rows, all single machines, and the announced pairs."""
    for workload, workload_rows in by_workload.items():
        ranked = list(best(workload_rows))
        printed = ranked[:ROWS_PRINTED] + [row for row in ranked[ROWS_PRINTED:] if row.on_one_machine]
        print(f"{workload.title}: {_request(workload)}, {model}")
        if printed:
            print(reporting.table([_HEADER, *(_cells(row, accuracies) for row in printed)]))
        print("\n".join(sentences(workload, workload_rows)), end="\n\n")
        print(f"{workload.title}: pairs that were announced, whatever their rank")
        print(reporting.table([_ANNOUNCED_HEADER, *(_announced_cells(each, accuracies) for each in shown[workload])]))
        print()
    print(
        "Rates are per kW of nameplate, J at the wall. Brackets: all constants at their best and at their worst, the "
        "costs\nof optical cores at the 5th and 95th percentiles over the ranges of their own constants. The first "
        f"{ROWS_PRINTED} by\nnominal rate, then single machines; machines x chips of the group that wastes least. "
        "Delta NLL in nats/token over\nfloat32, of machines that compute with light."
    )


def print_accuracies(accuracies: Accuracies) -> None:
    """Print what the accuracy of each optical system rests on."""
    for name in sorted(accuracies.optical):
        found = accuracies.by_system.get(name)
        text = NOT_MEASURED if found is None else f"delta NLL {found}, KL {found.kl:.3f}, {found.model}: {found.source}"
        print(f"Accuracy of {name}: {text}.")


def print_shifts(shifts: Sequence[serve_shift.Shift]) -> None:
    """Print the worst shift of each fleet, and what is kept on average."""
    if not shifts:
        return
    print(
        "\nA fleet of fixed power sized for one workload and run on another: share kept of what one sized for it gives"
    )
    print(reporting.table([("fleet", "sized for", "run on", "kept"), *map(_shift_cells, serve_shift.worst(shifts))]))
    print("\n".join(serve_shift.sentences(shifts)), end="\n\n")


def _shift_cells(shift: serve_shift.Shift) -> tuple[str, ...]:
    return shift.name, shift.sized_for, shift.run_on, f"{shift.kept_share:.0%}"


_FIGURES = ("precision", "batch", "machines", "ttft s", "tpot ms", "tokens/s/kW", "J/token")
_HEADER = ("prefill + decode", *_FIGURES, "delta NLL")
_ANNOUNCED_HEADER = ("announced", "prefill + decode", *_FIGURES, f"over {REFERENCE}", "limits", "delta NLL")


def _announced_cells(each: Shown, accuracies: Accuracies) -> tuple[str, ...]:
    if each.row is None:
        return (each.title, "fits at no batch", *[""] * (len(_ANNOUNCED_HEADER) - 2))
    *cells, loss = _cells(each.row, accuracies)
    kept = "kept" if each.row.within_limits else "missed"
    return (each.title, *cells, str(each.over_reference or ""), kept, loss)


def _cells(row: ServingRow, accuracies: Accuracies) -> tuple[str, ...]:
    return (
        row.name,
        " + ".join(dict.fromkeys(accuracies.precisions[name] for name in (row.prefill, row.decode))),
        str(row.batch),
        row.group,
        f"{row.ttft_s.nominal:.2g}",
        f"{1e3 * row.tpot_s.nominal:.3g}",
        str(row.tokens_per_s_per_kw),
        str(row.j_per_token),
        accuracies.of_row(row),
    )


def _request(workload: ServingWorkload) -> str:
    request = workload.request
    cached = f" ({request.cached} of them cached)" if request.cached else ""
    limits = ", ".join(
        f"{name} within {limit:g} s"
        for name, limit in (("first token", workload.ttft_limit), ("next token", workload.tpot_limit))
        if math.isfinite(limit)
    )
    return f"{request.prompt} tokens in{cached}, {request.output} out; {limits or 'no latency limits'}"
