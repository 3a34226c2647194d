"""Definitions of sweeps and studies at their smallest: two points of each axis, a few steps."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

AXIS_POINTS = 2
TEXT = {"windows": 1, "window_tokens": 16}
STUDY = {"seeds": 1, "draws": 1}
STEPS = {"steps": 2, "held_out_every": 1, "checkpoint_every": 2, "batch": 10}


def shortened(source: Path, folder: Path) -> Path:
    """Write a short version of a definition, and the modules beside it, into a folder.

    Args:
        source: a sweep or a study of training, .toml.
        folder: that the files are written into.

    Returns:
        The short definition.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = tomllib.loads(source.read_text(encoding="utf-8"))
    short = _study(given) if "train" in given else _sweep(given)
    for module in source.parent.glob("*.py"):
        shutil.copyfile(module, folder / module.name)
    path = folder / source.name
    path.write_text(tomli_w.dumps(short), encoding="utf-8")
    return path


def _study(given: dict[str, Any]) -> dict[str, Any]:
    methods = given.get("methods", [])
    return given | STUDY | {"methods": methods[-1:], "train": given["train"] | STEPS}


def _sweep(given: dict[str, Any]) -> dict[str, Any]:
    on = given.get("on", {"kind": "text"})
    if on.get("kind") == "text":
        on = on | TEXT
    short = given | {"on": on}
    if "axes" in given:
        short["axes"] = _axes(given["axes"])
    if "zip" in given:
        short["zip"] = [_axes(table) for table in given["zip"]]
    return short


def _axes(axes: dict[str, Any]) -> dict[str, Any]:
    """Axes of two points each; tables within them are dotted names."""
    return {name: _axis(value) for name, value in axes.items()}


def _axis(value: Any) -> Any:
    if isinstance(value, list):
        return [value[0], value[-1]]
    if "points" in value:
        return value | {"points": AXIS_POINTS}
    return {name: _axis(inner) for name, inner in value.items()}
