"""`otc serve`: rate, latency and energy of a language model on single machines and on pairs of machines."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.common import reporting
from experiments.common.options import check_folder, check_integer
from experiments.common.workload import Attention, shapes_named
from experiments.serving import figures as serve_figures
from experiments.serving import overtake, report
from experiments.serving import shift as serve_shift
from experiments.serving.accuracy import accuracies
from experiments.serving.announced import Shown, announced
from experiments.serving.light import LightVerdict, last_line, light_verdict
from experiments.serving.model import SYSTEMS, system_named
from experiments.serving.optical import SCENARIOS, optical_systems
from experiments.serving.records import ServingSummary, WorkloadRecord
from experiments.serving.rows import BATCHES, AnyServer, ServingRow, rows
from experiments.serving.workloads import WORKLOADS, ServingWorkload, from_trace, workload_named
from models import config_from_json

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
    """Cores that are compared too, as servers of 1 exaOPS: presets, and .toml files of your own cores or designs."""
    effective_bits: float = 7.0
    """Precision of a dot product that the light of presets is sized for."""
    ranges: tuple[str, ...] = ("projected_2029",)
    """Scenario that lends its ranges to your own cores, where their values are its own: one for all files of optical,
    or one for each in their order."""
    attention: tuple[Attention, ...] = ("digital",)
    """Where attention of prompts without a cached prefix runs in optical servers, one for all of optical or one for
    each in their order. That of decoded tokens, and of prompts behind a cached prefix, is digital."""
    accuracy: tuple[Path, ...] = ()
    """Summaries (summary.json of otc headline, target, adapt or verdict) whose losses stand beside the optical rows."""
    batches: tuple[int, ...] = BATCHES
    """Batches: sequences that a machine decodes at once."""
    trace: Path | None = None
    """A CSV of requests (prompt, output, cached; or an Azure trace as published), in place of the workloads."""
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
        for scenario in self.ranges:
            if scenario not in SCENARIOS:
                raise ValueError(f"ranges = {scenario!r} must be one of {', '.join(SCENARIOS)}")


def main(options: ServeOptions) -> ServingSummary:
    """Serve every workload on every system, print the tables and verdicts, write summary.json and the figures."""
    options.check()
    config = config_from_json(options.model) if options.model.endswith(".json") else shapes_named(options.model)
    digital = [system_named(name) for name in dict.fromkeys(options.systems)]
    taken = [system.name for system in digital]
    optical = optical_systems(options.optical, options.effective_bits, options.ranges, config, taken, options.attention)
    systems = [*digital, *optical]
    known = accuracies(systems, options.effective_bits, options.accuracy)
    by_workload = {workload: rows(workload, config, systems, options.batches) for workload in _workloads(options)}
    engines = [system.name for system in optical]
    shown = {workload: announced(workload, served, engines) for workload, served in by_workload.items()}
    verdicts = {workload: light_verdict(workload, served, known) for workload, served in by_workload.items()}
    shifts = serve_shift.shifts(by_workload, config, systems)
    first = next(iter(by_workload)).request
    overtaking = overtake.overtaking(config, optical[-1], optical, digital, first) if optical else None
    bill_basis = {system.name: system.bill_basis(config) for system in optical}
    summary: ServingSummary = {
        "program": "serve",
        "model": options.model,
        "precisions": dict(known.precisions),
        "attention": {system.name: system.attention for system in optical},
        "accuracy": {name: each.record() if (each := known.by_system.get(name)) else None for name in known.optical},
        "light": last_line(list(verdicts.values()), known.precisions) if known.optical else None,
        "assumed": {system.name: _assumed_fields(system) for system in systems},
        "bill_rests_on": bill_basis,
        "workloads": {
            workload.name: _workload_record(workload, served, shown[workload], verdicts[workload])
            for workload, served in by_workload.items()
        },
        "overtaking": overtaking.record() if overtaking else None,
        "mix_shift": [shift.record() for shift in shifts],
        "rows": [row.record() for workload_rows in by_workload.values() for row in workload_rows],
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    serve_figures.draw(by_workload, shifts, options.model, options.out, _merged(bill_basis), shown)
    report.print_rows(by_workload, shown, known, options.model)
    print("".join(f"Bill of {name}, {text}.\n" for name, text in bill_basis.items()), end="")
    report.print_accuracies(known)
    report.print_shifts(shifts)
    if overtaking:
        overtake.draw(overtaking, options.model, first, options.out, bill_basis[optical[-1].name])
        print(
            f"Prefill of {first.prompt} tokens on an optical server with digital attention, its engine varied and the "
            f"rest as in {optical[-1].name}:"
        )
        print(overtaking.sentence(), end="\n\n")
    figures = ["serve", "serve_joules"] + ["serve_shift"] * bool(shifts) + ["serve_overtake"] * bool(overtaking)
    print(f"Written to {options.out}: summary.json, {', '.join(f'{name}.png/.pdf' for name in figures)}")
    if summary["light"]:
        print(f"\n{summary['light']}")
    return summary


def _workloads(options: ServeOptions) -> list[ServingWorkload]:
    if options.trace is not None:
        return [from_trace(options.trace, options.ttft_limit, options.tpot_limit)]
    return [workload_named(name) for name in dict.fromkeys(options.workloads)]


def _workload_record(
    workload: ServingWorkload, served: Sequence[ServingRow], shown: Sequence[Shown], light: LightVerdict
) -> WorkloadRecord:
    return {
        "title": workload.title,
        "prompt": workload.request.prompt,
        "output": workload.request.output,
        "cached": workload.request.cached,
        "limits_s": [x if math.isfinite(x) else None for x in (workload.ttft_limit, workload.tpot_limit)],
        "constants": {name: dataclasses.asdict(c) for name, c in workload.constants.items()},
        "sentences": report.sentences(workload, served),
        "announced": [each.record() for each in shown],
        "light": light.record(),
    }


def _merged(bill_basis: Mapping[str, str]) -> str:
    """One line per distinct basis, with the systems that it belongs to."""
    names = {text: [name for name, other in bill_basis.items() if other == text] for text in bill_basis.values()}
    return "\n".join(f"{', '.join(systems)}: {text}." for text, systems in names.items())


def _assumed_fields(system: AnyServer) -> list[str]:
    return [name for name, constant in system.fields.items() if constant.mark == "assumed"]
