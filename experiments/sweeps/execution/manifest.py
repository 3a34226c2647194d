"""The definition, code, versions and device of a run, and how those of another differ."""

import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from experiments.common import reporting
from experiments.common.source_closure import is_ours, source_digest
from experiments.sweeps.execution import engine
from experiments.sweeps.subjects.subject import Subject

SHOWN_DIFFERENCES = 4
SHOWN_CHARACTERS = 60


def computing_modules(subject: Subject) -> list[str]:
    """Return the modules whose import closure the results of a subject depend on: the engine's and its own.

    A subject from outside this project is identified by its `digest` alone.
    """
    module = type(subject).__module__
    return [engine.__name__, *([module] if is_ours(module) else [])]


def code(subject: Subject) -> dict[str, str]:
    """Return what results depend on to the last bit beside the definition: source, versions and kind of device."""
    return {
        "source": source_digest(*computing_modules(subject))[:16],
        **reporting.versions(),
        "device": jax.devices()[0].device_kind,
    }


def session(code: Mapping[str, str]) -> dict[str, Any]:
    """Return the description of this process, whose `code` is given, as the list of sessions has it."""
    return {
        **code,
        "git": revision(),
        "host": platform.node(),
        "machine": platform.machine(),
        "devices": len(jax.devices()),
        "processes": jax.process_count(),
    }


def revision() -> str:
    """Return the Git revision of this code, with a mark where files were changed since, or "unknown"."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        described = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return described.stdout.strip() or "unknown"


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each entry in which two nested descriptions differ."""
    before, after = _flat(was), _flat(now)
    return [
        f"{name} was {_short(before.get(name))} and is {_short(after.get(name))}"
        for name in [*before, *(name for name in after if name not in before)]
        if before.get(name) != after.get(name)
    ]


def shortened(lines: list[str]) -> str:
    """Return the first few differences in one sentence."""
    rest = len(lines) - SHOWN_DIFFERENCES
    return "; ".join(lines[:SHOWN_DIFFERENCES]) + (f"; and {rest} more" if rest > 0 else "")


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {path: tree}
    entries: dict[str, Any] = {}
    for name, inner in tree.items():
        entries |= _flat(inner, f"{path}.{name}" if path else name)
    return entries


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
