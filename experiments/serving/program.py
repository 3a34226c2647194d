"""Which machine, or which pair of machines, serves a language model with how many tokens a second, a joule and a kW."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.common import reporting
from experiments.common.options import check_folder, check_integer
from experiments.common.workload import shapes_named
from experiments.serving import figures as serve_figures
from experiments.serving import overtake
from experiments.serving import shift as serve_shift
from experiments.serving.model import SYSTEMS, system_named
from experiments.serving.optical import SCENARIOS, from_preset
from experiments.serving.rows import BATCHES, AnyServer, Row, best, precision_of, rows
from experiments.serving.workloads import WORKLOADS, ServingWorkload, from_trace, workload_named
from models import config_from_json

SHOWN = 8
MOST_BATCH = 2**24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serve:
    """Serves a model on each machine alone and on each pair of them, one that reads prompts and one that answers."""

    model: str = "llama-3.1-70b"
    """Shapes of the model: a name, or a Hugging Face config.json."""
    workloads: tuple[str, ...] = tuple(WORKLOADS)
    """What is asked for."""
    systems: tuple[str, ...] = tuple(SYSTEMS)
    """Systems that are compared, by their short names."""
    optical: tuple[str, ...] = SCENARIOS[:2]
    """Presets whose cores are compared too, as servers of 1 exaOPS."""
    effective_bits: float = 7.0
    """Precision of a dot product that their light is sized for."""
    batches: tuple[int, ...] = BATCHES
    """Sequences that a machine decodes at once."""
    trace: Path | None = None
    """A CSV of one's own requests (columns prompt, output, cached), served in place of the workloads."""
    ttft_limit: float = math.inf
    """Longest wait for the first token [s], of a trace."""
    tpot_limit: float = math.inf
    """Longest time between two tokens [s], of a trace."""
    out: Path = Path("runs/serve")
    """Folder for summary.json and the figures."""

    def check(self) -> None:
        """Raises ValueError for a value that cannot be, naming it and what is allowed."""
        if min(self.batches, default=0) < 1:
            raise ValueError(f"batches = {self.batches} must be whole numbers of at least 1")
        check_integer("batches", max(self.batches), 1, MOST_BATCH)
        check_folder("out", self.out)
        for name in ("ttft_limit", "tpot_limit"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be above 0 s")


def main(options: Serve) -> dict[str, Any]:
    """Serves all, prints a table a workload and what follows from it, writes summary.json and the figures."""
    options.check()
    shape = config_from_json(options.model) if options.model.endswith(".json") else shapes_named(options.model)
    digital = [system_named(name) for name in dict.fromkeys(options.systems)]
    optical = [from_preset(name, options.effective_bits) for name in dict.fromkeys(options.optical)]
    systems = [*digital, *optical]
    found = {workload: rows(workload, shape, systems, options.batches) for workload in _asked(options)}
    shifts = serve_shift.shifts(found, shape, systems)
    first = next(iter(found)).request
    overtaking = overtake.overtaking(shape, optical[-1], optical, digital, first) if optical else None
    rests_on = {system.name: system.rests_on(shape) for system in optical}
    summary = {
        "program": "serve",
        "model": options.model,
        "precisions": {system.name: precision_of(system) for system in systems},
        "assumed": {system.name: _unsure(system) for system in systems},
        "bill_rests_on": rests_on,
        "workloads": {
            workload.name: {
                "title": workload.title,
                **dataclasses.asdict(workload.request),
                "limits_s": [x if math.isfinite(x) else None for x in (workload.ttft_limit, workload.tpot_limit)],
                "constants": {name: dataclasses.asdict(c) for name, c in workload.constants.items()},
                "sentences": sentences(workload, each),
            }
            for workload, each in found.items()
        },
        "overtaking": overtaking.as_dict() if overtaking else None,
        "mix_shift": [each.as_dict() for each in shifts],
        "rows": [row.as_dict() for each in found.values() for row in each],
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    serve_figures.draw(found, shifts, options.model, options.out, _together(rests_on))
    _show(found, options)
    print("".join(f"Bill of {name}, {text}.\n" for name, text in rests_on.items()))
    _show_shift(shifts)
    if overtaking:
        overtake.draw(overtaking, options.model, first, options.out, rests_on[optical[-1].name])
        print(f"An optical server that reads prompts of {first.prompt} tokens, the rest as {optical[-1].name} has it:")
        print(overtaking.sentence(), end="\n\n")
    figures = ["serve", "serve_joules"] + ["serve_shift"] * bool(shifts) + ["serve_overtake"] * bool(overtaking)
    print(f"Written to {options.out}: summary.json, {', '.join(f'{name}.png/.pdf' for name in figures)}")
    return summary


def _asked(options: Serve) -> list[ServingWorkload]:
    if options.trace is not None:
        return [from_trace(options.trace, options.ttft_limit, options.tpot_limit)]
    return [workload_named(name) for name in dict.fromkeys(options.workloads)]


def _together(rests_on: dict[str, str]) -> str:
    """One line for each of the different statements, with the systems that it is of."""
    names = {text: [name for name, other in rests_on.items() if other == text] for text in rests_on.values()}
    return "\n".join(f"{', '.join(systems)}: {text}." for text, systems in names.items())


def _unsure(system: AnyServer) -> list[str]:
    return [name for name, constant in system.fields.items() if constant.mark == "assumed"]


def sentences(workload: ServingWorkload, found: Sequence[Row]) -> list[str]:
    """What the rows of a workload say: the best machine, the best pair, and whether they can be told apart."""
    ranked = list(best(found))
    if not ranked:
        return ["Nothing here serves it: no model and batch fits that keeps the latency limits."]
    alone = next((row for row in ranked if row.is_alone), None)
    pair = next((row for row in ranked if not row.is_alone), None)
    said = []
    if alone:
        said.append(f"The best single machine is {alone.name}: {_rate(alone)}.")
    if pair:
        said.append(f"The best pair is {pair.name}: {_rate(pair)}.")
    if alone and pair:
        a, b = alone.tokens_per_s_per_kw, pair.tokens_per_s_per_kw
        more, less = (alone, pair) if a.nominal >= b.nominal else (pair, alone)
        told = max(a.low, b.low) > min(a.high, b.high)
        factor = more.tokens_per_s_per_kw.nominal / less.tokens_per_s_per_kw.nominal
        said.append(
            f"{more.name} gives {factor:.2f} times as many tokens per kW, which "
            f"{'their ranges tell apart' if told else 'is within their ranges'}."
        )
    late = sorted({row.name for row in found if row.is_alone} - {row.name for row in ranked})
    if late:
        said.append(f"Alone and at no batch within the latency limits: {', '.join(late)}.")
    return said


def _rate(row: Row) -> str:
    rate, joules = row.tokens_per_s_per_kw, row.j_per_token
    return f"{rate} tokens/s for each kW of nameplate and {joules} J a token at batch {row.batch}"


def _show(found: dict[ServingWorkload, list[Row]], options: Serve) -> None:
    for workload, each in found.items():
        ranked = list(best(each))
        shown = ranked[:SHOWN] + [row for row in ranked[SHOWN:] if row.is_alone]
        print(f"{workload.title}: {_request(workload)}, {options.model}")
        if shown:
            print(reporting.table([_HEADER, *map(_cells, shown)]))
        print("\n".join(sentences(workload, each)), end="\n\n")
    print(
        "Rates are per kW of nameplate, J at the wall; brackets: all constants at their best and at their worst.\n"
        f"The first {SHOWN} by nominal rate, then single machines; machines x chips of the group that wastes least."
    )


def _show_shift(shifts: Sequence[serve_shift.Shift]) -> None:
    if not shifts:
        return
    print(
        "\nA fleet of fixed power sized for one workload and run on another: share kept of what one sized for it gives"
    )
    print(reporting.table([("fleet", "sized for", "run on", "kept"), *map(_shift_cells, serve_shift.worst(shifts))]))
    print("\n".join(serve_shift.sentences(shifts)), end="\n\n")


def _shift_cells(shift: serve_shift.Shift) -> tuple[str, ...]:
    return shift.name, shift.sized_for, shift.run_on, f"{shift.kept:.0%}"


_HEADER = ("prefill + decode", "batch", "machines", "ttft s", "tpot ms", "tokens/s/kW", "J/token")


def _cells(row: Row) -> tuple[str, ...]:
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
