"""Workloads of serving: requests and latency limits, from the file of workloads or from a trace."""

import csv
import dataclasses
import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from statistics import mean

from electronics.constants import Constant, parse
from electronics.part import nearest
from experiments.serving.model import Request

COLUMNS = ("prompt", "output", "cached")


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
    """Return the mean request of a trace: a CSV with columns prompt, output and optionally cached, a line per request.

    Raises:
        ValueError: for a missing column, and with the line for a length out of range.
    """
    with file.open(encoding="utf-8", newline="") as text:
        lines = csv.DictReader(text)
        for column in COLUMNS[:2]:
            if column not in (lines.fieldnames or ()):
                raise ValueError(f"{file}: no column {column!r}; a trace has prompt, output and may have cached")
        requests = [_request(file, number, line) for number, line in enumerate(lines, start=2)]
    if not requests:
        raise ValueError(f"{file}: no requests")
    average = Request(**{column: round(mean(getattr(r, column) for r in requests)) for column in COLUMNS})
    return ServingWorkload(
        name=file.stem, title=f"Trace {file.stem}", request=average, ttft_limit=ttft_limit, tpot_limit=tpot_limit
    )


def _request(file: Path, number: int, line: Mapping[str, str]) -> Request:
    try:
        return Request(**{column: int(line[column]) for column in COLUMNS if line.get(column)})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}, line {number}: {error}") from None
