"""`otc serve`: rate, latency and energy of a language model on single machines and on pairs of machines."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.options import check_folder, check_integer
from experiments.common.workload import shapes_named
from experiments.serving import figures as serve_figures
from experiments.serving import overtake
from experiments.serving import shift as serve_shift
from experiments.serving.model import SYSTEMS, system_named
from experiments.serving.model.transformer_cost import check_served
from experiments.serving.optical import SCENARIOS, from_preset
from experiments.serving.records import ServingSummary, WorkloadRecord
from experiments.serving.rows import BATCHES, AnyServer, ServingRow, best, precision_of, rows
from experiments.serving.workloads import WORKLOADS, ServingWorkload, from_trace, workload_named
from models import config_from_json

ROWS_PRINTED = 8
MOST_BATCH = 2**24


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Serves a model on each machine by itself and on each pair, one machine for prefill and one for decode."""

    model: str = "llama-3.1-70b"
    """Shapes of the model: a name, or a Hugging Face config.json."""
    workloads: tuple[str, ...] = tuple(WORKLOADS)
    """Workloads that are served, by name."""
    systems: tuple[str, ...] = tuple(SYSTEMS)
    """Systems that are compared, by their short names."""
    optical: tuple[str, ...] = SCENARIOS[:2]
    """Presets whose cores are compared too, as servers of 1 exaOPS."""
    effective_bits: float = 7.0
    """Precision of a dot product that their light is sized for."""
    batches: tuple[int, ...] = BATCHES
    """Batches: sequences that a machine decodes at once."""
    trace: Path | None = None
    """A CSV of your own requests (columns prompt, output, cached), served in place of the workloads."""
    ttft_limit: float = math.inf
    """Longest wait for the first token [s], of a trace."""
    tpot_limit: float = math.inf
    """Longest time between two tokens [s], of a trace."""
    out: Path = Path("runs/serve")
    """Folder for summary.json and the figures."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        if min(self.batches, default=0) < 1:
            raise ValueError(f"batches = {self.batches} must be whole numbers of at least 1")
        check_integer("batches", max(self.batches), 1, MOST_BATCH)
        check_folder("out", self.out)
        for name in ("ttft_limit", "tpot_limit"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0 s")


def main(options: ServeOptions) -> ServingSummary:
    """Serve every workload on every system, print the tables and verdicts, write summary.json and the figures."""
    options.check()
    config = config_from_json(options.model) if options.model.endswith(".json") else shapes_named(options.model)
    check_served(options.model, config)
    digital = [system_named(name) for name in dict.fromkeys(options.systems)]
    optical = [from_preset(name, options.effective_bits) for name in dict.fromkeys(options.optical)]
    systems = [*digital, *optical]
    by_workload = {workload: rows(workload, config, systems, options.batches) for workload in _workloads(options)}
    shifts = serve_shift.shifts(by_workload, config, systems)
    first = next(iter(by_workload)).request
    overtaking = overtake.overtaking(config, optical[-1], optical, digital, first) if optical else None
    bill_basis = {system.name: system.bill_basis(config) for system in optical}
    summary: ServingSummary = {
        "program": "serve",
        "model": options.model,
        "precisions": {system.name: precision_of(system) for system in systems},
        "assumed": {system.name: _assumed_fields(system) for system in systems},
        "bill_rests_on": bill_basis,
        "workloads": {
            workload.name: _workload_record(workload, workload_rows) for workload, workload_rows in by_workload.items()
        },
        "overtaking": overtaking.record() if overtaking else None,
        "mix_shift": [shift.record() for shift in shifts],
        "rows": [row.record() for workload_rows in by_workload.values() for row in workload_rows],
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    serve_figures.draw(by_workload, shifts, options.model, options.out, _merged(bill_basis))
    _print_rows(by_workload, options.model)
    print("".join(f"Bill of {name}, {text}.\n" for name, text in bill_basis.items()))
    _print_shifts(shifts)
    if overtaking:
        overtake.draw(overtaking, options.model, first, options.out, bill_basis[optical[-1].name])
        print(
            f"Prefill of {first.prompt} tokens on an optical server, its engine varied and the rest as in "
            f"{optical[-1].name}:"
        )
        print(overtaking.sentence(), end="\n\n")
    figures = ["serve", "serve_joules"] + ["serve_shift"] * bool(shifts) + ["serve_overtake"] * bool(overtaking)
    print(f"Written to {options.out}: summary.json, {', '.join(f'{name}.png/.pdf' for name in figures)}")
    return summary


def _workloads(options: ServeOptions) -> list[ServingWorkload]:
    if options.trace is not None:
        return [from_trace(options.trace, options.ttft_limit, options.tpot_limit)]
    return [workload_named(name) for name in dict.fromkeys(options.workloads)]


def _workload_record(workload: ServingWorkload, served: Sequence[ServingRow]) -> WorkloadRecord:
    return {
        "title": workload.title,
        "prompt": workload.request.prompt,
        "output": workload.request.output,
        "cached": workload.request.cached,
        "limits_s": [x if math.isfinite(x) else None for x in (workload.ttft_limit, workload.tpot_limit)],
        "constants": {name: dataclasses.asdict(c) for name, c in workload.constants.items()},
        "sentences": sentences(workload, served),
    }


def _merged(bill_basis: Mapping[str, str]) -> str:
    """One line per distinct basis, with the systems that it belongs to."""
    names = {text: [name for name, other in bill_basis.items() if other == text] for text in bill_basis.values()}
    return "\n".join(f"{', '.join(systems)}: {text}." for text, systems in names.items())


def _assumed_fields(system: AnyServer) -> list[str]:
    return [name for name, constant in system.fields.items() if constant.mark == "assumed"]


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
        distinct = max(a.low, b.low) > min(a.high, b.high)
        factor = more.tokens_per_s_per_kw.nominal / less.tokens_per_s_per_kw.nominal
        texts.append(
            f"{more.name} gives {factor:.2f} times as many tokens per kW, which "
            f"{'their ranges tell apart' if distinct else 'is within their ranges'}."
        )
    late = sorted({row.name for row in served if row.on_one_machine} - {row.name for row in ranked})
    if late:
        texts.append(f"Alone and at no batch within the latency limits: {', '.join(late)}.")
    return texts


def _rate(row: ServingRow) -> str:
    rate, joules = row.tokens_per_s_per_kw, row.j_per_token
    return f"{rate} tokens/s for each kW of nameplate and {joules} J a token at batch {row.batch}"


def _print_rows(by_workload: Mapping[ServingWorkload, Sequence[ServingRow]], model: str) -> None:
    for workload, workload_rows in by_workload.items():
        ranked = list(best(workload_rows))
        printed = ranked[:ROWS_PRINTED] + [row for row in ranked[ROWS_PRINTED:] if row.on_one_machine]
        print(f"{workload.title}: {_request(workload)}, {model}")
        if printed:
            print(reporting.table([_HEADER, *map(_cells, printed)]))
        print("\n".join(sentences(workload, workload_rows)), end="\n\n")
    print(
        "Rates are per kW of nameplate, J at the wall; brackets: all constants at their best and at their worst.\n"
        f"The first {ROWS_PRINTED} by nominal rate, then single machines; machines x chips of the group that wastes "
        "least."
    )


def _print_shifts(shifts: Sequence[serve_shift.Shift]) -> None:
    if not shifts:
        return
    print(
        "\nA fleet of fixed power sized for one workload and run on another: share kept of what one sized for it gives"
    )
    print(reporting.table([("fleet", "sized for", "run on", "kept"), *map(_shift_cells, serve_shift.worst(shifts))]))
    print("\n".join(serve_shift.sentences(shifts)), end="\n\n")


def _shift_cells(shift: serve_shift.Shift) -> tuple[str, ...]:
    return shift.name, shift.sized_for, shift.run_on, f"{shift.kept_share:.0%}"


_HEADER = ("prefill + decode", "batch", "machines", "ttft s", "tpot ms", "tokens/s/kW", "J/token")


def _cells(row: ServingRow) -> tuple[str, ...]:
    return (
        row.name,
        str(row.batch),
        row.group,
        f"{row.ttft_s.nominal:.2g}",
        f"{1e3 * row.tpot_s.nominal:.3g}",
        str(row.tokens_per_s_per_kw),
        str(row.j_per_token),
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
