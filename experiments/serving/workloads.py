"""What serving machines are asked for: requests and latency limits, from a file of workloads or one's own trace."""

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
    """Equal requests, and the longest that a user waits for the first token and between two [s]; inf is no limit.

    `constants` are the numbers with their sources; a trace has none.
    """

    name: str
    title: str
    request: Request
    ttft_limit: float = math.inf
    tpot_limit: float = math.inf
    constants: Mapping[str, Constant] = dataclasses.field(default_factory=dict)

    def met_by(self, ttft_s: float, tpot_s: float) -> bool:
        """Whether both limits are kept."""
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
    """A workload by name; an unknown one is a ValueError that names the nearest."""
    if name not in WORKLOADS:
        raise ValueError(f"no workload {name!r}{nearest(name, list(WORKLOADS))}")
    return WORKLOADS[name]


def from_trace(file: Path, ttft_limit: float = math.inf, tpot_limit: float = math.inf) -> ServingWorkload:
    """The mean request of a CSV with columns prompt, output and, if prefixes are cached, cached: a line a request.

    Raises ValueError, with the line, for a column that is missing or a length that cannot be.
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
