"""What is finished stays finished: results by description, in one SQLite file beside the run."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOMS = ("electronics", "optics", "models", "experiments")


class Ledger:
    """Results of a run by the description of what was computed; survives Ctrl-C and kill -9 at any moment.

    A description is anything that JSON can hold. The product's own source is part of every key, so a result outlives
    neither a change of its inputs nor one of the code.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, result TEXT NOT NULL)")
        self._code = source_digest()

    def get(self, description: Any) -> Any | None:
        """The result stored for this description, or None."""
        row = self._database.execute("SELECT result FROM results WHERE key = ?", (self._key(description),)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, description: Any, result: Any) -> None:
        """Stores a result for good before it returns."""
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?)", (self._key(description), json.dumps(result))
            )

    def kept(self, description: Any, run: Callable[[], Any]) -> Any:
        """The result stored for this description, or that of `run`, stored before it returns."""
        found = self.get(description)
        if found is None:
            found = run()
            self.put(description, found)
        return found

    def close(self) -> None:
        """Folds the write-ahead log into the file."""
        self._database.close()

    def _key(self, description: Any) -> str:
        return _digest(json.dumps([self._code, description], sort_keys=True).encode())


def source_digest(places: Sequence[str] = ROOMS) -> str:
    """Digest of the product's code and constants: of rooms, with all that is in them, and of single files."""
    root = Path(__file__).parents[2]
    found = [path for place in places for path in sorted([root / place, *(root / place).rglob("*")])]
    return _digest(b"\0".join(path.read_bytes() for path in found if path.suffix in (".py", ".toml")))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
