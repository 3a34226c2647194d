"""Workloads of serving: requests and latency limits, from the file of workloads or from a trace."""

import csv
import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from electronics.constants import Constant, parse
from electronics.part import nearest
from experiments.serving.model import Request

COLUMNS: tuple[str, ...] = ("prompt", "output", "cached")
OWN: Mapping[str, str] = dict(zip(COLUMNS, COLUMNS, strict=True))
AZURE: Mapping[str, str] = {"prompt": "ContextTokens", "output": "GeneratedTokens"}
"""Columns of the traces in github.com/Azure/AzurePublicDataset, beside TIMESTAMP."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ServingWorkload:
    """Equal requests with latency limits.

    Attributes:
        name, title: short and full name.
        request: the request.
        ttft_limit: longest time to the first token [s]; inf without a limit.
        tpot_limit: longest time between tokens [s]; inf without a limit.
        constants: the numbers with their sources; empty for a trace.
    """

    name: str
    title: str
    request: Request
    ttft_limit: float = math.inf
    tpot_limit: float = math.inf
    constants: Mapping[str, Constant] = dataclasses.field(default_factory=dict)

    def met_by(self, ttft_s: float, tpot_s: float) -> bool:
        """Whether both limits are met."""
        return ttft_s <= self.ttft_limit and tpot_s <= self.tpot_limit


def _read() -> dict[str, ServingWorkload]:
    tables = tomllib.loads((files("experiments.serving") / "workloads.toml").read_text(encoding="utf-8"))
    titles = {name: table.pop("title") for name, table in tables.items()}
    constants = parse(tables)
    return {
        name: _workload(name, title, {field: constants[f"{name}.{field}"] for field in tables[name]})
        for name, title in titles.items()
    }


def _workload(name: str, title: str, constants: Mapping[str, Constant]) -> ServingWorkload:
    tokens = {field: int(constants[field].value) for field in COLUMNS if field in constants}
    limits = {field: c.value for field, c in constants.items() if field.endswith("_limit")}
    return ServingWorkload(name=name, title=title, request=Request(**tokens), constants=constants, **limits)


WORKLOADS = _read()


def workload_named(name: str) -> ServingWorkload:
    """Return the workload of a name; raise ValueError, with the nearest name, for an unknown one."""
    if name not in WORKLOADS:
        raise ValueError(f"no workload {name!r}{nearest(name, list(WORKLOADS))}")
    return WORKLOADS[name]


def from_trace(file: Path, ttft_limit: float = math.inf, tpot_limit: float = math.inf) -> ServingWorkload:
    """Return the mean request of a trace, a CSV with a line per request that is read line by line.

    Its columns are prompt, output and optionally cached, or those of the public Azure traces of language models:
    TIMESTAMP, ContextTokens and GeneratedTokens. Requests of an Azure trace without a token in or out are left out, and
    the title counts them.

    Raises:
        ValueError: for other columns, and with the line for a length out of range.
        OSError: for a file that cannot be read.
    """
    totals = dict.fromkeys(COLUMNS, 0)
    count = skipped = 0
    with file.open(encoding="utf-8-sig", newline="") as text:
        lines = csv.DictReader(text)
        try:
            names = _columns(file, lines.fieldnames or ())
            for line in lines:
                tokens = _tokens(file, lines.line_num, line, names)
                if names is AZURE and not (tokens["prompt"] and tokens["output"]):
                    skipped += 1
                    continue
                _check(file, lines.line_num, tokens)
                count += 1
                for column, value in tokens.items():
                    totals[column] += value
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{file}, line {lines.line_num + 1}: {error}") from None
    if not count:
        raise ValueError(f"{file}: no requests")
    left_out = f", {skipped} without tokens left out" if skipped else ""
    return ServingWorkload(
        name=file.stem,
        title=f"Trace {file.stem}, mean of {count} requests{left_out}",
        request=Request(**{column: round(total / count) for column, total in totals.items()}),
        ttft_limit=ttft_limit,
        tpot_limit=tpot_limit,
    )


def _columns(file: Path, found: Sequence[str]) -> Mapping[str, str]:
    """The names of the columns in a trace, by our own."""
    for names in (OWN, AZURE):
        if {names["prompt"], names["output"]} <= set(found):
            return names
    raise ValueError(
        f"{file}: its columns are {', '.join(found) or 'none'}; a trace has prompt, output and may have cached, or has "
        "TIMESTAMP, ContextTokens, GeneratedTokens as the Azure traces"
    )


def _tokens(file: Path, number: int, line: Mapping[str, str], names: Mapping[str, str]) -> dict[str, int]:
    tokens: dict[str, int] = {}
    for column, name in names.items():
        if column in ("prompt", "output") or line.get(name):
            try:
                tokens[column] = int(line[name])
            except (ValueError, TypeError):
                raise ValueError(
                    f"{file}, line {number}: {name} = {line[name]!r} must be a whole number of tokens"
                ) from None
    return tokens


def _check(file: Path, number: int, tokens: Mapping[str, int]) -> None:
    try:
        Request(**tokens)
    except ValueError as error:
        raise ValueError(f"{file}, line {number}: {error}") from None
