"""`otc compare`: optical cores and digital machines on the same prefill, at peak and as they are run."""

import dataclasses
from pathlib import Path

import optics
from experiments.common import reporting
from experiments.common.billing import with_mean_drive
from experiments.common.candidates import check_design
from experiments.common.options import check_folder, check_integer
from experiments.common.overrides import with_overrides
from experiments.common.workload import Attention, Workload, shapes_named
from experiments.comparison import figure, report
from experiments.comparison.achieved import achieved
from experiments.comparison.digital import formats_of
from experiments.comparison.facility import claims
from experiments.comparison.records import CompareSummary, Comparison
from experiments.comparison.schedule import SCHEDULE, check
from experiments.serving.model import system_named
from optics.core.by_site import Machine

SYSTEMS = ("h200", "b200", "gb300", "rubin", "lp30", "trainium3", "cs3", "sn50", "galaxy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Watts of optical cores and digital machines on the same prefill, at peak and as they are run."""

    model: str = "llama-3.1-70b"
    """Model by name; its shapes alone are used."""
    context: int = 8192
    """Tokens of a prompt."""
    batch: int = 1
    """Prompts that are read at once."""
    attention: Attention = "digital"
    """Where attention runs on optical cores."""
    presets: tuple[str, ...] = ("today", "projected_2029", "physical_limit")
    """Optical presets or devices."""
    core: tuple[Path, ...] = ()
    """Cores of your own too, .toml or .json."""
    cores: tuple[Path, ...] = ()
    """Designs with a core for each site too, .toml (docs/guide/cores.md)."""
    systems: tuple[str, ...] = SYSTEMS
    """Digital systems, by their short names in `otc serve`."""
    mean_drive: float | None = None
    """Mean drive that light is billed for, in place of that of each core."""
    digital_ops: float | None = None
    """Operations/s of the digital units beside cores of 1 exaOPS; None: they take as long as the cores take."""
    set: tuple[str, ...] = ()
    """Changes of the schedule, FIELD=VALUE or FIELD=LOW:VALUE:HIGH: overlap, converters, unused, packed, chunk, pue."""
    out: Path = Path("runs/compare")
    """Folder for summary.json and the figure."""

    def check(self) -> None:
        """Raise ValueError for an option out of range; the message names it and the range."""
        check_integer("context", self.context, 1)
        check_integer("batch", self.batch, 1)
        check_folder("out", self.out)
        if self.digital_ops is not None and not self.digital_ops > 0:
            raise ValueError(f"digital_ops = {self.digital_ops} must be above 0 operations/s")
        if not (self.presets or self.core or self.cores or self.systems):
            raise ValueError("presets, core, cores and systems are all empty: name a machine")


def main(options: CompareOptions) -> CompareSummary:
    """Compare all machines, print the tables, write summary.json and the figure."""
    options.check()
    workload = Workload(
        config=shapes_named(options.model), context=options.context, batch=options.batch, attention=options.attention
    )
    constants = with_overrides(SCHEDULE, options.set, "schedule")
    check(constants)
    cores = _cores(options, workload)
    systems = [system_named(name) for name in dict.fromkeys(options.systems)]
    rows: list[Comparison] = [
        achieved(machine, workload, name=name, constants=constants, digital_ops=options.digital_ops)
        for name, machine in cores.items()
    ]
    for system in systems:
        rows += [
            achieved(system, workload, precision=precision, constants=constants) for precision in formats_of(system)
        ]
    summary: CompareSummary = {
        "model": options.model,
        "context": options.context,
        "batch": options.batch,
        "attention": options.attention,
        "digital_ops": options.digital_ops,
        "rows": rows,
        "claims": claims(tuple(system.name for system in systems), constants),
        "schedule": {name: dataclasses.asdict(constant) for name, constant in constants.items()},
        "versions": reporting.versions(),
    }
    reporting.write(summary, options.out)
    figure.draw(summary, options.out)
    report.print_report(summary, options.out)
    return summary


def _cores(options: CompareOptions, workload: Workload) -> dict[str, Machine]:
    """The optical machines by name."""
    found: dict[str, Machine] = {name: optics.preset(name) for name in options.presets}
    own = [
        *((file, optics.serialise.load) for file in options.core),
        *((f, optics.load_by_site) for f in options.cores),
    ]
    for file, load in own:
        if file.stem in found:
            raise ValueError(f"{file}: another core is named {file.stem!r}; rename the file")
        found[file.stem] = load(file)
        check_design(found[file.stem], [workload])
    if options.mean_drive is not None:
        found = {name: with_mean_drive(machine, options.mean_drive) for name, machine in found.items()}
    return found
