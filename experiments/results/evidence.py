"""The list of evidence: which command makes which figures and tables of the documentation."""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from electronics.part import nearest
from experiments.common.source_closure import source_digest
from experiments.common.toml_entries import check_known, list_of, table_of

RESULTS = "{results}"
"""In a command, the folder that holds the folder of each entry, as "{results}/prepare/model"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """A command and the parts of the documentation that it makes.

    Attributes:
        name: of the entry.
        command: arguments of `otc`; those with `RESULTS` name files of entries before it.
        module: dotted name of the module that computes it.
        quick: arguments that follow in a smoke run.
        figures: file that the command writes, by file under docs/.
        tables: page under docs/, by name of a generated table.
        hours: time on two cores, to plan by.
    """

    name: str
    command: tuple[str, ...]
    module: str
    quick: tuple[str, ...] = ()
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hours: float = 0.1

    @property
    def definition(self) -> str | None:
        """The file that defines the run, of a sweep or a study; else None."""
        own = (argument for argument in self.command[1:] if RESULTS not in argument)
        return next((argument for argument in own if argument.endswith(".toml")), None)

    @property
    def trains(self) -> bool:
        """Whether the command trains a model, step by step in its folder."""
        return self.command[0] == "train"

    @property
    def needs(self) -> list[str]:
        """Names of the entries whose files the command reads."""
        named = (argument.partition(f"{RESULTS}/")[2].split("/")[0] for argument in self.command)
        return list(dict.fromkeys(filter(None, named)))

    @property
    def modules(self) -> list[str]:
        """Files of the functions that the command names as FOLDER/MODULE:NAME."""
        named = (argument.partition(":") for argument in self.command)
        return [f"{module}.py" for module, colon, _ in named if colon and "/" in module]

    def digest(self, root: Path) -> str:
        """Return a digest of all that the result depends on: source of the module, command, and files that define it.

        Args:
            root: the folder that holds the packages and docs/.
        """
        parts = [source_digest(self.module, root=root), json.dumps(self.command)]
        if self.definition is not None:
            path = root / self.definition
            parts += [path.read_text(encoding="utf-8")]
            # A function of a sweep or study is a module beside its file.
            parts += [beside.read_text(encoding="utf-8") for beside in sorted(path.parent.glob("*.py"))]
        parts += [(root / name).read_text(encoding="utf-8") for name in self.modules]
        every = listed() if self.needs else {}
        parts += [every[name].digest(root) for name in self.needs]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def listed() -> dict[str, Evidence]:
    """Return all evidence by name, in the order in which it is made."""
    text = (files("experiments.results") / "evidence.toml").read_text(encoding="utf-8")
    return {name: read(name, entry) for name, entry in tomllib.loads(text).items()}


def read(name: str, entry: Any) -> Evidence:
    """Return an entry of the list.

    Raises:
        ValueError: if an entry is unknown, lacks its command or module, or is of the wrong kind. The message names it.
    """
    table = table_of(name, entry)
    known = [field.name for field in dataclasses.fields(Evidence)][1:]
    check_known(f"evidence {name}", table, known)
    for field in ("command", "module"):
        if not table.get(field):
            raise ValueError(f"evidence {name} needs {field}")
    return Evidence(
        name=name,
        command=tuple(map(str, list_of(f"{name}.command", table["command"], 1))),
        module=str(table["module"]),
        quick=tuple(map(str, list_of(f"{name}.quick", table.get("quick", [])))),
        figures=dict(table_of(f"{name}.figures", table.get("figures", {}))),
        tables=dict(table_of(f"{name}.tables", table.get("tables", {}))),
        hours=float(table.get("hours", 0.1)),
    )


def chosen(evidence: Mapping[str, Evidence], only: Sequence[str]) -> list[Evidence]:
    """Return the entries of some names, or all, in the order of the list.

    Raises:
        ValueError: if a name is unknown. The message gives the nearest.
    """
    for name in only:
        if name not in evidence:
            raise ValueError(f"only = {name!r} is no evidence{nearest(name, list(evidence))}")
    return [entry for name, entry in evidence.items() if not only or name in only]
