"""From what an entry is: what a run leaves in its folder, and whether that still holds."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import NotRequired, TypedDict

from experiments.common.source_closure import ROOT
from experiments.results.evidence import Evidence, listed

RECORD = "evidence.toml"
"""File under docs/ that says from which revision, by which command and when each entry was made."""
BEGUN, FINISHED = "begun.json", "finished.json"


class Made(TypedDict):
    """From what an entry is.

    Attributes:
        command: that made it.
        revision: of the repository.
        date: on which it was finished.
        seconds: of the command, with those of runs of the same source that were interrupted, but not killed.
        source: digest of all that the result depends on.
        kept: whether the folder held results of earlier source, which the command reads where they still hold.
    """

    command: str
    revision: str
    date: str
    seconds: float
    source: str
    kept: NotRequired[bool]


class Begun(TypedDict):
    """What runs have left in a folder: the source of the last one, the time of those of that source, see `Made`."""

    source: str
    seconds: float
    kept: bool


def written_by(entry: Evidence, quick: bool) -> list[str]:
    """Return the files that the command of an entry must write: its figures, and the summary that its tables are of.

    Which figures a sweep draws depends on the points of its axes, so one that is shortened for a smoke run need write
    none of them.
    """
    if quick and entry.definition is not None:
        return []
    return list(dict.fromkeys([*entry.figures.values(), *["summary.json"] * bool(entry.tables)]))


def begun_before(entry: Evidence, folder: Path) -> Begun:
    """Make the folder of an entry and return what runs have left there.

    Programs keep results by their source, but a training goes on from its last step whatever the source of the steps
    before. So what another source has trained is removed.
    """
    source, path = entry.digest(ROOT), folder / BEGUN
    was: Begun | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if was is not None and was["source"] == source:
        return was
    if entry.trains and folder.is_dir():
        shutil.rmtree(folder)
    kept = folder.is_dir() and any(folder.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    return {"source": source, "seconds": 0.0, "kept": kept}


def finished(entry: Evidence, folder: Path, quick: bool) -> Made | None:
    """From what an entry is, where it is finished for this source and its files are there."""
    path = folder / FINISHED
    if not path.is_file():
        return None
    made: Made = json.loads(path.read_text(encoding="utf-8"))
    whole = all((folder / name).is_file() for name in written_by(entry, quick))
    return made if whole and made["source"] == entry.digest(ROOT) else None


def revision() -> str:
    """The short hash of the commit, marked where files of the packages differ from it; "unknown" without git."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        # What this program copies and fills in is not what it is made from.
        copied = {name for entry in listed().values() for name in entry.figures}
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=all", "--", ".", ":!docs/*.md"]
            + [f":!docs/{name}" for name in sorted({RECORD, *copied})],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{found}, with changes" if changed else found
