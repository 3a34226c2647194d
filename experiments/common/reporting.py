"""Output that all programs share: a table on the screen, and summary.json."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.common.verdict import EnergyVerdict


def write(summary: Mapping[str, Any], out: Path) -> None:
    """Write summary.json atomically."""
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: an interrupted call leaves the one that was there."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as aligned text: the first row is the header, the first column is aligned to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def deciding(verdict: EnergyVerdict, count: int) -> str:
    """Return a table of the constants that decide the watts of a verdict, `count` at most, by Sobol total index."""
    rows = [("", "S_T", "kW low", "kW high", "nominal (range)", "known how")]
    for field, index in list(verdict["sobol"].items())[:count]:
        swing, known = verdict["tornado"][field], verdict["constants"][field]
        unit = "" if known["unit"] == "1" else f" {known['unit']}"
        span = f"{known['value']:.3g} ({known['low']:.3g} to {known['high']:.3g}){unit}"
        ends = kilowatts(swing["low"]), kilowatts(swing["high"])
        rows.append((field, f"{index['total']:.2f}", *ends, span, known["mark"]))
    return table(rows)


def kilowatts(watts: float) -> str:
    """Kilowatts to three digits, without an exponent."""
    return f"{watts / 1e3:,.0f}" if watts >= 1e6 else f"{watts / 1e3:.3g}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("optical-tensor-core", "jax", "jaxlib", "numpy")
    }
