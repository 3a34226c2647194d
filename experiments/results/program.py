"""`otc results`: redoes the figures and tables of the documentation, and records from what each of them is."""

import dataclasses
import datetime
import json
import shutil
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tomli_w
import tyro

from experiments import INTERRUPTED
from experiments.common import reporting
from experiments.common.options import check_folder
from experiments.common.source_closure import ROOT
from experiments.results import pages
from experiments.results.evidence import RESULTS, Evidence, chosen, listed
from experiments.results.made import BEGUN, FINISHED, RECORD, Made, begun_before, finished, revision, written_by
from experiments.results.shorten import shortened
from experiments.results.tables import TABLES

COMMAND_WIDTH = 60
"""Characters of a command in the list of entries and below tables."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultsOptions:
    """Redoes every figure and generated table of README and docs; the same command goes on where it was stopped."""

    only: tuple[str, ...] = ()
    """Entries that are redone, by name; all unless given."""
    quick: bool = False
    """Run every command at its smallest, into OUT/quick, and leave the documentation as it is."""
    print_list: Annotated[bool, tyro.conf.arg(name="list")] = False
    """Print the entries, from what each was made, and what it takes, and run nothing."""
    again: bool = False
    """Redo entries that are finished for this source too."""
    out: Path = Path("runs/results")
    """Folder with a folder for each entry."""


def main(options: ResultsOptions) -> dict[str, Made]:
    """Run what is not finished, copy its figures, fill its tables, and record revision, command and time."""
    check_folder("out", options.out)
    entries = chosen(listed(), options.only)
    if not (ROOT / "docs").is_dir():
        raise ValueError(f"{ROOT} has no folder docs: otc results needs a checkout of the repository")
    if options.print_list:
        _print_list(entries, _recorded(ROOT / "docs"))
        return {}
    made: dict[str, Made] = {}
    failed: list[str] = []
    for number, entry in enumerate(entries):
        print(f"\n[{number + 1} of {len(entries)}] {entry.name}: ", end="")
        folder = options.out / "quick" / entry.name if options.quick else options.out / entry.name
        print(f"otc {' '.join(stated_command(entry, folder))}", flush=True)
        known = None if options.again else finished(entry, folder, options.quick)
        if known is not None:
            print(f"finished on {known['date']} at revision {known['revision']}")
        else:
            known = make(entry, folder, options.quick)
        if known is None:
            failed.append(entry.name)
            continue
        made[entry.name] = known
        if not options.quick:
            publish(entry, folder, known, ROOT / "docs")
    print("\n" + reporting.table([_HEADER, *(_cells(name, each) for name, each in made.items())]))
    if failed:
        raise ValueError(f"failed: {', '.join(failed)}; their folders under {options.out} hold output.txt")
    return made


def make(entry: Evidence, folder: Path, quick: bool) -> Made | None:
    """Run the command of an entry.

    Args:
        entry: that is made.
        folder: of its files, kept from an interrupted run, which the program goes on with.
        quick: whether it is a smoke run.

    Returns:
        From what it is; None where the command failed or did not write all of its files.

    Raises:
        KeyboardInterrupt: if the command was interrupted.
    """
    begun = begun_before(entry, folder)
    (folder / FINISHED).unlink(missing_ok=True)
    reporting.write_text(folder / BEGUN, json.dumps(begun) + "\n")
    arguments = arguments_of(entry, folder, quick)
    began = time.monotonic()
    try:
        with (folder / "output.txt").open("w", encoding="utf-8") as output:
            status = subprocess.run(
                [sys.executable, "-P", "-m", "experiments", *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
    finally:
        begun["seconds"] = round(begun["seconds"] + time.monotonic() - began, 1)
        reporting.write_text(folder / BEGUN, json.dumps(begun) + "\n")
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    missing = [name for name in written_by(entry, quick) if not (folder / name).is_file()]
    if status or missing:
        said = (folder / "output.txt").read_text(encoding="utf-8").strip().splitlines()[-1:]
        print(f"failed with status {status}: {said[0] if said else ''}" if status else f"not written: {missing}")
        return None
    made: Made = {
        "command": " ".join(["otc", *(stated_command(entry, folder) if not quick else arguments)]),
        "revision": revision(),
        "date": datetime.date.today().isoformat(),
        "seconds": begun["seconds"],
        "source": begun["source"],
    }
    if begun["kept"]:
        made["kept"] = True
    reporting.write_text(folder / FINISHED, json.dumps(made) + "\n")
    print(f"{made['seconds']:.0f} s")
    return made


def arguments_of(entry: Evidence, folder: Path, quick: bool) -> list[str]:
    """Return the arguments of `otc`; in a smoke run those of `quick` too, and a short version of the definition."""
    beside = str(folder.absolute().parent)
    arguments = [argument.replace(RESULTS, beside) for argument in entry.command]
    if quick:
        if entry.definition is not None:
            short = shortened(ROOT / entry.definition, folder.absolute() / "definition")
            arguments[arguments.index(entry.definition)] = str(short)
        arguments = _replaced(arguments, [argument.replace(RESULTS, beside) for argument in entry.quick])
    return [*arguments, "--out", str(folder.absolute())]


def stated_command(entry: Evidence, folder: Path) -> list[str]:
    """Return the command of an entry with files of other entries named from the root of the repository."""
    beside = folder.absolute().parent
    named = beside.relative_to(ROOT) if beside.is_relative_to(ROOT) else beside.name
    return [argument.replace(RESULTS, str(named)) for argument in entry.command]


def publish(entry: Evidence, folder: Path, made: Made, docs: Path) -> None:
    """Copy the figures of an entry into docs, fill its tables, and record from what they are.

    Args:
        entry: that was made.
        folder: of its files.
        made: from what it is.
        docs: the folder of the documentation.
    """
    for name, source in entry.figures.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / source, docs / name)
    if entry.tables:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        for number, (name, page) in enumerate(entry.tables.items()):
            table = pages.markdown(TABLES[name](summary))
            pages.fill(docs / page, name, f"{table}\n\n{in_words(entry.name, made)}" if number == 0 else table)
    record = _recorded(docs) | {entry.name: made}
    ordered = {name: record[name] for name in listed() if name in record}
    reporting.write_text(docs / RECORD, _PREAMBLE + tomli_w.dumps(ordered))


def in_words(name: str, made: Made) -> str:
    """Return from what an entry is, as pages state it below the first of its tables; of a long command its name."""
    short = len(made["command"]) <= COMMAND_WIDTH
    command = made["command"] if short else f"otc results --only {name}"
    minutes = made["seconds"] / 60
    took = f"{minutes:.0f} min" if minutes >= 1 else f"{made['seconds']:.0f} s"
    took += " with results that earlier runs had kept" if made.get("kept") else ""
    return f"*`{command}`, {took}; revision {made['revision']}, {made['date']}.*"


_PREAMBLE = "# From what the figures and generated tables of the documentation are; written by `otc results`.\n\n"


def _recorded(docs: Path) -> dict[str, Made]:
    path = docs / RECORD
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _replaced(arguments: Sequence[str], others: Sequence[str]) -> list[str]:
    """Arguments with the options of `others` in place of their own; --no-x takes the place of --x."""
    new = {_option(name) for name in others if name.startswith("--")}
    kept: list[str] = []
    dropping = False
    for argument in arguments:
        if argument.startswith("--"):
            dropping = _option(argument) in new
        if not dropping:
            kept.append(argument)
    return [*kept, *others]


def _option(argument: str) -> str:
    return argument.removeprefix("--").removeprefix("no-")


_HEADER = ("", "revision", "date", "seconds")


def _cells(name: str, made: Made) -> tuple[str, ...]:
    return name, made["revision"], made["date"], f"{made['seconds']:.0f}"


def _print_list(entries: Sequence[Evidence], recorded: dict[str, Made]) -> None:
    rows = []
    for entry in entries:
        made = recorded.get(entry.name)
        from_what = (made["revision"], made["date"]) if made else ("not recorded", "")
        command = textwrap.shorten(f"otc {' '.join(entry.command)}", COMMAND_WIDTH, placeholder=" ...")
        rows.append((entry.name, *from_what, f"{60 * entry.hours:.0f}", command))
    print(reporting.table([("", "revision", "date", "minutes", "command"), *rows]))
