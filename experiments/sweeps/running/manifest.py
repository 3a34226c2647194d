"""What a run was begun with, and what differs now: definition, code, versions, device."""

import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from experiments.common import reporting
from experiments.common.source_closure import is_ours, source_digest
from experiments.sweeps.running import engine
from experiments.sweeps.subjects.subject import Subject

SHOWN_DIFFERENCES = 4
SHOWN_CHARACTERS = 60


def computing_modules(subject: Subject) -> list[str]:
    """Names of the modules whose import closure the results of a subject depend on.

    They are the engine's and the subject's own. A subject from outside this project states its function by its digest.
    """
    module = type(subject).__module__
    return [engine.__name__, *([module] if is_ours(module) else [])]


def code(subject: Subject) -> dict[str, str]:
    """What the bits of a result depend on beside the definition: sources, versions, and the kind of device."""
    return {
        "source": source_digest(*computing_modules(subject))[:16],
        **reporting.versions(),
        "device": jax.devices()[0].device_kind,
    }


def session(code: Mapping[str, str]) -> dict[str, Any]:
    """One process at work on a run, whose `code` is given."""
    return {
        **code,
        "git": revision(),
        "host": platform.node(),
        "machine": platform.machine(),
        "devices": len(jax.devices()),
        "processes": jax.process_count(),
    }


def revision() -> str:
    """The revision of the checkout that this code stands in, marked where it was changed since; else "unknown"."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two nested descriptions differ, one line each."""
    before, after = _flat(was), _flat(now)
    return [
        f"{name} was {_short(before.get(name))} and is {_short(after.get(name))}"
        for name in [*before, *(name for name in after if name not in before)]
        if before.get(name) != after.get(name)
    ]


def some(lines: list[str]) -> str:
    """The first few of the differences in one sentence."""
    rest = len(lines) - SHOWN_DIFFERENCES
    return "; ".join(lines[:SHOWN_DIFFERENCES]) + (f"; and {rest} more" if rest > 0 else "")


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {path: tree}
    found: dict[str, Any] = {}
    for name, inner in tree.items():
        found |= _flat(inner, f"{path}.{name}" if path else name)
    return found


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
