"""`otc workloads`: where light pays and where not, by energy, on workloads of several kinds; from shapes alone."""

from tqdm import tqdm

from experiments.common import reporting
from experiments.common.candidates import check_design
from experiments.common.workload import Workload
from experiments.serving.model import system_named
from experiments.workloads import figure, report
from experiments.workloads.light import Servers, candidate_of
from experiments.workloads.options import WorkloadsOptions
from experiments.workloads.records import WorkloadsSummary
from experiments.workloads.rows import row_of
from experiments.workloads.tasks import tasks
from optics.core.by_site import host_core
from optics.energy.bill import OMITTED


def main(options: WorkloadsOptions) -> WorkloadsSummary:
    """Price every workload, print the tables and the verdicts, write summary.json and the figure."""
    options.check()
    todo = tasks(options)
    candidate = candidate_of(options)
    servers = Servers(candidate)
    check_design(candidate.core, [task.work for task in todo if isinstance(task.work, Workload)])
    systems = [system_named(name) for name in dict.fromkeys(options.machines)]
    rows = [row_of(task, servers, systems, options.draws) for task in tqdm(todo, "workloads", leave=False)]
    own = options.cores or options.core
    name = options.preset if own is None else str(own)
    vectors = float(host_core(candidate.core).vectors_per_load)
    summary: WorkloadsSummary = {
        "core": name,
        "attention": options.attention,
        "vectors_per_load": vectors,
        "machines": {system.name: system.title for system in systems},
        "rows": rows,
        "notes": report.notes(rows, vectors, name),
        "omitted": list(OMITTED),
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary
