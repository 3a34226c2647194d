"""Results that outlive the process: by a description of what was computed, in one SQLite file beside the run."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.common.source_closure import source_digest

NUMERICAL_PACKAGES = ("jax", "jaxlib", "numpy")


class ResultCache:
    """Results of a run by the description of what was computed; survives Ctrl-C and kill -9 at any moment.

    The key of a result is its description, the source that it depends on and the versions of the numerical packages. A
    changed input or a changed statement in that source makes a new key. A changed comment, figure or report does not.

    Args:
        path: the SQLite file, made with its folder where it is absent.
        computed_by: dotted names of the modules that compute the results. Their import closure is the source that the
            results depend on, see `experiments.common.source_closure`.
    """

    def __init__(self, path: Path, *computed_by: str):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, result TEXT NOT NULL)")
        self._code = [source_digest(*computed_by), *map(version, NUMERICAL_PACKAGES)]

    def get(self, description: Any) -> Any | None:
        """Return the result stored for a description, anything that JSON can hold, or None."""
        row = self._database.execute("SELECT result FROM results WHERE key = ?", (self._key(description),)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, description: Any, result: Any) -> None:
        """Store a result durably before returning."""
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?)", (self._key(description), json.dumps(result))
            )

    def get_or_compute(self, description: Any, compute: Callable[[], Any]) -> Any:
        """Return the result stored for a description, or that of `compute`, which is stored first."""
        result = self.get(description)
        if result is None:
            result = compute()
            self.put(description, result)
        return result

    def close(self) -> None:
        """Fold the write-ahead log into the file."""
        self._database.close()

    def _key(self, description: Any) -> str:
        return hashlib.sha256(json.dumps([self._code, description], sort_keys=True).encode()).hexdigest()
